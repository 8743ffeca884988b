//! The iterative auth checks: event by event, each against the state that those before it made.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{EntryOf, ResolveError, Resolved, Source, mainline};
use crate::{
    auth::{self, Create, JoinRule, Membership, Power, PowerLevels, View},
    event::Event,
    room_version::RoomVersion,
};

/// The slots that most checks ask for.
struct Slots<S> {
    create: Option<S>,
    power_levels: Option<S>,
    join_rules: Option<S>,
}

/// The create event and the power levels event that give a room its power levels.
type Levels<K> = (Option<K>, Option<K>);

/// A state in the making, and what was parsed for it.
pub(super) struct Checks<'a, S: Source> {
    version: &'a RoomVersion,
    source: &'a S,
    slots: Slots<S::Slot>,
    start: &'a [(S::Slot, S::Key)],
    changes: BTreeMap<S::Slot, S::Key>,
    /// The room's create event, where the room ID implies it.
    implied_create: Option<S::Key>,
    /// Whether an event's own auth events stand in for what the state lacks.
    own_auth_events: bool,
    creates: BTreeMap<S::Key, Create>,
    levels: BTreeMap<Levels<S::Key>, PowerLevels>,
    missing: RefCell<BTreeSet<S::Key>>,
}

impl<'a, S: Source> Checks<'a, S> {
    /// Begins with the state `start`. `states` are those being resolved: the create event is found there.
    pub(super) fn new(
        version: &'a RoomVersion,
        source: &'a S,
        start: &'a [(S::Slot, S::Key)],
        states: &[&[(S::Slot, S::Key)]],
    ) -> Self {
        let slots = Slots {
            create: source.slot("m.room.create", ""),
            power_levels: source.slot("m.room.power_levels", ""),
            join_rules: source.slot("m.room.join_rules", ""),
        };
        let implied_create = slots.create.filter(|_| version.auth.implied_create);
        let implied_create =
            implied_create.and_then(|slot| states.iter().find_map(|state| find(state, slot)));
        Self {
            version,
            source,
            slots,
            start,
            changes: BTreeMap::new(),
            implied_create,
            own_auth_events: true,
            creates: BTreeMap::new(),
            levels: BTreeMap::new(),
            missing: RefCell::default(),
        }
    }

