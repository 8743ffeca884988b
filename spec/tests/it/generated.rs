//! Rooms as proptest makes them up: members, power levels, forks, bans, joins, redactions.

use proptest::prelude::*;
use spec::{
    event::Event,
    fixture::{RoomFixture, Say, text},
    json::{Object, Value},
    object,
};

/// So many cases, or as many as `PROPTEST_CASES` asks for.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(cases);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The room, an event a line.
pub(crate) fn describe(room: &RoomFixture) -> String {
    let line = |key: usize| {
        let event = room.event(key);
        let number =
            |id: &ruma::OwnedEventId| (0..room.len()).find(|key| room.event(*key).id() == id);
        let numbers =
            |ids: &[ruma::OwnedEventId]| ids.iter().filter_map(number).collect::<Vec<_>>();
        format!(
            "{key}: after {:?} by {:?} at {}: {} {}|{} {} ({:?}, {})",
            numbers(event.prev_events()),
            numbers(event.auth_events()),
            event.origin_server_ts() % 1_000_000,
            event.sender(),
            event.event_type(),
            event.state_key().unwrap_or("-"),
            spec::json::encode_object(event.content()),
            room.outcome(key),
            event.id(),
        )
    };
    (0..room.len()).map(line).collect::<Vec<_>>().join("\n")
}

/// One event to come: small numbers, that the room makes sense of.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    kind: u8,
    sender: u8,
    target: u8,
    level: u8,
    /// Where the event goes: mostly after the heads, sometimes on an older event, sometimes on two.
    place: u8,
    at: u16,
    /// Seconds since the event before; 0 gives equal times.
    later: u8,
}

pub(crate) const USERS: [&str; 6] = [
    "@alice:a.example",
    "@bob:b.example",
    "@carol:a.example",
    "@dan:b.example",
    "@eve:c.example",
    "@fay:a.example",
];

const LEVELS: [i64; 7] = [0, 10, 25, 50, 75, 100, -1];

pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..40_u8,
        0..6_u8,
        0..6_u8,
        0..7_u8,
        0..10_u8,
        any::<u16>(),
        0..3_u8,
    )
        .prop_map(|(kind, sender, target, level, place, at, later)| Step {
            kind,
            sender,
            target,
            level,
            place,
            at,
            later,
        });
    prop::collection::vec(step, 1..count)
}

/// The room that these steps give. Every event is there, whether allowed or not.
///
/// `explicit` has all levels written out from the start, with none left to its default.
pub(crate) fn room(version: &str, steps: &[Step], explicit: bool) -> RoomFixture {
    let mut room = RoomFixture::new(version, USERS[0], "public");
    if explicit {
        let first = room
            .current_event("m.room.power_levels", "")
            .expect("it was just added");
        let mut content = first.content().clone();
        for (name, level) in [
            ("users_default", 0),
            ("events_default", 0),
            ("state_default", 50),
            ("ban", 50),
            ("redact", 50),
            ("kick", 50),
            ("invite", 0),
        ] {
            content.insert(name.to_owned(), level.into());
        }
        room.add(Say::state(USERS[0], "m.room.power_levels", "", content));
    }
    // Some members from the start, so that most steps mean something.
    for user in &USERS[1..4] {
        room.add(Say::member(user, user, "join"));
    }
    let first = room.len();
    let mut clock = 1_700_000_100_000;
    for step in steps {
        clock += i64::from(step.later) * 1000;
        room.set_clock(clock - 1000);
        let older = |at: usize| first - 1 + at % (room.len() - first + 1);
        let prev = match step.place {
            0 | 1 => vec![older(usize::from(step.at))],
            2 => {
                let (a, b) = (
                    older(usize::from(step.at)),
                    older(usize::from(step.at) / 256),
                );
                if a == b { vec![a] } else { vec![a, b] }
            }
            _ => room.heads().to_vec(),
        };
        let mut say = say(&room, &prev, step);
        // No two events are the same, even where all else is.
        say.content
            .insert("org.example.number".to_owned(), (room.len() as i64).into());
        room.add_after(&prev, say);
    }
    room
}

fn say(room: &RoomFixture, prev: &[usize], step: &Step) -> Say {
    let user = USERS[usize::from(step.sender)];
    let target = USERS[usize::from(step.target)];
    match step.kind {
        0..=5 => Say::member(user, user, "join"),
        6 | 7 => Say::member(user, user, "leave"),
        8..=10 => Say::member(user, target, "invite"),
        11 | 12 => Say::member(user, target, "leave"),
        13..=15 => Say::member(user, target, "ban"),
        16 => Say::member(user, user, "knock"),
        17..=22 => Say::state(user, "m.room.power_levels", "", levels(room, prev, step)),
        23..=26 => {
            let rules = [
                "public",
                "invite",
                "knock",
                "restricted",
                "knock_restricted",
                "private",
                "public",
            ];
            let rule = object! { "join_rule" => rules[usize::from(step.level)] };
            Say::state(user, "m.room.join_rules", "", rule)
        }
        27 => {
            let content =
                object! { "membership" => "join", "join_authorised_via_users_server" => target };
            Say::state(user, "m.room.member", user, content)
        }
        28..=31 => Say::state(
            user,
            "m.room.topic",
            "",
            object! { "topic" => i64::from(step.at).to_string() },
        ),
        32 => Say::state(
            user,
            "org.example.own",
            target,
            object! { "level" => i64::from(step.level) },
        ),
        33 => {
            let event: &Event = room.event(usize::from(step.at) % room.len());
            Say::redaction(user, event.id())
        }
        34 => Say::state(
            user,
            "m.room.aliases",
            &target[target.len() - 9..],
            object! { "aliases" => Object::new() },
        ),
        _ => Say::message(user, "m.room.message", text("hello")),
    }
}

/// The power levels before `prev`'s next event, with one thing changed.
fn levels(room: &RoomFixture, prev: &[usize], step: &Step) -> Object {
    let state = room.state_before(prev);
    let slot = spec::resolve::Source::slot(room, "m.room.power_levels", "");
    let current = slot.and_then(|slot| state.get(&slot));
    let mut content = current
        .map(|key| room.event(*key).content().clone())
        .unwrap_or_default();
    let level = Value::from(LEVELS[usize::from(step.level)]);
    let name = match step.at % 12 {
        0 => "ban",
        1 => "kick",
        2 => "invite",
        3 => "state_default",
        4 => "users_default",
        5 => {
            nested(&mut content, "events", "m.room.topic", level);
            return content;
        }
        6 => {
            nested(&mut content, "notifications", "room", level);
            return content;
        }
        7 => {
            if let Some(Value::Object(users)) = content.get_mut("users") {
                users.remove(USERS[usize::from(step.target)]);
            }
            return content;
        }
        _ => {
            nested(
                &mut content,
                "users",
                USERS[usize::from(step.target)],
                level,
            );
            return content;
        }
    };
    content.insert(name.to_owned(), level);
    content
}

fn nested(content: &mut Object, name: &str, key: &str, level: Value) {
    let map = content
        .entry(name.to_owned())
        .or_insert_with(|| Object::new().into());
    if let Value::Object(map) = map {
        map.insert(key.to_owned(), level);
    }
}
