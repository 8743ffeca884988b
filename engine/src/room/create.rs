//! Creating a room: client-server API, "Creation".
//!
//! All first events of a room are one write, so that nobody ever sees a half-built room.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use spec::{
    auth,
    event::Draft,
    json::{Object, Value},
    object,
    room_version::{Creator, RoomIds, RoomVersion},
};
use storage::{Plain, aliases, write::NewRoom};

use super::{Room, membership::invite_content, profile::member_fields, send::check_state};
use crate::{
    Error, Requester, Result, alias::check_first_canonical_alias, context::Context,
    room_meta::RoomMeta, third_party::ThirdParty,
};

/// A room to be created.
#[derive(Clone, Debug, Default)]
pub struct CreateRoom {
    /// Its version; the server's default if none is named.
    pub room_version: Option<String>,
    /// What to begin with; by default as the visibility suggests.
    pub preset: Option<Preset>,
    /// Whether the directory lists it.
    pub published: bool,
    /// The local part of its first alias.
    pub alias_localpart: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Whom to invite.
    pub invite: Vec<OwnedUserId>,
    /// The addresses to invite of people who are not known.
    pub invite_third_party: Vec<ThirdParty>,
    /// Whether the invites say that it is a direct chat.
    pub is_direct: bool,
    /// State to be set after the preset's.
    pub initial_state: Vec<InitialState>,
    /// What to add to the content of the create event.
    pub creation_content: Object,
    /// Top-level keys that replace those of the generated power levels.
    pub power_level_content_override: Object,
}

/// One event of the initial state.
#[derive(Clone, Debug)]
pub struct InitialState {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content.
    pub content: Object,
}

/// A named set of first settings: client-server API, `preset` of `createRoom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// By invitation; history for all members; guests may join.
    Private,
    /// The same, and those who are invited have the creator's power.
    TrustedPrivate,
    /// Open to everybody; history for all members; no guests.
    Public,
}

/// How many rooms somebody may create at the same millisecond. From version 12 on the id is a hash of the create event, and
/// two that say the same at the same time are one.
const SAME_TIME_MAX: i64 = 100;

/// The most users whom a new room invites: each may be a question to another server.
const INVITES_MAX: usize = 100;

/// The most events of the first state that a client writes: each is signed, and all of them are one write.
const INITIAL_STATE_MAX: usize = 200;

/// Whether a wish is one that can be fulfilled at once.
///
/// # Errors
/// [`Error::InvalidParam`]: it invites too many, or brings too much state.
pub(crate) fn check_size(ask: &CreateRoom) -> Result<()> {
    let too_many = |what: &str, max: usize| {
        Err(Error::InvalidParam(format!(
            "A new room begins with at most {max} {what}"
        )))
    };
    if ask.invite.len() > INVITES_MAX {
        return too_many("invites", INVITES_MAX);
    }
    if ask.initial_state.len() > INITIAL_STATE_MAX {
        return too_many("events as `initial_state`", INITIAL_STATE_MAX);
    }
    Ok(())
}

/// Creates a room; returns its id when it is on disk.
///
/// An invite that is refused does not undo the room.
///
/// # Errors
/// [`Error::UnsupportedRoomVersion`], [`Error::RoomInUse`]: the alias is taken, [`Error::InvalidRoomState`]: an event of
/// the first state is refused, [`Error::InvalidParam`]: the alias or the power levels.
pub(crate) async fn create(
    context: &Arc<Context>,
    by: &Requester,
    ask: CreateRoom,
) -> Result<OwnedRoomId> {
    let id = ask
        .room_version
        .as_deref()
        .unwrap_or(context.default_room_version.as_str());
    let version =
        RoomVersion::get(id).ok_or_else(|| Error::UnsupportedRoomVersion(id.to_owned()))?;
    let plan = Plan::new(context, version, by, ask)?;
    plan.check_alias(context).await?;
    for later_ms in 0..SAME_TIME_MAX {
        let mut room = plan.found(context, later_ms).await?;
        plan.furnish(&mut room).await?;
        plan.invite(&mut room).await?;
        let room_id = room.meta.id.clone();
        match room.commit().await.wait().await {
            Ok(_) => return Ok(room_id),
            // Two rows can collide: the alias, which somebody else was given meanwhile, and the id of the room.
            Err(Error::Store(storage::Error::Conflict(_))) => plan.check_alias(context).await?,
            Err(error) => return Err(error),
        }
    }
    Err(Error::RoomInUse)
}

