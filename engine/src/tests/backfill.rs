//! History that another server has is fetched when somebody scrolls to it.

use std::sync::Arc;

use ruma::{OwnedEventId, OwnedRoomId, api::client::filter::RoomEventFilter};
use spec::{
    json::{Object, Value},
    object,
};

use super::{
    federation::{name, pairs},
    fixture::Person,
    wire::Meddle,
};
use crate::{
    Clock as _, ContextAsk, Direction, Error, MessagesAsk, MessagesPage, Preset, SetState,
    events::KnownEvent,
};

fn ids(page: &MessagesPage) -> Vec<OwnedEventId> {
    let ids = page.chunk.iter();
    ids.map(|event| {
        event
            .get_field::<OwnedEventId>("event_id")
            .unwrap()
            .unwrap()
    })
    .collect()
}

async fn page(
    person: &Person,
    room: &OwnedRoomId,
    from: Option<String>,
    direction: Direction,
) -> MessagesPage {
    let ask = MessagesAsk {
        from,
        to: None,
        direction,
        limit: 30,
        filter: RoomEventFilter::default(),
        relations: crate::RelationFilter::default(),
    };
    let handle = person.room(room).await;
    handle.messages(&person.requester, ask).await.unwrap()
}

/// All events of a room as somebody scrolls through it, in the order in which they come; the pages are short.
pub(super) async fn scrolled(
    person: &Person,
    room: &OwnedRoomId,
    direction: Direction,
) -> Vec<OwnedEventId> {
    const PAGES_MAX: usize = 200;
    let (mut from, mut seen) = (None, Vec::new());
    for _ in 0..PAGES_MAX {
        let page = page(person, room, from, direction).await;
        seen.extend(ids(&page));
        match page.end {
            Some(end) => from = Some(end),
            None => return seen,
        }
    }
    panic!("no end after {PAGES_MAX} pages, with {} events", seen.len());
}

async fn says_many(person: &Person, room: &OwnedRoomId, count: usize) -> Vec<OwnedEventId> {
    let mut said = Vec::new();
    for n in 0..count {
        said.push(person.says(room, &n.to_string()).await.unwrap());
    }
    said
}

async fn joins(bob: &Person, alice: &Person, room: &OwnedRoomId) {
    let via = vec![alice.engine.server_name().to_owned()];
    let joined = bob
        .engine
        .join(&bob.requester, room, via, None, Object::new());
    joined.await.unwrap();
}

/// The event that says what somebody is in a room.
async fn member(person: &Person, room: &OwnedRoomId) -> Arc<KnownEvent> {
    let context = &person.room(room).await.context;
    let row = storage::members::one(
        context.store.reader(),
        person.room(room).await.meta.row,
        &person.requester.user_id,
    );
    let row = row.await.unwrap().unwrap().event;
    context.events.get(&context.metas, row).await.unwrap()
}

async fn set_visibility(person: &Person, room: &OwnedRoomId, visibility: &str) {
    let ask = SetState {
        event_type: "m.room.history_visibility".to_owned(),
        state_key: String::new(),
        content: object! { "history_visibility" => visibility },
    };
    let room = person.room(room).await;
    room.set_state(&person.requester, ask).await.unwrap();
}

#[tokio::test]
async fn a_joiner_scrolls_back_to_the_beginning_and_forth_again() {
    for pair in pairs().await {
        for version in ["1", "6", "12"] {
            let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
            let room = alice.creates(version, Preset::Public).await;
            says_many(&alice, &room, 250).await;
            joins(&bob, &alice, &room).await;
            let since = bob.syncs(None).await.next_batch;
            let mut back = scrolled(&bob, &room, Direction::Backward).await;
            assert_eq!(
                back,
                scrolled(&alice, &room, Direction::Backward).await,
                "{version}"
            );
            back.reverse();
            let forth = scrolled(&bob, &room, Direction::Forward).await;
            assert_eq!(back, forth, "{version}");
            let synced = bob.syncs(Some(&since)).await;
            assert!(synced.rooms.is_empty(), "{version}: history is no news");
        }
    }
}

