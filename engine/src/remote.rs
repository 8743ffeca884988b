//! What comes from other servers, and what is fetched from them: the network side of a room.
//!
//! The worker of a room never waits for another server. What is missing is found out in its mailbox, fetched here, and
//! brought back to it.

mod aside;
pub(crate) mod asked;
mod auth;
pub(crate) mod backfill;
mod candidates;
mod check;
mod gap;
mod handshakes;
mod invite;
mod join;
mod knock;
mod leave;
mod order;
mod policy;
mod profile;
mod state;
mod version;

use self::join::{empty_template, fill};
pub(crate) use self::{
    aside::stripped_state,
    check::{check, verify},
    gap::Lack,
    handshakes::Handshakes,
    join::refused,
    order::by_dependency,
    state::WholeStates,
};
