//! State resolution: one state out of several.
//!
//! Events and the pairs of type and state key are integers here, as the caller's store has them; a state is
//! a list of such pairs, sorted. What the algorithms need to know of an event they ask of a [`Source`]. They
//! are deterministic and independent of the order of the states, and they walk with explicit stacks: a long
//! auth chain costs memory in proportion, never the program's stack.
//!
//! Where all deployed servers agree with each other and not with the letter of the text, we follow them, since
//! a state that only we see is of no use; `resolve/order.rs` says where that is.
//!
//! Source: room version 1, 2 and 12, "State resolution".

mod chain;
mod difference;
mod iterate;
mod mainline;
mod order;
mod v1;

use std::collections::BTreeSet;

pub use self::difference::Difference;
use crate::{
    event::Event,
    room_version::{RoomVersion, StateResolution},
};

/// A state: for each slot (a type and state key) the event that holds it, sorted by slot, each slot once.
pub type StateMap<S> = Vec<(<S as Source>::Slot, <S as Source>::Key)>;

/// The most events that one resolution considers: far beyond any real room, and a bound on memory.
pub const MAX_EVENTS: usize = 1_000_000;

/// What resolution knows of a room, supplied by the caller from its caches.
pub trait Source {
    /// An event.
    type Key: Copy + Ord;
    /// A type and state key.
    type Slot: Copy + Ord;

    /// The event `key`. `None` if it is not at hand: the resolution then ends with
    /// [`ResolveError::Missing`], and may be tried again with the event loaded.
    fn entry(&self, key: Self::Key) -> Option<Entry<'_, Self::Key, Self::Slot>>;

    /// The slot of a type and state key. `None` if no event of the room has it.
    fn slot(&self, event_type: &str, state_key: &str) -> Option<Self::Slot>;

    /// The auth difference: all events that are in the auth chain of some but not of all of the states. The events of a
    /// state are part of its chain, as with Synapse.
    ///
    /// The default walks the auth chains, so it needs all of them at hand. A caller that has them in a store answers
    /// from a [`Difference`].
    ///
    /// # Errors
    /// [`ResolveError::Missing`] and [`ResolveError::TooLarge`].
    fn auth_difference(
        &self,
        states: &[&[(Self::Slot, Self::Key)]],
    ) -> Result<BTreeSet<Self::Key>, ResolveError<Self::Key>> {
        chain::auth_difference(self, states)
    }

    /// All events on a path of auth events from one of `conflicted` to another, these two included.
    ///
    /// Asked for in room version 12 and later only. The default walks the auth chains of `conflicted`.
    ///
    /// # Errors
    /// [`ResolveError::Missing`] and [`ResolveError::TooLarge`].
    fn conflicted_subgraph(
        &self,
        conflicted: &BTreeSet<Self::Key>,
    ) -> Result<BTreeSet<Self::Key>, ResolveError<Self::Key>> {
        chain::conflicted_subgraph(self, conflicted)
    }
}

/// An event, as resolution sees it.
#[derive(Debug)]
pub struct Entry<'a, K, S> {
    pub event: &'a Event,
    /// The slot of the event's own type and state key.
    pub slot: S,
    /// The events that its `auth_events` name, in their order.
    pub auth_events: &'a [K],
    /// Whether it was rejected. Such an event may be in a state, but does not permit others.
    pub rejected: bool,
}

impl<K, S: Copy> Clone for Entry<'_, K, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, S: Copy> Copy for Entry<'_, K, S> {}

/// An event of a source.
type EntryOf<'a, S> = Entry<'a, <S as Source>::Key, <S as Source>::Slot>;

/// What comes out of a step, unless events are missing.
type Resolved<T, S> = Result<T, ResolveError<<S as Source>::Key>>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError<K> {
    /// These events were asked for and not at hand, in order. With them there may be more.
    #[error("events are missing that state resolution needs")]
    Missing(Vec<K>),
    /// More than [`MAX_EVENTS`].
    #[error("state resolution would take more than a million events")]
    TooLarge,
    /// A state is not sorted by slot, or has a slot twice.
    #[error("a state to be resolved is not sorted")]
    Unsorted,
}

