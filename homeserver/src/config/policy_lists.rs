//! Section `policy_lists`: whom others have found to be a nuisance.

use ruma::OwnedRoomId;

use super::section::section;

section! {
    /// Moderation policy lists: rooms in which moderators you trust keep up who spams and where. Whom they ban is neither
    /// invited, nor let into rooms by this server, nor do they invite anybody into rooms that are new here; rooms that they
    /// ban are not joined; servers that they ban are not heard at all. Nobody of this server is matched. A user of this
    /// server has to be in the room of each list.
    "policy_lists" PolicyLists {
        /// The ids of the rooms.
        rooms: Vec<OwnedRoomId>, default [];
    }
}
