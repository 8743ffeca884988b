//! Behaviours LOGIN-02 to LOGIN-05, LOGIN-19 and LOGIN-20: logging in and out, and refreshing.

use super::fixture::{PASSWORD, Server, servers, servers_with};
use crate::{
    Error,
    account::{Credentials, DeviceWish, Login, LoginAsk},
};

fn on(device_id: &str) -> DeviceWish {
    DeviceWish {
        device_id: Some(device_id.into()),
        ..DeviceWish::default()
    }
}

fn refreshable() -> DeviceWish {
    DeviceWish {
        refreshable: true,
        ..DeviceWish::default()
    }
}

#[tokio::test]
async fn people_log_in_by_name_or_id_in_any_case() {
    for server in servers().await {
        server.account("alice").await;
        for user in [
            "alice",
            "Alice",
            "@alice:rookery.test",
            "@ALICE:rookery.test",
        ] {
            let login = server
                .log_in(user, PASSWORD, DeviceWish::default())
                .await
                .unwrap();
            assert_eq!(login.user_id, "@alice:rookery.test", "{user}");
            assert_eq!(login.device_id.as_str().len(), 10);
        }
    }
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_look_alike() {
    for server in servers().await {
        server.account("alice").await;
        let mut sentences = Vec::new();
        for user in ["alice", "nobody", "@alice:elsewhere.test", "\0"] {
            match server
                .log_in(user, "wrong password", DeviceWish::default())
                .await
            {
                Err(Error::Forbidden(sentence)) => sentences.push(sentence),
                other => panic!("{user}: {other:?}"),
            }
        }
        sentences.dedup();
        assert_eq!(sentences.len(), 1, "{sentences:?}");
        let credentials = Credentials::Unknown("m.login.token".to_owned());
        let device = DeviceWish::default();
        let refusal = server
            .accounts
            .log_in(LoginAsk {
                credentials,
                device,
            })
            .await;
        assert!(matches!(refusal, Err(Error::Refused(_))), "{refusal:?}");
    }
}

#[tokio::test]
async fn impossible_device_ids_are_refused() {
    for server in servers().await {
        server.account("alice").await;
        for device_id in ["", "\0", &"x".repeat(256)] {
            let refusal = server.log_in("alice", PASSWORD, on(device_id)).await;
            assert!(
                matches!(refusal, Err(Error::InvalidParam(_))),
                "{device_id:?}: {refusal:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_login_on_a_known_device_ends_its_earlier_tokens_and_keeps_its_name() {
    for server in servers().await {
        server.account("alice").await;
        let named = |name: &str| DeviceWish {
            display_name: Some(name.to_owned()),
            refreshable: true,
            ..on("PHONE")
        };
        let first = server
            .log_in("alice", PASSWORD, named("my phone"))
            .await
            .unwrap();
        assert!(server.knows(&first).await);
        let second = server
            .log_in("alice", PASSWORD, named("another"))
            .await
            .unwrap();
        assert!(!server.knows(&first).await);
        assert!(server.knows(&second).await);
        let old = server
            .accounts
            .refresh(first.refresh_token.unwrap().reveal())
            .await;
        assert!(
            matches!(old, Err(Error::UnknownToken { soft_logout: false })),
            "{old:?}"
        );

        let requester = server
            .accounts
            .authenticate(second.access_token.reveal())
            .await
            .unwrap();
        let device = server
            .accounts
            .device(&requester, "PHONE".into())
            .await
            .unwrap();
        assert_eq!(device.display_name.as_deref(), Some("my phone"));
    }
}

#[tokio::test]
async fn a_logout_ends_one_session_and_its_device() {
    for server in servers().await {
        server.account("alice").await;
        let phone = server.log_in("alice", PASSWORD, on("PHONE")).await.unwrap();
        let laptop = server
            .log_in("alice", PASSWORD, on("LAPTOP"))
            .await
            .unwrap();
        let on_phone = server
            .accounts
            .authenticate(phone.access_token.reveal())
            .await
            .unwrap();
        let on_laptop = server
            .accounts
            .authenticate(laptop.access_token.reveal())
            .await
            .unwrap();

        server.accounts.log_out(&on_phone).await.unwrap();
        assert!(!server.knows(&phone).await);
        assert!(server.knows(&laptop).await);
        let devices = server.accounts.devices(&on_laptop).await.unwrap();
        assert_eq!(devices.len(), 1, "{devices:?}");

        let phone = server.log_in("alice", PASSWORD, on("PHONE")).await.unwrap();
        server
            .accounts
            .log_out_everywhere(&on_laptop)
            .await
            .unwrap();
        assert!(!server.knows(&phone).await);
        assert!(!server.knows(&laptop).await);
        assert!(
            server
                .accounts
                .devices(&on_laptop)
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn tokens_expire_softly() {
    for server in servers_with(|settings| settings.token_lifetime_ms = Some(1000)).await {
        server.account("alice").await;
        let login = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await
            .unwrap();
        assert_eq!(login.expires_in_ms, Some(1000));
        server.clock.turn(999);
        assert!(server.knows(&login).await);
        server.clock.turn(1);
        assert_expired(&server, &login).await;
        let device = on(login.device_id.as_str());
        let again = server.log_in("alice", PASSWORD, device).await.unwrap();
        assert!(server.knows(&again).await);
    }
}

async fn assert_expired(server: &Server, login: &Login) {
    let refusal = server
        .accounts
        .authenticate(login.access_token.reveal())
        .await;
    assert!(
        matches!(refusal, Err(Error::UnknownToken { soft_logout: true })),
        "{refusal:?}"
    );
}

/// "The old refresh token remains valid until the new access token or refresh token is used."
#[tokio::test]
async fn an_old_refresh_token_ends_with_the_first_use_of_the_new_access_token() {
    for server in servers().await {
        server.account("alice").await;
        let first = server
            .log_in("alice", PASSWORD, refreshable())
            .await
            .unwrap();
        assert!(server.knows(&first).await);
        let old = first.refresh_token.as_ref().unwrap().reveal();

        let lost = server.accounts.refresh(old).await.unwrap();
        assert_eq!(lost.device_id, first.device_id);
        assert!(server.knows(&first).await, "nothing new was used");
        let second = server.accounts.refresh(old).await.unwrap();
        assert!(!server.knows(&lost).await, "replaced by the repetition");

        assert!(server.knows(&second).await);
        let reuse = server.accounts.refresh(old).await;
        assert!(
            matches!(reuse, Err(Error::UnknownToken { soft_logout: false })),
            "{reuse:?}"
        );
        assert!(!server.knows(&first).await, "its successor arrived");
        assert!(server.knows(&second).await, "unharmed by the reuse");
    }
}

#[tokio::test]
async fn an_old_refresh_token_ends_with_the_first_use_of_the_new_refresh_token() {
    for server in servers().await {
        server.account("alice").await;
        let first = server
            .log_in("alice", PASSWORD, refreshable())
            .await
            .unwrap();
        let old = first.refresh_token.as_ref().unwrap().reveal();
        let second = server.accounts.refresh(old).await.unwrap();
        let third = server
            .accounts
            .refresh(second.refresh_token.unwrap().reveal())
            .await
            .unwrap();
        let reuse = server.accounts.refresh(old).await;
        assert!(
            matches!(reuse, Err(Error::UnknownToken { soft_logout: false })),
            "{reuse:?}"
        );
        assert!(server.knows(&third).await);
    }
}

#[tokio::test]
async fn an_expired_session_is_refreshed() {
    for server in
        servers_with(|settings| settings.refresh_token_lifetime_ms = Some(10_000_000)).await
    {
        server.account("alice").await;
        let first = server
            .log_in("alice", PASSWORD, refreshable())
            .await
            .unwrap();
        let lasts = first.expires_in_ms.unwrap();
        server.clock.turn(lasts);
        assert_expired(&server, &first).await;
        let second = server
            .accounts
            .refresh(first.refresh_token.unwrap().reveal())
            .await
            .unwrap();
        assert!(server.knows(&second).await);
        server.clock.turn(10_000_000);
        let late = server
            .accounts
            .refresh(second.refresh_token.unwrap().reveal())
            .await;
        assert!(
            matches!(late, Err(Error::UnknownToken { soft_logout: true })),
            "{late:?}"
        );
        let unknown = server.accounts.refresh("rkr_unknown").await;
        assert!(
            matches!(unknown, Err(Error::UnknownToken { soft_logout: false })),
            "{unknown:?}"
        );
    }
}

#[tokio::test]
async fn the_same_refresh_token_twice_at_once_leaves_one_pair() {
    for server in servers().await {
        server.account("alice").await;
        let first = server
            .log_in("alice", PASSWORD, refreshable())
            .await
            .unwrap();
        let old = first.refresh_token.as_ref().unwrap().reveal();
        let (one, two) = tokio::join!(server.accounts.refresh(old), server.accounts.refresh(old));
        let (one, two) = (one.unwrap(), two.unwrap());
        let good = [server.knows(&one).await, server.knows(&two).await];
        assert_eq!(good.iter().filter(|good| **good).count(), 1);
    }
}

#[tokio::test]
async fn a_locked_account_can_only_log_out() {
    for server in servers().await {
        let user_id = server.account("alice").await;
        let login = server
            .log_in("alice", PASSWORD, refreshable())
            .await
            .unwrap();
        let token = login.access_token.reveal();
        assert!(server.knows(&login).await);

        server.accounts.set_locked(&user_id, true).await.unwrap();
        assert!(matches!(
            server.accounts.authenticate(token).await,
            Err(Error::UserLocked)
        ));
        let again = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await;
        assert!(matches!(again, Err(Error::UserLocked)), "{again:?}");
        let refreshed = server
            .accounts
            .refresh(login.refresh_token.as_ref().unwrap().reveal())
            .await;
        assert!(matches!(refreshed, Err(Error::UserLocked)), "{refreshed:?}");

        server.accounts.set_locked(&user_id, false).await.unwrap();
        assert!(server.knows(&login).await, "its tokens were kept");
        server.accounts.set_locked(&user_id, true).await.unwrap();
        let requester = server
            .accounts
            .authenticate_to_log_out(token)
            .await
            .unwrap();
        server.accounts.log_out(&requester).await.unwrap();
        assert!(!server.knows(&login).await);
    }
}
