//! The writer: order, failures, chains, announcements.

use std::{collections::HashSet, sync::Arc};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use sea_orm::EntityTrait;

use super::fixture::{Ear, Room, on_each, txn, user};
use crate::{
    Chain, Error, Listener, Logged, Plain, Position, Write, account_data,
    entity::event,
    events, rooms,
    testing::Scratch,
    write::{NewAccountData, Place},
};

#[tokio::test]
async fn positions_follow_the_order_of_the_queue() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let ear = Ear::of(&store);
        let writes: Vec<_> = (0..300).map(|_| store.enqueue(room.send(&store))).collect();
        let mut expected = store.position().get();
        for write in writes {
            expected += 1;
            let committed = write.await.unwrap();
            assert_eq!(committed.positions, [Some(Position(expected))]);
            assert!(committed.position >= Position(expected));
        }
        assert_eq!(store.position(), Position(expected));
        assert_eq!(ear.positions(), (1..=300).collect::<Vec<_>>());
        let stored = rooms::by_row(store.reader(), room.row)
            .await
            .unwrap()
            .unwrap();
        let last = events::latest(store.reader(), room.row, Position::MAX)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.extremities().unwrap(), [last.id]);
        assert_eq!(last.position, Some(Position(300)));
    })
    .await;
}

#[tokio::test]
async fn a_failing_write_does_not_fail_its_neighbours() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let ear = Ear::of(&store);
        let mut twice = room.message(&store);
        twice.txn = txn("t");
        let mut again = room.message(&store);
        again.txn = txn("t");
        let writes = [
            store.enqueue(room.send(&store)),
            store.enqueue(Write::logged(Logged::Event(twice))),
            store.enqueue(Write::logged(Logged::Event(again))),
            store.enqueue(room.send(&store)),
        ];
        let mut positions = Vec::new();
        for write in writes {
            positions.push(match write.await {
                Ok(committed) => committed.positions[0].map(Position::get),
                Err(Error::Conflict(_)) => None,
                Err(other) => panic!("{other:?}"),
            });
        }
        assert_eq!(positions, [Some(1), Some(2), None, Some(3)]);
        assert_eq!(ear.positions(), [1, 2, 3]);
        assert_eq!(
            event::Entity::find()
                .all(store.reader())
                .await
                .unwrap()
                .len(),
            3
        );
    })
    .await;
}

#[tokio::test]
async fn a_chain_breaks_at_its_first_failure() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let chain = Chain::new();
        let event = room.message(&store);
        let same = || Write::logged(Logged::Event(event.clone())).chained(&chain);
        let fine = || room.send(&store).chained(&chain);
        let writes = [fine(), same(), same(), fine(), room.send(&store), fine()]
            .map(|write| store.enqueue(write));
        let mut outcomes = Vec::new();
        for write in writes {
            outcomes.push(match write.await {
                Ok(_) => "written",
                Err(Error::Conflict(_)) => "conflict",
                Err(Error::ChainBroken) => "broken",
                Err(other) => panic!("{other:?}"),
            });
        }
        assert_eq!(
            outcomes,
            [
                "written", "written", "conflict", "broken", "written", "broken"
            ]
        );
        assert!(chain.is_broken());
        assert!(matches!(store.write(fine()).await, Err(Error::ChainBroken)));
        store
            .write(room.send(&store).chained(&Chain::new()))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_write_is_all_or_nothing() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let event = room.message(&store);
        store
            .write(Write::logged(Logged::Event(event.clone())))
            .await
            .unwrap();
        let other = room.message(&store);
        let write = Write {
            plain: vec![room.head(&other)],
            logged: vec![Logged::Event(other), Logged::Event(event)],
            ..Write::default()
        };
        assert!(matches!(store.write(write).await, Err(Error::Conflict(_))));
        let stored = rooms::by_row(store.reader(), room.row)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.extremities().unwrap(), []);
        assert_eq!(store.position(), Position(1));
    })
    .await;
}

#[tokio::test]
async fn history_and_outliers_are_no_news() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let ear = Ear::of(&store);
        let placed = |place| {
            let mut event = room.message(&store);
            event.place = place;
            Logged::Event(event)
        };
        let (anchor, rank) = (Position(1), 5);
        let history = Place::History { anchor, rank };
        let write = Write {
            logged: vec![placed(Place::New), placed(history), placed(Place::Outlier)],
            ..Write::default()
        };
        let committed = store.write(write).await.unwrap();
        assert_eq!(
            committed.positions,
            [Some(Position(1)), Some(Position(-1)), None]
        );
        let write = Write {
            logged: vec![placed(history), placed(history)],
            ..Write::default()
        };
        let committed = store.write(write).await.unwrap();
        assert_eq!(
            committed.positions,
            [Some(Position(-2)), Some(Position(-3))]
        );
        assert_eq!(committed.position, Position(1));
        assert_eq!(ear.positions(), [1]);
        let news = events::page_back(
            store.reader(),
            room.row,
            Position::MIN,
            Position::MAX,
            crate::Limit::MAX,
        );
        assert_eq!(news.await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_rows_that_replace_each_other_the_last_one_stays() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let data = |content: &str| {
            Write::logged(Logged::AccountData(NewAccountData {
                user_id: user("alice"),
                room: None,
                event_type: "m.direct".to_owned(),
                content: content.to_owned(),
            }))
        };
        let mut last = Vec::new();
        for n in 0..10 {
            let receipt = Logged::Receipt(room.receipt("alice", &format!("$e{n}")));
            last.push(store.enqueue(data(&n.to_string())));
            last.push(store.enqueue(Write::logged(receipt)));
        }
        for write in last {
            write.await.unwrap();
        }
        let alice = user("alice");
        let db = store.reader();
        let stored = account_data::since(db, &alice, Position(18), Position(20))
            .await
            .unwrap();
        let stored: Vec<_> = stored
            .iter()
            .map(|data| (data.content.as_str(), data.position))
            .collect();
        assert_eq!(stored, [("9", Position(19))]);
        assert_eq!(
            account_data::of_room(db, &alice, None).await.unwrap().len(),
            1
        );
        assert_eq!(
            account_data::of_room(db, &alice, Some(room.row))
                .await
                .unwrap(),
            []
        );
        let stored = crate::receipts::of_user(db, room.row, &alice)
            .await
            .unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(
            (stored[0].event_id.as_str(), stored[0].position),
            ("$e9", Position(20))
        );
    })
    .await;
}

