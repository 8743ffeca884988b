//! Who looks at rooms, and which they may see: client-server API, "Spaces" ("`/hierarchy`") and room summaries.

use std::collections::{HashMap, HashSet};

use ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId,
    room::{JoinRuleSummary, RoomSummary},
};
use storage::{
    RoomRow,
    members::{self, Membership},
};

use crate::{Result, context::Context};

/// Who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// A user of this server.
    User(OwnedUserId),
    /// Another server, for any of its users.
    Server(OwnedServerName),
    /// Somebody without an account.
    Nobody,
}

impl Viewer {
    /// Of these rooms, those that the viewer is joined to or invited to, and those joined to. One query for 256 rooms.
    pub(super) async fn own(
        &self,
        context: &Context,
        rooms: &[RoomRow],
    ) -> Result<HashMap<RoomRow, Membership>> {
        let db = context.store.reader();
        let found = match self {
            Self::User(user) => members::of_user_in(db, user, rooms).await?,
            Self::Server(server) => members::of_server_in(db, server, rooms).await?,
            Self::Nobody => Vec::new(),
        };
        let mut own = HashMap::new();
        for (room, membership) in found {
            let best = own.entry(room).or_insert(membership);
            if membership == Membership::Join {
                *best = membership;
            }
        }
        Ok(own)
    }

    /// Of these rooms, those that the viewer is in.
    pub(super) async fn joined(
        &self,
        context: &Context,
        rooms: &[OwnedRoomId],
    ) -> Result<HashSet<OwnedRoomId>> {
        if rooms.is_empty() {
            return Ok(HashSet::new());
        }
        let metas = context.metas.by_ids(rooms).await?;
        let rows: Vec<RoomRow> = metas.iter().map(|meta| meta.row).collect();
        let own = self.own(context, &rows).await?;
        let joined = metas
            .iter()
            .filter(|meta| own.get(&meta.row) == Some(&Membership::Join));
        Ok(joined.map(|meta| meta.id.clone()).collect())
    }
}

/// Whether a viewer may see what a room shows: by being in it or invited, because anyone may come in, ask to, or read it,
/// or because of a room they are in.
pub(super) fn may_see(
    summary: &RoomSummary,
    own: Option<Membership>,
    is_joined: impl Fn(&OwnedRoomId) -> bool,
) -> bool {
    if matches!(own, Some(Membership::Join | Membership::Invite)) || summary.world_readable {
        return true;
    }
    match &summary.join_rule {
        JoinRuleSummary::Public | JoinRuleSummary::Knock | JoinRuleSummary::KnockRestricted(_) => {
            true
        }
        JoinRuleSummary::Restricted(restricted) => {
            restricted.allowed_room_ids.iter().any(is_joined)
        }
        _ => false,
    }
}

/// The rooms whose members may see a room for that.
pub(super) fn allowing(summary: &RoomSummary) -> &[OwnedRoomId] {
    match &summary.join_rule {
        JoinRuleSummary::Restricted(restricted) => &restricted.allowed_room_ids,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use ruma::{
        room::{JoinRuleSummary, RestrictedSummary, RoomSummary},
        room_id, uint,
    };
    use storage::members::Membership;

    use super::may_see;

    #[test]
    fn a_room_is_seen_by_those_who_are_or_could_be_in_it() {
        let restricted = || RestrictedSummary::new(vec![room_id!("!key:here").to_owned()]);
        for (rule, world_readable, own, holds_key, seen) in [
            (JoinRuleSummary::Public, false, None, false, true),
            (JoinRuleSummary::Knock, false, None, false, true),
            (
                JoinRuleSummary::KnockRestricted(restricted()),
                false,
                None,
                false,
                true,
            ),
            (
                JoinRuleSummary::Restricted(restricted()),
                false,
                None,
                false,
                false,
            ),
            (
                JoinRuleSummary::Restricted(restricted()),
                false,
                None,
                true,
                true,
            ),
            (JoinRuleSummary::Invite, false, None, true, false),
            (JoinRuleSummary::Invite, true, None, false, true),
            (
                JoinRuleSummary::Invite,
                false,
                Some(Membership::Join),
                false,
                true,
            ),
            (
                JoinRuleSummary::Invite,
                false,
                Some(Membership::Invite),
                false,
                true,
            ),
            (
                JoinRuleSummary::Invite,
                false,
                Some(Membership::Leave),
                false,
                false,
            ),
            (JoinRuleSummary::Private, false, None, false, false),
        ] {
            let room = room_id!("!room:here").to_owned();
            let summary = RoomSummary::new(room, rule, false, uint!(1), world_readable);
            assert_eq!(
                may_see(&summary, own, |_| holds_key),
                seen,
                "{summary:?} {own:?}"
            );
        }
    }
}
