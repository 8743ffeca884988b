//! What is kept for a user: profile (PROF-01, PROF-03), account data (ACCD-01), filters (FILT-01).

use std::sync::Arc;

use serde_json::{json, value::RawValue};

use super::fixture::servers;
use crate::{Error, Subject, account_data::Place};

#[tokio::test]
async fn a_profile_is_read_by_all_and_written_by_its_user() {
    for server in servers().await {
        let (alice, bob) = (server.person("alice").await, server.person("bob").await);
        let accounts = &server.accounts;
        let id = &alice.user_id;
        assert!(accounts.profile(id).await.unwrap().is_empty());
        assert!(
            accounts
                .set_profile_field(&alice, id, "displayname", json!("Alice"))
                .await
                .unwrap()
        );
        assert!(
            !accounts
                .set_profile_field(&alice, id, "displayname", json!("Alice"))
                .await
                .unwrap()
        );
        let field = json!({"a": [1, null, 0.5]});
        accounts
            .set_profile_field(&alice, id, "com.example.x", field.clone())
            .await
            .unwrap();
        let profile = accounts.profile(id).await.unwrap();
        assert_eq!(
            json!(profile),
            json!({"displayname": "Alice", "com.example.x": field})
        );

        let foreign = accounts
            .set_profile_field(&bob, id, "displayname", json!("x"))
            .await;
        assert!(matches!(foreign, Err(Error::Forbidden(_))), "{foreign:?}");
        assert!(
            accounts
                .set_profile_field(&alice, id, "displayname", json!(""))
                .await
                .unwrap()
        );
        assert!(
            accounts
                .delete_profile_field(&alice, id, "com.example.x")
                .await
                .unwrap()
        );
        assert!(
            !accounts
                .delete_profile_field(&alice, id, "com.example.x")
                .await
                .unwrap()
        );
        for field in ["displayname", "com.example.x"] {
            let gone = accounts.profile_field(id, field).await;
            assert!(
                matches!(gone, Err(Error::NotFound(Subject::Profile))),
                "{field}: {gone:?}"
            );
        }
        let nobody = accounts
            .profile("@nobody:rookery.test".try_into().unwrap())
            .await;
        assert!(
            matches!(nobody, Err(Error::NotFound(Subject::Profile))),
            "{nobody:?}"
        );
    }
}

#[tokio::test]
async fn a_profile_is_bounded() {
    for server in servers().await {
        let alice = server.person("alice").await;
        let accounts = &server.accounts;
        let set = |field, bytes| {
            let value = json!("x".repeat(bytes));
            accounts.set_profile_field(&alice, &alice.user_id, field, value)
        };
        set("a.one", 40_000).await.unwrap();
        let large = set("a.two", 40_000).await;
        assert!(matches!(large, Err(Error::ProfileTooLarge(_))), "{large:?}");
        set("a.one", 100).await.unwrap();
        set("a.two", 40_000).await.unwrap();
    }
}

#[tokio::test]
async fn account_data_is_replaced_whole_and_is_nobody_elses() {
    for server in servers().await {
        let (alice, bob) = (server.person("alice").await, server.person("bob").await);
        let accounts = &server.accounts;
        let place = Place {
            user_id: &alice.user_id,
            room_id: None,
        };
        let content = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let (of_alice, of_bob) = (&alice, &bob);
        let set = |event_type, json| {
            let content = content(json);
            async move {
                accounts
                    .set_account_data(of_alice, place, event_type, &content)
                    .await
            }
        };
        let missing = accounts.account_data(&alice, place, "m.direct").await;
        assert!(
            matches!(missing, Err(Error::NotFound(Subject::AccountData))),
            "{missing:?}"
        );
        set("m.direct", r#"{"a": 1.50}"#).await.unwrap();
        set("m.direct", r#"{ "b" : 2.50 }"#).await.unwrap();
        let read = accounts
            .account_data(&alice, place, "m.direct")
            .await
            .unwrap();
        assert_eq!(read.get(), r#"{ "b" : 2.50 }"#);

        for event_type in ["m.push_rules", "m.fully_read"] {
            let refusal = set(event_type, "{}").await;
            assert!(
                matches!(refusal, Err(Error::MethodNotAllowed(_))),
                "{refusal:?}"
            );
        }
        assert!(matches!(set("x", "[]").await, Err(Error::BadJson(_))));
        let foreign = accounts.account_data(of_bob, place, "m.direct").await;
        assert!(matches!(foreign, Err(Error::Forbidden(_))), "{foreign:?}");
        let room = Place {
            room_id: Some("!none:rookery.test".try_into().unwrap()),
            ..place
        };
        let unknown = accounts
            .set_account_data(&alice, room, "x", &content("{}"))
            .await;
        assert!(
            matches!(unknown, Err(Error::NotFound(Subject::Room))),
            "{unknown:?}"
        );
    }
}

#[tokio::test]
async fn the_same_filter_has_the_same_id() {
    for server in servers().await {
        let (alice, bob) = (server.person("alice").await, server.person("bob").await);
        let carol = server.person("carol").await;
        let accounts = &server.accounts;
        let filter = json!({"room": {"timeline": {"limit": 5}}, "org.example": true});
        let id = accounts
            .create_filter(&alice, &alice.user_id, &filter)
            .await
            .unwrap();
        assert_eq!(
            accounts
                .create_filter(&alice, &alice.user_id, &filter)
                .await
                .unwrap(),
            id
        );
        assert_ne!(
            accounts
                .create_filter(&alice, &alice.user_id, &json!({}))
                .await
                .unwrap(),
            id
        );
        assert_eq!(
            accounts.filter(&alice, &alice.user_id, &id).await.unwrap(),
            filter
        );
        let read = accounts.sync_filter(&alice, &id).await.unwrap();
        assert_eq!(read.definition.room.timeline.limit, Some(5_u8.into()));
        // Who writes the same gets the same, and only who has written it.
        let none = accounts.sync_filter(&bob, &id).await;
        assert!(matches!(none, Err(Error::NotFound(Subject::Filter))));
        let same = accounts
            .create_filter(&carol, &carol.user_id, &filter)
            .await;
        let theirs = accounts.sync_filter(&carol, &same.unwrap()).await.unwrap();
        assert!(Arc::ptr_eq(&read.definition, &theirs.definition));

        let unknown = accounts.filter(&bob, &bob.user_id, &id).await;
        assert!(
            matches!(unknown, Err(Error::NotFound(Subject::Filter))),
            "{unknown:?}"
        );
        let foreign = accounts.filter(&bob, &alice.user_id, &id).await;
        assert!(matches!(foreign, Err(Error::Forbidden(_))), "{foreign:?}");
    }
}
