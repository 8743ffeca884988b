//! What operators' tools ask for, in the form that Synapse has made common.

pub(crate) mod get_nonce;
pub(crate) mod register_with_shared_secret;

/// The path of both. Not in the specification.
pub(crate) const REGISTER: &str = "/_synapse/admin/v1/register";
