//! The directory of rooms: aliases, and which rooms it lists.

pub(crate) mod create_alias;
pub(crate) mod delete_alias;
pub(crate) mod get_alias;
pub(crate) mod get_public_rooms;
pub(crate) mod get_room_visibility;
pub(crate) mod query_public_rooms;
pub(crate) mod search_users;
pub(crate) mod set_room_visibility;
