//! What a homeserver decides: rooms, accounts, sync. No HTTP here.
//!
//! [`Engine`] is what the APIs may ask. It stands on `spec` (the rules, pure) and `storage` (what is kept), and asks
//! for what lies above it through traits: [`Clock`] for the time.

pub mod account;
mod clock;
mod engine;
mod error;
mod requester;

pub use self::{
    clock::Clock,
    engine::Engine,
    error::{Error, Result, Subject},
    requester::Requester,
};
