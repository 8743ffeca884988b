//! Spaces: rooms that name other rooms as their children. Client-server API, "Spaces"; server-server API, "Spaces".
//!
//! [`child`] reads the links, [`local`] knows the rooms of this server, [`branch`] what another server tells, and
//! [`hierarchy`] walks the tree. Who may see which room is decided in [`viewer`].

mod branch;
mod child;
mod hierarchy;
mod local;
mod summary;
mod viewer;

use ruma::room::{RoomSummary, RoomType};

use self::child::Child;
pub(crate) use self::{branch::Branch, hierarchy::Walk};
pub use self::{
    hierarchy::{HierarchyAsk, HierarchyPage},
    summary::SeenRoom,
};

/// A room, and the rooms that it names as its children, in order. Only spaces have any.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) summary: RoomSummary,
    pub(crate) children: Vec<Child>,
}

/// Whether a room is a space.
fn is_space(summary: &RoomSummary) -> bool {
    summary.room_type == Some(RoomType::Space)
}
