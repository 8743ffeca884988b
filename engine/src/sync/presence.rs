//! Who is there: `presence`.

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId, UserId, api::client::filter::Filter, events::presence::PresenceEvent, serde::Raw,
};
use spec::{json::encode_object, object};
use storage::{
    Position, RoomRow,
    members::{self, Membership},
};

use super::{Build, changes::Changes, filter, token::SyncToken};
use crate::{
    Error, Result,
    presence::{Among, PresenceState, PresenceStatus, Shown},
    room::new_membership,
};

/// The type of all these events.
const TYPE: &str = "m.presence";

/// Whether a client looks for presence at all: only then it is woken for it.
pub(super) fn is_wanted(filter: &Filter) -> bool {
    let is_empty = filter.limit.is_some_and(|limit| u64::from(limit) == 0);
    !is_empty && filter::allows_type(filter.types.as_deref(), &filter.not_types, TYPE)
}

impl Build<'_> {
    /// Of a first sync: all who are there and share a room with the user.
    pub(super) async fn all_presence(
        &self,
        joined: &BTreeSet<RoomRow>,
    ) -> Result<Vec<Raw<PresenceEvent>>> {
        let presence = &self.rooms.context.presence;
        let there = presence.near(Among::Present, &self.by.user_id, joined);
        let users = there.await?.into_iter().map(|(user, _)| user).collect();
        self.presence_events(users, joined, BTreeSet::new()).await
    }

    /// Of a later sync: those whose presence has changed, and those who are there and whom the user meets anew, because one
    /// of them joined a room. `own`: the change that this sync has made by itself, which is no news.
    pub(super) async fn changed_presence(
        &self,
        since: SyncToken,
        joined: &BTreeSet<RoomRow>,
        changes: &Changes,
        own: Option<i64>,
    ) -> Result<Vec<Raw<PresenceEvent>>> {
        if !is_wanted(&self.ask.filter.presence) {
            return Ok(Vec::new());
        }
        let presence = &self.rooms.context.presence;
        let changed = Among::ChangedSince(since.ephemeral);
        let changed = presence.near(changed, &self.by.user_id, joined).await?;
        let mut users: BTreeSet<OwnedUserId> = changed
            .into_iter()
            .filter(|(user, number)| Some(*number) != own || *user != self.by.user_id)
            .map(|(user, _)| user)
            .collect();
        let is_there = |user: &OwnedUserId| {
            presence
                .shown(user)
                .is_some_and(|shown| shown.state != PresenceState::Offline)
        };
        for change in changes.rooms.values() {
            for user in &change.joiners {
                if is_there(user) {
                    users.insert(user.clone());
                }
            }
        }
        users.extend(self.long_joined(since.position, changes).await?);
        let entered: BTreeSet<RoomRow> = changes
            .rooms
            .iter()
            .filter(|(_, change)| change.entered)
            .map(|(room, _)| *room)
            .collect();
        if !entered.is_empty() {
            let met = presence.near(Among::Present, &self.by.user_id, &entered);
            let met = met.await?.into_iter().map(|(user, _)| user);
            users.extend(met.filter(|user| *user != self.by.user_id));
        }
        let mut departures = departures(changes);
        departures.retain(|(_, user)| {
            *user != self.by.user_id && presence.last_change(user) > since.ephemeral
        });
        if !departures.is_empty() {
            // There nobody was seen.
            let quiet = presence.quiet_rooms().await?;
            departures.retain(|(room, _)| !quiet.contains(room));
        }
        let gone = departures.into_iter().map(|(_, user)| user).collect();
        self.presence_events(users, joined, gone).await
    }

    /// Those who are there and came in where so much has happened that the changes do not have all of it. One query for 256 of
    /// all who are there, if there is such a room.
    async fn long_joined(
        &self,
        since: Position,
        changes: &Changes,
    ) -> Result<BTreeSet<OwnedUserId>> {
        let is_truncated = |row: &RoomRow| {
            let change = changes.rooms.get(row);
            change.is_some_and(|change| change.truncated)
        };
        if !changes.rooms.keys().any(is_truncated) {
            return Ok(BTreeSet::new());
        }
        let context = &self.rooms.context;
        let there = context.presence.present();
        let there: Vec<&UserId> = there.iter().map(AsRef::as_ref).collect();
        let (db, to) = (context.store.reader(), self.to.position);
        let joined = members::joined_since(db, &there, since, to).await?;
        let joined = joined.into_iter().filter(|(_, row)| is_truncated(row));
        Ok(joined
            .filter_map(|(user, _)| UserId::parse(user).ok())
            .filter(|user| *user != self.by.user_id)
            .collect())
    }

    /// `gone`: users of whom is told that they are not there any more, though no room is shared with them now.
    async fn presence_events(
        &self,
        users: BTreeSet<OwnedUserId>,
        joined: &BTreeSet<RoomRow>,
        gone: BTreeSet<OwnedUserId>,
    ) -> Result<Vec<Raw<PresenceEvent>>> {
        let wanted = &self.ask.filter.presence;
        if users.is_empty() && gone.is_empty() || !is_wanted(wanted) {
            return Ok(Vec::new());
        }
        let context = &self.rooms.context;
        let is_offline = |user: &OwnedUserId| {
            let shown = context.presence.shown(user).unwrap_or_default();
            shown.state == PresenceState::Offline
        };
        let sharing = context
            .presence
            .sharing(&self.by.user_id, users, joined)
            .await?;
        let sharing: BTreeSet<OwnedUserId> = sharing.into_iter().collect();
        let mut users = sharing.clone();
        users.extend(gone.into_iter().filter(is_offline));
        let by_sender = |user: &OwnedUserId| {
            !wanted.not_senders.contains(user)
                && wanted
                    .senders
                    .as_ref()
                    .is_none_or(|senders| senders.contains(user))
        };
        let now_ms = context.clock.now_ms();
        let mut events = Vec::new();
        for user in users.into_iter().filter(by_sender) {
            if let Some(mut shown) = context.presence.shown(&user) {
                if !sharing.contains(&user) {
                    // What they have said since they left is not for this user.
                    shown = Shown::default();
                }
                let names = shown.names.clone();
                let mut content = PresenceStatus::new(shown, now_ms).content();
                // Client-server API, "Events on Change of Profile Information".
                for (key, value) in names.iter().flat_map(|names| names.fields()) {
                    content.insert(key.to_owned(), value.into());
                }
                let event =
                    object! { "type" => TYPE, "sender" => user.as_str(), "content" => content };
                let json = serde_json::from_str::<Box<serde_json::value::RawValue>>(
                    &encode_object(&event),
                );
                let json = json.map_err(|error| Error::Internal(format!("presence: {error}")))?;
                events.push(Raw::from_json(json));
            }
        }
        Ok(events)
    }
}

/// Those who left by these changes, each with the room.
fn departures(changes: &Changes) -> Vec<(RoomRow, OwnedUserId)> {
    let rooms = changes.rooms.iter();
    let events =
        rooms.flat_map(|(room, change)| change.events.iter().map(|placed| (*room, placed)));
    events
        .filter_map(|(room, placed)| Some((room, new_membership(&placed.event)?)))
        .filter(|(_, member)| matches!(member.membership, Membership::Leave | Membership::Ban))
        .map(|(room, member)| (room, member.user_id))
        .collect()
}
