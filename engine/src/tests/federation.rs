//! Two servers share a room.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, owned_server_name};
use spec::json::Object;
use storage::testing::open_each;

use super::{
    fixture::{House, Person, bodies, target},
    wire::{Meddler, Script, Wire},
};
use crate::{Engine, Error, Preset, account::NewAccount};

pub(super) struct Pair {
    pub(super) here: House,
    pub(super) there: House,
    pub(super) meddler: Meddler,
    pub(super) servers: Arc<Mutex<HashMap<OwnedServerName, Engine>>>,
    pub(super) script: Arc<Script>,
}

/// Two servers that reach each other, on each database.
pub(super) async fn pairs() -> Vec<Pair> {
    let stores = open_each()
        .await
        .unwrap()
        .into_iter()
        .zip(open_each().await.unwrap());
    stores
        .map(|(here, there)| {
            let here = House::named(here, owned_server_name!("here"));
            let there = House::named(there, owned_server_name!("there"));
            let pair = Pair {
                here,
                there,
                meddler: Meddler::default(),
                servers: Arc::default(),
                script: Arc::default(),
            };
            pair.connect(&pair.here);
            pair.connect(&pair.there);
            pair
        })
        .collect()
}

pub(super) fn name(house: &House) -> OwnedServerName {
    house.engine.server_name().to_owned()
}

impl Pair {
    /// Cuts the first server off, or brings it back.
    pub(super) fn cut_off(&self, off: bool) {
        let mut servers = self.servers.lock().unwrap();
        if off {
            servers.remove(&name(&self.here));
        } else {
            servers.insert(name(&self.here), self.here.engine.clone());
        }
    }

    /// Lets a server reach the others, and them it; what it has to do in the background is done.
    pub(super) fn connect(&self, house: &House) {
        let own = name(house);
        let wire = Wire {
            own: own.clone(),
            servers: Arc::downgrade(&self.servers),
            script: Arc::clone(&self.script),
            meddler: Arc::clone(&self.meddler),
        };
        let mut servers = self.servers.lock().unwrap();
        servers.insert(own, house.engine.clone());
        house.engine.connect(Arc::new(wire));
        let inbound = house.engine.inbound();
        tokio::spawn(async move { inbound.take_staged().await });
    }

    /// Brings events from one server to the other, as its outbound queue would; returns when all is taken in.
    pub(super) async fn deliver(&self, from: &House, to: &House, ids: &[OwnedEventId]) {
        let mut pdus = Vec::new();
        for id in ids {
            pdus.push(from.engine.inbound().event(&name(to), id).await.unwrap());
        }
        for (id, result) in to.engine.inbound().pdus(&name(from), pdus).await.unwrap() {
            assert_eq!(result, Ok(()), "{id}");
        }
        settled(to).await;
    }

    pub(super) async fn joined_room(&self, version: &str) -> (OwnedRoomId, Person, Person) {
        let (alice, bob) = (self.here.person("alice"), self.there.person("bob"));
        let room = alice.creates(version, Preset::Public).await;
        alice.says(&room, "welcome").await.unwrap();
        let via = vec![name(&self.here)];
        let joined = bob
            .engine
            .join(&bob.requester, &room, via, None, Object::new())
            .await;
        assert!(joined.is_ok(), "{version}: {joined:?}");
        (room, alice, bob)
    }
}

/// Returns when nothing waits any more for what it builds on.
pub(super) async fn settled(house: &House) {
    let mut waiting = house.engine.inbound().waiting();
    waiting.wait_for(|waiting| *waiting == 0).await.unwrap();
}

/// The current state: type and key to event id.
pub(super) async fn state(
    person: &Person,
    room: &OwnedRoomId,
) -> BTreeMap<(String, String), String> {
    let events = person
        .room(room)
        .await
        .state(&person.requester)
        .await
        .unwrap();
    let entry = |event: &ruma::serde::Raw<ruma::events::AnyStateEvent>| {
        let field = |key| event.get_field::<String>(key).unwrap().unwrap();
        ((field("type"), field("state_key")), field("event_id"))
    };
    events.iter().map(entry).collect()
}

