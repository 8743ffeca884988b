//! What comes from other servers, and what is fetched from them: the network side of a room.
//!
//! The worker of a room never waits for another server. What is missing is found out in its mailbox, fetched here, and
//! brought back to it.

pub(crate) mod asked;
mod auth;
pub(crate) mod backfill;
mod check;
mod gap;
mod invite;
mod join;
mod leave;
mod order;
mod profile;
mod state;

use self::join::{empty_template, fill};
pub(crate) use self::{
    check::{check, verify},
    gap::Lack,
    join::refused,
    order::by_dependency,
};
