//! Users who are taken out of a room by another server: out of an invite, and out of the room as the last of theirs.

use ruma::{OwnedEventId, OwnedRoomId};
use spec::{event::Event, json::Object};

use super::{
    federation::{name, pairs, state},
    fixture::{House, Person, bodies, target, with_account},
    redactions::{brings, drafts, timeline},
};
use crate::Preset;

/// A stored event of a server.
async fn stored(house: &House, id: &OwnedEventId) -> Event {
    let context = &house.engine.context;
    let stored = storage::events::by_id(context.store.reader(), id)
        .await
        .unwrap()
        .unwrap();
    let known = context.events.get(&context.metas, stored.id).await.unwrap();
    known.event.as_ref().clone()
}

async fn kicks(by: &Person, room: &OwnedRoomId, whom: &Person) -> crate::Result<OwnedEventId> {
    by.room(room).await.kick(&by.requester, target(whom)).await
}

#[tokio::test]
async fn an_invite_is_withdrawn_by_the_server_that_sent_it() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let eve = with_account(&pair.there, "eve").await;
        let room = alice.creates("11", Preset::Private).await;
        let mut withdrawn = None;
        // Invited, withdrawn, invited again: the old withdrawal changes nothing when it comes once more.
        for round in 0..2 {
            let since = eve.syncs(None).await.next_batch;
            alice.invites(&room, &eve).await.unwrap();
            assert!(
                eve.syncs(Some(&since))
                    .await
                    .rooms
                    .invite
                    .contains_key(&room)
            );
            if let Some(old) = &withdrawn {
                brings(&pair.here, &pair.there, &[old]).await;
                assert!(
                    eve.syncs(None).await.rooms.invite.contains_key(&room),
                    "{round}"
                );
            }
            let since = eve.syncs(None).await.next_batch;
            let kick = kicks(&alice, &room, &eve).await.unwrap();
            let kick = stored(&pair.here, &kick).await;
            brings(&pair.here, &pair.there, &[&kick, &kick]).await;
            let news = eve.syncs(Some(&since)).await;
            assert!(news.rooms.leave.contains_key(&room), "{news:?}");
            assert!(eve.syncs(None).await.rooms.invite.is_empty());
            withdrawn = Some(kick);
        }
    }
}

#[tokio::test]
async fn an_invite_is_not_withdrawn_by_others() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let eve = with_account(&pair.there, "eve").await;
        let room = alice.creates("11", Preset::Private).await;
        alice.invites(&room, &eve).await.unwrap();
        let kick = spec::event::Draft {
            room_id: Some(room.clone()),
            sender: alice.requester.user_id.clone(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(eve.requester.user_id.to_string()),
            content: spec::object! { "membership" => "leave" },
            redacts: None,
        };
        let kick = drafts(&alice, &room, kick).await;
        // The same by somebody of a third server, as it would sign it.
        let mut object = kick.object().clone();
        object.insert("sender".to_owned(), "@mallory:else".into());
        object.remove("signatures");
        let forged = super::wire::key_of(ruma::owned_server_name!("else"));
        let version = spec::room_version::RoomVersion::get("11").unwrap();
        forged.sign_event(version, &mut object);
        let pdus = vec![object];
        drop(
            pair.there
                .engine
                .inbound()
                .pdus(&name(&pair.here), pdus)
                .await
                .unwrap(),
        );
        assert!(eve.syncs(None).await.rooms.invite.contains_key(&room));
    }
}

#[tokio::test]
async fn a_room_without_its_last_local_user_is_quiet_until_somebody_joins_again() {
    for pair in pairs().await {
        for version in ["1", "11", "12"] {
            let (room, alice, bob) = pair.joined_room(version).await;
            let since = bob.syncs(None).await.next_batch;
            let kick = kicks(&alice, &room, &bob).await.unwrap();
            let kick = stored(&pair.here, &kick).await;
            brings(&pair.here, &pair.there, &[&kick]).await;
            let news = bob.syncs(Some(&since)).await;
            assert!(news.rooms.leave.contains_key(&room), "{version}: {news:?}");
            assert!(bob.says(&room, "still here").await.is_err(), "{version}");

            let said = alice.says(&room, "while bob is away").await.unwrap();
            let said = stored(&pair.here, &said).await;
            brings(&pair.here, &pair.there, &[&said]).await;
            let reader = pair.there.engine.context.store.reader();
            let found = storage::events::by_id(reader, said.id()).await.unwrap();
            assert!(found.is_none(), "{version}: it is not taken in");

            let via = vec![name(&pair.here)];
            let joined = bob
                .engine
                .join(&bob.requester, &room, via, None, Object::new())
                .await;
            joined.unwrap();
            assert_eq!(
                state(&alice, &room).await,
                state(&bob, &room).await,
                "{version}"
            );
            let since = alice.syncs(None).await.next_batch;
            let back = bob.says(&room, "back").await.unwrap();
            let event = stored(&pair.there, &back).await;
            assert_eq!(
                event.prev_events().len(),
                1,
                "{version}: only the join is followed"
            );
            brings(&pair.there, &pair.here, &[&event]).await;
            let news = alice.syncs(Some(&since)).await;
            assert_eq!(bodies(&news, &room), ["back"], "{version}");
            assert_eq!(timeline(&news, &room).len(), 1, "{version}");
        }
    }
}