/// What is going to be created, with all defaults filled in.
struct Plan {
    by: Requester,
    version: &'static RoomVersion,
    preset: Preset,
    alias: Option<OwnedRoomAliasId>,
    ask: CreateRoom,
}

/// The beginning of a room.
pub(super) struct Founding {
    /// Who creates it.
    pub(super) by: OwnedUserId,
    pub(super) version: &'static RoomVersion,
    /// Of the create event, as far as the server does not decide it.
    pub(super) content: Object,
    /// Whether the directory lists it.
    pub(super) published: bool,
    /// Its id, unless that follows from the create event.
    pub(super) id: OwnedRoomId,
    /// What to add to the time of the create event.
    pub(super) later_ms: i64,
}

impl Founding {
    /// The room with its first two events: the create event and the creator's join.
    pub(super) async fn room(self, context: &Arc<Context>) -> Result<Room> {
        let row = context.store.ids().next_room();
        let meta = RoomMeta {
            row,
            // Until there is a create event, for those versions where that says it.
            id: self.id.clone(),
            version: self.version,
        };
        let mut room = Room::empty(context.clone(), Arc::new(meta));
        let mut content = self.content;
        content.remove("creator");
        content.insert("room_version".to_owned(), Value::from(self.version.id()));
        if self.version.auth.creator == Creator::Content {
            content.insert("creator".to_owned(), Value::from(self.by.as_str()));
        }
        let create = Draft {
            room_id: (self.version.room_ids == RoomIds::Chosen).then_some(self.id),
            sender: self.by.clone(),
            event_type: "m.room.create".to_owned(),
            state_key: Some(String::new()),
            content,
            redacts: None,
        };
        let now = context.clock.now_ms().saturating_add(self.later_ms);
        let create = room
            .append_at(create, now, None)
            .await
            .map_err(first_state)?;
        let id = create.event.room_id().to_owned();
        room.meta = Arc::new(RoomMeta {
            row,
            id: id.clone(),
            version: self.version,
        });
        room.also(Plain::Room(NewRoom {
            row,
            room_id: id,
            version: self.version.id().to_owned(),
            creator: self.by.clone(),
            published: self.published,
        }));
        let mut content = member_fields(context, &self.by).await?;
        content.insert("membership".to_owned(), Value::from("join"));
        let join = room.member_draft(&self.by, &self.by, content);
        room.append(join, None).await.map_err(first_state)?;
        Ok(room)
    }
}

impl Plan {
    fn new(
        context: &Context,
        version: &'static RoomVersion,
        by: &Requester,
        ask: CreateRoom,
    ) -> Result<Self> {
        let preset = ask.preset.unwrap_or(if ask.published {
            Preset::Public
        } else {
            Preset::Private
        });
        let alias = ask
            .alias_localpart
            .as_deref()
            .map(|localpart| crate::alias::local(&context.server_name, localpart))
            .transpose()?;
        Ok(Self {
            by: by.clone(),
            version,
            preset,
            alias,
            ask,
        })
    }

    /// # Errors
    /// [`Error::RoomInUse`]: the alias is taken.
    async fn check_alias(&self, context: &Context) -> Result<()> {
        if let Some(alias) = &self.alias
            && aliases::one(context.store.reader(), alias).await?.is_some()
        {
            return Err(Error::RoomInUse);
        }
        Ok(())
    }

    /// The room with its first two events. `later_ms` is added to the time of the create event.
    async fn found(&self, context: &Arc<Context>, later_ms: i64) -> Result<Room> {
        let founding = Founding {
            by: self.by.user_id.clone(),
            version: self.version,
            content: self.create_content(),
            published: self.ask.published,
            id: RoomId::new_v1(&context.server_name),
            later_ms,
        };
        founding.room(context).await
    }

