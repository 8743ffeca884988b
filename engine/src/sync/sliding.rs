//! Sliding sync: windows over the rooms of a user instead of all of them. MSC4186.
//!
//! What changed is found as in ordinary sync. What is special is the memory of what each client has been sent
//! ([`connection`]), and the order of the user's rooms ([`listing`]).

mod answer;
mod ask;
mod connection;
mod extensions;
mod listing;
mod past;
mod required;
mod room;
mod windows;

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use futures_util::future::try_join_all;
use ruma::OwnedRoomId;
use storage::{Position, RoomRow};
use tokio::time::Instant;

pub use self::{
    answer::{AccountDataAnswer, ExtensionsAnswer, Hero, ListAnswer, RoomAnswer, SlidingAnswer},
    ask::{
        ExtensionsAsk, ListAsk, ListFilters, RequiredState, RoomConfig, Scope, SlidingAsk,
        StateElement,
    },
};
pub(crate) use self::{
    connection::{Connections, Pos},
    listing::Listings,
};
use self::{
    connection::{Opened, Sent, Shown},
    listing::Listing,
    windows::{Wanted, Windows},
};
use super::{
    Build, ROOMS_TOGETHER, SyncAsk, TIMEOUT_MAX,
    changes::{Changes, RoomChange},
    token::SyncToken,
};
use crate::{Error, Requester, Result, notifier::Glance, rooms::Rooms};

/// How many events of a room an answer may have.
pub const TIMELINE_MAX: usize = 1_000;

/// How many events the timelines of an answer may have together: some 10 MiB as events mostly are. Where that is less than was
/// asked for, each room gets the same, at least one, and pages back from there.
const EVENTS_MAX: usize = 10_000;

/// How many changes of the whole server a client without news may be behind.
const BEHIND_MAX: i64 = 4_096;

/// How long a request waits that another one has taken the place of, so that two clients that use one connection by mistake
/// do not drive each other round and round.
const SUPERSEDED_PAUSE: Duration = Duration::from_secs(1);

/// What of an ordinary sync bears on the parts that are built alike: nothing. Once for all who wait, since it is large.
static PLAIN: LazyLock<SyncAsk> = LazyLock::new(SyncAsk::default);

/// One look for what is new on a connection.
struct Slide<'a> {
    build: Build<'a>,
    ask: &'a SlidingAsk,
    opened: &'a Opened,
}

/// Answers what changed on a connection, waiting for it if need be. Dropping the future ends the wait, and so does a later
/// request on the connection: nothing has happened then, and the client is where it was.
///
/// # Errors
/// [`crate::Error::UnknownPos`]: the client has to begin anew.
pub(crate) async fn slide(
    rooms: &Rooms,
    by: &Requester,
    ask: &SlidingAsk,
) -> Result<SlidingAnswer> {
    let context = &rooms.context;
    let connections = &context.connections;
    // What is awaited is on the heap for its time: what thousands of clients keep while they wait has to be small.
    let opened = Box::pin(connections.open(by, &ask.conn_id, ask.pos.as_deref()));
    let opened = opened.await?;
    let deadline = Instant::now() + ask.timeout.min(TIMEOUT_MAX);
    let mut follower = Box::pin(context.notifier.follow(&by.user_id, false)).await?;
    // Until this returns, the user is there.
    let _syncing = context
        .presence
        .begin(&by.user_id, by.device(), ask.presence);
    loop {
        // The counter first: what changes between the two lines is seen now and, harmlessly, once more.
        let ephemeral = context.ephemeral.last();
        let glance = Box::pin(rooms.glance(&follower)).await?;
        let to = SyncToken {
            position: glance.position,
            ephemeral,
        };
        // A token from the future is from before a backup was put back: the client has all that there is.
        let from = opened.from.map(|from| SyncToken {
            position: from.position.min(glance.position),
            ..from
        });
        // The counts below are those of this position or a later one.
        Box::pin(context.scored(glance.position)).await?;
        let build = Build {
            rooms,
            by,
            ask: &PLAIN,
            from,
            to,
            own_presence: None,
            timeline_max: TIMELINE_MAX,
        };
        let slide = Slide {
            build,
            ask,
            opened: &opened,
        };
        let (answer, sent) = Box::pin(slide.look(glance)).await?;
        if from.is_none() || answer.has_news() || Instant::now() >= deadline {
            // Without news nothing is noted either, so that the client is not two answers behind when it loses one; unless
            // it would stay so far behind that what changed since has to be looked up in the store.
            let is_near =
                from.is_some_and(|from| to.position.get() - from.position.get() < BEHIND_MAX);
            if !answer.has_news()
                && is_near
                && !sent.ptr_eq(&opened.sent)
                && let Some(pos) = opened.pos()
            {
                return Ok(SlidingAnswer { pos, ..*answer });
            }
            let issued = Box::pin(connections.issue(&opened, sent, to));
            let Some(pos) = issued.await? else {
                return superseded(&opened).await;
            };
            return Ok(SlidingAnswer { pos, ..*answer });
        }
        drop((answer, sent));
        tokio::select! {
            () = follower.rung() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = opened.superseded() => return superseded(&opened).await,
        }
    }
}

