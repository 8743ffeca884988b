//! Behaviours ACC-01, ACC-02, LOGIN-15 and LOGIN-16: what needs the password once more.

use super::fixture::{PASSWORD, challenged, dummy, name, servers, with_password};
use crate::{
    Error, Requester, Result, Subject,
    account::{
        Accounts, ChangePassword, DeviceWish, Erase,
        uia::{Attempt, Proof, Stage},
    },
};

const NEW: &str = "battery staple";

async fn change(
    accounts: &Accounts,
    by: &Requester,
    new_password: &str,
    attempt: Option<Attempt>,
) -> Result<()> {
    let new_password = new_password.into();
    accounts
        .change_password(
            by,
            ChangePassword {
                new_password,
                logout_devices: true,
                attempt,
            },
        )
        .await
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let other = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await
            .unwrap();
        let accounts = &server.accounts;
        let challenge = challenged(change(accounts, &alice, NEW, None).await);
        assert_eq!(challenge.flows, [[Stage::Password]]);

        let wrong = with_password(&challenge.session, "wrong password");
        let refused = challenged(change(accounts, &alice, NEW, Some(wrong)).await);
        assert_eq!(refused.session, challenge.session);
        assert!(refused.refusal.is_some() && refused.completed.is_empty());
        assert!(server.knows(&other).await);

        let right = with_password(&challenge.session, PASSWORD);
        change(accounts, &alice, NEW, Some(right)).await.unwrap();
        assert!(!server.knows(&other).await);
        assert_eq!(
            accounts.devices(&alice).await.unwrap().len(),
            1,
            "the session that asked"
        );
        let old = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await;
        assert!(matches!(old, Err(Error::Forbidden(_))), "{old:?}");
        server
            .log_in("alice", NEW, DeviceWish::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn other_sessions_stay_on_wish_and_weak_passwords_do_not_get_in() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let other = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await
            .unwrap();
        let weak = change(&server.accounts, &alice, "weak", None).await;
        assert!(matches!(weak, Err(Error::WeakPassword(_))), "{weak:?}");

        let proof = Proof::Password {
            user: Some("@alice:rookery.test".into()),
            password: PASSWORD.into(),
        };
        let ask = ChangePassword {
            new_password: NEW.into(),
            logout_devices: false,
            attempt: Some(Attempt {
                session: None,
                proof: Some(proof),
            }),
        };
        server.accounts.change_password(&alice, ask).await.unwrap();
        assert!(server.knows(&other).await);
    }
}

#[tokio::test]
async fn a_session_is_bound_to_its_operation_and_its_user() {
    for server in servers().await {
        let (alice, bob) = (server.person("alice").await, server.person("bob").await);
        let accounts = &server.accounts;
        let session = challenged(change(accounts, &alice, NEW, None).await).session;
        let attempt = || Some(with_password(&session, PASSWORD));

        for refusal in [
            change(accounts, &alice, "another password", attempt()).await,
            change(accounts, &bob, NEW, attempt()).await,
            accounts.deactivate(&alice, attempt(), Erase::Nothing).await,
            accounts
                .delete_devices(&alice, vec!["X".into()], attempt())
                .await,
            accounts
                .register(crate::account::RegisterAsk {
                    attempt: attempt(),
                    ..name("eve")
                })
                .await
                .map(drop),
        ] {
            assert!(matches!(refusal, Err(Error::Forbidden(_))), "{refusal:?}");
        }

        let proof = Proof::Password {
            user: Some("bob".to_owned()),
            password: PASSWORD.into(),
        };
        let of_bob = Attempt {
            session: Some(session.clone()),
            proof: Some(proof),
        };
        let refusal = change(accounts, &alice, NEW, Some(of_bob)).await;
        assert!(matches!(refusal, Err(Error::Forbidden(_))), "{refusal:?}");

        let refused = challenged(change(accounts, &alice, NEW, Some(dummy(&session))).await);
        assert!(refused.refusal.is_some(), "no flow has the dummy stage");
    }
}

#[tokio::test]
async fn a_lost_session_begins_anew() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let accounts = &server.accounts;
        let first = challenged(change(accounts, &alice, NEW, None).await).session;
        server.clock.turn(60 * 60 * 1000);
        let only_asks = Attempt {
            session: Some(first.clone()),
            proof: None,
        };
        let second = challenged(change(accounts, &alice, NEW, Some(only_asks)).await).session;
        assert_ne!(first, second);
    }
}

#[tokio::test]
async fn a_deactivated_account_is_closed_for_good() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let other = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await
            .unwrap();
        let accounts = &server.accounts;
        let name_field = ("displayname", serde_json::json!("Alice"));
        accounts
            .set_profile_field(&alice, &alice.user_id, name_field.0, name_field.1)
            .await
            .unwrap();

        let session = challenged(accounts.deactivate(&alice, None, Erase::Nothing).await).session;
        accounts
            .deactivate(
                &alice,
                Some(with_password(&session, PASSWORD)),
                Erase::Content,
            )
            .await
            .unwrap();

        let erased = storage::accounts::all_erased(server.accounts.inner.store.reader()).await;
        assert_eq!(erased.unwrap(), [alice.user_id.as_str()]);
        assert!(!server.knows(&other).await);
        let login = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await;
        assert!(matches!(login, Err(Error::UserDeactivated)), "{login:?}");
        assert!(matches!(
            accounts.register(name("alice")).await,
            Err(Error::UserInUse)
        ));
        let profile = accounts.profile(&alice.user_id).await;
        assert!(
            matches!(profile, Err(Error::NotFound(Subject::Profile))),
            "{profile:?}"
        );
        let password = accounts.set_password(&alice.user_id, NEW.into()).await;
        assert!(
            matches!(password, Err(Error::NotFound(Subject::User))),
            "{password:?}"
        );
    }
}

#[tokio::test]
async fn an_administrator_sets_passwords_and_makes_administrators() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let accounts = &server.accounts;
        let login = server
            .log_in("alice", PASSWORD, DeviceWish::default())
            .await
            .unwrap();
        accounts.set_admin(&alice.user_id, true).await.unwrap();
        assert!(
            accounts
                .authenticate(login.access_token.reveal())
                .await
                .unwrap()
                .admin
        );
        accounts.set_admin(&alice.user_id, false).await.unwrap();
        assert!(
            !accounts
                .authenticate(login.access_token.reveal())
                .await
                .unwrap()
                .admin
        );

        accounts
            .set_password(&alice.user_id, NEW.into())
            .await
            .unwrap();
        assert!(!server.knows(&login).await);
        server
            .log_in("alice", NEW, DeviceWish::default())
            .await
            .unwrap();
        assert_eq!(accounts.find("ALICE").await.unwrap(), alice.user_id);
        assert!(matches!(
            accounts.find("bob").await,
            Err(Error::NotFound(Subject::User))
        ));
    }
}
