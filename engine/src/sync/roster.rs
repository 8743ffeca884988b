//! Who is in a room, as far as its name needs it: counts of the members, and the first of them.
//!
//! Reading that costs as much as the room has members, and whoever looks at a room needs it whenever one of them changes. So
//! it is read once for all of them, and kept until then.

use std::{collections::HashMap, sync::Arc};

use quick_cache::sync::Cache;
use ruma::UserId;
use storage::{
    Limit, Listener, Logged, Position, RoomRow,
    members::{self, Member, Membership},
    summaries,
    write::NewEvent,
};
use tokio::sync::OnceCell;

use crate::{Result, rooms::RoomHandle};

/// How many heroes a room has at most: client-server API, "m.heroes".
pub(super) const HEROES_MAX: usize = 5;

/// How many rooms are remembered; some kilobytes each.
const ROOMS_MAX: usize = 2_000;

/// In what events the name of a room stands, and what empties these and the names of members.
const NAMING: [&str; 3] = ["m.room.name", "m.room.canonical_alias", "m.room.redaction"];

/// Who is in a room now.
pub(crate) struct Roster {
    counts: HashMap<Membership, u64>,
    /// The first of those by whom the room can be named: those present or, without any others, those who were. One more
    /// than are shown, since nobody is shown to themselves.
    first: Vec<Member>,
    /// Whether the room has a name or a main alias, so that it needs no heroes.
    pub(super) is_named: bool,
}

impl Roster {
    /// How many are `which`.
    pub(super) fn count(&self, which: Membership) -> u64 {
        self.counts.get(&which).copied().unwrap_or_default()
    }

    /// The first others than `user` by whom the room can be named.
    pub(super) fn heroes(&self, user: &UserId) -> impl Iterator<Item = &Member> {
        let others = self
            .first
            .iter()
            .filter(move |member| member.user_id != user.as_str());
        others.take(HEROES_MAX)
    }
}

/// The rosters of rooms that were looked at lately.
pub(crate) struct Rosters(Cache<RoomRow, Arc<OnceCell<Arc<Roster>>>>);

impl Rosters {
    pub(crate) fn new() -> Self {
        Self(Cache::new(ROOMS_MAX))
    }
}

impl Listener for Rosters {
    /// To be told before those who wake others: who begins to read after that finds what was committed.
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, change) in changes {
            if let Logged::Event(new) = &**change
                && changes_roster(new)
            {
                self.0.remove(&new.room);
            }
        }
    }
}

fn changes_roster(new: &NewEvent) -> bool {
    new.resettled.is_some()
        || new.memberships().next().is_some()
        || NAMING.contains(&new.event.event_type())
}

impl RoomHandle {
    /// Who is in the room now. No query while nobody comes or goes.
    pub(super) async fn roster(&self) -> Result<Arc<Roster>> {
        let rosters = &self.context.rosters.0;
        let cell =
            rosters.get_or_insert_with(&self.meta.row, || Ok::<_, crate::Error>(Arc::default()));
        let cell = cell?;
        let roster = cell.get_or_try_init(|| self.read_roster()).await?;
        Ok(Arc::clone(roster))
    }

    async fn read_roster(&self) -> Result<Arc<Roster>> {
        let (db, row) = (self.context.store.reader(), self.meta.row);
        let counts = members::counts(db, row).await?;
        let summary = summaries::one(db, row).await?;
        let is_given = |text: Option<String>| text.is_some_and(|text| !text.is_empty());
        let is_named =
            summary.is_some_and(|shown| is_given(shown.name) || is_given(shown.canonical_alias));
        let count = |which: &[Membership]| -> u64 {
            which.iter().filter_map(|which| counts.get(which)).sum()
        };
        let present = [Membership::Join, Membership::Invite];
        let absent = [Membership::Leave, Membership::Ban];
        // Whoever asks is one of those present.
        let first = if count(&present) > 1 {
            members::first(db, row, &present, Limit::from(HEROES_MAX + 1)).await?
        } else if count(&absent) > 0 {
            members::first(db, row, &absent, Limit::from(HEROES_MAX + 1)).await?
        } else {
            Vec::new()
        };
        Ok(Arc::new(Roster {
            counts,
            first,
            is_named,
        }))
    }
}
