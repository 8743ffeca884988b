//! Networks that bridges bring: client-server API, "Third-party Networks". Without application services there are none.

pub(crate) mod get_locations;
pub(crate) mod get_protocol;
pub(crate) mod get_protocols;
pub(crate) mod get_users;