#[tokio::test]
async fn what_happened_while_nobody_of_a_server_was_there_comes_in_between() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("12").await;
        let said = alice.says(&room, "to bob").await.unwrap();
        pair.deliver(&pair.here, &pair.there, &[said]).await;
        bob.leaves(&room).await.unwrap();
        let left = member(&bob, &room).await.event.object().clone();
        let (inbound, there) = (alice.engine.inbound(), name(&pair.there));
        let taken = inbound.pdus(&there, vec![left]).await.unwrap();
        assert!(taken.values().all(Result::is_ok));
        says_many(&alice, &room, 120).await;
        joins(&bob, &alice, &room).await;
        let said = alice.says(&room, "again").await.unwrap();
        pair.deliver(&pair.here, &pair.there, &[said]).await;
        let mut back = scrolled(&bob, &room, Direction::Backward).await;
        assert_eq!(back, scrolled(&alice, &room, Direction::Backward).await);
        back.reverse();
        assert_eq!(back, scrolled(&bob, &room, Direction::Forward).await);
    }
}

#[tokio::test]
async fn a_hole_that_an_outage_left_is_filled() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let said = says_many(&alice, &room, 180).await;
        pair.deliver(&pair.here, &pair.there, &said[179..]).await;
        assert_eq!(
            scrolled(&bob, &room, Direction::Backward).await,
            scrolled(&alice, &room, Direction::Backward).await
        );
    }
}

#[tokio::test]
async fn history_is_shown_as_its_visibility_was_then() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        let open = says_many(&alice, &room, 40).await;
        set_visibility(&alice, &room, "joined").await;
        let hidden = says_many(&alice, &room, 120).await;
        joins(&bob, &alice, &room).await;
        let shown = alice.says(&room, "shown").await.unwrap();
        pair.deliver(&pair.here, &pair.there, std::slice::from_ref(&shown))
            .await;
        let seen = scrolled(&bob, &room, Direction::Backward).await;
        assert!(seen.contains(&shown));
        assert!(open.iter().all(|id| seen.contains(id)), "{seen:?}");
        assert!(!hidden.iter().any(|id| seen.contains(id)), "{seen:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_breaks_nothing_and_is_asked_again() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        says_many(&alice, &room, 5).await;
        joins(&bob, &alice, &room).await;
        pair.cut_off(true);
        let first = page(&bob, &room, None, Direction::Backward).await;
        assert_eq!(ids(&first).len(), 1, "the join");
        assert!(first.end.is_some(), "there may be more");
        let again = page(&bob, &room, first.end.clone(), Direction::Backward).await;
        assert_eq!((ids(&again).len(), again.end), (0, first.end.clone()));
        pair.cut_off(false);
        let rest = page(&bob, &room, first.end, Direction::Backward).await;
        assert_eq!(
            ids(&rest).len() + 1,
            scrolled(&alice, &room, Direction::Backward).await.len()
        );
        assert_eq!(rest.end, None);
    }
}

#[tokio::test]
async fn many_who_scroll_at_once_have_it_fetched_once() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        says_many(&alice, &room, 20).await;
        joins(&bob, &alice, &room).await;
        let (count, asked) = std::sync::mpsc::channel();
        *pair.meddler.lock().unwrap() = Some(Box::new(move |events| {
            count.send(()).unwrap();
            events
        }));
        let pages = (0..8).map(|_| page(&bob, &room, None, Direction::Backward));
        for page in futures_util::future::join_all(pages).await {
            assert_eq!(ids(&page).len(), 26);
        }
        assert_eq!(asked.try_iter().count(), 1);
    }
}

#[tokio::test]
async fn the_surroundings_of_the_first_known_event_are_fetched() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        says_many(&alice, &room, 10).await;
        joins(&bob, &alice, &room).await;
        let handle = bob.room(&room).await;
        let ask = ContextAsk {
            event_id: member(&bob, &room).await.event.id().to_owned(),
            limit: 10,
            filter: RoomEventFilter::default(),
            relations: crate::RelationFilter::default(),
        };
        let context = handle.context(&bob.requester, ask).await.unwrap();
        assert_eq!(context.events_before.len(), 5);
        let before = page(&bob, &room, Some(context.start), Direction::Backward).await;
        assert_eq!(ids(&before).len(), 10);
        let after = page(&bob, &room, Some(context.end), Direction::Forward).await;
        assert_eq!(ids(&after).len(), 0);
    }
}

