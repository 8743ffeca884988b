//! Whom an entry of the log concerns.

use ruma::UserId;
use storage::{Logged, RoomRow, members::Membership};

/// Whom an entry concerns.
pub(super) struct Audience<'a> {
    /// All who are joined to this room.
    pub(super) room: Option<RoomRow>,
    /// This user, in the room or not.
    pub(super) user: Option<&'a UserId>,
    /// Whether `user` is joined to `room` from now on; `None` if that has not changed.
    pub(super) joined: Option<bool>,
}

/// Whom `logged` concerns.
pub(super) fn of(logged: &Logged) -> Audience<'_> {
    match logged {
        Logged::Event(new) => Audience {
            room: Some(new.room),
            user: new
                .membership
                .as_ref()
                .map(|member| member.user_id.as_ref()),
            joined: new
                .membership
                .as_ref()
                .map(|member| member.membership == Membership::Join),
        },
        Logged::Receipt(new) if new.kind == "m.read.private" => Audience {
            room: None,
            user: Some(&new.user_id),
            joined: None,
        },
        Logged::Receipt(new) => Audience {
            room: Some(new.room),
            user: None,
            joined: None,
        },
        Logged::AccountData(new) => Audience {
            room: None,
            user: Some(&new.user_id),
            joined: None,
        },
    }
}
