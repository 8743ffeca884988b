//! What sliding sync remembers of rooms and connections.

use std::time::Duration;

use ruma::{OwnedRoomId, RoomId};
use serde_json::json;
use spec::object;
use storage::{
    Write,
    sliding_connections::{self, StoredRoom},
};

use super::{
    federation::{name, pairs},
    fixture::{House, Person, houses, houses_with, target, with_account},
    forks::{moderated_room, sets},
};
use crate::{
    CreateRoom, Error, Preset, ReceiptThread, SetState,
    retention::RetentionSettings,
    sync::sliding::{
        ExtensionsAsk, ListAsk, ListFilters, RequiredState, RoomAnswer, RoomConfig, Scope,
        SlidingAnswer, SlidingAsk, StateElement,
    },
};

/// A request for all rooms that pass, with these many events.
fn ask(pos: Option<&str>, filters: ListFilters, timeline_limit: usize) -> SlidingAsk {
    let list = ListAsk {
        ranges: None,
        config: RoomConfig {
            timeline_limit,
            ..RoomConfig::default()
        },
        filters,
    };
    SlidingAsk {
        pos: pos.map(str::to_owned),
        lists: [("all".to_owned(), list)].into(),
        ..SlidingAsk::default()
    }
}

impl Person {
    async fn slides(&self, pos: Option<&str>) -> SlidingAnswer {
        self.slides_with(pos, ListFilters::default()).await
    }

    async fn slides_with(&self, pos: Option<&str>, filters: ListFilters) -> SlidingAnswer {
        let ask = ask(pos, filters, 10);
        let answer = self.engine.slide(&self.requester, &ask).await;
        answer.expect("it is answered")
    }

    async fn names(&self, room: &OwnedRoomId, text: &str) {
        let ask = SetState {
            event_type: "m.room.name".to_owned(),
            state_key: String::new(),
            content: object! { "name" => text },
        };
        let room = self.room(room).await;
        room.set_state(&self.requester, ask).await.expect("a name");
    }

    async fn forgets(&self, room: &OwnedRoomId) {
        let room = self.room(room).await;
        room.forget(&self.requester).await.expect("it is forgotten");
    }
}

fn count(answer: &SlidingAnswer) -> usize {
    answer.lists["all"].count
}

/// The bodies of the messages that came.
fn said(room: &RoomAnswer) -> Vec<String> {
    let events = room.timeline.iter();
    let events = events.map(|event| event.deserialize_as_unchecked::<serde_json::Value>());
    let text = |event: serde_json::Value| event["content"]["body"].as_str().map(str::to_owned);
    events.filter_map(|event| text(event.unwrap())).collect()
}

async fn two(house: &House) -> (Person, Person, OwnedRoomId) {
    let (alice, bob) = (house.person("alice"), house.person("bob"));
    let room = alice.creates("12", Preset::Public).await;
    bob.joins(&room).await.unwrap();
    (alice, bob, room)
}

/// A room that was left and forgotten made each sync that followed fail: 403.
#[tokio::test]
async fn who_forgets_a_room_hears_once_that_they_have_left_it() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let other = bob.creates("12", Preset::Private).await;
        let first = bob.slides(None).await;
        assert_eq!(count(&first), 2);
        bob.leaves(&room).await.unwrap();
        bob.forgets(&room).await;
        for _ in 0..2 {
            let told = bob.slides(Some(&first.pos)).await;
            let left = &told.rooms[&room];
            assert_eq!((left.membership, left.timeline.len()), ("leave", 1));
            assert!(left.required_state.is_empty() && left.name.is_none());
        }
        let told = bob.slides(Some(&first.pos)).await;
        let then = bob.slides(Some(&told.pos)).await;
        assert!(then.rooms.is_empty(), "{:?}", then.rooms);
        assert_eq!(count(&then), 1);
        bob.says(&other, "on").await.unwrap();
        let then = bob.slides(Some(&then.pos)).await;
        assert_eq!(said(&then.rooms[&other]), ["on"]);
        // Who was kicked sees it until they forget it, also where it was told.
        bob.joins(&room).await.unwrap();
        let back = bob.slides(Some(&then.pos)).await;
        assert!(back.rooms[&room].initial);
        let handle = alice.room(&room).await;
        handle.kick(&alice.requester, target(&bob)).await.unwrap();
        let kicked = bob.slides(Some(&back.pos)).await;
        assert_eq!(kicked.rooms[&room].membership, "leave");
        assert_eq!(count(&bob.slides(None).await), 2);
        bob.forgets(&room).await;
        let fresh = bob.slides(None).await;
        assert_eq!((count(&fresh), fresh.rooms.contains_key(&room)), (1, false));
    }
}

