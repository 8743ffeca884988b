//! What is kept: rows, migrations, the writer, and one module of queries per subject.
//!
//! All writing goes through [`Store::write`] as one list of what can be written ([`write`]); all
//! reading is functions over [`Store::reader`], which never waits for the writer. A write that has
//! been answered is on disk. This crate decides nothing: it knows no rule of Matrix.

pub mod account_data;
pub mod accounts;
pub mod aliases;
mod connect;
pub mod delayed_events;
pub mod devices;
pub mod directory_users;
pub mod email_addresses;
pub mod entity;
mod error;
pub mod events;
pub mod filters;
pub mod guests;
mod id;
mod ids;
mod listener;
mod lock;
pub mod members;
mod migration;
pub mod notifications;
pub mod outbox;
mod packed;
mod padded;
mod page;
pub mod presences;
pub mod profiles;
pub mod purges;
pub mod pushers;
pub mod receipts;
pub mod redactions;
pub mod registration_tokens;
pub mod relations;
pub mod remote_keys;
pub mod reports;
pub mod rooms;
pub mod search;
pub mod secrets;
pub mod server_keys;
pub mod sliding_connections;
pub mod snapshots;
mod sql;
pub mod staged;
mod state_keys;
mod store;
pub mod summaries;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod thread_subscriptions;
pub mod timeline;
pub mod tokens;
pub mod write;
mod writer;

pub use error::{Error, Result};
pub use id::{EventRow, Position, RoomRow, SnapshotRow, StateKeyRow};
pub use ids::Ids;
pub use listener::Listener;
pub use packed::{pack_events, unpack_events};
pub use page::Limit;
pub use state_keys::{Resolved, StateKeys};
pub use store::{Durability, Settings, Store};
pub use write::{Chain, Committed, Logged, Plain, Write};
