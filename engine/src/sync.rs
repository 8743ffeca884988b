//! Sync: what changed for a user. Client-server API, "Syncing".
//!
//! One function answers every way of waiting: what a user must learn of (from, to]. It starts from what changed, in the
//! notifier's memory or else in the log of the store, and builds only the rooms concerned.

mod account_data;
mod changes;
mod ephemeral;
mod fields;
pub(crate) mod filter;
mod invited;
mod joined;
pub(crate) mod lazy;
mod left;
mod presence;
pub(crate) mod roster;
pub mod sliding;
mod state;
mod summary;
pub(crate) mod token;
mod unread;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use ruma::{
    OwnedRoomId, UserId,
    api::client::{
        filter::{EventFormat, FilterDefinition},
        sync::sync_events::v3::{JoinedRoom, Response},
    },
};
use storage::{
    Position, RoomRow,
    members::{self, Membership},
};
use tokio::time::Instant;

pub(crate) use self::invited::PREVIEW;
use self::{
    account_data::Extra,
    changes::{Changes, OwnMembership, RoomChange},
    token::SyncToken,
};
use crate::{
    Error, PresenceState, RelationFilter, Requester, Result,
    notifier::{Follower, Glance},
    render::Shape,
    rooms::Rooms,
};

/// The longest time that a sync waits.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// How many events a timeline may have.
const TIMELINE_MAX: usize = 100;

/// How many rooms of one answer are built side by side: as many as there are connections to read with, since
/// each mostly waits for its queries.
const ROOMS_TOGETHER: usize = 4;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct SyncAsk {
    /// Where the client is; `None` for everything.
    pub since: Option<String>,
    /// What it wants to see; the same for many, so that it is kept once.
    pub filter: Arc<FilterDefinition>,
    /// Which events of timelines by their relations.
    pub relations: RelationFilter,
    /// Whether to send the whole state of all rooms, changed or not.
    pub full_state: bool,
    /// Whether to send the state after the timeline instead of that before it.
    pub use_state_after: bool,
    /// How long to wait for news; at most two minutes.
    pub timeout: Duration,
    /// What the user is while the client syncs; [`PresenceState::Offline`] leaves it as it is.
    pub presence: PresenceState,
}

/// What all parts of one response are built from.
struct Build<'a> {
    rooms: &'a Rooms,
    by: &'a Requester,
    ask: &'a SyncAsk,
    /// Where the client is; `None` for an initial sync.
    from: Option<SyncToken>,
    to: SyncToken,
    /// The change of presence that this sync has made.
    own_presence: Option<i64>,
    /// How many events a timeline may have.
    timeline_max: usize,
}

/// Answers what changed since the token, waiting for it if need be. Dropping the future ends the wait.
///
/// # Errors
/// [`crate::Error::InvalidParam`]: the token is not one of this server's.
pub(crate) async fn sync(rooms: &Rooms, by: &Requester, ask: &SyncAsk) -> Result<Response> {
    let from = ask
        .since
        .as_deref()
        .map(str::parse::<SyncToken>)
        .transpose()?;
    let deadline = Instant::now() + ask.timeout.min(TIMEOUT_MAX);
    let presence = &rooms.context.presence;
    let looks = presence.settings.enabled && presence::is_wanted(&ask.filter.presence);
    // What is awaited below is on the heap for its time: what thousands of clients keep while they wait has to be small.
    let follower = Box::pin(rooms.context.notifier.follow(&by.user_id, looks));
    let mut follower = follower.await?;
    // Until this returns, the user is there.
    let syncing = presence.begin(&by.user_id, by.device(), ask.presence);
    let own_presence = syncing.as_ref().and_then(|syncing| syncing.change);
    let mut has_begun = false;
    loop {
        // The counter first: what changes between the two lines is seen now and, harmlessly, once more.
        let ephemeral = rooms.context.ephemeral.last();
        let Glance { position, joined } = Box::pin(rooms.glance(&follower)).await?;
        let to = SyncToken {
            position,
            ephemeral,
        };
        // A token from the future is from before a backup was put back: the client has all that there is.
        let from = from.map(|from| SyncToken {
            position: from.position.min(position),
            ..from
        });
        // The counts below are those of this position or a later one.
        Box::pin(rooms.context.scored(position)).await?;
        let build = Build {
            rooms,
            by,
            ask,
            from,
            to,
            own_presence,
            timeline_max: TIMELINE_MAX,
        };
        if !std::mem::replace(&mut has_begun, true) {
            build.begin_lazily();
        }
        let building = async move {
            let response = match from {
                Some(from) => build.incremental(from, &joined).await?,
                None => build.initial(&joined).await?,
            };
            let ends = from.is_none() || ask.full_state || Instant::now() >= deadline;
            Ok::<_, Error>((ends || has_news(&response)).then(|| Box::new(response)))
        };
        if let Some(mut response) = Box::pin(building).await? {
            if let Some(fields) = &ask.filter.event_fields {
                fields::trim(&mut response, fields);
            }
            return Ok(*response);
        }
        tokio::select! {
            () = follower.rung() => {}
            // Where there is no news, there is nothing but the place to go on from.
            () = tokio::time::sleep_until(deadline) => return Ok(Response::new(to.to_string())),
        }
    }
}

