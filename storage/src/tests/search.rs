//! Texts by what stands in them.

use std::sync::Arc;

use sea_orm::DbBackend;
use spec::{event::Event, room_version::RoomVersion, search::Key};

use super::fixture::{Room, on_each};
use crate::{
    EventRow, Limit, Logged, Plain, Store, Write,
    search::{self, Matching},
    sql::Sql,
    write::NewEvent,
};

/// A message with this text, sent at `ts`.
fn message(store: &Store, room: &Room, ts: i64, body: &str) -> NewEvent {
    let new = room.message_at(store, ts);
    let old = format!(r#""body":"{}""#, new.row);
    let body = spec::json::encode(&body.into());
    let json = new
        .event
        .to_json()
        .replace(&old, &format!(r#""body":{body}"#));
    let version = RoomVersion::get("11").unwrap();
    let event = Event::from_stored(version, new.event.id().to_owned(), &json).unwrap();
    NewEvent {
        event: Arc::new(event),
        ..new
    }
}

async fn writes(store: &Store, events: Vec<NewEvent>) -> Vec<EventRow> {
    let rows = events.iter().map(|new| new.row).collect();
    let write = Write {
        logged: events.into_iter().map(Logged::Event).collect(),
        ..Write::default()
    };
    store.write(write).await.unwrap();
    rows
}

async fn found(store: &Store, room: &Room, terms: &[&str]) -> Vec<EventRow> {
    let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
    let matching = Matching {
        rooms: &[room.row],
        terms: &terms,
        keys: &Key::ALL,
        senders: None,
    };
    let matches = search::page(store.reader(), &matching, i64::MAX, Limit::new(100)).await;
    let rows: Vec<_> = matches
        .unwrap()
        .matches
        .iter()
        .map(|one| one.event)
        .collect();
    let count = search::count(store.reader(), &matching, Limit::new(100)).await;
    assert_eq!(count.unwrap(), rows.len() as i64);
    rows
}

#[tokio::test]
async fn parts_of_words_are_found_in_all_scripts_and_cases() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        let texts = [
            "The Rookery is full",
            "ein rookie, überall",
            "我喜欢旧金山的天气",
            "昨日の東京タワー 서울특별시",
            "100% \"quoted\" it's_under OR NOT a*b",
        ];
        let events = texts.iter().enumerate();
        let events = events.map(|(ts, text)| message(&store, &room, ts as i64, text));
        let rows = writes(&store, events.collect()).await;
        writes(&store, vec![message(&store, &other, 9, "another rookery")]).await;
        let cases: [(&[&str], &[usize]); 19] = [
            (&["rook"], &[1, 0]),
            (&["rookery"], &[0]),
            (&["full", "rook"], &[0]),
            (&["full", "rookie"], &[]),
            (&["überall"], &[1]),
            (&["旧金山"], &[2]),
            (&["天气"], &[2]),
            (&["我"], &[2]),
            (&["東京タ"], &[3]),
            (&["특별시"], &[3]),
            (&["is"], &[0]),
            (&["rook", "is"], &[0]),
            (&["100%"], &[4]),
            (&["%"], &[4]),
            (&["\"quoted\""], &[4]),
            (&["s_u"], &[4]),
            (&["sxu"], &[]),
            (&["a*b"], &[4]),
            (&["or not"], &[4]),
        ];
        for (terms, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|index| rows[*index]).collect();
            assert_eq!(found(&store, &room, terms).await, expected, "{terms:?}");
        }
        for hostile in [
            "\"",
            "'; drop table searchable; --",
            "text : x",
            "near(",
            "^abc",
            "\\",
            "{a} : \"b",
        ] {
            found(&store, &room, &[hostile]).await;
        }
        assert_eq!(found(&store, &room, &["rook"]).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_is_redacted_is_not_found_and_what_was_sent_last_comes_first() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let events = [3, 1, 2].map(|ts| message(&store, &room, ts, "needle"));
        let json = events[0].event.to_json();
        let rows = writes(&store, events.to_vec()).await;
        assert_eq!(
            found(&store, &room, &["needle"]).await,
            [rows[0], rows[2], rows[1]]
        );
        let redacted = Plain::Redacted {
            event: rows[0],
            by: rows[1],
            json,
        };
        store.write(Write::plain(vec![redacted])).await.unwrap();
        for term in ["needle", "ne"] {
            assert_eq!(
                found(&store, &room, &[term]).await,
                rows[1..].iter().rev().copied().collect::<Vec<_>>(),
                "{term}"
            );
        }
        let terms = ["needle".to_owned()];
        let matching = Matching {
            rooms: &[room.row],
            terms: &terms,
            keys: &[Key::Name],
            senders: None,
        };
        let page = async |matching: &Matching<'_>, before| {
            let page = search::page(store.reader(), matching, before, Limit::new(1)).await;
            page.unwrap().matches
        };
        assert!(page(&matching, i64::MAX).await.is_empty());
        let keys = &Key::ALL;
        let matching = Matching { keys, ..matching };
        let first = page(&matching, i64::MAX).await;
        let second = page(&matching, first[0].moment).await;
        assert_eq!((first[0].event, second[0].event), (rows[2], rows[1]));
        assert!(page(&matching, second[0].moment).await.is_empty());
        let nobody = ["@nobody:test".to_owned()];
        let matching = Matching {
            senders: Some(&nobody),
            ..matching
        };
        assert!(page(&matching, i64::MAX).await.is_empty());
        // A time that no clock shows.
        let future = message(&store, &room, i64::MAX, "tomorrow");
        let future = writes(&store, vec![future]).await;
        assert_eq!(found(&store, &room, &["tomorrow"]).await, future);
    })
    .await;
}