/// What a server may answer instead of the history.
fn lies(other: Vec<Object>) -> Vec<(&'static str, Meddle)> {
    let foreign = other.clone();
    vec![
        ("nothing", Box::new(|_| Vec::new())),
        ("another room", Box::new(move |_| other.clone())),
        (
            "garbage",
            Box::new(|events| {
                let mut events: Vec<Object> = events.into_iter().take(3).collect();
                events[0].insert("type".to_owned(), Value::Null);
                events[1].remove("signatures");
                events[2] = object! { "depth" => "deep" };
                events
            }),
        ),
        (
            "a gap of its own",
            Box::new(|events| events.into_iter().skip(1).collect()),
        ),
        (
            "forged signatures",
            Box::new(|mut events| {
                for event in &mut events {
                    event.insert(
                        "signatures".to_owned(),
                        object! { "here" => object! { "ed25519:1" => "AAAA" } }.into(),
                    );
                }
                events
            }),
        ),
        (
            "too much of something else",
            Box::new(move |_| foreign.iter().cycle().take(10_000).cloned().collect()),
        ),
    ]
}

#[tokio::test]
async fn lies_about_history_are_dropped_and_end_the_scrolling() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let other = alice.creates("11", Preset::Public).await;
        let said = [alice.says(&other, "elsewhere").await.unwrap()];
        joins(&bob, &alice, &other).await;
        let inbound = alice.engine.inbound();
        let elsewhere = inbound.backfill(bob.engine.server_name(), &other, &said, 50);
        for (what, lie) in lies(elsewhere.await.unwrap()) {
            let room = alice.creates("11", Preset::Public).await;
            says_many(&alice, &room, 10).await;
            joins(&bob, &alice, &room).await;
            *pair.meddler.lock().unwrap() = Some(Box::new(lie));
            let seen = scrolled(&bob, &room, Direction::Backward).await;
            assert_eq!(seen.len(), 1, "{what}: {seen:?}");
            *pair.meddler.lock().unwrap() = None;
        }
    }
}

#[tokio::test]
async fn history_in_disorder_is_put_in_order() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        says_many(&alice, &room, 60).await;
        joins(&bob, &alice, &room).await;
        *pair.meddler.lock().unwrap() = Some(Box::new(|mut events| {
            events.reverse();
            events.extend(events.clone().into_iter().step_by(3));
            events
        }));
        assert_eq!(
            scrolled(&bob, &room, Direction::Backward).await,
            scrolled(&alice, &room, Direction::Backward).await
        );
    }
}

/// The bodies of messages among events of other servers.
fn texts(events: &[Object]) -> Vec<Option<&str>> {
    let body =
        |event: &&Object| event.get("type").and_then(Value::as_str) == Some("m.room.message");
    events
        .iter()
        .filter(body)
        .map(|event| event.get("content")?.get("body")?.as_str())
        .collect()
}

#[tokio::test]
async fn other_servers_read_back_from_an_event_within_limits_and_what_they_may_see() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        says_many(&alice, &room, 30).await;
        set_visibility(&alice, &room, "joined").await;
        let hidden = says_many(&alice, &room, 5).await;
        joins(&bob, &alice, &room).await;
        let shown = says_many(&alice, &room, 2).await;
        let (inbound, there) = (alice.engine.inbound(), name(&pair.there));
        let back = async |from: &OwnedEventId, limit| {
            let from = [from.clone(), "$unknown".try_into().unwrap()];
            inbound.backfill(&there, &room, &from, limit).await.unwrap()
        };
        let all = back(&shown[1], 1_000).await;
        assert_eq!(
            all.len(),
            scrolled(&alice, &room, Direction::Backward).await.len()
        );
        let seen = texts(&all);
        assert_eq!(seen[..2], [Some("1"), Some("0")]);
        assert_eq!(seen[2..7], [None; 5], "sent before anybody was there");
        assert_eq!(seen[7], Some("29"));
        assert_eq!(back(&shown[1], 3).await.len(), 3);
        assert_eq!(
            texts(&back(&hidden[0], 1).await),
            [None],
            "with what was asked for"
        );

        let missing = async |limit, min_depth| {
            let (earliest, latest) = (&hidden[..1], &shown[1..]);
            let found = inbound.missing_events(&there, &room, earliest, latest, limit, min_depth);
            found.await.unwrap()
        };
        let found = missing(100, 0).await;
        assert_eq!(texts(&found), [None, None, None, None, Some("0")]);
        assert_eq!(missing(2, 0).await.len(), 2, "those next to what is there");
        let depth = |event: &Object| event["depth"].as_i64().unwrap();
        let deep = depth(&found[4]);
        assert!(
            missing(100, deep)
                .await
                .iter()
                .all(|event| depth(event) >= deep)
        );
        let wide = inbound.missing_events(&there, &room, &[], &shown[1..], 100, 0);
        assert_eq!(wide.await.unwrap().len(), 20);

        let stranger = ruma::owned_server_name!("stranger");
        let refused = inbound.event(&stranger, &shown[0]).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))));
        let unknown = inbound
            .event(&there, &OwnedEventId::try_from("$x").unwrap())
            .await;
        assert!(matches!(unknown, Err(Error::NotFound(_))));
        let refused = inbound.backfill(&stranger, &room, &shown, 1).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))));
        let other = alice.creates("10", Preset::Public).await;
        joins(&bob, &alice, &other).await;
        let elsewhere = inbound.state_ids(&there, &other, &shown[0]).await;
        assert!(matches!(elsewhere, Err(Error::NotFound(_))));
    }
}

