//! What a client may find out about the server before it does anything else.

pub(crate) mod get_capabilities;
pub(crate) mod get_supported_versions;
