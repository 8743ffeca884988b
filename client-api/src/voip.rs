//! What calls need of the server.

pub(crate) mod get_rtc_transports;
pub(crate) mod get_turn_server;
