//! Several people, or one of them twice, at the same moment.

use futures_util::future::{join, join_all};
use spec::object;

use super::fixture::houses;
use crate::{Error, Preset, SetState};

/// MEMB-18: two joins of one user at once are one event, and the room counts them once.
#[tokio::test]
async fn a_user_who_joins_twice_at_once_is_in_the_room_once() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        let joins = join_all((0..8).map(|_| bob.joins(&room))).await;
        let joins: Vec<_> = joins
            .into_iter()
            .map(|join| join.expect("it is public"))
            .collect();
        assert!(joins.iter().all(|event| *event == joins[0]), "{joins:?}");
        let synced = alice.syncs(None).await;
        let summary = &synced.rooms.join[&room].summary;
        assert_eq!(summary.joined_member_count.map(u64::from), Some(2));
    }
}

/// Two who change the power levels at once: both are heard, one after the other, and what stands in the end is what one of
/// them has written whole. Whoever was robbed of their power by the other is refused.
#[tokio::test]
async fn two_who_change_the_power_levels_at_once_do_not_mix() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let both = object! { "@alice:here" => 100, "@bob:here" => 100 };
        let set = |content| SetState {
            event_type: "m.room.power_levels".to_owned(),
            state_key: String::new(),
            content,
        };
        let handle = alice.room(&room).await;
        let first = set(object! { "users" => both.clone() });
        handle.set_state(&alice.requester, first).await.unwrap();

        // Each lowers themselves, and sets something else.
        let hers = object! { "users" => object! { "@alice:here" => 50, "@bob:here" => 100 }, "kick" => 10 };
        let his =
            object! { "users" => object! { "@alice:here" => 100, "@bob:here" => 50 }, "ban" => 10 };
        let (first, second) = join(
            handle.set_state(&alice.requester, set(hers.clone())),
            handle.set_state(&bob.requester, set(his.clone())),
        )
        .await;
        let refused = [&first, &second]
            .into_iter()
            .filter(|set| matches!(set, Err(Error::Denied(_))))
            .count();
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        // The later one raises the other back to 100, which they may: both had that.
        assert!(refused <= 1, "{first:?} {second:?}");
        let event = handle
            .state_event(&alice.requester, "m.room.power_levels", "")
            .await
            .unwrap();
        let event: serde_json::Value = serde_json::from_str(event.json().get()).unwrap();
        let last = second.as_ref().or(first.as_ref()).expect("one of them");
        assert_eq!(event["event_id"], last.as_str());
        let mixed = event["content"].get("kick").is_some() && event["content"].get("ban").is_some();
        assert!(!mixed, "{event}");
    }
}