    pub(super) fn source(&self) -> &'a S {
        self.source
    }

    /// Lets the state alone decide, as room version 1 does.
    pub(super) fn only_the_state(&mut self) {
        self.own_auth_events = false;
    }

    /// Puts an event into the state so far, or takes out what was put there.
    pub(super) fn set(&mut self, slot: S::Slot, key: Option<S::Key>) {
        match key {
            Some(key) => self.changes.insert(slot, key),
            None => self.changes.remove(&slot),
        };
    }

    /// Whether the state so far allows an event.
    pub(super) fn is_allowed(&mut self, key: S::Key) -> Resolved<bool, S> {
        let allowed = self.entry(key).is_some_and(|entry| self.allows(entry));
        self.nothing_missing()?;
        Ok(allowed)
    }

    /// What was put into the state, sorted.
    pub(super) fn into_changes(self) -> Vec<(S::Slot, S::Key)> {
        self.changes.into_iter().collect()
    }

    /// The power levels event of the state so far.
    pub(super) fn power_levels(&self) -> Option<S::Key> {
        self.get(self.slots.power_levels?)
    }

    /// Takes over those of `events` that the state so far allows, one after the other.
    pub(super) fn apply(&mut self, events: &[S::Key]) -> Resolved<(), S> {
        for &key in events {
            let Some(entry) = self.source.entry(key) else {
                self.missing.borrow_mut().insert(key);
                continue;
            };
            if self.allows(entry) {
                self.changes.insert(entry.slot, key);
            }
        }
        self.nothing_missing()
    }

    /// The power that an event's sender has by the event's own auth events.
    pub(super) fn power_of_sender(&mut self, entry: EntryOf<'_, S>) -> Resolved<Power, S> {
        let power_levels = mainline::power_levels_of(self.source, entry)?;
        let create = self.implied_create.or_else(|| {
            entry.auth_events.iter().copied().find(|&auth| {
                self.source
                    .entry(auth)
                    .is_some_and(|auth| auth.event.is("m.room.create", ""))
            })
        });
        self.prepare(create, power_levels);
        self.nothing_missing()?;
        Ok(self.levels[&(create, power_levels)].user(entry.event.sender().as_str()))
    }

    fn nothing_missing(&self) -> Resolved<(), S> {
        let missing = self.missing.take();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ResolveError::Missing(missing.into_iter().collect()))
        }
    }

    fn get(&self, slot: S::Slot) -> Option<S::Key> {
        self.changes
            .get(&slot)
            .copied()
            .or_else(|| find(self.start, slot))
    }

    /// An event at hand; noted as missing otherwise.
    fn entry(&self, key: S::Key) -> Option<EntryOf<'a, S>> {
        let entry = self.source.entry(key);
        if entry.is_none() {
            self.missing.borrow_mut().insert(key);
        }
        entry
    }

    /// The event that decides about `of` for a slot: the state's, or else its own auth event. Rejected events
    /// do not decide.
    fn deciding(&self, of: EntryOf<'_, S>, slot: Option<S::Slot>) -> Option<(S::Key, &'a Event)> {
        let slot = slot?;
        let from_state = self.get(slot).into_iter();
        let own = of
            .auth_events
            .iter()
            .filter(|_| self.own_auth_events)
            .copied()
            .filter(|&auth| self.entry(auth).is_some_and(|entry| entry.slot == slot));
        from_state.chain(own).find_map(|key| {
            let entry = self.entry(key)?;
            if entry.rejected {
                None
            } else {
                Some((key, entry.event))
            }
        })
    }

    fn allows(&mut self, entry: EntryOf<'_, S>) -> bool {
        let create = match self.implied_create {
            Some(create) => Some(create),
            None => self.deciding(entry, self.slots.create).map(|(key, _)| key),
        };
        let power_levels = self
            .deciding(entry, self.slots.power_levels)
            .map(|(key, _)| key);
        self.prepare(create, power_levels);
        let view = StateView {
            checks: self,
            entry,
            create,
            power_levels,
        };
        auth::check_view(self.version, entry.event, &view).is_ok()
    }

    /// Parses what has not been parsed yet.
    fn prepare(&mut self, create: Option<S::Key>, power_levels: Option<S::Key>) {
        if let Some(key) = create
            && !self.creates.contains_key(&key)
            && let Some(entry) = self.entry(key)
        {
            self.creates
                .insert(key, Create::parse(self.version, entry.event));
        }
        if !self.levels.contains_key(&(create, power_levels)) {
            let event = power_levels
                .and_then(|key| self.entry(key))
                .map(|entry| entry.event);
            let created = create.and_then(|key| self.creates.get(&key));
            let levels = PowerLevels::of(self.version, created, event);
            self.levels.insert((create, power_levels), levels);
        }
    }
}

fn find<K: Copy, S: Copy + Ord>(state: &[(S, K)], slot: S) -> Option<K> {
    state
        .binary_search_by_key(&slot, |(slot, _)| *slot)
        .ok()
        .map(|index| state[index].1)
}

/// The state so far, as one event sees it.
struct StateView<'c, 'a, S: Source> {
    checks: &'c Checks<'a, S>,
    entry: EntryOf<'c, S>,
    create: Option<S::Key>,
    power_levels: Option<S::Key>,
}

impl<S: Source> View for StateView<'_, '_, S> {
    fn create(&self) -> Option<&Create> {
        self.checks.creates.get(&self.create?)
    }

    fn power_levels(&self) -> &PowerLevels {
        &self.checks.levels[&(self.create, self.power_levels)]
    }

    fn join_rule(&self) -> JoinRule {
        let event = self
            .checks
            .deciding(self.entry, self.checks.slots.join_rules);
        JoinRule::of(self.checks.version, event.map(|(_, event)| event))
    }

    fn membership(&self, user: &str) -> Membership {
        let slot = self.checks.source.slot("m.room.member", user);
        Membership::of(
            self.checks
                .deciding(self.entry, slot)
                .map(|(_, event)| event),
        )
    }

    fn third_party_invite(&self, token: &str) -> Option<&Event> {
        let slot = self.checks.source.slot("m.room.third_party_invite", token);
        self.checks
            .deciding(self.entry, slot)
            .map(|(_, event)| event)
    }
}
