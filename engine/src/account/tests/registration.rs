//! Behaviours LOGIN-09 to LOGIN-17, and accounts made by tools.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::fixture::{PASSWORD, challenged, dummy, name, servers, servers_with};
use crate::{
    Error,
    account::{
        DeviceWish, NewRegistrationToken, RegisterAsk, Registration, SharedSecretAsk,
        uia::{Attempt, Proof, Stage},
    },
};

#[tokio::test]
async fn the_first_account_becomes_administrator_and_no_other() {
    for server in servers().await {
        let all = ["ann", "ben", "cat", "dan"];
        let registered = all.map(|localpart| server.register(name(localpart)));
        let mut admins = 0;
        for registered in futures_util::future::join_all(registered).await {
            let token = registered.unwrap().login.unwrap().access_token;
            let requester = server.accounts.authenticate(token.reveal()).await.unwrap();
            admins += usize::from(requester.admin);
        }
        assert_eq!(admins, 1);
    }
}

#[tokio::test]
async fn registration_needs_a_stage_even_if_that_asks_for_nothing() {
    for server in servers().await {
        let challenge = challenged(server.accounts.register(name("Alice")).await);
        assert_eq!(challenge.flows, [[Stage::Dummy]]);
        assert_eq!(
            (challenge.completed.as_slice(), challenge.refusal),
            (&[][..], None)
        );

        let ask = RegisterAsk {
            attempt: Some(dummy(&challenge.session)),
            ..name("Alice")
        };
        let registered = server.accounts.register(ask.clone()).await.unwrap();
        assert_eq!(registered.user_id, "@alice:rookery.test");
        let login = registered.login.unwrap();
        assert_eq!((login.refresh_token, login.expires_in_ms), (None, None));

        let again = server.accounts.register(ask).await.unwrap().login.unwrap();
        assert_eq!(
            again.access_token, login.access_token,
            "the answer got lost"
        );
    }
}

