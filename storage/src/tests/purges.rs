//! What is deleted is gone from every table.

use sea_orm::{ConnectionTrait, Statement};
use spec::search::Key;

use super::fixture::{Room, membership, on_each, user};
use crate::{
    Limit, Logged, Plain, Store, Write,
    entity::{membership::Membership, purge},
    purges::{self, FIRST},
    search::{self, Matching},
    write::{NewEvent, NewSummary},
};

async fn count(store: &Store, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let statement = Statement::from_string(store.reader().get_database_backend(), sql);
    let row = store.reader().query_one_raw(statement).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn old_messages_come_oldest_first_and_go_with_their_texts() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let events = [30, 10, 20].map(|ts| room.message_at(&store, ts));
        let rows = events.each_ref().map(|event| event.row);
        for event in events {
            store
                .write(Write::logged(Logged::Event(event)))
                .await
                .unwrap();
        }
        let expired = async |before, after, limit| {
            let db = store.reader();
            let page = purges::expired(db, room.row, before, after, Limit::new(limit)).await;
            let page = page.unwrap().into_iter();
            page.map(|event| event.id).collect::<Vec<_>>()
        };
        assert_eq!(expired(30, FIRST, 9).await, [rows[1], rows[2]]);
        assert_eq!(expired(31, (10, rows[1]), 1).await, [rows[2]]);
        let deleted = Plain::EventsDeleted {
            room: room.row,
            events: vec![rows[1], rows[2]],
        };
        store.write(Write::plain(vec![deleted])).await.unwrap();
        assert_eq!(expired(31, FIRST, 9).await, [rows[0]]);
        for table in ["events", "searchable"] {
            assert_eq!(count(&store, table).await, 1, "{table}");
        }
        let terms = [rows[1].to_string()];
        let matching = Matching {
            rooms: &[room.row],
            terms: &terms,
            keys: &Key::ALL,
            senders: None,
        };
        let page = search::page(store.reader(), &matching, i64::MAX, Limit::new(9)).await;
        assert!(page.unwrap().matches.iter().all(|one| one.event == rows[0]));
    })
    .await;
}

#[tokio::test]
async fn a_room_goes_step_by_step_and_another_stays() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        for of in [&room, &other] {
            for _ in 0..3 {
                store.write(of.send(&store)).await.unwrap();
            }
            for name in ["alice", "bob"] {
                let event = NewEvent {
                    membership: Some(membership(name, Membership::Leave)),
                    ..of.message(&store)
                };
                store
                    .write(Write::logged(Logged::Event(event)))
                    .await
                    .unwrap();
                let receipt = of.receipt(name, "$event1");
                store
                    .write(Write::logged(Logged::Receipt(receipt)))
                    .await
                    .unwrap();
            }
        }
        let planned = Plain::PurgePlanned(purge::Model {
            room: room.row,
            room_id: room.id.to_string(),
            forgotten_ts: 5,
            going: false,
        });
        store.write(Write::plain(vec![planned])).await.unwrap();
        let own = user("alice").server_name().to_owned();
        let due = async |ts| {
            let db = store.reader();
            let due = purges::due(db, ts, crate::RoomRow(0), Limit::new(9)).await;
            due.unwrap().len()
        };
        assert_eq!((due(4).await, due(5).await), (0, 1));
        let wanted = async || {
            purges::is_wanted(store.reader(), room.row, &own)
                .await
                .unwrap()
        };
        assert!(wanted().await);
        for name in ["alice", "bob"] {
            let forgotten = Plain::Forgotten {
                room: room.row,
                user_id: user(name),
            };
            store.write(Write::plain(vec![forgotten])).await.unwrap();
        }
        assert!(!wanted().await);
        let going = vec![
            Plain::Summary(Box::new(NewSummary::blank(room.row))),
            Plain::RoomGoing {
                room: room.row,
                server: own.clone(),
            },
        ];
        store.write(Write::plain(going)).await.unwrap();
        let found = async |id| crate::rooms::by_id(store.reader(), id).await.unwrap();
        assert!(found(&room.id).await.is_none());
        assert!(purges::is_going(store.reader(), &room.id).await.unwrap());
        assert_eq!(due(i64::MIN).await, 1, "what has begun is finished");
        let mut steps = 0;
        while purges::is_left(store.reader(), room.row).await.unwrap() {
            let step = Plain::RoomStep { room: room.row };
            store.write(Write::plain(vec![step])).await.unwrap();
            steps += 1;
            assert!(steps < 10);
        }
        assert!(found(&other.id).await.is_some());
        assert!(!purges::is_going(store.reader(), &room.id).await.unwrap());
        for (table, expected) in [
            ("rooms", 1),
            ("summaries", 1),
            ("events", 5),
            ("searchable", 5),
            ("memberships", 2),
            ("receipts", 2),
            ("purges", 0),
        ] {
            assert_eq!(count(&store, table).await, expected, "{table}");
        }
    })
    .await;
}
