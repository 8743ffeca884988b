//! Replacing a room by one of another version: client-server API, "Room Upgrades".
//!
//! The worker of the old room builds the new one as well. All that is new in either, with the aliases and the place in the
//! directory, is one write: there is never a tombstone without the room that it names.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use spec::{
    auth,
    event::Draft,
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
};
use crate::{Error, Requester, Result, rooms::RoomHandle};

/// How long the same wish of the same user gets the same room, in ms; and nobody else replaces the room. As in Synapse.
const SAME_WISH_MS: i64 = 5 * 60 * 1000;

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
    /// [`Error::Refused`]: somebody else has just replaced it.
    pub(crate) async fn upgrade(&self, by: &Requester, ask: Upgrade) -> Result<OwnedRoomId> {
        let version = RoomVersion::get(&ask.version)
            .ok_or_else(|| Error::UnsupportedRoomVersion(ask.version.clone()))?;
        let (by, creators) = (by.user_id.clone(), ask.additional_creators);
        let (room, pending) = self
            .run(move |room| Box::pin(async move { room.replace(&by, version, creators).await }))
            .await?;
        pending.wait().await?;
        Ok(room)
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
    async fn replace(
        &mut self,
        by: &UserId,
        version: &'static RoomVersion,
        creators: BTreeSet<OwnedUserId>,
    ) -> Result<(OwnedRoomId, Pending)> {
        let now = self.context.clock.now_ms();
        if let Some(replaced) = &self.replaced
            && now.saturating_sub(replaced.at_ms) < SAME_WISH_MS
        {
            if replaced.by != by {
                return Err(Error::Refused(
                    "Somebody else has just upgraded this room".to_owned(),
                ));
            }
            if replaced.version == version {
                return Ok((replaced.room.clone(), self.flushed().await));
            }
        }
        let mut creators: BTreeSet<String> = creators.iter().map(ToString::to_string).collect();
        creators.remove(by.as_str());
        let replacing = Replacing {
            by: by.to_owned(),
            version,
            creators,
        };
        let (new, pending) = replacing.run(self).await?;
        self.replaced = Some(Replaced {
            by: by.to_owned(),
            version,
            room: new.clone(),
            at_ms: now,
        });
        Ok((new, pending))
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
        let entry = |event: &spec::event::Event| {
            let key = event.state_key().unwrap_or_default().to_owned();
            (key, event.content().clone())
        };
        Ok(known.iter().map(|known| entry(&known.event)).collect())
    }
}

/// The replacement of a room, while it happens.
struct Replacing {
    by: OwnedUserId,
    version: &'static RoomVersion,
    /// Who has all power in the new room besides `by`.
    creators: BTreeSet<String>,
}

impl Replacing {
    async fn run(&self, old: &mut Room) -> Result<(OwnedRoomId, Pending)> {
        // Tombstone and new room are one write, which cannot wait for the word of another server in between.
        if old
            .policy_for("m.room.tombstone", Some(""))
            .await?
            .is_some()
        {
            return Err(Error::Refused(
                "A room with a policy server cannot be upgraded here: take \"m.room.policy\" out of it first"
                    .to_owned(),
            ));
        }
        // What is read from the store below is as new as the head.
        old.flushed().await.wait().await?;
        let chosen = RoomId::new_v1(&old.context.server_name);
        let mut predecessor = object! { "room_id" => old.meta.id.as_str() };
        // Where the new id follows from the create event, that cannot name the tombstone, which names the id.
        let by_hash = self.version.room_ids == RoomIds::CreateEvent;
        let asked = self.tombstone(old, &chosen);
        if by_hash {
            old.propose(asked).await?;
        } else {
            let tombstone = old.append(asked, None).await?;
            let event_id = Value::from(tombstone.event.id().as_str());
            predecessor.insert("event_id".to_owned(), event_id);
        }
        let mut new = self.found(old, chosen, predecessor).await?;
        if by_hash {
            let tombstone = self.tombstone(old, &new.meta.id);
            old.append(tombstone, None).await?;
        }
        self.furnish(old, &mut new).await?;
        self.move_aliases(old, &mut new).await?;
        self.restrict(old).await?;
        let id = new.meta.id.clone();
        let made = new.finish().await?;
        let mut write = old.finish().await?;
        write.plain.extend(made.plain);
        write.logged.extend(made.logged);
        Ok((id, old.pending(write)))
    }

    fn tombstone(&self, old: &Room, new: &RoomId) -> Draft {
        old.own_state(
            &self.by,
            "m.room.tombstone",
            upgrade::tombstone(new.as_str()),
        )
    }

    async fn found(&self, old: &Room, id: OwnedRoomId, predecessor: Object) -> Result<Room> {
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

    /// Has the aliases of this server lead to the new room, and the rooms say so.
    async fn move_aliases(&self, old: &mut Room, new: &mut Room) -> Result<()> {
        let moved = aliases::of_room(old.context.store.reader(), old.meta.row).await?;
        let moved: BTreeSet<String> = moved.into_iter().map(|alias| alias.alias).collect();
        new.also(Plain::AliasesMoved {
            from: old.meta.row,
            to: new.meta.row,
        });
        let canonical = old.content_of("m.room.canonical_alias").await?;
        let Some((stay, go)) =
            canonical.and_then(|canonical| upgrade::divided_aliases(&canonical, &moved))
        else {
            return Ok(());
        };
        let go = new.own_state(&self.by, "m.room.canonical_alias", go);
        allowed(new.append(go, None).await, "the new room names no alias")?;
        let stay = old.own_state(&self.by, "m.room.canonical_alias", stay);
        allowed(
            old.append(stay, None).await,
            "the old room names a moved alias",
        )
    }

    /// Lets only those with special power write in the old room, or invite to it, where the user may decide that.
    async fn restrict(&self, old: &mut Room) -> Result<()> {
        let levels = old.content_of("m.room.power_levels").await?;
        let Some(levels) =
            levels.and_then(|levels| upgrade::restricted_levels(old.meta.version, &levels))
        else {
            return Ok(());
        };
        let draft = old.own_state(&self.by, "m.room.power_levels", levels);
        allowed(
            old.append(draft, None).await,
            "the old room stays open to writers",
        )
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
