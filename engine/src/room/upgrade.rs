//! Replacing a room by one of another version: client-server API, "Room Upgrades".
//!
//! The worker of the old room builds the new one as well. All that is new in either, with the aliases and the place in the
//! directory, is one write: there is never a tombstone without the room that it names. Where a policy server must sign the
//! tombstone, that comes first, outside of the worker.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use spec::{
    auth,
    event::{Draft, Event},
    json::{Object, Value},
    object,
    room_version::{RoomIds, RoomVersion},
    upgrade::{self, COPIED, KEPT_OF_CREATE, SPACE_CHILD},
};
use storage::{
    EventRow, Plain, aliases,
    members::{self, Membership},
    summaries,
};

use super::{
    Pending, Room,
    create::{Founding, first_state},
    send::Sent,
};
use crate::{Error, Requester, Result, rooms::RoomHandle};

/// How long the same wish of the same user gets the same room, in ms; and nobody else replaces the room. As in Synapse.
const SAME_WISH_MS: i64 = 5 * 60 * 1000;

/// How often the policy server of a room may change while its tombstone waits for one.
const POLICIES_MAX: usize = 3;

/// The most bans that go along, a second or two of work in one write. Rooms with more are rare; their oldest ones go.
const BANS_MAX: usize = 10_000;

/// The most rooms of a space that go along.
const CHILDREN_MAX: usize = 10_000;

/// A room is to be replaced.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// The version of the new room.
    pub version: String,
    /// Who has all power there besides the asker, where the version knows that.
    pub additional_creators: BTreeSet<OwnedUserId>,
}

/// By what room another was replaced.
#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    by: OwnedUserId,
    version: &'static RoomVersion,
    room: OwnedRoomId,
    at_ms: i64,
}

impl RoomHandle {
    /// Replaces the room by a new one; returns its id when all is on disk. A wish that is repeated soon gets the same
    /// room.
    ///
    /// # Errors
    /// [`Error::UnsupportedRoomVersion`]. [`Error::Denied`]: the user may not send the tombstone.
    /// [`Error::InvalidRoomState`]: what is to be copied cannot be in a room of the new version.
    /// [`Error::Refused`]: somebody else has just replaced it. [`Error::Policy`], [`Error::Unreachable`]: the policy
    /// server of the room refuses the tombstone, or gives no usable answer.
    pub(crate) async fn upgrade(&self, by: &Requester, ask: Upgrade) -> Result<OwnedRoomId> {
        let version = RoomVersion::get(&ask.version)
            .ok_or_else(|| Error::UnsupportedRoomVersion(ask.version.clone()))?;
        let replacing = Replacing::new(by.user_id.clone(), version, &ask.additional_creators);
        let mut replacement = self
            .run(move |room| Box::pin(async move { room.replace(replacing).await }))
            .await?;
        for _ in 0..POLICIES_MAX {
            let mut unsigned = match replacement {
                Replacement::Made(made) => return self.follow_up(made).await,
                Replacement::Unsigned(unsigned) => unsigned,
            };
            unsigned.tombstone = self.recommended(unsigned.tombstone).await?;
            replacement = self
                .run(move |room| Box::pin(async move { room.replace_by_signed(unsigned).await }))
                .await?;
        }
        match replacement {
            Replacement::Made(made) => self.follow_up(made).await,
            Replacement::Unsigned(_) => Err(Error::Unreachable(
                "The policy server of the room changes all the time".to_owned(),
            )),
        }
    }

    /// Waits until a replacement is on disk, and has the old room say what is left to be said about it.
    async fn follow_up(&self, made: Made) -> Result<OwnedRoomId> {
        made.pending.wait().await?;
        for following in made.following {
            if let Err(why) = self.say(&made.by, &following).await {
                let otherwise = following.otherwise();
                tracing::info!(room = %self.meta.id, %why, "{otherwise}");
            }
        }
        Ok(made.room)
    }

    /// Has the old room say what follows from its replacement. What somebody changes while the policy server looks at it is
    /// not undone: it is put together anew then.
    async fn say(&self, by: &UserId, following: &Following) -> Result<()> {
        for _ in 0..POLICIES_MAX {
            let (by, wanted) = (by.to_owned(), following.clone());
            let proposed = self
                .run(move |room| {
                    Box::pin(async move { room.propose_following(&by, &wanted).await })
                })
                .await?;
            let Some((event, instead_of)) = proposed else {
                return Ok(());
            };
            let event = self.recommended(event).await?;
            let placed = self
                .run(move |room| {
                    Box::pin(async move { room.place_following(event, instead_of).await })
                })
                .await?;
            if let Some(sent) = placed {
                return sent.on_disk(self).await.map(drop);
            }
        }
        Err(Error::Refused("The room changes all the time".to_owned()))
    }

