//! What clients keep on the server, and tags.

pub(crate) mod delete_account_data;
pub(crate) mod delete_room_tag;
pub(crate) mod get_account_data;
pub(crate) mod get_account_data_per_room;
pub(crate) mod get_room_tags;
pub(crate) mod set_account_data;
pub(crate) mod set_account_data_per_room;
pub(crate) mod set_room_tag;
