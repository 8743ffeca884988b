//! An engine of its own for each test, on each database, and people who use it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use ruma::{
    OwnedEventId, OwnedRoomId, UserId, api::client::sync::sync_events::v3::Response,
    owned_server_name,
};
use spec::{json::Object, object, sign::ServerKey};
use storage::testing::open_each;

use crate::{
    Clock, CreateRoom, Engine, Preset, Requester, Result, RoomHandle, Send, Settings, SyncAsk,
    Target, account::NewAccount, chance::Chance,
};

/// When all begins, in ms since the epoch.
pub(super) const START_MS: i64 = 1_700_000_000_000;

/// A clock that stands still unless it is turned.
#[derive(Debug)]
pub(super) struct HandClock {
    now_ms: AtomicI64,
    /// How far it was set forward or back.
    jumped_ms: AtomicI64,
}

impl HandClock {
    /// Time passes.
    pub(super) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Somebody sets the clock.
    pub(super) fn jump(&self, ms: i64) {
        self.jumped_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.steady_ms() + self.jumped_ms.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

pub(super) struct House {
    pub(super) engine: Engine,
    pub(super) clock: Arc<HandClock>,
}

/// An engine on each database that there is.
pub(super) async fn houses() -> Vec<House> {
    let stores = open_each().await.expect("the databases for tests open");
    stores.into_iter().map(House::on).collect()
}

/// The same with other settings.
pub(super) async fn houses_with(change: impl Fn(&mut Settings)) -> Vec<House> {
    let stores = open_each().await.expect("the databases for tests open");
    let house = |store| {
        let mut settings = Settings::new(owned_server_name!("here"));
        change(&mut settings);
        House::set_up(store, settings)
    };
    stores.into_iter().map(house).collect()
}

impl House {
    pub(super) fn on(store: storage::Store) -> Self {
        Self::named(store, owned_server_name!("here"))
    }

    pub(super) fn named(store: storage::Store, name: ruma::OwnedServerName) -> Self {
        Self::set_up(store, Settings::new(name))
    }

    fn set_up(store: storage::Store, settings: Settings) -> Self {
        Self::set_up_at(START_MS, store, settings)
    }

    /// With the clock at a time.
    pub(super) fn set_up_at(now_ms: i64, store: storage::Store, settings: Settings) -> Self {
        let name = settings.server_name.clone();
        let clock = Arc::new(HandClock {
            now_ms: AtomicI64::new(now_ms),
            jumped_ms: AtomicI64::new(0),
        });
        let key = ServerKey::from_seed(name.clone(), "1", &[7; 32]);
        let chance = Arc::new(Chance::from_system());
        let engine = Engine::start(store, settings, clock.clone(), chance, Arc::new(key))
            .expect("the settings are possible");
        Self { engine, clock }
    }

    /// Somebody with a device. They need no account for rooms.
    pub(super) fn person(&self, name: &str) -> Person {
        let requester = Requester {
            user_id: UserId::parse(format!("@{name}:{}", self.engine.server_name()))
                .expect("a user id"),
            device_id: Some(format!("{name}'s phone").into()),
            admin: false,
            guest: false,
        };
        Person {
            engine: self.engine.clone(),
            requester,
        }
    }
}

/// Somebody with an account, as those need who are invited from another server.
pub(super) async fn with_account(house: &House, localpart: &str) -> Person {
    let new = NewAccount {
        localpart: localpart.to_owned(),
        password: None,
        admin: false,
    };
    house.engine.accounts().create(new).await.unwrap();
    house.person(localpart)
}

#[derive(Clone)]
pub(super) struct Person {
    pub(super) engine: Engine,
    pub(super) requester: Requester,
}

impl Person {
    pub(super) async fn creates(&self, version: &str, preset: Preset) -> OwnedRoomId {
        let ask = CreateRoom {
            room_version: Some(version.to_owned()),
            preset: Some(preset),
            ..CreateRoom::default()
        };
        self.engine
            .create_room(&self.requester, ask)
            .await
            .expect("the room is created")
    }

    pub(super) async fn room(&self, id: &OwnedRoomId) -> RoomHandle {
        self.engine.room(id).await.expect("the room is known")
    }

    pub(super) async fn invites(&self, room: &OwnedRoomId, whom: &Person) -> Result<OwnedEventId> {
        self.room(room)
            .await
            .invite(&self.requester, target(whom))
            .await
    }

    pub(super) async fn joins(&self, room: &OwnedRoomId) -> Result<OwnedEventId> {
        self.room(room)
            .await
            .join(&self.requester, None, Object::new())
            .await
    }

    pub(super) async fn leaves(&self, room: &OwnedRoomId) -> Result<()> {
        self.room(room).await.leave(&self.requester, None).await
    }

    pub(super) async fn says(&self, room: &OwnedRoomId, text: &str) -> Result<OwnedEventId> {
        self.sends(room, text, None).await
    }

    pub(super) async fn sends(
        &self,
        room: &OwnedRoomId,
        text: &str,
        txn_id: Option<&str>,
    ) -> Result<OwnedEventId> {
        let ask = Send {
            event_type: "m.room.message".to_owned(),
            content: object! { "body" => text, "msgtype" => "m.text" },
            txn_id: txn_id.map(str::to_owned),
        };
        self.room(room).await.send(&self.requester, ask).await
    }

    pub(super) async fn syncs(&self, since: Option<&str>) -> Response {
        let ask = SyncAsk {
            since: since.map(str::to_owned),
            ..SyncAsk::default()
        };
        self.engine
            .sync(&self.requester, &ask)
            .await
            .expect("the sync is answered")
    }
}

pub(super) fn target(whom: &Person) -> Target {
    Target {
        user_id: whom.requester.user_id.clone(),
        reason: None,
    }
}

/// The bodies of the messages in a room's timeline.
pub(super) fn bodies(response: &Response, room: &OwnedRoomId) -> Vec<String> {
    let joined = response.rooms.join.get(room);
    let timeline = joined
        .map(|joined| joined.timeline.events.as_slice())
        .unwrap_or_default();
    timeline
        .iter()
        .filter_map(|event| event.deserialize_as_unchecked::<serde_json::Value>().ok())
        .filter_map(|event| event["content"]["body"].as_str().map(str::to_owned))
        .collect()
}
