//! Rooms and events by builder.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use spec::{event::Event, room_version::RoomVersion};

use crate::{
    Listener, Logged, Plain, Position, RoomRow, Store, Write,
    entity::membership::Membership,
    testing::open_each,
    write::{NewEvent, NewMembership, NewReceipt, NewRoom, Outcome, Place, RoomHead, Txn},
};

/// Runs `test` with an empty store on each database.
pub(super) async fn on_each<F: Future<Output = ()>>(test: impl Fn(Store) -> F) {
    for store in open_each().await.unwrap() {
        test(store).await;
    }
}

pub(super) fn user(name: &str) -> OwnedUserId {
    format!("@{name}:test").try_into().unwrap()
}

/// A room that is stored, and builds events.
pub(super) struct Room {
    pub(super) row: RoomRow,
    pub(super) id: OwnedRoomId,
}

impl Room {
    pub(super) async fn new(store: &Store) -> Self {
        let row = store.ids().next_room();
        let room_id: OwnedRoomId = format!("!room{row}:test").try_into().unwrap();
        let room = NewRoom {
            row,
            room_id: room_id.clone(),
            version: "11".to_owned(),
            creator: user("alice"),
            published: false,
        };
        store
            .write(Write::plain(vec![Plain::Room(room)]))
            .await
            .unwrap();
        Self { row, id: room_id }
    }

    /// A message of alice, at the end of the room.
    pub(super) fn message(&self, store: &Store) -> NewEvent {
        self.message_at(store, 1)
    }

    /// The same, sent at `ts`.
    pub(super) fn message_at(&self, store: &Store, ts: i64) -> NewEvent {
        let row = store.ids().next_event();
        let event_id: OwnedEventId = format!("$event{row}").try_into().unwrap();
        let json = format!(
            r#"{{"auth_events":[],"content":{{"body":"{row}","msgtype":"m.text"}},"depth":{row},"hashes":{{"sha256":"x"}},"origin_server_ts":{ts},"prev_events":[],"room_id":"{}","sender":"@alice:test","signatures":{{}},"type":"m.room.message"}}"#,
            self.id
        );
        let version = RoomVersion::get("11").unwrap();
        NewEvent {
            row,
            room: self.row,
            event: Arc::new(Event::from_stored(version, event_id, &json).unwrap()),
            outcome: Outcome::Accepted,
            state_key: None,
            snapshot: None,
            current: None,
            replaces: None,
            promoted: false,
            outgoing: false,
            place: Place::New,
            txn: None,
            membership: None,
            gap: false,
            resettled: None,
        }
    }

    pub(super) fn head(&self, event: &NewEvent) -> Plain {
        Plain::RoomHead(RoomHead {
            room: self.row,
            extremities: vec![event.row],
            snapshot: event.snapshot,
        })
    }

    /// The write of a message.
    pub(super) fn send(&self, store: &Store) -> Write {
        let event = self.message(store);
        Write {
            plain: vec![self.head(&event)],
            ..Write::logged(Logged::Event(event))
        }
    }

    pub(super) fn receipt(&self, name: &str, event: &str) -> NewReceipt {
        NewReceipt {
            room: self.row,
            room_id: self.id.clone(),
            user_id: user(name),
            kind: "m.read".to_owned(),
            thread_id: String::new(),
            event_id: event.try_into().unwrap(),
            ts: 1,
        }
    }
}

pub(super) fn txn(id: &str) -> Option<Txn> {
    Some(Txn {
        device: "DEV".to_owned(),
        scope: "send".to_owned(),
        id: id.to_owned(),
    })
}

pub(super) fn membership(name: &str, membership: Membership) -> NewMembership {
    NewMembership {
        user_id: user(name),
        membership,
        sender: user(name),
        displayname: Some(name.to_owned()),
        avatar_url: None,
    }
}

/// Remembers what it heard.
#[derive(Default)]
pub(super) struct Ear {
    pub(super) heard: Mutex<Vec<(Position, Arc<Logged>)>>,
}

impl Ear {
    pub(super) fn of(store: &Store) -> Arc<Self> {
        let ear = Arc::new(Self::default());
        store.subscribe(&ear);
        ear
    }

    pub(super) fn positions(&self) -> Vec<i64> {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .map(|(position, _)| position.get())
            .collect()
    }
}

impl Listener for Ear {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        self.heard.lock().unwrap().extend_from_slice(changes);
    }
}