/// A room that was deleted made each sync that followed fail: 500.
#[tokio::test]
async fn a_room_that_is_deleted_is_in_nobodys_way() {
    let day = 24 * 3_600_000;
    let keeping = houses_with(|settings| {
        settings.retention = RetentionSettings {
            forgotten_rooms_ms: Some(day),
            ..RetentionSettings::default()
        };
    });
    for house in keeping.await {
        let (alice, bob, room) = two(&house).await;
        let (seen, told) = (alice.slides(None).await, bob.slides(None).await);
        for who in [&alice, &bob] {
            who.leaves(&room).await.unwrap();
            who.forgets(&room).await;
        }
        let told = bob.slides(Some(&told.pos)).await;
        house.clock.advance(day + 1);
        house.engine.purge_forgotten().await.unwrap();
        assert!(house.engine.room(&room).await.is_err(), "it is deleted");
        for (who, pos) in [(&alice, &seen.pos), (&bob, &told.pos)] {
            let then = who.slides(Some(pos)).await;
            assert_eq!((count(&then), then.rooms.len()), (0, 0));
        }
    }
}

/// SSS-05, SSS-06: the answer to a request that the client had given up took the place of the one that it got.
#[tokio::test]
async fn a_request_that_was_given_up_changes_nothing() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let quiet = alice.creates("12", Preset::Public).await;
        bob.joins(&quiet).await.unwrap();
        let nothing = SlidingAsk::default();
        let first = bob.engine.slide(&bob.requester, &nothing).await.unwrap();
        let news = ListFilters {
            name_like: Some("news".to_owned()),
            ..ListFilters::default()
        };
        let given_up = SlidingAsk {
            timeout: Duration::from_secs(60),
            ..ask(Some(&first.pos), news, 1)
        };
        let waiting = bob.clone();
        let given_up = tokio::spawn(async move {
            let answer = waiting.engine.slide(&waiting.requester, &given_up);
            answer.await.expect("it is answered")
        });
        while !house.engine.context.connections.is_busy() {
            tokio::task::yield_now().await;
        }
        let second = bob.slides(Some(&first.pos)).await;
        assert!(second.rooms[&room].initial && second.rooms[&quiet].initial);
        alice.names(&room, "News").await;
        // It ends without a word, and where it began.
        let ended = given_up.await.unwrap();
        assert_eq!((ended.pos.as_str(), ended.rooms.len()), (&*first.pos, 0));
        let third = bob.slides(Some(&second.pos)).await;
        let name = third.rooms[&room].name.clone();
        assert_eq!(name, Some(Some("News".to_owned())));
        assert!(!third.rooms[&room].initial && !third.rooms.contains_key(&quiet));
    }
}

/// Two answers to one place had the same number, so that the client that had got one of them went on from the other.
#[tokio::test]
async fn no_two_answers_are_taken_for_each_other() {
    for house in houses().await {
        let (_, bob, room) = two(&house).await;
        let nothing = SlidingAsk::default();
        let first = bob.engine.slide(&bob.requester, &nothing).await.unwrap();
        let lost = bob.slides(Some(&first.pos)).await;
        assert!(lost.rooms[&room].initial);
        let mut ask = ask(Some(&first.pos), ListFilters::default(), 1);
        ask.lists.clear();
        ask.subscriptions
            .insert(room.clone(), RoomConfig::default());
        let got = bob.engine.slide(&bob.requester, &ask).await.unwrap();
        assert_ne!(lost.pos, got.pos);
    }
}

