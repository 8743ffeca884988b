//! Behaviours DEV-01 and DEV-02.

use super::fixture::{PASSWORD, challenged, servers, with_password};
use crate::{Error, Subject, account::DeviceWish};

#[tokio::test]
async fn devices_are_listed_and_renamed() {
    for server in servers().await {
        let (alice, bob) = (server.person("alice").await, server.person("bob").await);
        let accounts = &server.accounts;
        let device_id = alice.device_id.clone().unwrap();
        accounts
            .rename_device(&alice, &device_id, Some("my phone".to_owned()))
            .await
            .unwrap();
        accounts
            .rename_device(&alice, &device_id, None)
            .await
            .unwrap();
        let devices = accounts.devices(&alice).await.unwrap();
        assert_eq!(
            devices,
            [accounts.device(&alice, &device_id).await.unwrap()]
        );
        assert_eq!(devices[0].display_name.as_deref(), Some("my phone"));

        let of_alice = accounts.device(&bob, &device_id).await;
        assert!(
            matches!(of_alice, Err(Error::NotFound(Subject::Device))),
            "{of_alice:?}"
        );
        let unknown = accounts
            .rename_device(&alice, "NONE".into(), Some("x".to_owned()))
            .await;
        assert!(
            matches!(unknown, Err(Error::NotFound(Subject::Device))),
            "{unknown:?}"
        );
        let long = accounts
            .rename_device(&alice, &device_id, Some("x".repeat(2000)))
            .await;
        assert!(matches!(long, Err(Error::InvalidParam(_))), "{long:?}");
    }
}

#[tokio::test]
async fn deleting_devices_needs_the_password_for_these_devices() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let accounts = &server.accounts;
        let on = |id: &str| DeviceWish {
            device_id: Some(id.into()),
            ..DeviceWish::default()
        };
        let one = server.log_in("alice", PASSWORD, on("ONE")).await.unwrap();
        let two = server.log_in("alice", PASSWORD, on("TWO")).await.unwrap();

        let ask = || vec!["TWO".into(), "ONE".into()];
        let session = challenged(accounts.delete_devices(&alice, ask(), None).await).session;
        let right = || Some(with_password(&session, PASSWORD));
        let more = vec!["ONE".into(), "TWO".into(), alice.device_id.clone().unwrap()];
        let refusal = accounts.delete_devices(&alice, more, right()).await;
        assert!(matches!(refusal, Err(Error::Forbidden(_))), "{refusal:?}");
        assert!(server.knows(&one).await);

        accounts
            .delete_devices(&alice, ask(), right())
            .await
            .unwrap();
        accounts
            .delete_devices(&alice, ask(), right())
            .await
            .unwrap(); // on retry
        assert!(!server.knows(&one).await && !server.knows(&two).await);
        assert_eq!(accounts.devices(&alice).await.unwrap().len(), 1);
    }
}
