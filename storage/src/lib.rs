//! What is kept: rows, migrations, the writer, and one module of queries per subject.
//!
//! All writing goes through [`Store::write`] as one list of what can be written ([`write`]); all
//! reading is functions over [`Store::reader`], which never waits for the writer. A write that has
//! been answered is on disk. This crate decides nothing: it knows no rule of Matrix.

pub mod account_data;
pub mod accounts;
pub mod devices;
pub mod entity;
mod error;
pub mod filters;
mod id;
mod ids;
mod listener;
mod page;
mod pending;
pub mod profiles;
pub mod registration_tokens;
pub mod server_keys;
pub mod snapshots;
mod state_keys;
mod store;
pub mod tokens;
pub mod write;

pub use error::{Error, Result};
pub use id::{EventRow, Position, RoomRow, SnapshotRow, StateKeyRow};
pub use ids::Ids;
pub use listener::Listener;
pub use page::Limit;
pub use state_keys::{Resolved, StateKeys};
pub use store::{Settings, Store};
pub use write::{Chain, Committed, Logged, Plain, Write};
