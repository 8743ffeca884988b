//! [`Engine`]: what the APIs may ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ruma::{
    OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomAliasId, RoomId,
    RoomVersionId, UserId, api::client::sync::sync_events::v3::Response,
};
use spec::{
    json::{Object, Value},
    sign::{PublishedKey, ServerKey},
};
use storage::{
    RoomRow, Store,
    members::{self, Membership},
};

use crate::{
    Clock, Requester, Result, Steady,
    account::{self, Accounts},
    audience::Audiences,
    chance::Chance,
    context::Context,
    delayed_events::Delays,
    ephemeral::Ephemeral,
    erased::Erased,
    events::Events,
    guests::GuestDoors,
    ignores::{Ignored, Ignores},
    inbound::Inbound,
    notices::{NoticeSettings, Notices},
    notifier::Notifier,
    peers::Peers,
    policy_lists::PolicyLists,
    presence::{Presence, PresenceSettings},
    push::{deliver::Deliveries, scores::Scores},
    remote::{
        Handshakes, WholeStates,
        asked::{Asked, Lately},
        backfill::Backfills,
    },
    retention::RetentionSettings,
    room::{
        create::{self, CreateRoom},
        first_invites::FirstInvites,
        membership::because,
        send::SetState,
    },
    room_meta::RoomMetas,
    rooms::{RoomHandle, Rooms},
    secrets::Secrets,
    states::States,
    sync::{
        self, SyncAsk,
        lazy::SentMembers,
        roster::Rosters,
        sliding::{self, Connections, Listings, SlidingAnswer, SlidingAsk},
    },
    third_party::{self, Identity},
    transactions::Transactions,
    typing::Typing,
};

/// What the engine must know to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this server: the domain of its users.
    pub server_name: OwnedServerName,
    /// The version of rooms whose creator names none.
    pub default_room_version: RoomVersionId,
    /// What the operator decides about accounts.
    pub accounts: account::Settings,
    /// What the operator decides about presence.
    pub presence: PresenceSettings,
    /// What the operator decides about how long things are kept.
    pub retention: RetentionSettings,
    /// Who tells the users what the operator has to say; `None`: nobody.
    pub notices: Option<NoticeSettings>,
    /// The keys with which this server once signed, by id.
    pub former_keys: BTreeMap<String, PublishedKey>,
    /// The identity servers by which users may invite, by name without port; `*` and `?` stand for any text and character.
    pub identity_servers: Vec<String>,
    /// Whether push gateways may be told over plain HTTP.
    pub plain_push_gateways: bool,
    /// The moderation policy lists that are followed.
    pub policy_lists: Vec<OwnedRoomId>,
}

impl Settings {
    /// What is used where the operator says nothing.
    #[must_use]
    pub fn new(server_name: OwnedServerName) -> Self {
        Self {
            accounts: account::Settings::new(server_name.clone()),
            default_room_version: RoomVersionId::V12,
            presence: PresenceSettings::default(),
            retention: RetentionSettings::default(),
            notices: None,
            former_keys: BTreeMap::new(),
            identity_servers: Vec::new(),
            plain_push_gateways: false,
            policy_lists: Vec::new(),
            server_name,
        }
    }
}

/// The homeserver's decisions, behind one cheap handle. All clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) context: Arc<Context>,
    rooms: Rooms,
    accounts: Accounts,
}

