//! What a client needs to name a room: `summary` of a joined room.

use ruma::{UInt, UserId, api::client::sync::sync_events::v3::RoomSummary};
use storage::members::Membership;

use super::Build;
use crate::{Result, rooms::RoomHandle};

impl Build<'_> {
    /// Counts of members and, where the room has no name of its own, the heroes: the first others by whom it can be named.
    pub(super) async fn summary(&self, room: &RoomHandle) -> Result<RoomSummary> {
        let roster = room.roster().await?;
        let mut summary = RoomSummary::new();
        summary.joined_member_count = UInt::new(roster.count(Membership::Join));
        summary.invited_member_count = UInt::new(roster.count(Membership::Invite));
        if !roster.is_named {
            let heroes = roster.heroes(&self.by.user_id);
            summary.heroes = heroes
                .filter_map(|hero| UserId::parse(&hero.user_id).ok())
                .collect();
        }
        Ok(summary)
    }
}
