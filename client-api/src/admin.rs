//! What operators' tools ask for, in the form that Synapse has made common.

pub(crate) mod event_reports;
pub(crate) mod get_nonce;
pub(crate) mod register_with_shared_secret;
pub(crate) mod send_server_notice;

/// The path of both. Not in the specification.
pub(crate) const REGISTER: &str = "/_synapse/admin/v1/register";
