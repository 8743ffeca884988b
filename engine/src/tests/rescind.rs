//! Invites that are taken back on another server.

use ruma::OwnedEventId;
use spec::{json::Object, object};

use super::{
    federation::{name, pairs},
    fixture::{House, target},
};
use crate::{Preset, SetState, account::NewAccount};

/// A kick by the inviter ends the invite on the invited user's server; one by somebody else, and one of an earlier
/// invite, do not.
#[tokio::test]
async fn an_invite_is_taken_back_by_whoever_sent_it() {
    for pair in pairs().await {
        let (alice, carol) = (pair.here.person("alice"), pair.here.person("carol"));
        let new = NewAccount {
            localpart: "bob".to_owned(),
            password: None,
            admin: false,
        };
        pair.there.engine.accounts().create(new).await.unwrap();
        let bob = pair.there.person("bob");
        let room = alice.creates("10", Preset::Private).await;
        let kick = async || {
            let handle = alice.room(&room).await;
            handle.kick(&alice.requester, target(&bob)).await.unwrap()
        };
        let invited = async || bob.syncs(None).await.rooms.invite.contains_key(&room);

        alice.invites(&room, &bob).await.unwrap();
        let first = pdu(&pair.here, &kick().await).await;
        alice.invites(&room, &bob).await.unwrap();
        let second = pdu(&pair.here, &kick().await).await;
        let since = bob.syncs(None).await.next_batch;
        pair.there
            .engine
            .inbound()
            .pdus(&name(&pair.here), vec![first])
            .await
            .unwrap();
        assert!(invited().await, "an old kick ended a new invite");
        pair.there
            .engine
            .inbound()
            .pdus(&name(&pair.there), vec![second.clone()])
            .await
            .unwrap();
        assert!(invited().await, "another server ended it");
        pair.there
            .engine
            .inbound()
            .pdus(&name(&pair.here), vec![second])
            .await
            .unwrap();
        assert!(!invited().await);
        let left = bob.syncs(Some(&since)).await;
        assert!(left.rooms.leave.contains_key(&room), "{left:?}");

        alice.invites(&room, &carol).await.unwrap();
        carol.joins(&room).await.unwrap();
        let levels =
            object! { "users" => object! { "@alice:here" => 100i64, "@carol:here" => 50i64 } };
        let ask = SetState {
            event_type: "m.room.power_levels".to_owned(),
            state_key: String::new(),
            content: levels,
        };
        alice
            .room(&room)
            .await
            .set_state(&alice.requester, ask)
            .await
            .unwrap();
        alice.invites(&room, &bob).await.unwrap();
        let by_carol = carol
            .room(&room)
            .await
            .kick(&carol.requester, target(&bob))
            .await
            .unwrap();
        let by_carol = pdu(&pair.here, &by_carol).await;
        pair.there
            .engine
            .inbound()
            .pdus(&name(&pair.here), vec![by_carol])
            .await
            .unwrap();
        assert!(invited().await, "whoever did not invite ended it");
    }
}

/// An event as it travels to servers that are not in its room.
async fn pdu(house: &House, id: &OwnedEventId) -> Object {
    let context = &house.engine.context;
    let stored = storage::events::by_id(context.store.reader(), id)
        .await
        .unwrap()
        .unwrap();
    let known = context.events.get(&context.metas, stored.id).await.unwrap();
    known.event.with_unsigned(None).object().clone()
}
