//! Section `presence`: whether people see who is there.

use ruma::OwnedRoomId;

use super::section::section;

section! {
    /// Whether people who share a room see of each other who is there. It lives in memory only.
    "presence" Presence {
        /// Whether there is any presence. Without it everybody is offline.
        enabled: bool, default true;

        /// Whether other servers are told who of your users is there, as far as they share rooms.
        to_other_servers: bool, default true;

        /// Whether your users see who of other servers is there.
        from_other_servers: bool, default true;

        /// Rooms, by ID, by which nobody sees who is there, and other servers hear nothing of it: those above
        /// all with so many members that it costs too much. Who shares another room sees it by that.
        quiet_rooms: Vec<OwnedRoomId>, default [];
    }
}