    /// Power levels, alias, the preset's state, the initial state, name and topic, in the order of the specification.
    async fn furnish(&self, room: &mut Room) -> Result<()> {
        let levels = self.power_levels()?;
        let mut events = vec![("m.room.power_levels", "", levels)];
        if let Some(alias) = &self.alias {
            events.push((
                "m.room.canonical_alias",
                "",
                object! { "alias" => alias.as_str() },
            ));
            room.also(Plain::Alias {
                alias: alias.clone(),
                room: room.meta.row,
                creator: self.by.user_id.clone(),
            });
        }
        let join_rule = match self.preset {
            Preset::Private | Preset::TrustedPrivate => "invite",
            Preset::Public => "public",
        };
        let mut preset = vec![
            ("m.room.join_rules", "join_rule", join_rule),
            ("m.room.history_visibility", "history_visibility", "shared"),
        ];
        // Where nothing is said guests are forbidden: so a public room says nothing, as in Synapse.
        if self.preset != Preset::Public {
            preset.push(("m.room.guest_access", "guest_access", "can_join"));
        }
        for (event_type, key, value) in preset {
            if !self.is_initial(event_type) {
                events.push((event_type, "", object! { key => value }));
            }
        }
        for state in &self.ask.initial_state {
            self.check_initial(room, state)?;
            if self.is_unwanted(room, state).await? {
                continue;
            }
            let named = (state.event_type == "m.room.name" && self.ask.name.is_some())
                || (state.event_type == "m.room.topic" && self.ask.topic.is_some());
            if !(named && state.state_key.is_empty()) {
                events.push((&state.event_type, &state.state_key, state.content.clone()));
            }
        }
        if let Some(name) = &self.ask.name {
            events.push(("m.room.name", "", object! { "name" => name.as_str() }));
        }
        if let Some(topic) = &self.ask.topic {
            events.push(("m.room.topic", "", topic_content(topic)));
        }
        for (event_type, state_key, content) in events {
            let draft = self.state(room, event_type, state_key, content);
            room.append(draft, None).await.map_err(first_state)?;
        }
        Ok(())
    }

    /// The same checks as for state that is set later.
    fn check_initial(&self, room: &Room, state: &InitialState) -> Result<()> {
        let (event_type, state_key) = (&*state.event_type, &*state.state_key);
        if event_type == "m.room.canonical_alias" {
            check_first_canonical_alias(&state.content, self.alias.as_deref())?;
        }
        let own = &room.context.server_name;
        check_state(own, self.version, (event_type, state_key), &state.content)
    }

    /// Whether a piece of the initial state is an invite that the invited user refuses.
    async fn is_unwanted(&self, room: &Room, state: &InitialState) -> Result<bool> {
        let membership = state.content.get("membership").and_then(Value::as_str);
        if state.event_type != "m.room.member" || membership != Some("invite") {
            return Ok(false);
        }
        match UserId::parse(&state.state_key) {
            Ok(target) => self.is_blocked(room, &target).await,
            Err(_) => Ok(false),
        }
    }

    /// Whether a user refuses to be invited by the creator, or a policy list shuts them out.
    async fn is_blocked(&self, room: &Room, target: &UserId) -> Result<bool> {
        let context = &room.context;
        let checked = match context.check_invite(&self.by.user_id, target).await {
            Ok(()) => context.check_listed_user(target).await,
            refused => refused,
        };
        match checked {
            Err(Error::InviteBlocked | Error::Forbidden(_)) => {
                tracing::info!(%target, "a new room's invite is not wanted");
                Ok(true)
            }
            checked => checked.map(|()| false),
        }
    }

