//! What is reported is kept for those who judge.

use super::fixture::houses;
use crate::{Complaint, Error, Preset, Redact};

/// MOD-11: with who, what, why and when, and with the event as it was.
#[tokio::test]
async fn a_reported_event_is_kept_although_it_is_redacted() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let event = alice.says(&room, "the spam").await.unwrap();
        let complaint = Complaint {
            reason: Some("it is spam".to_owned()),
            score: Some(-100),
        };
        let by = &bob.requester;
        house
            .engine
            .report_event(by, &room, &event, complaint.clone())
            .await
            .unwrap();
        house
            .engine
            .report_room(by, &room, Complaint::default())
            .await
            .unwrap();
        let ask = Redact {
            event_id: event.clone(),
            content: spec::json::Object::new(),
            txn_id: None,
        };
        alice
            .room(&room)
            .await
            .redact(&alice.requester, ask)
            .await
            .unwrap();
        let [newest, first] = house
            .engine
            .reports(i64::MAX, 10)
            .await
            .unwrap()
            .try_into()
            .expect("two");
        assert!(newest.id > first.id);
        assert_eq!(newest.event_id, None);
        assert_eq!(first.reporter, "@bob:here");
        assert_eq!(first.user_id.as_deref(), Some("@alice:here"));
        assert_eq!(first.room_id.as_deref(), Some(room.as_str()));
        assert_eq!(first.event_id.as_deref(), Some(event.as_str()));
        assert_eq!(
            (first.reason.as_deref(), first.score),
            (Some("it is spam"), Some(-100))
        );
        assert_eq!(first.received_ts, 1_700_000_000_000);
        assert!(first.event_json.unwrap().contains("the spam"));
        assert_eq!(house.engine.reports(first.id, 10).await.unwrap(), []);
    }
}

/// Somebody who reports everything is told to wait; a day later they are heard again.
#[tokio::test]
async fn nobody_floods_the_reports() {
    for house in houses().await {
        let bob = house.person("bob");
        let alice = ruma::UserId::parse("@alice:there").unwrap();
        let report = || {
            house
                .engine
                .report_user(&bob.requester, &alice, Complaint::default())
        };
        for _ in 0..100 {
            report().await.unwrap();
        }
        let refused = report().await;
        assert!(
            matches!(refused, Err(Error::LimitExceeded { .. })),
            "{refused:?}"
        );
        house.clock.advance(25 * 60 * 60 * 1000);
        report().await.unwrap();
    }
}
