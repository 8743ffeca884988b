//! Section `presence`: whether people see who is there.

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
    }
}