impl Engine {
    /// The engine over `store`, signing with `key`. Its background work is [`Engine::expire_typing`],
    /// [`Engine::run_presence`], [`Engine::run_push`], [`Engine::run_pushers`] and [`Engine::run_retention`], which the caller
    /// runs and supervises.
    ///
    /// # Panics
    /// Outside of a tokio runtime: the one that this is called on is where the rooms' workers run.
    ///
    /// # Errors
    /// [`crate::Error::InvalidParam`]: an impossible setting.
    pub fn start(
        store: Store,
        settings: Settings,
        clock: Arc<dyn Clock>,
        chance: Arc<Chance>,
        key: Arc<ServerKey>,
    ) -> Result<Self> {
        let accounts = Accounts::new(
            store.clone(),
            clock.clone(),
            chance.clone(),
            settings.accounts,
        )?;
        let notifier = Arc::new(Notifier::new(store.clone()));
        let ephemeral = Arc::new(Ephemeral::starting_at(clock.now_ms()));
        let steady: Arc<dyn Clock> = Arc::new(Steady(clock.clone()));
        let presence = Arc::new(Presence::new(
            settings.presence.clone(),
            settings.server_name.clone(),
            store.clone(),
            steady.clone(),
            ephemeral.clone(),
            notifier.clone(),
        ));
        // First, so that whoever is woken by a join finds the rooms as they are.
        if settings.presence.enabled {
            store.subscribe(&presence);
        }
        let ignores = Arc::new(Ignores::new(store.clone()));
        store.subscribe(&ignores);
        let guest_doors = Arc::new(GuestDoors::default());
        store.subscribe(&guest_doors);
        let policy_lists = Arc::new(PolicyLists::new(
            settings.server_name.clone(),
            settings.policy_lists,
        ));
        store.subscribe(&policy_lists);
        let rosters = Arc::new(Rosters::new());
        store.subscribe(&rosters);
        // Before whoever wakes those that wait for counts.
        let scores = Scores::default();
        store.subscribe(&scores.queue);
        store.subscribe(&notifier);
        let typing = Arc::new(Typing::new(steady, notifier.clone(), ephemeral.clone()));
        store.subscribe(&typing);
        let context = Arc::new(Context {
            server_name: settings.server_name,
            default_room_version: settings.default_room_version,
            retention: settings.retention,
            secrets: Secrets::new(store.clone(), chance.clone()),
            metas: RoomMetas::new(store.clone()),
            events: Events::new(store.clone()),
            states: States::new(store.clone()),
            erased: Erased::new(store.clone()),
            ignores,
            guest_doors,
            policy_lists,
            typing,
            ephemeral,
            presence,
            rosters,
            sent_members: SentMembers::new(),
            connections: Connections::new(store.clone(), clock.clone(), chance.clone()),
            listings: Listings::new(),
            audiences: Audiences::default(),
            scores,
            transactions: Transactions::new(store.clone()),
            deliveries: Deliveries::new(settings.plain_push_gateways),
            asked: Asked::default(),
            walks: Lately::new(),
            staging: Arc::default(),
            identity: Identity::new(&settings.identity_servers),
            peers: OnceLock::new(),
            backfills: Backfills::default(),
            handshakes: Handshakes::default(),
            whole_states: WholeStates::default(),
            delays: Delays::default(),
            notices: Notices::new(settings.notices),
            key,
            former_keys: settings.former_keys,
            notifier,
            chance,
            clock,
            store,
        });
        Ok(Self {
            rooms: Rooms::new(context.clone()),
            context,
            accounts,
        })
    }

    /// Has the engine talk to other servers from now on. Only the first call counts.
    pub fn connect(&self, peers: Arc<dyn Peers>) {
        // A second call is a mistake of the wiring and changes nothing.
        let _ = self.context.peers.set(peers);
    }

    /// What other servers may ask.
    #[must_use]
    pub fn inbound(&self) -> Inbound {
        Inbound::new(self.rooms.clone())
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// The accounts of this server.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The name of this server.
    #[must_use]
    pub fn server_name(&self) -> &ruma::ServerName {
        &self.context.server_name
    }

    /// The version of rooms whose creator names none.
    #[must_use]
    pub fn default_room_version(&self) -> &RoomVersionId {
        &self.context.default_room_version
    }

    /// Whose request it is that carries an access token. No query if the token was used lately.
    ///
    /// # Errors
    /// Those of [`Accounts::authenticate`].
    pub async fn authenticate(&self, token: &str) -> Result<Requester> {
        self.accounts.authenticate(token).await
    }

    /// A room that this server knows.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: it knows none with this id.
    pub async fn room(&self, id: &RoomId) -> Result<RoomHandle> {
        self.rooms.by_id(id).await
    }

    /// A room of which somebody wants to read more than one event. Whether this server knows it is nothing for those who are
    /// not in it.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`]: it knows none with this id.
    pub async fn room_to_read(&self, id: &RoomId) -> Result<RoomHandle> {
        let known = self.rooms.find(id).await?;
        known.ok_or_else(|| crate::Error::Forbidden("You are not in this room".to_owned()))
    }

    /// Creates a room; returns its id when it is on disk. Those of other servers who are invited may be waited for.
    ///
    /// # Errors
    /// Those of [`create::create`]. Those of [`RoomHandle::invite_third_party`] that hold for any room.
    pub async fn create_room(&self, by: &Requester, mut ask: CreateRoom) -> Result<OwnedRoomId> {
        create::check_size(&ask)?;
        let addresses = std::mem::take(&mut ask.invite_third_party);
        third_party::check_all(&self.context.identity, &addresses)?;
        let own = &self.context.server_name;
        let elsewhere = |target: &&OwnedUserId| target.server_name() != own;
        let first = FirstInvites {
            by: by.clone(),
            users: ask.invite.iter().filter(elsewhere).cloned().collect(),
            addresses,
            is_direct: ask.is_direct,
        };
        let id = create::create(&self.context, by, ask).await?;
        // A room may be made by hand to replace another.
        self.follow_upgrade(&by.user_id, &id).await;
        self.room(&id).await?.send_first(first).await;
        Ok(id)
    }

    /// Sets a state event; returns when it is on disk.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: there is no such room. Those of [`RoomHandle::set_state`].
    pub async fn set_state(
        &self,
        by: &Requester,
        room: &RoomId,
        ask: SetState,
    ) -> Result<OwnedEventId> {
        let own = ask.event_type == "m.room.member" && ask.state_key == by.user_id.as_str();
        let membership = ask.content.get("membership").and_then(Value::as_str);
        let joins = own && membership == Some("join");
        let event_id = self.room(room).await?.set_state(by, ask).await?;
        if joins {
            self.follow_upgrade(&by.user_id, room).await;
        }
        Ok(event_id)
    }

    /// Joins a room: by itself where this server takes part in it, otherwise through one of the servers `via`, or that
    /// of whoever invited the user. Joining again does nothing.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: nobody knows the room. [`crate::Error::Denied`], [`crate::Error::Forbidden`].
    pub async fn join(
        &self,
        by: &Requester,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        reason: Option<String>,
        extra: Object,
    ) -> Result<()> {
        self.rooms.join(by, room, via, reason, extra).await?;
        self.follow_upgrade(&by.user_id, room).await;
        Ok(())
    }

    /// Knocks at a room: here where this server takes part in it, otherwise through one of the servers `via`.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: nobody knows the room. [`crate::Error::Denied`], [`crate::Error::Forbidden`].
    pub async fn knock(
        &self,
        by: &Requester,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        reason: Option<String>,
    ) -> Result<()> {
        self.rooms.knock(by, room, via, because(reason)).await
    }

    /// The rooms that the user is in, by the age of their rows.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn joined_rooms(&self, by: &Requester) -> Result<Vec<OwnedRoomId>> {
        let joined = [Membership::Join];
        let rows = members::of_user(self.context.store.reader(), &by.user_id, &joined).await?;
        let unreadable = self.context.metas.unreadable().await?;
        let rows = rows.into_iter().map(|member| member.room);
        let rows: Vec<_> = rows.filter(|row| !unreadable.contains(row)).collect();
        let metas = self.context.metas.by_rows(&rows).await?;
        Ok(metas.iter().map(|meta| meta.id.clone()).collect())
    }