/// SSS-16, SSS-20: a room that the user was thrown out of is called as it was then.
#[tokio::test]
async fn a_room_from_before_a_kick_is_described_as_it_was() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let carol = house.person("carol");
        carol.joins(&room).await.unwrap();
        let handle = alice.room(&room).await;
        handle.kick(&alice.requester, target(&bob)).await.unwrap();
        carol.leaves(&room).await.unwrap();
        let unnamed = bob.slides(None).await;
        let unnamed = &unnamed.rooms[&room];
        assert!(unnamed.initial && unnamed.name.is_none());
        assert_eq!(
            (unnamed.joined_count, unnamed.invited_count),
            (Some(2), Some(0))
        );
        let heroes = unnamed.heroes.iter().flatten();
        let heroes: Vec<&str> = heroes.map(|hero| hero.user_id.as_str()).collect();
        assert_eq!(heroes, ["@alice:here", "@carol:here"]);

        bob.joins(&room).await.unwrap();
        let here = bob.slides(None).await;
        alice.names(&room, "Before").await;
        handle.ban(&alice.requester, target(&bob)).await.unwrap();
        alice.names(&room, "After").await;
        let before = Some(Some("Before".to_owned()));
        let banned = bob.slides(Some(&here.pos)).await;
        assert_eq!(banned.rooms[&room].name, before);
        let fresh = bob.slides(None).await;
        assert_eq!(fresh.rooms[&room].name, before);
        assert!(fresh.rooms[&room].heroes.is_none(), "it has a name");
    }
}

/// SSS-11: in a room of another server nobody had done anything that was news here.
#[tokio::test]
async fn a_room_has_a_bump_stamp_from_the_beginning_and_messages_raise_it() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("12").await;
        let first = bob.slides(None).await;
        let stamp = first.rooms[&room].bump_stamp.expect("a stamp");
        let said = alice.says(&room, "hello").await.unwrap();
        pair.deliver(&pair.here, &pair.there, &[said]).await;
        let raised = bob.slides(Some(&first.pos)).await;
        let raised = raised.rooms[&room].bump_stamp.expect("a stamp");
        assert!(raised > stamp, "{raised} after {stamp}");
        // What is no doing of people leaves it.
        let here = alice.slides(None).await;
        let stamp = here.rooms[&room].bump_stamp;
        alice.names(&room, "Names").await;
        let named = alice.slides(Some(&here.pos)).await;
        assert_eq!(named.rooms[&room].bump_stamp, None);
        assert_eq!(alice.slides(None).await.rooms[&room].bump_stamp, stamp);
    }
}

/// SSS-12: a tag was lost that came together with the join, or was there before.
#[tokio::test]
async fn tags_that_come_with_the_room_count() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let [early, late] = [
            alice.creates("12", Preset::Public).await,
            alice.creates("12", Preset::Public).await,
        ];
        let tags = async |room: &RoomId| {
            let place = (bob.requester.user_id.as_ref(), room);
            let accounts = house.engine.accounts();
            let set = accounts.set_tag(&bob.requester, place, "u.work", json!({}));
            set.await.unwrap();
        };
        tags(&early).await;
        let first = bob.slides(None).await;
        assert_eq!(count(&first), 0);
        tags(&late).await;
        bob.joins(&late).await.unwrap();
        tags(&late).await;
        bob.joins(&early).await.unwrap();
        let tagged = ListFilters {
            tags: Some(vec!["u.work".to_owned()]),
            ..ListFilters::default()
        };
        assert_eq!(count(&bob.slides_with(None, tagged).await), 2);
    }
}

/// SSS-12: of a room that this server is not in, what came with the invite is all that there is.
#[tokio::test]
async fn invites_of_other_servers_are_filtered_by_what_they_say() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = with_account(&pair.there, "bob").await;
        let encryption = crate::InitialState {
            event_type: "m.room.encryption".to_owned(),
            state_key: String::new(),
            content: object! { "algorithm" => "m.megolm.v1.aes-sha2" },
        };
        let create = CreateRoom {
            preset: Some(Preset::Private),
            name: Some("The Attic".to_owned()),
            creation_content: object! { "type" => "m.space" },
            initial_state: vec![encryption],
            ..CreateRoom::default()
        };
        let space = alice.engine.create_room(&alice.requester, create).await;
        let space = space.unwrap();
        let plain = alice.creates("12", Preset::Private).await;
        for room in [&space, &plain] {
            alice.invites(room, &bob).await.unwrap();
        }
        assert_eq!(name(&pair.there), "there");
        for (filters, expected) in [
            (
                ListFilters {
                    room_types: Some(vec![Some("m.space".to_owned())]),
                    ..ListFilters::default()
                },
                &space,
            ),
            (
                ListFilters {
                    not_room_types: Some(vec![Some("m.space".to_owned())]),
                    ..ListFilters::default()
                },
                &plain,
            ),
            (
                ListFilters {
                    is_encrypted: Some(true),
                    ..ListFilters::default()
                },
                &space,
            ),
            (
                ListFilters {
                    name_like: Some("attic".to_owned()),
                    ..ListFilters::default()
                },
                &space,
            ),
        ] {
            let found = bob.slides_with(None, filters.clone()).await;
            let found: Vec<&OwnedRoomId> = found.rooms.keys().collect();
            assert_eq!(found, [expected], "{filters:?}");
        }
    }
}

