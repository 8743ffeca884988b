//! Answers of sliding sync as JSON.

use std::collections::BTreeMap;

use engine::sync::sliding::{ExtensionsAnswer, Hero, ListAnswer, RoomAnswer, SlidingAnswer};
use ruma::{
    OwnedRoomId, RoomId,
    events::{AnyStrippedStateEvent, AnySyncEphemeralRoomEvent, AnySyncTimelineEvent},
    serde::Raw,
};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use serde_json::Value;

use crate::room::thread_subscriptions;

/// The dialect of MSC4186.
pub(super) fn current(answer: &SlidingAnswer) -> serde_json::Result<Vec<u8>> {
    body(answer, Room::current, List::current)
}

/// The dialect that clients speak since 2024.
pub(super) fn legacy(answer: &SlidingAnswer) -> serde_json::Result<Vec<u8>> {
    body(answer, Room::legacy, List::legacy)
}

fn body<'a>(
    answer: &'a SlidingAnswer,
    room: fn(&'a RoomAnswer) -> Room<'a>,
    list: fn(&'a ListAnswer) -> List<'a>,
) -> serde_json::Result<Vec<u8>> {
    let rooms = answer.rooms.iter();
    let lists = answer.lists.iter();
    serde_json::to_vec(&Body {
        pos: &answer.pos,
        lists: lists
            .map(|(name, answer)| (name.as_str(), list(answer)))
            .collect(),
        rooms: rooms.map(|(id, answer)| (&**id, room(answer))).collect(),
        extensions: Extensions::of(&answer.extensions),
    })
}

#[derive(Serialize)]
struct Body<'a> {
    pos: &'a str,
    lists: BTreeMap<&'a str, List<'a>>,
    rooms: BTreeMap<&'a RoomId, Room<'a>>,
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
struct List<'a> {
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    ops: Option<Vec<Operation<'a>>>,
}

/// A part of a list as it is now.
#[derive(Serialize)]
struct Operation<'a> {
    op: &'static str,
    range: (u64, u64),
    room_ids: &'a [OwnedRoomId],
}

impl<'a> List<'a> {
    fn current(list: &'a ListAnswer) -> Self {
        Self {
            count: list.count,
            ops: None,
        }
    }

    fn legacy(list: &'a ListAnswer) -> Self {
        let operation = |(range, rooms): &'a ((u64, u64), Vec<OwnedRoomId>)| Operation {
            op: "SYNC",
            range: *range,
            room_ids: rooms,
        };
        Self {
            ops: Some(list.ranges.iter().map(operation).collect()),
            ..Self::current(list)
        }
    }
}

/// A room in either dialect: what the other has is absent.
#[derive(Serialize)]
struct Room<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lists: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bump_stamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expanded_timeline: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unstable_expanded_timeline: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heroes: Option<Vec<HeroJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_dm: Option<bool>,
    #[serde(skip_serializing_if = "State::is_empty")]
    required_state: State<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline_events: Option<&'a [Raw<AnySyncTimelineEvent>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<&'a [Raw<AnySyncTimelineEvent>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_live: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    highlight_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripped_state: Option<&'a [Raw<AnyStrippedStateEvent>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite_state: Option<&'a [Raw<AnyStrippedStateEvent>]>,
}

#[derive(Serialize)]
struct HeroJson<'a> {
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<&'a str>,
}

impl<'a> HeroJson<'a> {
    fn of(hero: &'a Hero) -> Self {
        Self {
            user_id: &hero.user_id,
            displayname: hero.displayname.as_deref(),
            avatar_url: hero.avatar_url.as_deref(),
        }
    }
}

impl<'a> Room<'a> {
    fn current(room: &'a RoomAnswer) -> Self {
        Self {
            membership: Some(room.membership),
            lists: (!room.lists.is_empty()).then_some(&*room.lists),
            expanded_timeline: room.expanded_timeline.then_some(true),
            name: room.name.as_ref().map(|name| name.as_deref()),
            required_state: State {
                events: room,
                with_removed: true,
            },
            timeline_events: (!room.timeline.is_empty()).then_some(&*room.timeline),
            stripped_state: room.stripped_state.as_deref(),
            ..Self::common(room)
        }
    }

    fn legacy(room: &'a RoomAnswer) -> Self {
        Self {
            unstable_expanded_timeline: room.expanded_timeline.then_some(true),
            // A name that is null is none to these clients.
            name: room.name.as_ref().and_then(Option::as_deref).map(Some),
            timeline: (!room.timeline.is_empty()).then_some(&*room.timeline),
            invite_state: room.stripped_state.as_deref(),
            ..Self::common(room)
        }
    }

