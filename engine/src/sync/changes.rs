//! What changed for one user in (from, to]: from the notifier's memory, or from the log in the store.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use ruma::{OwnedUserId, UserId};
use storage::{
    EventRow, Logged, Position, RoomRow, account_data, events,
    members::{self, Membership},
    receipts,
    write::{NewEvent, NewMembership, Outcome},
};

use super::{
    Build, ROOMS_TOGETHER,
    account_data::Datum,
    ephemeral::{PRIVATE, Receipt},
    token::SyncToken,
};
use crate::{
    Result,
    events::{KnownEvent, Placed},
    read::access::is_join,
    rooms::RoomHandle,
};

/// What changed for one user.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) rooms: BTreeMap<RoomRow, RoomChange>,
    /// The user's own memberships that are new, the newest of each room.
    pub(super) memberships: Vec<OwnMembership>,
    /// Global account data.
    pub(super) account_data: Vec<Datum>,
}

/// What the user has become in a room.
#[derive(Clone, Debug)]
pub(super) struct OwnMembership {
    pub(super) room: RoomRow,
    pub(super) membership: Membership,
    /// The event that says so, and where it stands.
    pub(super) event: EventRow,
    pub(super) position: Position,
    /// Who sent it.
    pub(super) sender: String,
}

impl From<members::Member> for OwnMembership {
    fn from(member: members::Member) -> Self {
        Self {
            room: member.room,
            membership: member.membership,
            event: member.event,
            position: member.position,
            sender: member.sender,
        }
    }
}

/// What changed in one room.
#[derive(Default)]
pub(super) struct RoomChange {
    /// Accepted events, oldest first.
    pub(super) events: Vec<Placed>,
    /// Whether there are older ones after `from` that are not among `events`.
    pub(super) truncated: bool,
    /// Whether the state changed otherwise than by `events`: forks were resolved.
    pub(super) resettled: bool,
    /// Whether the user came in since `from`, so that the client knows nothing of the room.
    pub(super) entered: bool,
    /// Others who came in since `from`.
    pub(super) joiners: Vec<OwnedUserId>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) account_data: Vec<Datum>,
    pub(super) typing: bool,
}

impl Changes {
    /// Collects what changed after `from`. Reads no database as long as the memory reaches back to it.
    pub(super) async fn collect(
        build: &Build<'_>,
        from: SyncToken,
        joined: &BTreeSet<RoomRow>,
    ) -> Result<Self> {
        let relevant = |logged: &Logged| match logged {
            Logged::Event(new) => {
                let own = |member: &NewMembership| member.user_id == build.by.user_id;
                joined.contains(&new.room) || new.memberships().any(|(_, member)| own(member))
            }
            Logged::Receipt(new) => {
                joined.contains(&new.room)
                    && (new.kind != PRIVATE || new.user_id == build.by.user_id)
            }
            Logged::AccountData(new) => new.user_id == build.by.user_id,
            // Only sliding sync tells of them, and looks for them itself.
            Logged::ThreadSubscription(_) => false,
        };
        let notifier = &build.rooms.context.notifier;
        let mut changes = match notifier.recent(from.position, build.to.position, relevant) {
            Some(recent) => Self::from_memory(build, from.position, recent).await?,
            None => Self::from_store(build, from.position, joined).await?,
        };
        for room in build.rooms.context.typing.changed_since(from.ephemeral) {
            if joined.contains(&room) {
                changes.rooms.entry(room).or_default().typing = true;
            }
        }
        Ok(changes)
    }

    async fn from_memory(
        build: &Build<'_>,
        from: Position,
        recent: Vec<(Position, std::sync::Arc<Logged>)>,
    ) -> Result<Self> {
        let context = &build.rooms.context;
        let mut changes = Self::default();
        let mut memberships = BTreeMap::new();
        for (position, logged) in recent {
            match logged.as_ref() {
                Logged::Event(new) => {
                    let found = context.events.find_many(&context.metas, &[new.row]).await?;
                    // What has been deleted since is no news.
                    let Some(known) = found.into_iter().next() else {
                        continue;
                    };
                    let own = new
                        .memberships()
                        .filter(|(_, member)| member.user_id == build.by.user_id);
                    let change = changes.rooms.entry(new.room).or_default();
                    change.resettled |= new.resettled.is_some();
                    if let Some((event, own)) = own.last() {
                        change.entered |= own.membership == Membership::Join
                            && !was_joined_before(build, new, from).await?;
                        let own = OwnMembership {
                            room: new.room,
                            membership: own.membership,
                            event,
                            position,
                            sender: own.sender.to_string(),
                        };
                        memberships.insert(new.room, own);
                    }
                    if let Some(joiner) = joiner(build, &known).await? {
                        change.joiners.push(joiner);
                    }
                    if known.outcome == Outcome::Accepted {
                        change.events.push(Placed {
                            gap: new.gap,
                            ..Placed::news(position, known)
                        });
                    }
                }
                Logged::Receipt(new) => {
                    changes
                        .rooms
                        .entry(new.room)
                        .or_default()
                        .receipts
                        .push(Receipt::from(new));
                }
                Logged::AccountData(new) => match new.room {
                    Some(room) => changes
                        .rooms
                        .entry(room)
                        .or_default()
                        .account_data
                        .push(Datum::from(new)),
                    None => changes.account_data.push(Datum::from(new)),
                },
                Logged::ThreadSubscription(_) => {}
            }
        }
        changes.memberships = memberships.into_values().collect();
        Ok(changes)
    }

