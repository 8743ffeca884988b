//! An account of one's own: making it, changing it, closing it.

pub(crate) mod change_password;
pub(crate) mod check_username_availability;
pub(crate) mod deactivate_account;
pub(crate) mod get_3pids;
pub(crate) mod get_token_owner;
pub(crate) mod register;
pub(crate) mod registration_token_validity;
pub(crate) mod request_openid_token;