/// The answer to a request after which another one has come on its connection. Mostly nobody hears it.
async fn superseded(opened: &Opened) -> Result<SlidingAnswer> {
    tokio::time::sleep(SUPERSEDED_PAUSE).await;
    Ok(SlidingAnswer {
        pos: opened.pos().ok_or(Error::UnknownPos)?,
        ..SlidingAnswer::default()
    })
}

impl Slide<'_> {
    /// What is new now, and what the client has with it.
    async fn look(mut self, glance: Glance) -> Result<(Box<SlidingAnswer>, Sent)> {
        let listings = &self.build.rooms.context.listings;
        let listing = listings.of(&self.build, &glance).await?;
        let mut sent = self.opened.sent.clone();
        let listing = self.with_lost(listing, &mut sent).await?;
        let windows = self.windows(&listing).await?;
        let changes = match self.build.from {
            Some(from) => Changes::collect(&self.build, from, &glance.joined).await?,
            None => Changes::default(),
        };
        self.fall_behind(&mut sent, &windows, &changes);
        let telling = windows.rooms.iter();
        let telling =
            telling.filter(|(row, wanted)| self.may_have_timeline(**row, wanted, &changes));
        self.build.timeline_max = timeline_max(telling.count());
        let rooms = self.rooms(&listing, &windows, &changes, &mut sent).await?;
        let extensions = self.extensions(&listing, &windows, &changes, &rooms);
        let answer = SlidingAnswer {
            extensions: extensions.await?,
            lists: windows.lists,
            rooms,
            pos: String::new(),
        };
        Ok((Box::new(answer), sent))
    }

    /// Whether a wanted room may have a timeline in this answer.
    fn may_have_timeline(&self, row: RoomRow, wanted: &Wanted, changes: &Changes) -> bool {
        let known = self.opened.sent.get(&row);
        known.is_none_or(|known| {
            known.upto.is_some() || wanted.config.timeline_limit > known.config.timeline_limit
        }) || changes.rooms.contains_key(&row)
            || changes.memberships.iter().any(|own| own.room == row)
    }

    /// Notes of the rooms that nobody wants now, but that have news, up to where the client has them.
    fn fall_behind(&self, sent: &mut Sent, windows: &Windows, changes: &Changes) {
        let changed = changes.rooms.keys().copied();
        let own = changes.memberships.iter().map(|own| own.room);
        let since = self.build.since();
        for row in changed.chain(own) {
            if windows.rooms.contains_key(&row) {
                continue;
            }
            if let Some(known) = sent.get(&row).filter(|known| known.upto.is_none()) {
                let mut known = known.clone();
                known.upto = Some(since);
                sent.insert(row, known);
            }
        }
    }

    /// The rooms that are wanted and have news, some of them side by side.
    async fn rooms(
        &self,
        listing: &Listing,
        windows: &Windows,
        changes: &Changes,
        sent: &mut Sent,
    ) -> Result<BTreeMap<OwnedRoomId, RoomAnswer>> {
        let is_fresh =
            |row: &RoomRow| !sent.contains_key(row) && listing.rooms[row].shown == Shown::Joined;
        let fresh: Vec<RoomRow> = windows.rooms.keys().copied().filter(is_fresh).collect();
        // Together, so that each room below finds its counts in memory.
        let context = &self.build.rooms.context;
        context.unread(&self.build.by.user_id, &fresh).await?;
        let mut answers = BTreeMap::new();
        let mut wanted = windows.rooms.iter();
        loop {
            let together = wanted.by_ref().take(ROOMS_TOGETHER);
            let building: Vec<_> = together
                .map(|(row, wanted)| self.wanted(*row, wanted, listing, changes.rooms.get(row)))
                .collect();
            if building.is_empty() {
                return Ok(answers);
            }
            for (row, told) in try_join_all(building).await?.into_iter().flatten() {
                if sent.get(&row) != Some(&told.sent) {
                    sent.insert(row, told.sent);
                }
                if let Some(answer) = told.answer {
                    answers.insert(listing.rooms[&row].id.clone(), answer);
                }
            }
        }
    }

    /// A room that is wanted; `None` if it has been deleted a moment ago.
    async fn wanted(
        &self,
        row: RoomRow,
        wanted: &Wanted,
        listing: &Listing,
        change: Option<&RoomChange>,
    ) -> Result<Option<(RoomRow, room::Told)>> {
        let listed = &listing.rooms[&row];
        let room = match self.build.rooms.by_id(&listed.id).await {
            Ok(room) if room.meta.row == row => room,
            Ok(_) | Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_dm = listing.is_dm(&listed.id);
        let told = self.room(&room, listed, wanted, change, is_dm).await?;
        Ok(Some((row, told)))
    }
}

/// How many events each of so many rooms may have.
fn timeline_max(rooms: usize) -> usize {
    let share = EVENTS_MAX.checked_div(rooms).unwrap_or(EVENTS_MAX);
    share.clamp(1, TIMELINE_MAX)
}

/// The position in a token of sliding sync, which pages through messages as well.
pub(super) fn position_of(token: &str) -> Option<Position> {
    let pos: Pos = token.parse().ok()?;
    Some(pos.token.position)
}
