//! One after another for the same thing, side by side for different ones.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};

use tokio::sync::{Mutex, MutexGuard};

/// How many lanes: two things share one with a chance of 1 in 64, and then only wait for each other.
const LANES: usize = 64;

/// A bounded number of locks for an unbounded number of things.
#[derive(Debug)]
pub(crate) struct Lanes([Mutex<()>; LANES]);

impl Lanes {
    /// Waits until nobody else is at `thing`, and keeps others away until the guard is dropped.
    pub(crate) async fn enter(&self, thing: impl Hash) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(thing);
        let lane = usize::try_from(hash % LANES as u64).unwrap_or(0);
        self.0[lane].lock().await
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}