#[tokio::test]
async fn ids_and_positions_continue_after_a_restart() {
    for scratch in Scratch::each().await.unwrap() {
        let store = scratch.open().await.unwrap();
        let room = Room::new(&store).await;
        store.write(room.send(&store)).await.unwrap();
        let last = store.ids().next_event();
        store.close().await;
        assert!(matches!(
            store.write(Write::plain(vec![])).await,
            Err(Error::Closed)
        ));

        let store = scratch.open().await.unwrap();
        assert_eq!(store.position(), Position(1));
        let committed = store.write(room.send(&store)).await.unwrap();
        assert_eq!(committed.position, Position(2));
        assert!(store.ids().next_event() > last);
        let stored = events::latest(store.reader(), room.row, Position::MAX)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.position, Some(Position(2)));
    }
}

#[tokio::test]
async fn an_event_of_the_same_batch_can_be_redacted() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let event = room.message(&store);
        let (redacted, event_id) = (event.row, event.event.id().to_owned());
        let redaction = room.message(&store);
        let by = redaction.row;
        let first = store.enqueue(Write::logged(Logged::Event(event)));
        let second = store.enqueue(Write {
            plain: vec![Plain::Redacted {
                event: redacted,
                by,
                json: "{}".to_owned(),
            }],
            ..Write::logged(Logged::Event(redaction))
        });
        first.await.unwrap();
        second.await.unwrap();
        let stored = events::by_id(store.reader(), &event_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((stored.redacted_by, stored.json.as_str()), (Some(by), "{}"));
    })
    .await;
}

/// What a write of the property below does: an event with one of few transaction IDs, perhaps as a
/// link of one of few chains.
type Step = (u8, Option<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..60_u8, prop::option::of(0..4_usize)), 1..80)
}

/// However the writes fall into batches, the outcome is as if they had come one by one.
#[tokio::test]
async fn batches_change_nothing_but_the_speed() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let ear = Ear::of(&store);
        let mut runner = TestRunner::deterministic();
        let mut position = 0;
        for round in 0..20 {
            let chains: Vec<_> = (0..4).map(|_| Chain::new()).collect();
            let (mut taken, mut broken) = (HashSet::new(), HashSet::new());
            let (mut expected, mut writes) = (Vec::new(), Vec::new());
            for (id, chain) in steps().new_tree(&mut runner).unwrap().current() {
                let mut event = room.message(&store);
                event.txn = txn(&format!("{round}-{id}"));
                let mut write = Write::logged(Logged::Event(event));
                write.chain = chain.map(|chain| Arc::clone(&chains[chain]));
                writes.push(store.enqueue(write));
                expected.push(if chain.is_some_and(|chain| broken.contains(&chain)) {
                    "broken".to_owned()
                } else if taken.insert(id) {
                    position += 1;
                    position.to_string()
                } else {
                    broken.extend(chain);
                    "conflict".to_owned()
                });
            }
            let mut outcomes = Vec::new();
            for write in writes {
                outcomes.push(match write.await {
                    Ok(committed) => committed.positions[0].unwrap().to_string(),
                    Err(Error::Conflict(_)) => "conflict".to_owned(),
                    Err(Error::ChainBroken) => "broken".to_owned(),
                    Err(other) => panic!("{other:?}"),
                });
            }
            assert_eq!(outcomes, expected, "round {round}");
        }
        assert_eq!(ear.positions(), (1..=position).collect::<Vec<_>>());
    })
    .await;
}

struct Faulty;

impl Listener for Faulty {
    fn committed(&self, _: &[(Position, Arc<Logged>)]) {
        panic!("a fault of a listener");
    }
}

#[tokio::test]
async fn a_faulty_listener_stops_neither_the_writer_nor_the_others() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let faulty = Arc::new(Faulty);
        store.subscribe(&faulty);
        let ear = Ear::of(&store);
        for expected in 1..=2 {
            let committed = store.write(room.send(&store)).await.unwrap();
            assert_eq!(committed.position, Position(expected));
        }
        assert_eq!(ear.positions(), [1, 2]);
    })
    .await;
}
