//! Profiles.

pub(crate) mod delete_profile_field;
pub(crate) mod get_profile_field;
pub(crate) mod get_user_profile;
pub(crate) mod set_profile_field;