    /// Invites the users of this server whom the asker named. One that is refused is left out.
    async fn invite(&self, room: &mut Room) -> Result<()> {
        let targets: BTreeSet<&OwnedUserId> = self.ask.invite.iter().collect();
        let own = room.context.server_name.clone();
        for target in targets
            .into_iter()
            .filter(|target| target.server_name() == own)
        {
            if self.is_blocked(room, target).await? {
                continue;
            }
            let mut content = invite_content(&room.context, target, self.ask.is_direct).await?;
            content.insert("membership".to_owned(), Value::from("invite"));
            let draft = self.state(room, "m.room.member", target.as_str(), content);
            match room.append(draft, None).await {
                Ok(_) => {}
                Err(Error::Denied(error)) => {
                    tracing::info!(%target, %error, "a new room's invite is left out")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn state(&self, room: &Room, event_type: &str, state_key: &str, content: Object) -> Draft {
        Draft {
            room_id: Some(room.meta.id.clone()),
            sender: self.by.user_id.clone(),
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            content,
            redacts: None,
        }
    }

    fn is_initial(&self, event_type: &str) -> bool {
        let states = &self.ask.initial_state;
        states
            .iter()
            .any(|state| state.event_type == event_type && state.state_key.is_empty())
    }

    /// The content of the create event, but for what the server decides.
    fn create_content(&self) -> Object {
        let mut content = self.ask.creation_content.clone();
        if self.version.auth.privileged_creators && self.preset == Preset::TrustedPrivate {
            let mut creators: BTreeSet<String> =
                additional_creators(&content).map(str::to_owned).collect();
            creators.extend(self.ask.invite.iter().map(ToString::to_string));
            creators.remove(self.by.user_id.as_str());
            if !creators.is_empty() {
                let creators = creators.into_iter().map(Value::from).collect();
                content.insert("additional_creators".to_owned(), Value::Array(creators));
            }
        }
        content
    }

    /// The first power levels: all levels spelt out, then what the asker overrides.
    fn power_levels(&self) -> Result<Object> {
        let privileged = self.version.auth.privileged_creators;
        let creator = self.by.user_id.as_str();
        let mut users = Object::new();
        if !privileged {
            users.insert(creator.to_owned(), Value::from(100));
            if self.preset == Preset::TrustedPrivate {
                users.extend(
                    self.ask
                        .invite
                        .iter()
                        .map(|user| (user.to_string(), Value::from(100))),
                );
            }
        }
        let invite = if self.preset == Preset::Public { 50 } else { 0 };
        let mut levels = object! {
            "ban" => 50,
            "events" => object! {
                "m.room.avatar" => 50,
                "m.room.canonical_alias" => 50,
                "m.room.encryption" => 100,
                "m.room.history_visibility" => 100,
                "m.room.name" => 50,
                "m.room.power_levels" => 100,
                "m.room.server_acl" => 100,
                "m.room.tombstone" => if privileged { 150 } else { 100 },
            },
            "events_default" => 0,
            "invite" => invite,
            "kick" => 50,
            "redact" => 50,
            "state_default" => 50,
            "users" => users,
            "users_default" => 0,
        };
        levels.extend(self.ask.power_level_content_override.clone());
        let Some(Value::Object(users)) = levels.get_mut("users") else {
            return Err(Error::InvalidParam(
                "`users` in the power levels must be an object".to_owned(),
            ));
        };
        if privileged {
            let content = self.create_content();
            let mut creators = additional_creators(&content).chain([creator]);
            if let Some(named) = creators.find(|creator| users.contains_key(*creator)) {
                return Err(Error::InvalidParam(format!(
                    "{named} is a creator of the room: creators have all power and are not listed in `users`"
                )));
            }
        } else {
            // Otherwise nobody could ever change the room again.
            users.entry(creator.to_owned()).or_insert(Value::from(100));
        }
        auth::check_new_levels(self.version, &levels)?;
        Ok(levels)
    }
}

fn additional_creators(content: &Object) -> impl Iterator<Item = &str> {
    let list = content
        .get("additional_creators")
        .and_then(Value::as_array)
        .unwrap_or_default();
    list.iter().filter_map(Value::as_str)
}

/// `m.room.topic` with its plain-text block: client-server API, "m.room.topic".
fn topic_content(topic: &str) -> Object {
    let text = Value::Array(vec![Value::Object(
        object! { "body" => topic, "mimetype" => "text/plain" },
    )]);
    object! { "m.topic" => object! { "m.text" => text }, "topic" => topic }
}

/// A refusal while the room is being made is the fault of what was asked for.
pub(super) fn first_state(error: Error) -> Error {
    match error {
        Error::Denied(denied) => Error::InvalidRoomState(denied.to_string()),
        error => error,
    }
}
