//! Who is there: client-server API, "Presence".

pub(crate) mod get_presence;
pub(crate) mod set_presence;