    fn common(room: &'a RoomAnswer) -> Self {
        Self {
            bump_stamp: room.bump_stamp,
            initial: room.initial.then_some(true),
            avatar: room.avatar.as_ref().map(|avatar| avatar.as_deref()),
            heroes: room
                .heroes
                .as_ref()
                .map(|heroes| heroes.iter().map(HeroJson::of).collect()),
            is_dm: room.is_dm,
            required_state: State {
                events: room,
                with_removed: false,
            },
            prev_batch: room.prev_batch.as_deref(),
            limited: room.limited.then_some(true),
            num_live: room.num_live,
            joined_count: room.joined_count,
            invited_count: room.invited_count,
            notification_count: room.notification_count,
            highlight_count: room.highlight_count,
            membership: None,
            lists: None,
            expanded_timeline: None,
            unstable_expanded_timeline: None,
            name: None,
            timeline_events: None,
            timeline: None,
            stripped_state: None,
            invite_state: None,
        }
    }
}

/// State events and, where the dialect knows them, stubs for state that is no more.
struct State<'a> {
    events: &'a RoomAnswer,
    with_removed: bool,
}

#[derive(Serialize)]
struct Stub<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    state_key: &'a str,
}

impl State<'_> {
    fn removed(&self) -> &[(String, String)] {
        if self.with_removed {
            &self.events.removed_state
        } else {
            &[]
        }
    }

    fn is_empty(&self) -> bool {
        self.events.required_state.is_empty() && self.removed().is_empty()
    }
}

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let events = &self.events.required_state;
        let mut list = serializer.serialize_seq(Some(events.len() + self.removed().len()))?;
        for event in events {
            list.serialize_element(event)?;
        }
        for (event_type, state_key) in self.removed() {
            list.serialize_element(&Stub {
                event_type,
                state_key,
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Extensions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_data: Option<AccountData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<ByRoom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<ByRoom<'a>>,
    #[serde(
        rename = "io.element.msc4308.thread_subscriptions",
        skip_serializing_if = "Option::is_none"
    )]
    thread_subscriptions: Option<Value>,
}

#[derive(Serialize)]
struct ByRoom<'a> {
    rooms: BTreeMap<&'a RoomId, &'a Raw<AnySyncEphemeralRoomEvent>>,
}

impl<'a> ByRoom<'a> {
    fn of(events: &'a BTreeMap<OwnedRoomId, Raw<AnySyncEphemeralRoomEvent>>) -> Option<Self> {
        let rooms = events.iter().map(|(id, event)| (&**id, event)).collect();
        (!events.is_empty()).then_some(Self { rooms })
    }
}

#[derive(Serialize)]
struct AccountData<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    global: &'a [Raw<ruma::events::AnyGlobalAccountDataEvent>],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rooms: BTreeMap<&'a RoomId, &'a [Raw<ruma::events::AnyRoomAccountDataEvent>]>,
}

impl<'a> Extensions<'a> {
    fn of(answer: &'a ExtensionsAnswer) -> Self {
        let data = &answer.account_data;
        let rooms: BTreeMap<&RoomId, _> = data
            .rooms
            .iter()
            .map(|(id, events)| (&**id, events.as_slice()))
            .collect();
        let is_empty = data.global.is_empty() && rooms.is_empty();
        let threads = &answer.thread_subscriptions;
        Self {
            account_data: (!is_empty).then_some(AccountData {
                global: &data.global,
                rooms,
            }),
            receipts: ByRoom::of(&answer.receipts),
            typing: ByRoom::of(&answer.typing),
            thread_subscriptions: (!threads.changes.is_empty())
                .then(|| thread_subscriptions::written(threads, "prev_batch")),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::sync::sliding::RoomAnswer;
    use ruma::room_id;
    use serde_json::json;

    use super::*;

    /// SSS-18: only the dialect of the specification has a word for it.
    #[test]
    fn state_that_is_no_more_is_a_stub() {
        let room = RoomAnswer {
            removed_state: vec![("m.room.member".to_owned(), "@carol:here".to_owned())],
            ..RoomAnswer::default()
        };
        let answer = SlidingAnswer {
            rooms: [(room_id!("!room:here").to_owned(), room)].into(),
            ..SlidingAnswer::default()
        };
        let stub = json!([{"type": "m.room.member", "state_key": "@carol:here"}]);
        for (written, expected) in [(current(&answer), Some(&stub)), (legacy(&answer), None)] {
            let written: Value = serde_json::from_slice(&written.expect("JSON")).expect("JSON");
            let state = written["rooms"]["!room:here"].get("required_state");
            assert_eq!(state, expected, "{written}");
        }
    }
}
