//! Invites of people of whom only an e-mail address or a telephone number is known: client-server API, "Third-party
//! invites".
//!
//! An identity server knows whose an address is, or stores the invite until somebody proves to have it (`invite.rs`). Then
//! it signs that, and the room's `m.room.third_party_invite` event is exchanged for an invite of the user (`exchange.rs`).

mod bound;
mod exchange;
mod identity;
mod invite;

pub use self::{
    bound::Bound,
    exchange::Exchange,
    identity::{IdentityAnswer, IdentityError, IdentityServers},
    invite::ThirdParty,
};
pub(crate) use self::{identity::Identity, invite::check_all};

/// The state event by which an address is invited; its state key is the token of the invite.
const THIRD_PARTY_INVITE: &str = "m.room.third_party_invite";
