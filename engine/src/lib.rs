//! What a homeserver decides: rooms, accounts, sync. No HTTP here.
//!
//! [`Engine`] is what the APIs may ask. It stands on `spec` (the rules, pure) and `storage` (what is kept), and asks
//! for what lies above it through traits: [`Clock`] for the time.

pub mod account;
pub mod account_data;
pub mod chance;
mod clock;
mod engine;
mod error;
mod filter;
pub mod profile;
mod requester;

pub use self::{
    clock::Clock,
    engine::Engine,
    error::{Error, Result, Subject},
    requester::Requester,
};
