//! Who hears of what was committed.

use std::sync::Arc;

use crate::{id::Position, write::Logged};

/// Hears of every commit, after it and before the writers get their answers.
pub trait Listener: Send + Sync {
    /// Called with what was committed, in the order of the positions; never with an empty list.
    ///
    /// Positions are consecutive from call to call. A gap means that a commit was made whose
    /// outcome the writer could not learn: what was kept in memory from before is incomplete.
    /// The call holds up all writers, so it must be short.
    fn committed(&self, changes: &[(Position, Arc<Logged>)]);
}