/// The resolution of `states`, sorted by slot.
///
/// All events must be of one room, of this version. No state gives no state, and one gives itself.
///
/// # Errors
/// See [`ResolveError`].
pub fn resolve<S: Source>(
    version: &RoomVersion,
    states: &[&[(S::Slot, S::Key)]],
    source: &S,
) -> Result<StateMap<S>, ResolveError<S::Key>> {
    if states
        .iter()
        .any(|state| !state.is_sorted_by(|a, b| a.0 < b.0))
    {
        return Err(ResolveError::Unsorted);
    }
    if version.state_resolution == StateResolution::V1 {
        return v1::resolve(version, states, source);
    }
    let split = Split::of(states);
    if split.conflicted.is_empty() {
        return Ok(split.unconflicted);
    }
    let begin_empty = version.state_resolution == StateResolution::V2_1;
    let mut full = source.auth_difference(states)?;
    full.extend(&split.conflicted);
    if begin_empty {
        full.extend(source.conflicted_subgraph(&split.conflicted)?);
    }
    if full.len() > MAX_EVENTS {
        return Err(ResolveError::TooLarge);
    }
    at_hand(source, &full)?;

    let start: &[_] = if begin_empty {
        &[]
    } else {
        &split.unconflicted
    };
    let mut checks = iterate::Checks::new(version, source, start, states);
    let power_events = order::power_events(source, &full);
    let sorted = order::reverse_topological(&mut checks, &power_events)?;
    checks.apply(&sorted)?;

    let remaining: Vec<S::Key> = full.difference(&power_events).copied().collect();
    let sorted = mainline::sort(source, checks.power_levels(), &remaining)?;
    checks.apply(&sorted)?;
    Ok(overlay::<S>(&checks.into_changes(), &split.unconflicted))
}

/// The events of all slots in which the states differ.
#[must_use]
pub fn conflicted<K: Copy + Ord, S: Copy + Ord>(states: &[&[(S, K)]]) -> BTreeSet<K> {
    Split::of(states).conflicted
}

/// That all of `events` and of their auth events are at hand, so that what is missing is learnt at once.
fn at_hand<S: Source>(source: &S, events: &BTreeSet<S::Key>) -> Resolved<(), S> {
    let mut missing = BTreeSet::new();
    for &key in events {
        let Some(entry) = source.entry(key) else {
            missing.insert(key);
            continue;
        };
        missing.extend(
            entry
                .auth_events
                .iter()
                .filter(|&&auth| source.entry(auth).is_none()),
        );
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ResolveError::Missing(missing.into_iter().collect()))
    }
}

/// The states, divided into what they agree on and what not.
struct Split<K, S> {
    /// Slots that all states have with the same event, sorted.
    unconflicted: Vec<(S, K)>,
    /// The events of all other slots.
    conflicted: BTreeSet<K>,
}

impl<K: Copy + Ord, S: Copy + Ord> Split<K, S> {
    fn of(states: &[&[(S, K)]]) -> Self {
        let mut split = Self {
            unconflicted: Vec::new(),
            conflicted: BTreeSet::new(),
        };
        by_slot(states, |slot, holders| {
            match agreed(holders, states.len()) {
                Some(key) => split.unconflicted.push((slot, key)),
                None => split.conflicted.extend(holders.iter().map(|(_, key)| *key)),
            }
        });
        split
    }
}

/// The event that all of so many states hold in a slot, if they do.
fn agreed<K: Copy + Eq>(holders: &[(usize, K)], states: usize) -> Option<K> {
    let (_, first) = *holders.first()?;
    let all = holders.len() == states && holders.iter().all(|(_, key)| *key == first);
    if all { Some(first) } else { None }
}

/// Calls `each` for every slot of any state, in order, with the states that have it and their events there.
fn by_slot<K: Copy, S: Copy + Ord>(states: &[&[(S, K)]], mut each: impl FnMut(S, &[(usize, K)])) {
    let mut rest: Vec<&[(S, K)]> = states.to_vec();
    let mut holders = Vec::with_capacity(states.len());
    while let Some(slot) = rest.iter().filter_map(|state| Some(state.first()?.0)).min() {
        holders.clear();
        for (number, state) in rest.iter_mut().enumerate() {
            if let [(first, key), others @ ..] = *state
                && *first == slot
            {
                holders.push((number, *key));
                *state = others;
            }
        }
        each(slot, &holders);
    }
}

/// Two sorted states in one; where both have a slot, `upper` wins.
fn overlay<S: Source>(lower: &[(S::Slot, S::Key)], upper: &[(S::Slot, S::Key)]) -> StateMap<S> {
    let mut merged = Vec::with_capacity(lower.len() + upper.len());
    let (mut lower, mut upper) = (lower.iter().peekable(), upper.iter().peekable());
    loop {
        match (lower.peek(), upper.peek()) {
            (Some(low), Some(up)) => {
                if low.0 < up.0 {
                    merged.extend(lower.next());
                } else {
                    if low.0 == up.0 {
                        lower.next();
                    }
                    merged.extend(upper.next());
                }
            }
            (Some(_), None) => merged.extend(lower.next()),
            (None, Some(_)) => merged.extend(upper.next()),
            (None, None) => return merged,
        }
    }
}
