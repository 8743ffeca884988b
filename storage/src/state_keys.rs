//! Pairs of event type and state key as integers.

use crate::{error::Result, id::StateKeyRow, write::Plain};

/// Turns pairs of event type and state key into integers and back.
#[derive(Debug)]
pub struct StateKeys {}

/// The integers of some pairs.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// In the order of the question.
    pub rows: Vec<StateKeyRow>,
    /// Must be part of the write that uses the rows; empty if all of them are stored.
    pub inserts: Vec<Plain>,
}

impl StateKeys {
    /// The integers of `pairs` (event type, state key), in order; unknown ones are given new ones.
    ///
    /// One query for those that are not in memory.
    pub async fn resolve(&self, pairs: &[(&str, &str)]) -> Result<Resolved> {
        let _ = pairs;
        unimplemented!()
    }

    /// The pairs (event type, state key) of `rows`, in order.
    ///
    /// One query for those that are not in memory.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt): one of them is not stored.
    pub async fn names(&self, rows: &[StateKeyRow]) -> Result<Vec<(String, String)>> {
        let _ = rows;
        unimplemented!()
    }
}