impl Rooms {
    /// What a user sees now, but for rooms of versions that this server does not know.
    async fn glance(&self, follower: &Follower) -> Result<Glance> {
        let unreadable = self.context.metas.unreadable().await?;
        let mut glance = self.context.notifier.glance(follower);
        for row in unreadable {
            if glance.joined.contains(row) {
                Arc::make_mut(&mut glance.joined).remove(row);
            }
        }
        Ok(glance)
    }
}

fn has_news(response: &Response) -> bool {
    !(response.rooms.is_empty()
        && response.presence.is_empty()
        && response.account_data.is_empty()
        && response.to_device.is_empty()
        && response.device_lists.is_empty())
}

impl Build<'_> {
    /// Everything: all joined rooms, invites and knocks, and the left rooms if the filter wants them.
    async fn initial(&self, joined: &BTreeSet<RoomRow>) -> Result<Response> {
        let mut response = Response::new(self.to.to_string());
        let rows: Vec<RoomRow> = joined.iter().copied().collect();
        let extras = self.all_extras(&rows).await?;
        let mut rooms = rows.into_iter().zip(extras);
        loop {
            let together = rooms.by_ref().take(ROOMS_TOGETHER);
            let building: Vec<_> = together
                .map(|(row, extra)| self.joined_room(row, extra))
                .collect();
            if building.is_empty() {
                break;
            }
            let built = try_join_all(building).await?;
            response.rooms.join.extend(built.into_iter().flatten());
        }
        let others = [
            Membership::Invite,
            Membership::Knock,
            Membership::Leave,
            Membership::Ban,
        ];
        let db = self.rooms.context.store.reader();
        for member in members::of_user(db, &self.by.user_id, &others).await? {
            if member.position > self.to.position {
                continue;
            }
            self.not_joined(
                &mut response,
                &member.into(),
                self.ask.filter.room.include_leave,
            )
            .await?;
        }
        response.account_data.events = self.global_account_data(None).await?;
        response.presence.events = self.all_presence(joined).await?;
        Ok(response)
    }

    /// A joined room of an initial sync; `None` where the filter does not want it.
    async fn joined_room(
        &self,
        row: RoomRow,
        extra: Extra,
    ) -> Result<Option<(OwnedRoomId, JoinedRoom)>> {
        let room = self.rooms.by_row(row).await?;
        if !filter::allows_room(&self.ask.filter.room, &room.meta.id) {
            return Ok(None);
        }
        let built = self.entered_room(&room, extra).await?;
        Ok(Some((room.meta.id.clone(), built)))
    }

    /// What changed after `from`.
    async fn incremental(&self, from: SyncToken, joined: &BTreeSet<RoomRow>) -> Result<Response> {
        let mut response = Response::new(self.to.to_string());
        let mut changes = Changes::collect(self, from, joined).await?;
        if self.ask.full_state {
            for row in joined {
                changes.rooms.entry(*row).or_default();
            }
        }
        response.presence.events = self
            .changed_presence(from, joined, &changes, self.own_presence)
            .await?;
        changes.rooms.retain(|row, _| joined.contains(row));
        let mut rooms = changes.rooms.into_iter();
        loop {
            let together = rooms.by_ref().take(ROOMS_TOGETHER);
            let building: Vec<_> = together
                .map(|(row, change)| self.room_since(row, from.position, change))
                .collect();
            if building.is_empty() {
                break;
            }
            let built = try_join_all(building).await?;
            response.rooms.join.extend(built.into_iter().flatten());
        }
        for member in changes.memberships {
            if !joined.contains(&member.room) {
                self.not_joined(&mut response, &member, true).await?;
            }
        }
        response.account_data.events = self.global_account_data(Some(changes.account_data)).await?;
        Ok(response)
    }

    /// A joined room of a later sync; `None` where the client knows all of it, or the filter does not want it.
    async fn room_since(
        &self,
        row: RoomRow,
        from: Position,
        change: RoomChange,
    ) -> Result<Option<(OwnedRoomId, JoinedRoom)>> {
        let room = self.rooms.by_row(row).await?;
        if !filter::allows_room(&self.ask.filter.room, &room.meta.id) {
            return Ok(None);
        }
        let entered = change.entered;
        let built = if entered {
            let extra = self.all_extras(&[row]).await?.remove(0);
            self.entered_room(&room, extra).await?
        } else {
            let counted = self.counts_changed(&change);
            let mut built = self.changed_room(&room, from, change).await?;
            if counted || !built.is_empty() {
                self.count(&mut built, row).await?;
            }
            built
        };
        let is_told = entered || self.ask.full_state || !built.is_empty();
        Ok(is_told.then(|| (room.meta.id.clone(), built)))
    }

    /// Puts a room into the section that the user's membership says.
    async fn not_joined(
        &self,
        response: &mut Response,
        member: &OwnMembership,
        leave: bool,
    ) -> Result<()> {
        let unreadable = self.rooms.context.metas.unreadable().await?;
        if unreadable.contains(&member.room) {
            return Ok(());
        }
        let room = self.rooms.by_row(member.room).await?;
        if !filter::allows_room(&self.ask.filter.room, &room.meta.id) {
            return Ok(());
        }
        let id = room.meta.id.clone();
        match member.membership {
            Membership::Invite if !self.shows_invite(member).await? => {}
            Membership::Invite => {
                response
                    .rooms
                    .invite
                    .insert(id, self.invited_room(&room, member).await?);
            }
            Membership::Knock => {
                response
                    .rooms
                    .knock
                    .insert(id, self.knocked_room(&room, member).await?);
            }
            Membership::Leave | Membership::Ban if leave => {
                if let Some(left) = self.left_room(&room, member).await? {
                    response.rooms.leave.insert(id, left);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether an invite is shown: neither is its sender ignored, nor are such invites unwanted.
    async fn shows_invite(&self, member: &OwnMembership) -> Result<bool> {
        Ok(!self.ignores(&member.sender).await? && self.wants_invite(member).await?)
    }

    /// Whether the user wants to see an invite: client-server API, "Invite permission".
    async fn wants_invite(&self, member: &OwnMembership) -> Result<bool> {
        let context = &self.rooms.context;
        match UserId::parse(&member.sender) {
            Ok(sender) => context.wants_invite(&self.by.user_id, &sender).await,
            Err(_) => Ok(false),
        }
    }

    /// Whether the user ignores `sender`.
    async fn ignores(&self, sender: &str) -> Result<bool> {
        let ignored = self.rooms.context.ignores.of(&self.by.user_id).await?;
        Ok(<&UserId>::try_from(sender).is_ok_and(|sender| ignored.contains(sender)))
    }

    /// The form in which the client wants events.
    fn shape(&self) -> Shape {
        match self.ask.filter.event_format {
            EventFormat::Federation => Shape::Federation,
            _ => Shape::InSync,
        }
    }

    /// The position after which events are news to the client.
    fn since(&self) -> Position {
        self.from.map_or(Position::MIN, |from| from.position)
    }
}
