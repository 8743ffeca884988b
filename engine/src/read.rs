//! Reading a room: what a user may see of it, and when.

pub(crate) mod access;
mod context;
mod event;
mod initial_sync;
mod members;
mod messages;
mod near;
mod peek;
mod replaced;
mod state;
pub(crate) mod view;

pub use self::{
    context::{ContextAsk, EventContext},
    initial_sync::RoomSnapshot,
    members::{JoinedMember, MembersAsk},
    messages::{Direction, MessagesAsk, MessagesPage},
    peek::Peeked,
};
