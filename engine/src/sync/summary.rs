//! What a client needs to name a room: `summary` of a joined room.

use ruma::{UInt, UserId, api::client::sync::sync_events::v3::RoomSummary};
use storage::{
    Limit,
    members::{self, Membership},
};

use super::Build;
use crate::{Result, rooms::RoomHandle};

/// How many heroes a room has at most: client-server API, "m.heroes".
const HEROES_MAX: u64 = 5;

impl Build<'_> {
    /// Counts of members, and the heroes: the first others by whom the room can be named.
    pub(super) async fn summary(&self, room: &RoomHandle) -> Result<RoomSummary> {
        let db = room.context.store.reader();
        let row = room.meta.row;
        let mut summary = RoomSummary::new();
        summary.joined_member_count = UInt::new(members::count(db, row, Membership::Join).await?);
        summary.invited_member_count =
            UInt::new(members::count(db, row, Membership::Invite).await?);
        let present = [Membership::Join, Membership::Invite];
        let absent = [Membership::Leave, Membership::Ban];
        let own = &self.by.user_id;
        let mut heroes = members::others(db, row, own, &present, Limit::new(HEROES_MAX)).await?;
        if heroes.is_empty() {
            heroes = members::others(db, row, own, &absent, Limit::new(HEROES_MAX)).await?;
        }
        summary.heroes = heroes
            .into_iter()
            .filter_map(|hero| UserId::parse(hero).ok())
            .collect();
        Ok(summary)
    }
}