#[tokio::test]
async fn a_registration_remembers_what_its_first_request_said() {
    for server in servers().await {
        let ask = RegisterAsk {
            device: DeviceWish {
                device_id: Some("XYZZY".into()),
                ..DeviceWish::default()
            },
            ..name("alice")
        };
        let challenge = challenged(server.accounts.register(ask).await);
        let attempt = Some(dummy(&challenge.session));
        let ask = RegisterAsk {
            attempt,
            ..RegisterAsk::default()
        };
        let registered = server.accounts.register(ask).await.unwrap();
        assert_eq!(registered.user_id, "@alice:rookery.test");
        assert_eq!(registered.login.unwrap().device_id, "XYZZY");
        server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_registration_may_do_without_a_name_and_without_a_session() {
    for server in servers().await {
        let ask = RegisterAsk {
            username: None,
            inhibit_login: true,
            ..name("")
        };
        let registered = server.register(ask).await.unwrap();
        assert!(registered.login.is_none());
        assert_eq!(registered.user_id.localpart().len(), 12);
    }
}

#[tokio::test]
async fn names_and_passwords_are_refused_before_authentication() {
    for server in servers().await {
        server.account("alice").await;
        let refuse = |ask| server.accounts.register(ask);
        assert!(matches!(refuse(name("ALICE")).await, Err(Error::UserInUse)));
        assert!(matches!(
            refuse(name("a b")).await,
            Err(Error::InvalidUsername(_))
        ));
        let weak = RegisterAsk {
            password: Some("short".into()),
            ..name("bob")
        };
        assert!(matches!(refuse(weak).await, Err(Error::WeakPassword(_))));
        let guest = RegisterAsk {
            guest: true,
            ..name("bob")
        };
        assert!(matches!(refuse(guest).await, Err(Error::Forbidden(_))));
        let available = server.accounts.check_available("Alice").await;
        assert!(matches!(available, Err(Error::UserInUse)));
        server.accounts.check_available("bob").await.unwrap();
    }
}

#[tokio::test]
async fn of_two_who_want_one_name_one_gets_it() {
    for server in servers().await {
        let (one, two) = tokio::join!(
            server.register(name("alice")),
            server.register(name("alice"))
        );
        let refusals = [one, two]
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>();
        assert!(matches!(refusals[..], [Error::UserInUse]), "{refusals:?}");
    }
}

#[tokio::test]
async fn a_registration_without_a_password_fails_at_its_end() {
    for server in servers().await {
        let ask = RegisterAsk {
            password: None,
            ..name("alice")
        };
        let refusal = server.register(ask).await;
        assert!(
            matches!(refusal, Err(Error::MissingParam(_))),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn closed_is_closed() {
    for server in servers_with(|settings| settings.registration = Registration::Closed).await {
        let refusal = server.accounts.register(name("alice")).await;
        assert!(matches!(refusal, Err(Error::Forbidden(_))), "{refusal:?}");
        let refusal = server.accounts.registration_token_is_valid("x").await;
        assert!(matches!(refusal, Err(Error::Forbidden(_))), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_registration_token_is_spent_by_a_complete_registration_only() {
    for server in servers_with(|settings| settings.registration = Registration::Token).await {
        let accounts = &server.accounts;
        let new = NewRegistrationToken {
            token: Some("once".to_owned()),
            uses_allowed: Some(1),
            expires_ms: None,
        };
        accounts.create_registration_token(new).await.unwrap();
        assert!(accounts.registration_token_is_valid("once").await.unwrap());
        assert!(!accounts.registration_token_is_valid("nonce").await.unwrap());

        let show = |session: &str, token: &str| Attempt {
            session: Some(session.to_owned()),
            proof: Some(Proof::RegistrationToken(token.to_owned())),
        };
        let challenge = challenged(accounts.register(name("alice")).await);
        assert_eq!(challenge.flows, [[Stage::RegistrationToken]]);
        let wrong = Some(show(&challenge.session, "nonce"));
        let refused = challenged(
            accounts
                .register(RegisterAsk {
                    attempt: wrong,
                    ..name("alice")
                })
                .await,
        );
        assert!(refused.refusal.is_some() && refused.completed.is_empty());

        // Without a password it does not complete: the token is only held.
        let attempt = Some(show(&challenge.session, "once"));
        let other = RegisterAsk {
            attempt,
            password: None,
            username: Some("alice".to_owned()),
            ..RegisterAsk::default()
        };
        let alice = accounts.register(other).await;
        assert!(alice.is_ok(), "the password was said before: {alice:?}");
        assert!(!accounts.registration_token_is_valid("once").await.unwrap());

        let challenge = challenged(accounts.register(name("bob")).await);
        let attempt = Some(show(&challenge.session, "once"));
        let refused = challenged(
            accounts
                .register(RegisterAsk {
                    attempt,
                    ..name("bob")
                })
                .await,
        );
        assert!(refused.refusal.is_some());
    }
}

#[tokio::test]
async fn a_held_registration_token_comes_free_when_its_session_expires() {
    for server in servers_with(|settings| settings.registration = Registration::Token).await {
        let accounts = &server.accounts;
        let new = NewRegistrationToken {
            uses_allowed: Some(1),
            ..NewRegistrationToken::default()
        };
        let token = accounts.create_registration_token(new).await.unwrap();
        let ask = RegisterAsk {
            attempt: Some(Attempt {
                session: None,
                proof: Some(Proof::RegistrationToken(token.clone())),
            }),
            password: None,
            ..name("alice")
        };
        let refusal = accounts.register(ask).await;
        assert!(
            matches!(refusal, Err(Error::MissingParam(_))),
            "{refusal:?}"
        );
        assert!(
            !accounts.registration_token_is_valid(&token).await.unwrap(),
            "held"
        );
        server.clock.turn(60 * 60 * 1000);
        assert!(accounts.registration_token_is_valid(&token).await.unwrap());
    }
}

#[tokio::test]
async fn registration_tokens_expire() {
    for server in servers_with(|settings| settings.registration = Registration::Token).await {
        let accounts = &server.accounts;
        let new = NewRegistrationToken {
            token: None,
            uses_allowed: None,
            expires_ms: Some(1_700_000_000_000 + 1000),
        };
        let token = accounts.create_registration_token(new).await.unwrap();
        assert!(accounts.registration_token_is_valid(&token).await.unwrap());
        server.clock.turn(1000);
        assert!(!accounts.registration_token_is_valid(&token).await.unwrap());
        for token in ["", "ä", &"x".repeat(65), &token] {
            let new = NewRegistrationToken {
                token: Some(token.to_owned()),
                ..Default::default()
            };
            let refusal = accounts.create_registration_token(new).await;
            assert!(
                matches!(refusal, Err(Error::InvalidParam(_))),
                "{token:?}: {refusal:?}"
            );
        }
    }
}

#[tokio::test]
async fn tools_with_the_shared_secret_make_accounts() {
    let secret = |settings: &mut crate::account::Settings| {
        settings.registration = Registration::Closed;
        settings.registration_shared_secret = Some("sekret".into());
    };
    for server in servers_with(secret).await {
        let nonce = server.accounts.nonce().unwrap();
        let mut ask = SharedSecretAsk {
            mac: mac(&format!("{nonce}\0Root\0{PASSWORD}\0admin")),
            nonce,
            username: "Root".to_owned(),
            password: PASSWORD.into(),
            admin: true,
            user_type: None,
            displayname: Some("The root".to_owned()),
            inhibit_login: false,
            device: DeviceWish::default(),
        };
        let registered = server
            .accounts
            .register_with_shared_secret(ask.clone())
            .await
            .unwrap();
        assert_eq!(registered.user_id, "@root:rookery.test");
        let token = registered.login.unwrap().access_token;
        assert!(
            server
                .accounts
                .authenticate(token.reveal())
                .await
                .unwrap()
                .admin
        );
        let profile = server.accounts.profile(&registered.user_id).await.unwrap();
        assert_eq!(profile["displayname"], "The root");

        let again = server
            .accounts
            .register_with_shared_secret(ask.clone())
            .await;
        assert!(
            matches!(again, Err(Error::Refused(_))),
            "the nonce is spent: {again:?}"
        );
        ask.nonce = server.accounts.nonce().unwrap();
        let unsigned = server.accounts.register_with_shared_secret(ask).await;
        assert!(matches!(unsigned, Err(Error::Forbidden(_))), "{unsigned:?}");
    }
    for server in servers().await {
        assert!(matches!(server.accounts.nonce(), Err(Error::Refused(_))));
    }
}

fn mac(message: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(b"sekret").unwrap();
    mac.update(message.as_bytes());
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
