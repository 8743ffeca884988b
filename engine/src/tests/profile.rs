//! Names and pictures on their way into rooms.

use serde_json::json;
use storage::{Plain, Write, entity::unspread_profile, profiles};

use super::fixture::houses;
use crate::{Preset, profile};

/// PROF-02: the server is stopped after it has kept a new name and before the rooms know it; the next start brings it there.
#[tokio::test]
async fn a_changed_name_reaches_the_rooms_after_a_restart() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let user_id = alice.requester.user_id.clone();
        let store = &house.engine.context.store;
        let unspread = Plain::UnspreadProfile(unspread_profile::Model {
            user_id: user_id.to_string(),
            change: "one".to_owned(),
        });
        let name = profile::row(&user_id, "displayname", &json!("Alice"));
        store
            .write(Write::plain(vec![name, unspread]))
            .await
            .unwrap();
        house.engine.finish_profiles().await.unwrap();
        let handle = alice.room(&room).await;
        let member = handle
            .state_event(&alice.requester, "m.room.member", user_id.as_str())
            .await;
        assert!(
            member
                .unwrap()
                .json()
                .get()
                .contains(r#""displayname":"Alice""#)
        );
        assert_eq!(profiles::unspread(store.reader()).await.unwrap(), []);
        // A change that comes while an older one is brought into the rooms is not lost with that.
        let newer = Plain::UnspreadProfile(unspread_profile::Model {
            user_id: user_id.to_string(),
            change: "two".to_owned(),
        });
        let older = Plain::ProfileSpread {
            user_id,
            change: "one".to_owned(),
        };
        store.write(Write::plain(vec![newer, older])).await.unwrap();
        assert_eq!(profiles::unspread(store.reader()).await.unwrap().len(), 1);
    }
}