/// SSS-07.
#[tokio::test]
async fn a_connection_that_nobody_uses_is_forgotten() {
    for house in houses().await {
        let (_, bob, _) = two(&house).await;
        let old = bob.slides(None).await;
        let kept = async || {
            let db = house.engine.context.store.reader();
            let by = &bob.requester;
            let names = sliding_connections::of_device(db, &by.user_id, by.device()).await;
            names.unwrap().len()
        };
        for (days, left) in [(29, 1), (2, 0)] {
            house.clock.advance(days * 24 * 3_600_000);
            house.engine.context.connections.expire().await.unwrap();
            assert_eq!(kept().await, left);
        }
        // A server that was not there all the time knows nothing of it.
        let again = House::on(house.engine.context.store.clone());
        let bob = again.person("bob");
        let ask = ask(Some(&old.pos), ListFilters::default(), 1);
        let answer = bob.engine.slide(&bob.requester, &ask).await;
        assert!(matches!(answer, Err(Error::UnknownPos)), "{answer:?}");
    }
}

/// An answer of 1,000 events for each of many rooms had no bound.
#[tokio::test]
async fn the_timelines_of_an_answer_share_what_there_is_place_for() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        for _ in 0..20 {
            let other = alice.creates("12", Preset::Public).await;
            bob.joins(&other).await.unwrap();
        }
        for n in 0..500 {
            alice.says(&room, &n.to_string()).await.unwrap();
        }
        let slides = async |pos: Option<&str>, rooms: SlidingAsk| {
            let ask = SlidingAsk {
                pos: pos.map(str::to_owned),
                ..rooms
            };
            bob.engine.slide(&bob.requester, &ask).await.unwrap()
        };
        let first = slides(None, ask(None, ListFilters::default(), 1_000)).await;
        assert_eq!(first.rooms.len(), 21);
        let cut = &first.rooms[&room];
        assert_eq!((cut.timeline.len(), cut.limited), (10_000 / 21, true));
        assert!(cut.prev_batch.is_some());
        let last = said(cut).pop();
        assert_eq!(last.as_deref(), Some("499"), "the newest");
        let others = first.rooms.iter().filter(|(id, _)| **id != room);
        for (_, whole) in others {
            assert!(!whole.limited && whole.timeline.len() < 20);
        }
        // What comes then, comes without a gap.
        alice.says(&room, "more").await.unwrap();
        let next = slides(Some(&first.pos), ask(None, ListFilters::default(), 1_000)).await;
        assert_eq!(said(&next.rooms[&room]), ["more"]);
        assert!(!next.rooms[&room].limited);
        // Alone it gets all that it wants.
        let mut alone = ask(None, ListFilters::default(), 0);
        alone.lists.clear();
        let config = RoomConfig {
            timeline_limit: 1_000,
            ..RoomConfig::default()
        };
        alone.subscriptions.insert(room.clone(), config);
        let alone = slides(None, alone).await;
        assert!(!alone.rooms[&room].limited && alone.rooms[&room].timeline.len() > 500);
    }
}

