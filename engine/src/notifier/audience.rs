//! Whom an entry of the log concerns.

use ruma::UserId;
use storage::{Logged, RoomRow, members::Membership};

/// Whom an entry concerns.
pub(super) struct Audience<'a> {
    /// All who are joined to this room.
    pub(super) room: Option<RoomRow>,
    /// These users, in the room or not; and whether they are joined to `room` from now on, `None` if that has not changed.
    pub(super) users: Vec<(&'a UserId, Option<bool>)>,
}

/// Whom `logged` concerns.
pub(super) fn of(logged: &Logged) -> Audience<'_> {
    match logged {
        Logged::Event(new) => Audience {
            room: Some(new.room),
            users: new
                .memberships()
                .map(|(_, member)| {
                    let joined = member.membership == Membership::Join;
                    (member.user_id.as_ref(), Some(joined))
                })
                .collect(),
        },
        Logged::Receipt(new) if new.kind == "m.read.private" => Audience {
            room: None,
            users: vec![(&new.user_id, None)],
        },
        Logged::Receipt(new) => Audience {
            room: Some(new.room),
            users: Vec::new(),
        },
        Logged::AccountData(new) => Audience {
            room: None,
            users: vec![(&new.user_id, None)],
        },
        Logged::ThreadSubscription(new) => Audience {
            room: None,
            users: vec![(&new.user_id, None)],
        },
    }
}