#[tokio::test]
async fn the_event_of_a_time_is_found_on_either_server() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        let mut said = Vec::new();
        for n in 0..150 {
            pair.here.clock.advance(1_000);
            said.push(alice.says(&room, &n.to_string()).await.unwrap());
        }
        pair.here.clock.advance(1_000);
        pair.there.clock.advance(151_000);
        joins(&bob, &alice, &room).await;
        let start = pair.here.clock.now_ms() - 151_000;
        for person in [&alice, &bob] {
            let handle = person.room(&room).await;
            let near = async |ts, direction| {
                let near = handle.event_near(&person.requester, start + ts, direction);
                near.await.ok().map(|(id, at)| (id, at - start))
            };
            for n in [20_usize, 90] {
                let ts = i64::try_from(n + 1).unwrap() * 1_000;
                let exact = Some((said[n].clone(), ts));
                assert_eq!(near(ts, Direction::Forward).await, exact);
                assert_eq!(near(ts - 1, Direction::Forward).await, exact);
                assert_eq!(near(ts + 1, Direction::Backward).await, exact);
            }
            assert_eq!(near(1_000_000, Direction::Forward).await, None);
            assert_eq!(near(-1_000_000, Direction::Backward).await, None);
        }
        // The islands do not disturb the order.
        let back = scrolled(&bob, &room, Direction::Backward).await;
        assert_eq!(back, scrolled(&alice, &room, Direction::Backward).await);
    }
}

/// In a history that is fetched as in what is received: what the current state did not allow, and so was soft-failed, is
/// part of the state of what its server built on it.
#[tokio::test]
async fn history_stands_on_what_was_soft_failed_as_well() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let ask = SetState {
            event_type: "m.room.join_rules".to_owned(),
            state_key: String::new(),
            content: object! { "join_rule" => "invite" },
        };
        // Of two rules of the same moment the ID would decide which one is the newer.
        pair.here.clock.advance(1);
        let handle = alice.room(&room).await;
        handle.set_state(&alice.requester, ask).await.unwrap();
        // The other server does not know of it yet.
        let erin = pair.there.person("erin");
        let joined = erin.joins(&room).await.unwrap();
        pair.deliver(&pair.there, &pair.here, std::slice::from_ref(&joined))
            .await;
        let store = &pair.here.engine.context.store;
        let stored = storage::events::by_id(store.reader(), &joined);
        let outcome = stored.await.unwrap().unwrap().outcome;
        assert_eq!(outcome, storage::write::Outcome::SoftFailed);
        let said = erin.says(&room, "allowed there").await.unwrap();
        let last = says_many(&bob, &room, 270).await.pop().unwrap();
        pair.deliver(&pair.there, &pair.here, &[last]).await;
        let seen = scrolled(&alice, &room, Direction::Backward).await;
        assert!(seen.contains(&said), "{seen:?}");
        assert!(!seen.contains(&joined));
    }
}