    async fn from_store(
        build: &Build<'_>,
        from: Position,
        joined: &BTreeSet<RoomRow>,
    ) -> Result<Self> {
        let context = &build.rooms.context;
        let db = context.store.reader();
        let to = build.to.position;
        let memberships = members::changed_of_user(db, &build.by.user_id, from, to).await?;
        let memberships = memberships.into_iter().map(OwnMembership::from).collect();
        let mut changes = Self {
            memberships,
            ..Self::default()
        };
        let joined_rows: Vec<RoomRow> = joined.iter().copied().collect();
        // By their rooms, and not by what came since: that may be all that this server has.
        let mut changed = events::latest_positions(db, &joined_rows).await?;
        changed.retain(|(_, last)| *last > from);
        for together in changed.chunks(ROOMS_TOGETHER) {
            let reading: Vec<_> = together
                .iter()
                .map(|(row, _)| stored_change(build, *row, from))
                .collect();
            let read = try_join_all(reading).await?;
            changes.rooms.extend(read.into_iter().flatten());
        }
        for member in &changes.memberships {
            if joined.contains(&member.room) {
                let room = build.rooms.by_row(member.room).await?;
                let entered = !was_joined_at(build, &room, from).await?;
                changes.rooms.entry(member.room).or_default().entered = entered;
            }
        }
        for new in receipts::since(db, &joined_rows, from, to).await? {
            let own = new.user_id == build.by.user_id.as_str();
            if own || new.kind != PRIVATE {
                changes
                    .rooms
                    .entry(new.room)
                    .or_default()
                    .receipts
                    .push(Receipt::from(&new));
            }
        }
        for new in account_data::since(db, &build.by.user_id, from, to).await? {
            match new.room() {
                Some(room) => changes
                    .rooms
                    .entry(room)
                    .or_default()
                    .account_data
                    .push(Datum::from(&new)),
                None => changes.account_data.push(Datum::from(&new)),
            }
        }
        Ok(changes)
    }
}

/// What came in a room after `from`; `None` if nothing did. No more is read than the client wants, since more is for the
/// room to read by itself.
async fn stored_change(
    build: &Build<'_>,
    row: RoomRow,
    from: Position,
) -> Result<Option<(RoomRow, RoomChange)>> {
    let context = &build.rooms.context;
    let before = Position(build.to.position.get() + 1);
    let page = build.timeline_page();
    let stored = events::page_back(context.store.reader(), row, from, before, page).await?;
    if stored.is_empty() {
        return Ok(None);
    }
    let truncated = stored.len() as u64 == page.get();
    let resettled = stored.iter().any(|event| event.resettled == Some(true));
    let mut placed = context.events.place(&context.metas, stored).await?;
    placed.reverse();
    let mut joiners = Vec::new();
    for placed in &placed {
        joiners.extend(joiner(build, &placed.known).await?);
    }
    let change = RoomChange {
        events: placed,
        truncated,
        resettled,
        joiners,
        ..RoomChange::default()
    };
    Ok(Some((row, change)))
}

/// Another user who comes in by an event: a join of somebody who was not joined before.
async fn joiner(build: &Build<'_>, known: &KnownEvent) -> Result<Option<OwnedUserId>> {
    if known.event.event_type() != "m.room.member" || !is_join(known) {
        return Ok(None);
    }
    let context = &build.rooms.context;
    if let Some(row) = known.replaces
        && is_join(&*context.events.get(&context.metas, row).await?)
    {
        return Ok(None);
    }
    let user = known
        .event
        .state_key()
        .and_then(|user| UserId::parse(user).ok());
    Ok(user.filter(|user| *user != build.by.user_id))
}

/// Whether the user was joined before `new`, which makes something of them. What it replaces tells, unless forks were
/// resolved with it.
async fn was_joined_before(build: &Build<'_>, new: &NewEvent, from: Position) -> Result<bool> {
    if new.resettled.is_some() {
        let room = build.rooms.by_row(new.room).await?;
        return was_joined_at(build, &room, from).await;
    }
    let context = &build.rooms.context;
    match new.replaces {
        Some(row) => Ok(is_join(&*context.events.get(&context.metas, row).await?)),
        None => Ok(false),
    }
}

/// Whether the user was joined at a position.
pub(super) async fn was_joined_at(
    build: &Build<'_>,
    room: &RoomHandle,
    at: Position,
) -> Result<bool> {
    let Some(key) = room
        .state_key("m.room.member", build.by.user_id.as_str())
        .await?
    else {
        return Ok(false);
    };
    let state = room.state_at(at).await?;
    let Some(row) = state.get(&key) else {
        return Ok(false);
    };
    let context = &build.rooms.context;
    Ok(is_join(&*context.events.get(&context.metas, *row).await?))
}
