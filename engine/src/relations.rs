//! Events that relate to others: client-server API, "Forming relationships between events".

pub(crate) mod thread;
