//! History visibility: whether a user may see an event.
//!
//! Everything is asked of the state at the event, not of today's. Source: client-server API, "Room History
//! Visibility".

use crate::{auth::Membership, event::Event, json::Value};

/// Who may see events that were sent while it was in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HistoryVisibility {
    /// Anybody.
    WorldReadable,
    /// Members, also those who join later.
    Shared,
    /// Those invited or joined then.
    Invited,
    /// Those joined then.
    Joined,
}

impl HistoryVisibility {
    /// What a history visibility event says; [`HistoryVisibility::Shared`] if there is none, or if it says
    /// something unknown.
    pub fn of(event: Option<&Event>) -> Self {
        let value = event.and_then(|event| event.content().get("history_visibility")?.as_str());
        value.map_or(Self::Shared, Self::parse)
    }

    /// The visibility that this text names, [`HistoryVisibility::Shared`] if it names none.
    pub fn parse(text: &str) -> Self {
        match text {
            "world_readable" => Self::WorldReadable,
            "invited" => Self::Invited,
            "joined" => Self::Joined,
            _ => Self::Shared,
        }
    }
}

/// One user before one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The visibility in the state before the event.
    pub visibility: HistoryVisibility,
    /// The user's membership in the state before the event.
    pub membership: Membership,
    /// Whether the user joined the room at any point after the event.
    pub joined_later: bool,
}

/// Whether `user` may see `event`.
///
/// An event that changes the visibility, or the user's own membership, is seen if what holds before or what
/// holds after it lets the user see it. Users always see that they left or were removed, also from an invite: the
/// text does not say so, but without it, as in Synapse, a room would never go away for them.
pub fn may_see(event: &Event, user: &str, before: Moment) -> bool {
    let visibility_after = if event.is("m.room.history_visibility", "") {
        HistoryVisibility::of(Some(event))
    } else {
        before.visibility
    };
    let membership_after = if event.is("m.room.member", user) {
        Membership::of(Some(event))
    } else {
        before.membership
    };
    let was_there = matches!(
        before.membership,
        Membership::Join | Membership::Invite | Membership::Knock
    );
    if was_there && matches!(membership_after, Membership::Leave | Membership::Ban) {
        return true;
    }
    [before.visibility, visibility_after]
        .into_iter()
        .any(|visibility| {
            [before.membership, membership_after]
                .into_iter()
                .any(|membership| {
                    may_see_at(Moment {
                        visibility,
                        membership,
                        ..before
                    })
                })
        })
}

/// Whether a user may see an event that changes neither visibility nor the user's membership.
pub fn may_see_at(moment: Moment) -> bool {
    match (moment.visibility, moment.membership) {
        (HistoryVisibility::WorldReadable, _) | (_, Membership::Join) => true,
        (HistoryVisibility::Shared, _) => moment.joined_later,
        (HistoryVisibility::Invited, Membership::Invite) => true,
        (HistoryVisibility::Invited | HistoryVisibility::Joined, _) => false,
    }
}

/// Whether users of a server may see an event, so that it may be sent there whole; otherwise it is sent
/// redacted.
///
/// `memberships` are those of the server's users in the state before the event. Unlike for a single user,
/// later joins do not count for events that are not [`HistoryVisibility::Shared`] or freer.
pub fn may_see_server(
    event: &Event,
    server: &str,
    visibility: HistoryVisibility,
    memberships: impl IntoIterator<Item = Membership>,
) -> bool {
    if event.sender().server_name().as_str() == server {
        return true;
    }
    let after = if event.is("m.room.history_visibility", "") {
        HistoryVisibility::of(Some(event))
    } else {
        visibility
    };
    let free = |visibility| {
        matches!(
            visibility,
            HistoryVisibility::WorldReadable | HistoryVisibility::Shared
        )
    };
    if free(visibility) || free(after) {
        return true;
    }
    let own = event.event_type() == "m.room.member"
        && event
            .state_key()
            .and_then(|user| user.split_once(':'))
            .is_some_and(|(_, of)| of == server);
    let own = own.then(|| event.content().get("membership").and_then(Value::as_str));
    let own = own.flatten().map(Membership::parse);
    let invited = visibility == HistoryVisibility::Invited || after == HistoryVisibility::Invited;
    memberships.into_iter().chain(own).any(|membership| {
        membership == Membership::Join || (invited && membership == Membership::Invite)
    })
}