    /// The room that an alias leads to, and servers that are in it. The server of the alias is asked.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: nowhere. [`crate::Error::Forbidden`]: a policy list shuts out what is called so.
    pub async fn resolve_alias(
        &self,
        alias: &RoomAliasId,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
        self.rooms.context.check_listed_room(alias).await?;
        self.rooms.find_alias(alias).await
    }

    /// Makes an alias of this server for a room.
    ///
    /// # Errors
    /// [`crate::Error::InvalidParam`], [`crate::Error::AliasExists`], [`crate::Error::NotFound`],
    /// [`crate::Error::Forbidden`]: the user is not in the room.
    pub async fn create_alias(
        &self,
        by: &Requester,
        alias: &OwnedRoomAliasId,
        room: &RoomId,
    ) -> Result<()> {
        self.rooms.create_alias(by, alias, room).await
    }

    /// Removes an alias, from the room's canonical alias event as well.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::Forbidden`].
    pub async fn delete_alias(&self, by: &Requester, alias: &RoomAliasId) -> Result<()> {
        self.rooms.delete_alias(by, alias).await
    }

    /// What changed for a user since a token; waits for it if need be. Dropping the future ends the wait.
    ///
    /// # Errors
    /// [`crate::Error::InvalidParam`]: the token is not one of this server's.
    pub async fn sync(&self, by: &Requester, ask: &SyncAsk) -> Result<Response> {
        sync::sync(&self.rooms, by, ask).await
    }

    /// What changed on a connection of sliding sync; waits for it if need be. Dropping the future ends the wait.
    ///
    /// # Errors
    /// [`crate::Error::UnknownPos`]: the client has to begin anew.
    pub async fn slide(&self, by: &Requester, ask: &SlidingAsk) -> Result<SlidingAnswer> {
        sliding::slide(&self.rooms, by, ask).await
    }

    /// Brings a user's name and picture into the member events of their rooms. It may run twice.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn spread_profile(&self, user: &UserId) -> Result<()> {
        self.rooms.spread_profile(user).await
    }

    /// Takes a user out of every room, of invites and of knocks. It may run twice.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn leave_all(&self, user: &UserId) -> Result<()> {
        self.rooms.leave_all(user).await
    }

    /// Those whom a user of this server ignores. No query for one who was asked for lately.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn ignored_by(&self, user: &UserId) -> Result<Arc<Ignored>> {
        self.context.ignores.of(user).await
    }

    /// Returns when something has changed since the last call that lives in memory only: who types, who is there. For one
    /// listener.
    pub async fn ephemeral_changed(&self) {
        self.context.ephemeral.changed.notified().await;
    }

    /// The rooms in which it has changed since the change number `since` who types, with those users of this server who
    /// type there now; and the number to ask with the next time.
    #[must_use]
    pub fn typing_since(&self, since: i64) -> (i64, Vec<(RoomRow, Vec<OwnedUserId>)>) {
        let last = self.context.ephemeral.last();
        let own = &self.context.server_name;
        let rooms = self.context.typing.changed_since(since).into_iter();
        let rooms = rooms.map(|room| {
            let mut users = self.context.typing.users(room);
            users.retain(|user| user.server_name() == own);
            (room, users)
        });
        (last, rooms.collect())
    }

    /// Stops showing as typing whose time is over. Never returns; to be run in the background.
    pub async fn expire_typing(&self) {
        /// How late somebody may be shown as typing at most.
        const TICK: Duration = Duration::from_millis(250);
        loop {
            self.context.typing.expire();
            tokio::time::sleep(TICK).await;
        }
    }
}
