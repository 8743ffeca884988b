//! Events that relate to others: client-server API, "Forming relationships between events".

pub(crate) mod bundle;
mod children;
mod filter;
pub(crate) mod thread;
mod threads;

pub use self::{
    children::{RelationsAsk, RelationsPage},
    filter::RelationFilter,
    threads::{ThreadsAsk, ThreadsPage},
};
