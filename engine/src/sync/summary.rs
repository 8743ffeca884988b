//! What a client needs to name a room: `summary` of a joined room.

use std::collections::HashMap;

use ruma::{UInt, UserId, api::client::sync::sync_events::v3::RoomSummary};
use storage::{
    Limit,
    members::{self, Member, Membership},
};

use super::Build;
use crate::{Result, rooms::RoomHandle};

/// How many heroes a room has at most: client-server API, "m.heroes".
pub(super) const HEROES_MAX: usize = 5;

impl Build<'_> {
    /// Counts of members, and the heroes: the first others by whom the room can be named.
    pub(super) async fn summary(&self, room: &RoomHandle) -> Result<RoomSummary> {
        let db = room.context.store.reader();
        let row = room.meta.row;
        let mut summary = RoomSummary::new();
        let counts = members::counts(db, row).await?;
        let count = |which: &[Membership]| -> u64 {
            which.iter().filter_map(|which| counts.get(which)).sum()
        };
        summary.joined_member_count = UInt::new(count(&[Membership::Join]));
        summary.invited_member_count = UInt::new(count(&[Membership::Invite]));
        let heroes = self.heroes(room, &counts).await?;
        summary.heroes = heroes
            .into_iter()
            .filter_map(|hero| UserId::parse(hero.user_id).ok())
            .collect();
        Ok(summary)
    }

    /// The first others by whom a room with these counts of members can be named: those present or, without any, those
    /// who were.
    pub(super) async fn heroes(
        &self,
        room: &RoomHandle,
        counts: &HashMap<Membership, u64>,
    ) -> Result<Vec<Member>> {
        let (db, row) = (room.context.store.reader(), room.meta.row);
        let count = |which: &[Membership]| -> u64 {
            which.iter().filter_map(|which| counts.get(which)).sum()
        };
        let present = [Membership::Join, Membership::Invite];
        let absent = [Membership::Leave, Membership::Ban];
        let own = &self.by.user_id;
        let most = Limit::from(HEROES_MAX);
        // The user is one of those present. Each query that is not made counts: a user has many rooms.
        if count(&present) > 1 {
            Ok(members::others(db, row, own, &present, most).await?)
        } else if count(&absent) > 0 {
            Ok(members::others(db, row, own, &absent, most).await?)
        } else {
            Ok(Vec::new())
        }
    }
}