/// An edit of `original` with a new text.
fn edit(store: &Store, room: &Room, ts: i64, original: &NewEvent, body: &str) -> NewEvent {
    let new = message(store, room, ts, "");
    let content = format!(
        r#""content":{{"m.new_content":{{"body":"{body}"}},"m.relates_to":{{"rel_type":"m.replace","event_id":"{}"}},"#,
        original.event.id()
    );
    let json = new.event.to_json().replace(r#""content":{"#, &content);
    let version = RoomVersion::get("11").unwrap();
    let event = Event::from_stored(version, new.event.id().to_owned(), &json).unwrap();
    NewEvent {
        event: Arc::new(event),
        ..new
    }
}

/// Servers bring events in any order.
#[tokio::test]
async fn the_last_edit_is_found_whatever_came_first() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            for together in [true, false] {
                let original = message(&store, &room, 1, "needle");
                let row = original.row;
                let first = edit(&store, &room, 2, &original, "first");
                let last = edit(&store, &room, 3, &original, "final");
                let (source, events) = (last.row, [original, first, last]);
                let events = order.map(|index| events[index].clone());
                if together {
                    writes(&store, events.to_vec()).await;
                } else {
                    for event in events {
                        writes(&store, vec![event]).await;
                    }
                }
                for gone in ["needle", "first"] {
                    let found = found(&store, &room, &[gone]).await;
                    assert!(found.is_empty(), "{order:?} {together}");
                }
                let terms = ["final".to_owned()];
                let matching = Matching {
                    rooms: &[room.row],
                    terms: &terms,
                    keys: &Key::ALL,
                    senders: None,
                };
                let page = search::page(store.reader(), &matching, i64::MAX, Limit::new(9));
                let page = page.await.unwrap().matches;
                assert_eq!(page.len(), 1, "{order:?} {together}");
                assert_eq!((page[0].event, page[0].source), (row, source));
                let json = "{}".to_owned();
                let redacted = Plain::Redacted {
                    event: row,
                    by: row,
                    json,
                };
                store.write(Write::plain(vec![redacted])).await.unwrap();
                assert!(found(&store, &room, &["final"]).await.is_empty());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn short_terms_are_found_however_far_back() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let cat = message(&store, &room, 1, "一只猫");
        let cat = writes(&store, vec![cat]).await;
        // As many as are read for one page.
        let others = (2..22).map(|ts| message(&store, &room, ts, "狗")).collect();
        writes(&store, others).await;
        let terms = ["猫".to_owned()];
        let matching = Matching {
            rooms: &[room.row],
            terms: &terms,
            keys: &Key::ALL,
            senders: None,
        };
        let page = async |before| {
            let page = search::page(store.reader(), &matching, before, Limit::new(9)).await;
            page.unwrap()
        };
        let first = page(i64::MAX).await;
        assert!(first.matches.is_empty());
        let second = page(first.before.expect("more to read")).await;
        let rows: Vec<_> = second.matches.iter().map(|one| one.event).collect();
        assert_eq!((rows, second.before), (cat, None));
    })
    .await;
}

/// A plan for any terms would read all texts for a rare word.
#[tokio::test]
async fn postgresql_plans_for_the_terms_at_hand_and_for_nothing_else() {
    on_each(async |store| {
        if store.reader().get_database_backend() != DbBackend::Postgres {
            return;
        }
        let mode = || Sql::new("SHOW plan_cache_mode");
        let rows = search::planned(mode(), store.reader()).await.unwrap();
        let planned: String = rows[0].try_get_by_index(0).unwrap();
        let rows = mode().rows(store.reader()).await.unwrap();
        let otherwise: String = rows[0].try_get_by_index(0).unwrap();
        assert_eq!(
            (planned.as_str(), otherwise.as_str()),
            ("force_custom_plan", "auto")
        );
    })
    .await;
}

/// With few rooms the index knows them, with many it does not.
#[tokio::test]
async fn matches_are_of_the_rooms_that_are_asked_for() {
    on_each(async |store| {
        let mut rooms = Vec::new();
        for _ in 0..20 {
            rooms.push(Room::new(&store).await);
        }
        let mut rows = Vec::new();
        for (ts, room) in rooms.iter().enumerate() {
            let event = message(&store, room, ts as i64, "needle \u{e001}\u{e000}\u{e000}");
            rows.extend(writes(&store, vec![event]).await);
        }
        for (first, last) in [(0, 1), (3, 7), (1, 20), (0, 20)] {
            let asked: Vec<_> = rooms[first..last].iter().map(|room| room.row).collect();
            let terms = ["needle".to_owned()];
            let matching = Matching {
                rooms: &asked,
                terms: &terms,
                keys: &Key::ALL,
                senders: None,
            };
            let page = search::page(store.reader(), &matching, i64::MAX, Limit::new(100));
            let page = page.await.unwrap().matches;
            let found: Vec<_> = page.iter().map(|one| one.event).collect();
            let expected: Vec<_> = rows[first..last].iter().rev().copied().collect();
            assert_eq!(found, expected, "{first}..{last}");
        }
        // The text of a room is not its mark.
        assert_eq!(
            found(&store, &rooms[5], &["\u{e001}\u{e000}\u{e000}"])
                .await
                .len(),
            1
        );
    })
    .await;
}
