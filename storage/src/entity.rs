//! Rows only, a table a file. What they mean together is in the queries.

pub mod access_token;
pub mod account;
pub mod account_data;
pub mod alias;
pub mod counter;
pub mod destination;
pub mod device;
pub mod directory_user;
pub mod event;
pub mod filter;
pub mod membership;
pub mod openid_token;
pub mod pending_redaction;
pub mod profile;
pub mod receipt;
pub mod refresh_token;
pub mod registration_token;
pub mod relation;
pub mod remote_key;
pub mod report;
pub mod room;
pub mod server_key;
pub mod snapshot;
pub mod staged_event;
pub mod state_key;
pub mod summary;
