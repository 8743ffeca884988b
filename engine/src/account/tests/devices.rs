//! Behaviours DEV-01 and DEV-02.

use std::net::IpAddr;

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

#[tokio::test]
async fn a_device_is_seen_once_in_a_while() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let accounts = &server.accounts;
        let seen = async |address: [u8; 4]| {
            accounts.seen(&alice, IpAddr::from(address), || Some("test".to_owned()));
            // Behind what was put into the writer's queue.
            let name = Some("phone".to_owned());
            accounts
                .rename_device(&alice, alice.device_id.as_ref().unwrap(), name)
                .await
                .unwrap();
            let device = accounts.devices(&alice).await.unwrap().remove(0);
            (
                device.last_seen_ms.unwrap() - 1_700_000_000_000,
                device.last_seen_ip.unwrap(),
            )
        };
        assert_eq!(seen([10, 0, 0, 1]).await, (0, "10.0.0.1".to_owned()));
        server.clock.turn(1000);
        assert_eq!(seen([10, 0, 0, 1]).await, (0, "10.0.0.1".to_owned()));
        assert_eq!(seen([10, 0, 0, 2]).await, (1000, "10.0.0.2".to_owned()));
        server.clock.turn(10 * 60 * 1000);
        assert_eq!(seen([10, 0, 0, 2]).await, (601_000, "10.0.0.2".to_owned()));
    }
}