    /// Clients that follow a tombstone would go round in circles.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it names the room that it is in.
    pub(super) fn check_tombstone(&self, content: &Object) -> Result<()> {
        let replacement = content.get("replacement_room").and_then(Value::as_str);
        if replacement == Some(self.meta.id.as_str()) {
            return Err(Error::InvalidParam(
                "A room cannot be replaced by itself".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Room {
    async fn replace(&mut self, replacing: Replacing) -> Result<Replacement> {
        if let Some(made) = self.replaced_lately(&replacing).await? {
            return Ok(Replacement::Made(made));
        }
        // What is read from the store below is as new as the head.
        self.flushed().await.wait().await?;
        let is_policed = self
            .policy_for("m.room.tombstone", Some(""))
            .await?
            .is_some();
        if is_policed {
            let unsigned = replacing.propose(self).await?;
            return Ok(Replacement::Unsigned(Box::new(unsigned)));
        }
        let made = replacing.run(self).await?;
        self.replaced = Some(replacing.by(&made.room, self.context.clock.now_ms()));
        Ok(Replacement::Made(made))
    }

    /// Replaces the room with a tombstone that its policy server has signed since it was proposed.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the rules refuse it by now. Nothing has changed then.
    async fn replace_by_signed(&mut self, unsigned: Box<UnsignedTombstone>) -> Result<Replacement> {
        if let Some(made) = self.replaced_lately(&unsigned.replacing).await? {
            return Ok(Replacement::Made(made));
        }
        if self.policy_against(&unsigned.tombstone).await?.is_some() {
            return Ok(Replacement::Unsigned(unsigned));
        }
        self.flushed().await.wait().await?;
        let UnsignedTombstone {
            replacing,
            new,
            id,
            tombstone,
        } = *unsigned;
        let made = replacing.complete(self, new, id, tombstone).await?;
        self.replaced = Some(replacing.by(&made.room, self.context.clock.now_ms()));
        Ok(Replacement::Made(made))
    }

    /// The room that the same wish has just made.
    ///
    /// # Errors
    /// [`Error::Refused`]: somebody else has just replaced the room.
    async fn replaced_lately(&self, replacing: &Replacing) -> Result<Option<Made>> {
        let now = self.context.clock.now_ms();
        let lately = |replaced: &&Replaced| now.saturating_sub(replaced.at_ms) < SAME_WISH_MS;
        let Some(replaced) = self.replaced.as_ref().filter(lately) else {
            return Ok(None);
        };
        if replaced.by != replacing.by {
            return Err(Error::Refused(
                "Somebody else has just upgraded this room".to_owned(),
            ));
        }
        if replaced.version != replacing.version {
            return Ok(None);
        }
        let room = replaced.room.clone();
        Ok(Some(Made {
            room,
            by: replacing.by.clone(),
            pending: self.flushed().await,
            following: Vec::new(),
        }))
    }

    /// What the room should say after its replacement, for the policy server to sign, and the event whose place it takes.
    async fn propose_following(
        &mut self,
        by: &UserId,
        following: &Following,
    ) -> Result<Option<(Event, EventRow)>> {
        let Some(now) = self.state_event(following.event_type(), "").await? else {
            return Ok(None);
        };
        let Some(draft) = following.draft(self, by).await? else {
            return Ok(None);
        };
        Ok(Some((self.propose(draft).await?, now.row)))
    }

    /// Puts it into the room; `None` if what it takes the place of has changed meanwhile.
    async fn place_following(
        &mut self,
        event: Event,
        instead_of: EventRow,
    ) -> Result<Option<Sent>> {
        let now = self.state_event(event.event_type(), "").await?;
        if now.is_none_or(|now| now.row != instead_of) {
            return Ok(None);
        }
        self.place_signed(event, None).await.map(Some)
    }

    /// A draft of state with an empty key.
    fn own_state(&self, by: &UserId, event_type: &str, content: Object) -> Draft {
        Draft {
            room_id: Some(self.meta.id.clone()),
            sender: by.to_owned(),
            event_type: event_type.to_owned(),
            state_key: Some(String::new()),
            content,
            redacts: None,
        }
    }

    async fn content_of(&self, event_type: &str) -> Result<Option<Object>> {
        let known = self.state_event(event_type, "").await?;
        Ok(known.map(|known| known.event.content().clone()))
    }

    /// The content of these events, each with its state key, in their order.
    async fn contents(&self, rows: &[EventRow]) -> Result<Vec<(String, Object)>> {
        let known = self
            .context
            .events
            .get_many(&self.context.metas, rows)
            .await?;
        let entry = |event: &Event| {
            let key = event.state_key().unwrap_or_default().to_owned();
            (key, event.content().clone())
        };
        Ok(known.iter().map(|known| entry(&known.event)).collect())
    }
}

/// What has become of the wish to replace a room.
enum Replacement {
    Made(Made),
    /// The policy server of the room must sign the tombstone first.
    Unsigned(Box<UnsignedTombstone>),
}

/// A replacement whose write is on its way.
struct Made {
    room: OwnedRoomId,
    by: OwnedUserId,
    pending: Pending,
    /// What the old room is still to be told: where it has a policy server, which signs one after another.
    following: Vec<Following>,
}

/// What is desirable for the old room, but not for everybody who may upgrade it.
#[derive(Clone)]
enum Following {
    /// It no longer names these aliases, which lead to the new one.
    Aliases(BTreeSet<String>),
    /// Only those with special power write in it, or invite to it.
    Restriction,
}

impl Following {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Aliases(_) => "m.room.canonical_alias",
            Self::Restriction => "m.room.power_levels",
        }
    }

    /// What is so without it.
    fn otherwise(&self) -> &'static str {
        match self {
            Self::Aliases(_) => "the old room names a moved alias",
            Self::Restriction => "the old room stays open to writers",
        }
    }

    /// What the room should say, as it is now; `None` if there is nothing to say.
    async fn draft(&self, old: &Room, by: &UserId) -> Result<Option<Draft>> {
        let Some(now) = old.content_of(self.event_type()).await? else {
            return Ok(None);
        };
        let content = match self {
            Self::Aliases(moved) => upgrade::divided_aliases(&now, moved).map(|(stay, _)| stay),
            Self::Restriction => upgrade::restricted_levels(old.meta.version, &now),
        };
        Ok(content.map(|content| old.own_state(by, self.event_type(), content)))
    }
}

/// A replacement that waits for the policy server of the old room.
struct UnsignedTombstone {
    replacing: Replacing,
    /// The beginning of the new room, where its id follows from it.
    new: Option<Room>,
    /// The id of the new room.
    id: OwnedRoomId,
    tombstone: Event,
}

/// The replacement of a room, while it happens.
struct Replacing {
    by: OwnedUserId,
    version: &'static RoomVersion,
    /// Who has all power in the new room besides `by`.
    creators: BTreeSet<String>,
}

impl Replacing {
    fn new(
        by: OwnedUserId,
        version: &'static RoomVersion,
        creators: &BTreeSet<OwnedUserId>,
    ) -> Self {
        let mut creators: BTreeSet<String> = creators.iter().map(ToString::to_string).collect();
        creators.remove(by.as_str());
        Self {
            by,
            version,
            creators,
        }
    }

    fn by(&self, room: &RoomId, at_ms: i64) -> Replaced {
        Replaced {
            by: self.by.clone(),
            version: self.version,
            room: room.to_owned(),
            at_ms,
        }
    }

    /// Whether the new id follows from the create event: that cannot name the tombstone then, which names the id.
    fn by_hash(&self) -> bool {
        self.version.room_ids == RoomIds::CreateEvent
    }

    async fn run(&self, old: &mut Room) -> Result<Made> {
        let chosen = RoomId::new_v1(&old.context.server_name);
        let asked = self.tombstone(old, &chosen);
        let mut new = if self.by_hash() {
            old.propose(asked).await?;
            self.found(old, chosen, None).await?
        } else {
            let tombstone = old.append(asked, None).await?;
            self.found(old, chosen, Some(tombstone.event.id())).await?
        };
        if self.by_hash() {
            let tombstone = self.tombstone(old, &new.meta.id);
            old.append(tombstone, None).await?;
        }
        for following in self.bring(old, &mut new).await? {
            if let Some(draft) = following.draft(old, &self.by).await? {
                allowed(old.append(draft, None).await, following.otherwise())?;
            }
        }
        self.write(old, new, Vec::new()).await
    }

    /// The tombstone that the policy server of the old room is to sign.
    async fn propose(self, old: &Room) -> Result<UnsignedTombstone> {
        let mut id = RoomId::new_v1(&old.context.server_name);
        let mut tombstone = old.propose(self.tombstone(old, &id)).await?;
        let mut new = None;
        if self.by_hash() {
            let founded = self.found(old, id, None).await?;
            id = founded.meta.id.clone();
            tombstone = old.propose(self.tombstone(old, &id)).await?;
            new = Some(founded);
        }
        Ok(UnsignedTombstone {
            replacing: self,
            new,
            id,
            tombstone,
        })
    }

    /// Goes on with a tombstone that is signed.
    async fn complete(
        &self,
        old: &mut Room,
        new: Option<Room>,
        id: OwnedRoomId,
        tombstone: Event,
    ) -> Result<Made> {
        let event_id = tombstone.id().to_owned();
        old.place_proposed(tombstone, None).await?;
        let mut new = match new {
            Some(new) => new,
            None => self.found(old, id, Some(&event_id)).await?,
        };
        let following = self.bring(old, &mut new).await?;
        self.write(old, new, following).await
    }

    /// Brings all that belongs to the old room into the new one; returns what the old one should say then.
    async fn bring(&self, old: &Room, new: &mut Room) -> Result<Vec<Following>> {
        self.furnish(old, new).await?;
        let aliases = self.move_aliases(old, new).await?;
        Ok(aliases
            .into_iter()
            .chain([Following::Restriction])
            .collect())
    }

    /// One write for all that is new in either room.
    async fn write(
        &self,
        old: &mut Room,
        mut new: Room,
        following: Vec<Following>,
    ) -> Result<Made> {
        let room = new.meta.id.clone();
        let made = new.finish().await?;
        let mut write = old.finish().await?;
        write.plain.extend(made.plain);
        write.logged.extend(made.logged);
        // The events of the new room stay in memory until they are written, too.
        let under_way = made.under_way;
        let written = old.pending(write).0;
        let pending = Pending(Box::pin(async move {
            let written = written.await;
            drop(under_way);
            written
        }));
        Ok(Made {
            room,
            by: self.by.clone(),
            pending,
            following,
        })
    }

    fn tombstone(&self, old: &Room, new: &RoomId) -> Draft {
        old.own_state(
            &self.by,
            "m.room.tombstone",
            upgrade::tombstone(new.as_str()),
        )
    }

    async fn found(
        &self,
        old: &Room,
        id: OwnedRoomId,
        tombstone: Option<&EventId>,
    ) -> Result<Room> {
        let mut predecessor = object! { "room_id" => old.meta.id.as_str() };
        if let Some(tombstone) = tombstone {
            predecessor.insert("event_id".to_owned(), Value::from(tombstone.as_str()));
        }
        let mut content = object! { "predecessor" => predecessor };
        let create = old.content_of("m.room.create").await?.unwrap_or_default();
        for key in KEPT_OF_CREATE {
            if let Some(value) = create.get(key) {
                content.insert(key.to_owned(), value.clone());
            }
        }
        if self.version.auth.privileged_creators && !self.creators.is_empty() {
            let creators = self.creators.iter().cloned().map(Value::from).collect();
            content.insert("additional_creators".to_owned(), Value::Array(creators));
        }
        let db = old.context.store.reader();
        let listed = summaries::one(db, old.meta.row).await?;
        let founding = Founding {
            by: self.by.clone(),
            version: self.version,
            content,
            published: listed.is_some_and(|listed| listed.published),
            id,
            later_ms: 0,
        };
        founding.room(&old.context).await
    }

    /// Brings power levels, state and bans into the new room.
    async fn furnish(&self, old: &Room, new: &mut Room) -> Result<()> {
        let levels = self.levels(old).await?;
        self.copy(new, "m.room.power_levels", "", levels.during.clone())
            .await?;
        for event_type in COPIED {
            if let Some(content) = old.content_of(event_type).await? {
                self.copy(new, event_type, "", content).await?;
            }
        }
        for (child, content) in self.children(old).await? {
            self.copy(new, SPACE_CHILD, &child, content).await?;
        }
        for (user, content) in self.bans(old).await? {
            if user != self.by.as_str() {
                self.copy(new, "m.room.member", &user, content).await?;
            }
        }
        if levels.during != levels.after {
            self.copy(new, "m.room.power_levels", "", levels.after)
                .await?;
        }
        Ok(())
    }

    async fn levels(&self, old: &Room) -> Result<upgrade::NewLevels> {
        let content = old.content_of("m.room.power_levels").await?;
        let create = old.deciding.as_ref().map(auth::Head::create);
        let mut former = create
            .map(|create| create.privileged().clone())
            .unwrap_or_default();
        if content.is_none() {
            former.extend(
                create
                    .and_then(|create| create.creator())
                    .map(str::to_owned),
            );
        }
        Ok(upgrade::new_levels(
            (old.meta.version, content.as_ref()),
            self.version,
            self.by.as_str(),
            &self.creators,
            &former,
        ))
    }

    /// Sets a piece of state of the new room. What cannot be there is not left out: a room without its encryption or its
    /// bans would be another.
    async fn copy(
        &self,
        new: &mut Room,
        event_type: &str,
        state_key: &str,
        content: Object,
    ) -> Result<()> {
        let draft = Draft {
            state_key: Some(state_key.to_owned()),
            ..new.own_state(&self.by, event_type, content)
        };
        match new.append(draft, None).await {
            Ok(_) => Ok(()),
            Err(Error::BadJson(why) | Error::TooLarge(why)) => Err(Error::InvalidRoomState(
                format!("{event_type} cannot be copied into the new room: {why}"),
            )),
            Err(error) => Err(first_state(error)),
        }
    }

    /// The rooms of a space, by the state key of their links.
    async fn children(&self, old: &Room) -> Result<Vec<(String, Object)>> {
        let create = old.content_of("m.room.create").await?.unwrap_or_default();
        if create.get("type").and_then(Value::as_str) != Some("m.space") {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = old.state.keys().copied().collect();
        let names = old.context.store.state_keys().names(&keys).await?;
        let links = old.state.values().zip(names);
        let links = links.filter(|(_, (event_type, _))| event_type == SPACE_CHILD);
        let rows: Vec<EventRow> = links.map(|(row, _)| *row).take(CHILDREN_MAX).collect();
        let mut children = old.contents(&rows).await?;
        // An empty link was taken back.
        children.retain(|(_, content)| !content.is_empty());
        Ok(children)
    }

    async fn bans(&self, old: &Room) -> Result<Vec<(String, Object)>> {
        let db = old.context.store.reader();
        let mut banned = members::of_room(db, old.meta.row, &[Membership::Ban]).await?;
        if banned.len() > BANS_MAX {
            tracing::warn!(room = %old.meta.id, bans = banned.len(), "too many bans: the oldest do not go along");
            banned.sort_by_key(|member| std::cmp::Reverse(member.position));
            banned.truncate(BANS_MAX);
        }
        let rows: Vec<EventRow> = banned.iter().map(|member| member.event).collect();
        old.contents(&rows).await
    }

    /// Has the aliases of this server lead to the new room, and that say so; returns what is left for the old one.
    async fn move_aliases(&self, old: &Room, new: &mut Room) -> Result<Option<Following>> {
        let moved = aliases::of_room(old.context.store.reader(), old.meta.row).await?;
        let moved: BTreeSet<String> = moved.into_iter().map(|alias| alias.alias).collect();
        new.also(Plain::RoomSucceeded {
            from: old.meta.row,
            to: new.meta.row,
        });
        let canonical = old.content_of("m.room.canonical_alias").await?;
        let Some((_, go)) =
            canonical.and_then(|canonical| upgrade::divided_aliases(&canonical, &moved))
        else {
            return Ok(None);
        };
        let go = new.own_state(&self.by, "m.room.canonical_alias", go);
        allowed(new.append(go, None).await, "the new room names no alias")?;
        Ok(Some(Following::Aliases(moved)))
    }
}

/// What is desirable, but not for everybody who may upgrade a room.
fn allowed<T>(appended: Result<T>, otherwise: &str) -> Result<()> {
    match appended {
        Ok(_) => Ok(()),
        Err(Error::Denied(why)) => {
            tracing::info!(%why, "{otherwise}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
