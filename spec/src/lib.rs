//! What Matrix says, as pure functions and data: no I/O, no clock, no randomness.
//!
//! - [`room_version`]: the rules of room versions 1 to 12 as data; all other chapters take one of them.
//! - [`json`], [`hash`], [`sign`], [`redact`], [`event`]: what an event is, and how it is sealed.
//! - [`auth`]: whether a state allows an event; [`resolve`]: which state several states make.
//! - [`relation`]: which event speaks of which; [`search`]: what is searched of it;
//!   [`self_destruct`]: when it is to go.
//! - [`visibility`], [`acl`]: who may see what, and which servers may take part; [`policy`]: which one recommends
//!   events; [`policy_list`]: whom lists shut out; [`name`], [`server_name`],
//!   [`discovery`]: how things are called, and where servers are.
//!
//! What comes from outside is parsed once, at the border ([`json::parse`], [`event::Event::parse`]); the
//! types that come out cannot hold what was refused there.

pub mod acl;
pub mod auth;
pub mod discovery;
pub mod event;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod hash;
pub mod invite_permission;
pub mod json;
pub mod name;
pub mod policy;
pub mod policy_list;
pub mod redact;
pub mod relation;
pub mod resolve;
pub mod room_version;
pub mod search;
pub mod self_destruct;
pub mod server_name;
pub mod sign;
pub mod upgrade;
pub mod visibility;