/// Each answer wrote down all rooms of a connection anew.
#[tokio::test]
async fn an_answer_writes_down_what_it_has_changed() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut rooms = vec![room];
        for _ in 0..9 {
            let room = alice.creates("12", Preset::Public).await;
            bob.joins(&room).await.unwrap();
            rooms.push(room);
        }
        let db = house.engine.context.store.reader();
        // The rows of the last answer, and of what the client had before.
        let rows = async || {
            // Behind what is on its way.
            let nothing = house.engine.context.store.write(Write::default());
            nothing.await.unwrap();
            let by = &bob.requester;
            let found = sliding_connections::find(db, &by.user_id, by.device(), "").await;
            let found = found.unwrap().expect("the connection");
            let rows = sliding_connections::rooms(db, found.number).await.unwrap();
            let is_new = |row: &&StoredRoom| Some(row.generation) == found.issued;
            let new = rows.iter().filter(is_new).count();
            (new, rows.len() - new)
        };
        let first = bob.slides(None).await;
        assert_eq!(rows().await, (0, 10));
        // One at a time falls out of the windows with news.
        let nothing = |pos: &str| SlidingAsk {
            pos: Some(pos.to_owned()),
            ..SlidingAsk::default()
        };
        let slides = async |ask: SlidingAsk| bob.engine.slide(&bob.requester, &ask).await.unwrap();
        let mut pos = first.pos;
        for room in &rooms[..3] {
            alice.says(room, "news").await.unwrap();
            let own = bob.says(room, "and more").await;
            own.unwrap();
            // Something that is told, so that the answer counts.
            let mut ask = nothing(&pos);
            let config = RoomConfig {
                timeline_limit: 10,
                ..RoomConfig::default()
            };
            ask.subscriptions.insert(rooms[9].clone(), config);
            alice.says(&rooms[9], "news").await.unwrap();
            let lost = slides(ask.clone()).await;
            let lost_rows = rows().await;
            let answer = slides(ask).await;
            assert_ne!(lost.pos, answer.pos);
            assert_eq!(rows().await, lost_rows, "what nobody has is gone");
            assert!(lost_rows.0 <= 2 && lost_rows.1 == 10, "{lost_rows:?}");
            pos = answer.pos;
        }
        // After a restart all is as it was.
        let again = House::on(house.engine.context.store.clone());
        let bob = again.person("bob");
        let back = bob.slides(Some(&pos)).await;
        for room in &rooms[..3] {
            assert_eq!(said(&back.rooms[room]), ["news", "and more"]);
            assert!(!back.rooms[room].initial);
        }
        assert_eq!(back.rooms.len(), 3);
    }
}

/// SSS-18: state that is no more is told as such.
#[tokio::test]
async fn state_that_a_resolution_takes_away_is_told() {
    for pair in pairs().await {
        let (room, alice, bob) = moderated_room(&pair, "11").await;
        let carol = pair.here.person("carol");
        carol.joins(&room).await.unwrap();
        let members = StateElement {
            event_type: Some("m.room.member".to_owned()),
            state_key: None,
        };
        let required = RequiredState {
            include: vec![members],
            ..RequiredState::default()
        };
        let slides = async |pos: Option<&str>| {
            let mut ask = ask(pos, ListFilters::default(), 10);
            for list in ask.lists.values_mut() {
                list.config.required_state = vec![required.clone()];
            }
            alice.engine.slide(&alice.requester, &ask).await.unwrap()
        };
        let first = slides(None).await;
        assert_eq!(first.rooms[&room].required_state.len(), 3);
        // Bob does not know of Carol when he closes the room.
        let closed = object! { "join_rule" => "invite" };
        let closed = sets(&bob, &room, "m.room.join_rules", closed).await;
        pair.deliver(&pair.there, &pair.here, &[closed]).await;
        let next = slides(Some(&first.pos)).await;
        let removed = ("m.room.member".to_owned(), "@carol:here".to_owned());
        assert_eq!(next.rooms[&room].removed_state, [removed]);
        assert!(next.rooms[&room].required_state.is_empty());
    }
}

/// Who had seen the invite before they joined heard of no receipts for what came with the room.
#[tokio::test]
async fn what_belongs_to_a_room_comes_when_one_comes_in() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let carol = house.person("carol");
        let room = alice.creates("12", Preset::Private).await;
        for who in [&bob, &carol] {
            alice.invites(&room, who).await.unwrap();
        }
        carol.joins(&room).await.unwrap();
        let event = alice.says(&room, "hello").await.unwrap();
        let handle = carol.room(&room).await;
        let thread = ReceiptThread::Unthreaded;
        let read = handle.set_receipt(&carol.requester, "m.read", &event, thread);
        read.await.unwrap();
        let slides = async |pos: Option<&str>| {
            let ask = SlidingAsk {
                extensions: ExtensionsAsk {
                    receipts: Some(Scope::default()),
                    ..ExtensionsAsk::default()
                },
                ..ask(pos, ListFilters::default(), 10)
            };
            bob.engine.slide(&bob.requester, &ask).await.unwrap()
        };
        let invited = slides(None).await;
        assert_eq!(invited.rooms[&room].membership, "invite");
        assert!(invited.extensions.receipts.is_empty());
        bob.joins(&room).await.unwrap();
        let joined = slides(Some(&invited.pos)).await;
        assert!(joined.rooms[&room].initial);
        let receipts = joined.extensions.receipts[&room].json().get();
        assert!(receipts.contains("@carol:here") && receipts.contains(event.as_str()));
    }
}
