//! A fixture's room, as ruma's crates see it.

use std::collections::{BTreeMap, HashMap};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId,
    RoomId, RoomVersionId, UInt, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
};
use ruma_state_res::{StateMap, utils::event_id_set::EventIdSet};
use serde_json::value::RawValue;
use spec::{
    event::Event,
    fixture::{RoomFixture, Slots},
    json::encode_object,
    resolve::Source as _,
    room_version::{RoomIds, RoomVersion},
};

/// An event that ruma's state resolution understands.
#[derive(Debug)]
pub(crate) struct RumaEvent {
    event: Event,
    id: OwnedEventId,
    event_type: TimelineEventType,
    content: Box<RawValue>,
    redacts: Option<OwnedEventId>,
    nameless: bool,
    rejected: bool,
}

impl RumaEvent {
    pub(crate) fn new(version: &RoomVersion, event: &Event, rejected: bool) -> Self {
        Self {
            id: event.id().to_owned(),
            event_type: event.event_type().into(),
            content: RawValue::from_string(encode_object(event.content())).unwrap(),
            redacts: event.redacts().map(ToOwned::to_owned),
            nameless: version.room_ids == RoomIds::CreateEvent
                && !event.object().contains_key("room_id"),
            event: event.clone(),
            rejected,
        }
    }
}

impl ruma_state_res::Event for RumaEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.id
    }

    fn room_id(&self) -> Option<&RoomId> {
        if self.nameless {
            None
        } else {
            Some(self.event.room_id())
        }
    }

    fn sender(&self) -> &UserId {
        self.event.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::try_from(self.event.origin_server_ts()).unwrap())
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.event.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.event.prev_events().iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.event.auth_events().iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}

/// All events of a fixture, for ruma.
pub(crate) struct RumaRoom<'a> {
    pub(crate) room: &'a RoomFixture,
    pub(crate) rules: RoomVersionRules,
    events: HashMap<OwnedEventId, RumaEvent>,
    keys: HashMap<OwnedEventId, usize>,
}

impl<'a> RumaRoom<'a> {
    pub(crate) fn new(room: &'a RoomFixture) -> Self {
        let mut events = HashMap::new();
        let mut keys = HashMap::new();
        for key in 0..room.len() {
            let event = room.event(key);
            let rejected = room.entry(key).unwrap().rejected;
            events.insert(
                event.id().to_owned(),
                RumaEvent::new(room.version(), event, rejected),
            );
            keys.insert(event.id().to_owned(), key);
        }
        Self {
            room,
            rules: rules(room.version()),
            events,
            keys,
        }
    }

    pub(crate) fn fetch(&self, id: &EventId) -> Option<&RumaEvent> {
        self.events.get(id)
    }

    /// Whether ruma's rules allow the event in this state, and find its auth events right.
    pub(crate) fn allows(&self, key: usize, before: &Slots) -> Result<(), String> {
        let event = &self.events[self.room.event(key).id()];
        let rules = &self.rules.authorization;
        ruma_state_res::check_state_independent_auth_rules(rules, event, |id| self.fetch(id))?;
        let by_name: BTreeMap<(&str, &str), usize> = before
            .iter()
            .map(|(slot, key)| (self.room.slot_name(*slot), *key))
            .collect();
        ruma_state_res::check_state_dependent_auth_rules(rules, event, |event_type, state_key| {
            let event_type = event_type.to_string();
            let key = by_name.get(&(event_type.as_str(), state_key))?;
            self.fetch(self.room.event(*key).id())
        })
    }

    pub(crate) fn state_map(&self, state: &[(usize, usize)]) -> StateMap<OwnedEventId> {
        state
            .iter()
            .map(|(slot, key)| {
                let (event_type, state_key) = self.room.slot_name(*slot);
                let name = (StateEventType::from(event_type), state_key.to_owned());
                (name, self.room.event(*key).id().to_owned())
            })
            .collect()
    }

    pub(crate) fn auth_chain(&self, state: &[(usize, usize)]) -> EventIdSet<OwnedEventId> {
        let mut chain = EventIdSet::new();
        let mut open: Vec<usize> = state.iter().map(|(_, key)| *key).collect();
        // The states' own events are part of their chains, as with Synapse.
        chain.extend(open.iter().map(|key| self.room.event(*key).id().to_owned()));
        while let Some(key) = open.pop() {
            for auth in self.room.entry(key).unwrap().auth_events {
                if chain.insert(self.room.event(*auth).id().to_owned()) {
                    open.push(*auth);
                }
            }
        }
        chain
    }

    /// The conflicted subgraph by its definition: everything between each two of `conflicted`.
    fn subgraph(&self, conflicted: &[usize]) -> EventIdSet<OwnedEventId> {
        let reaches = |from: usize| {
            let mut seen = vec![from];
            let mut next = 0;
            while next < seen.len() {
                for auth in self.room.entry(seen[next]).unwrap().auth_events {
                    if !seen.contains(auth) {
                        seen.push(*auth);
                    }
                }
                next += 1;
            }
            seen
        };
        let mut found = EventIdSet::new();
        for &from in conflicted {
            for between in reaches(from) {
                let below = reaches(between);
                if conflicted
                    .iter()
                    .any(|to| *to != from && below.contains(to))
                {
                    found.insert(self.room.event(between).id().to_owned());
                }
            }
        }
        found
    }

    /// ruma's resolution of these states, by our numbers.
    pub(crate) fn resolve(&self, states: &[Vec<(usize, usize)>]) -> BTreeMap<String, usize> {
        let maps: Vec<_> = states.iter().map(|state| self.state_map(state)).collect();
        let chains = states.iter().map(|state| self.auth_chain(state)).collect();
        let resolved = ruma_state_res::resolve(
            &self.rules.authorization,
            self.rules.state_res.v2_rules().unwrap(),
            &maps,
            chains,
            |id| self.fetch(id),
            |conflicted| {
                let keys: Vec<usize> = conflicted
                    .values()
                    .flatten()
                    .map(|id| self.keys[id])
                    .collect();
                Some(self.subgraph(&keys))
            },
        );
        resolved
            .unwrap()
            .into_iter()
            .map(|((event_type, key), id)| (format!("{event_type}|{key}"), self.keys[&id]))
            .collect()
    }
}

pub(crate) fn rules(version: &RoomVersion) -> RoomVersionRules {
    RoomVersionId::try_from(version.id())
        .unwrap()
        .rules()
        .unwrap()
}

/// Our object, in ruma's type.
pub(crate) fn canonical(object: &spec::json::Object) -> CanonicalJsonObject {
    match serde_json::from_str(&encode_object(object)).unwrap() {
        CanonicalJsonValue::Object(object) => object,
        _ => unreachable!(),
    }
}
