//! The auth difference in proportion to what differs.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::{agreed, by_slot};

/// How many events are asked for at once.
const ASKED_MAX: usize = 256;

/// The auth difference of several states, for a caller whose events are in a store: it says whose auth events it needs to
/// know ([`Difference::wants`]), is told ([`Difference::learn`]), and ends when nothing is left that only some states have.
///
/// Of an event that all states have, all that it stands on is in all auth chains. So the walk goes from the youngest
/// events down, through what only some states have, and ends where it meets what all have, mostly at once: the auth
/// events of what differs are as a rule part of all the states. What has to be looked at is what lies above the oldest
/// event of the difference.
///
/// Keys are in an order in which events follow their auth events. Single events that do not are no trouble once they have
/// been looked at; the caller names them with [`Difference::look_first`].
#[derive(Debug)]
pub struct Difference<K> {
    states: usize,
    /// What is to be walked on from.
    waiting: BTreeMap<K, Reach>,
    /// Those of `waiting` that are not in all chains.
    partial: BTreeSet<K>,
    /// Those of `waiting` that were walked on from before more states were found to have them.
    again: BTreeSet<K>,
    /// Those of `waiting` that the walk has come to, or that only some states have: what is known of them decides how it
    /// goes on.
    open: BTreeSet<K>,
    /// Those of `waiting` that can be walked on from whatever else is: all states have them.
    ready: Vec<K>,
    /// Those that came before some of their auth events, with the youngest of these: as old as they are by right.
    early: BTreeMap<K, K>,
    /// Auth events that are known and not yet used.
    learnt: BTreeMap<K, Vec<K>>,
    /// What was walked on from: in all chains, and in some.
    shared: BTreeSet<K>,
    found: BTreeMap<K, Reach>,
}

/// In which states' auth chains an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    All,
    /// A bit for each state.
    Some(Vec<u64>),
}

impl Reach {
    fn one(state: usize, states: usize) -> Self {
        let mut bits = vec![0; states.div_ceil(64)];
        bits[state / 64] |= 1 << (state % 64);
        Self::Some(bits)
    }

    /// Adds what another reaches; returns whether that was news.
    fn add(&mut self, other: &Self, states: usize) -> bool {
        let Self::Some(bits) = self else {
            return false;
        };
        let Self::Some(others) = other else {
            *self = Self::All;
            return true;
        };
        let before = bits.clone();
        for (bits, others) in bits.iter_mut().zip(others) {
            *bits |= others;
        }
        let news = *bits != before;
        let count: u32 = bits.iter().map(|bits| bits.count_ones()).sum();
        if count as usize >= states {
            *self = Self::All;
        }
        news
    }
}

impl<K: Copy + Ord> Difference<K> {
    /// The beginning: the events of the states, each sorted by slot.
    #[must_use]
    pub fn of<S: Copy + Ord>(states: &[&[(S, K)]]) -> Self {
        let mut this = Self {
            states: states.len(),
            waiting: BTreeMap::new(),
            partial: BTreeSet::new(),
            again: BTreeSet::new(),
            open: BTreeSet::new(),
            ready: Vec::new(),
            early: BTreeMap::new(),
            learnt: BTreeMap::new(),
            shared: BTreeSet::new(),
            found: BTreeMap::new(),
        };
        by_slot(states, |_, holders| match agreed(holders, states.len()) {
            Some(key) => drop(this.waiting.insert(key, Reach::All)),
            None => {
                for (state, key) in holders {
                    this.mark(*key, &Reach::one(*state, states.len()));
                }
            }
        });
        this
    }

    /// These events may be older than some of their auth events, by the order of the keys: those that all states have are
    /// looked at before anything else.
    pub fn look_first(&mut self, keys: impl IntoIterator<Item = K>) {
        let waiting = keys.into_iter();
        self.open
            .extend(waiting.filter(|key| self.waiting.contains_key(key)));
    }

    /// The events whose auth events have to be known next; none when the difference is complete.
    #[must_use]
    pub fn wants(&self) -> Vec<K> {
        if self.is_done() {
            return Vec::new();
        }
        if !self.open.is_empty() {
            return self.open.iter().rev().take(ASKED_MAX).copied().collect();
        }
        let unknown = |key: &&K| !self.learnt.contains_key(*key);
        let youngest = self.waiting.keys().rev().filter(unknown);
        youngest.take(ASKED_MAX).copied().collect()
    }

    /// Takes the auth events of the events that it wanted to know of.
    pub fn learn(&mut self, auth_events: impl IntoIterator<Item = (K, Vec<K>)>) {
        for (key, auth_events) in auth_events {
            let youngest = auth_events.iter().max().copied();
            let youngest = youngest.filter(|youngest| *youngest > key);
            let is_early = youngest.is_some();
            if let Some(youngest) = youngest {
                self.early.insert(key, youngest);
            }
            let is_near = self.open.remove(&key);
            self.learnt.insert(key, auth_events);
            // Else it would have its turn after those that it leads to.
            if is_early || (is_near && self.waiting.get(&key) == Some(&Reach::All)) {
                self.ready.push(key);
            }
        }
        while !self.is_done() {
            // What all states have leads to nothing else, whenever it is looked at. What only some have waits until
            // everything younger was.
            if let Some(key) = self.ready.pop() {
                self.walk(key);
                continue;
            }
            let youngest = self.waiting.keys().next_back().copied();
            match youngest.filter(|key| self.open.is_empty() && self.learnt.contains_key(key)) {
                Some(key) => self.walk(key),
                None => break,
            }
        }
    }

    /// What is in the chains of some states and not of all: the difference, once nothing is wanted.
    #[must_use]
    pub fn into_found(self) -> BTreeSet<K> {
        self.found.into_keys().collect()
    }

    fn is_done(&self) -> bool {
        // What waits and is younger than an early event may stand on it.
        let may_lead_to = |(key, youngest): (&K, &K)| {
            let behind = (Bound::Excluded(*youngest), Bound::Unbounded);
            self.found.contains_key(key) && self.waiting.range(behind).next().is_some()
        };
        self.partial.is_empty() && self.again.is_empty() && !self.early.iter().any(may_lead_to)
    }

    fn walk(&mut self, key: K) {
        let Some(auth_events) = self.learnt.remove(&key) else {
            return;
        };
        let Some(reach) = self.waiting.remove(&key) else {
            return;
        };
        self.partial.remove(&key);
        self.again.remove(&key);
        match reach {
            Reach::All => drop(self.shared.insert(key)),
            Reach::Some(_) => drop(self.found.insert(key, reach.clone())),
        }
        for auth in auth_events {
            self.mark(auth, &reach);
        }
    }

    /// Notes that an event is in the chains of these states.
    fn mark(&mut self, key: K, by: &Reach) {
        if self.shared.contains(&key) {
            return;
        }
        if let Some(mut reach) = self.found.remove(&key) {
            if reach.add(by, self.states) {
                self.again.insert(key);
                self.wait(key, reach);
            } else {
                self.found.insert(key, reach);
            }
            return;
        }
        let reach = match self.waiting.remove(&key) {
            Some(mut reach) => {
                reach.add(by, self.states);
                reach
            }
            None => by.clone(),
        };
        self.wait(key, reach);
    }

    fn wait(&mut self, key: K, reach: Reach) {
        let is_known = self.learnt.contains_key(&key);
        if !is_known {
            self.open.insert(key);
        }
        if reach != Reach::All {
            self.partial.insert(key);
        } else {
            self.partial.remove(&key);
            if is_known {
                self.ready.push(key);
            }
        }
        self.waiting.insert(key, reach);
    }
}