#[tokio::test]
async fn a_room_is_joined_from_another_server_and_both_talk_in_every_version() {
    for pair in pairs().await {
        for version in spec::room_version::RoomVersion::all() {
            let version = version.id();
            let (room, alice, bob) = pair.joined_room(version).await;
            assert_eq!(
                state(&alice, &room).await,
                state(&bob, &room).await,
                "{version}"
            );
            let first = bob.syncs(None).await;
            let joined = &first.rooms.join[&room];
            assert!(
                format!("{:?}", joined.state).contains("m.room.create"),
                "{version}: {joined:?}"
            );
            let hello = alice.says(&room, "hello").await.unwrap();
            pair.deliver(&pair.here, &pair.there, &[hello]).await;
            let heard = bob.syncs(Some(&first.next_batch)).await;
            assert_eq!(bodies(&heard, &room), ["hello"], "{version}");
            let since = alice.syncs(None).await.next_batch;
            let reply = bob.says(&room, "hi").await.unwrap();
            pair.deliver(&pair.there, &pair.here, &[reply]).await;
            assert_eq!(
                bodies(&alice.syncs(Some(&since)).await, &room),
                ["hi"],
                "{version}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_missed_is_fetched_in_order() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("12").await;
        let since = bob.syncs(None).await.next_batch;
        let mut last = None;
        for n in 0..5 {
            last = Some(alice.says(&room, &n.to_string()).await.unwrap());
        }
        pair.deliver(&pair.here, &pair.there, &[last.unwrap()])
            .await;
        assert_eq!(
            bodies(&bob.syncs(Some(&since)).await, &room),
            ["0", "1", "2", "3", "4"]
        );
    }
}

#[tokio::test]
async fn a_partition_heals_to_the_same_state_on_both_sides() {
    for pair in pairs().await {
        for version in ["2", "6", "10", "11", "12"] {
            let (room, alice, bob) = pair.joined_room(version).await;
            let carol = pair.there.person("carol");
            carol.joins(&room).await.unwrap();
            let here = [
                alice.says(&room, "from here").await.unwrap(),
                alice
                    .room(&room)
                    .await
                    .ban(&alice.requester, target(&carol))
                    .await
                    .unwrap(),
            ];
            let there = [
                bob.says(&room, "from there").await.unwrap(),
                carol.says(&room, "still here").await.unwrap(),
            ];
            pair.deliver(&pair.here, &pair.there, &here).await;
            pair.deliver(&pair.there, &pair.here, &there).await;
            let healed = alice.says(&room, "healed").await.unwrap();
            pair.deliver(&pair.here, &pair.there, &[healed]).await;
            assert_eq!(
                state(&alice, &room).await,
                state(&bob, &room).await,
                "{version}"
            );
            assert!(
                matches!(carol.says(&room, "no more").await, Err(Error::Denied(_))),
                "{version}"
            );
        }
    }
}

#[tokio::test]
async fn an_invite_crosses_over_and_is_accepted_or_rejected() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        for localpart in ["bob", "eve"] {
            let new = NewAccount {
                localpart: localpart.to_owned(),
                password: None,
                admin: false,
            };
            pair.there.engine.accounts().create(new).await.unwrap();
        }
        let (bob, eve) = (pair.there.person("bob"), pair.there.person("eve"));
        let room = alice.creates("12", Preset::Private).await;
        for person in [&bob, &eve] {
            alice.invites(&room, person).await.unwrap();
            let invited = person.syncs(None).await;
            let stripped = &invited.rooms.invite[&room].invite_state.events;
            assert!(
                stripped
                    .iter()
                    .any(|event| event.json().get().contains("m.room.create"))
            );
        }
        bob.engine
            .join(&bob.requester, &room, Vec::new(), None, Object::new())
            .await
            .unwrap();
        assert_eq!(
            state(&alice, &room).await[&("m.room.member".to_owned(), "@bob:there".to_owned())],
            state(&bob, &room).await[&("m.room.member".to_owned(), "@bob:there".to_owned())]
        );
        let since = eve.syncs(None).await.next_batch;
        eve.leaves(&room).await.unwrap();
        let left = eve.syncs(Some(&since)).await;
        assert!(
            left.rooms.invite.is_empty() && left.rooms.leave.contains_key(&room),
            "{left:?}"
        );
    }
}
