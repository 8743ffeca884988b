//! Rooms, events, members, receipts, account data and aliases.

use ruma::OwnedRoomAliasId;

use super::fixture::{Room, membership, on_each, txn, user};
use crate::{
    Error, Limit, Logged, Plain, Position, RoomRow, Write, aliases, events,
    members::{self, Membership},
    receipts, rooms,
    write::{At, Place, Txn},
};

fn positions(events: &[events::StoredEvent]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event.position.unwrap().get())
        .collect()
}

#[tokio::test]
async fn pages_of_a_room_go_both_ways() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        for _ in 0..5 {
            store.write(room.send(&store)).await.unwrap();
            store.write(other.send(&store)).await.unwrap();
        }
        let db = store.reader();
        let back = |after, before, limit: usize| async move {
            let (after, before) = (Position(after), Position(before));
            positions(
                &events::page_back(db, room.row, after, before, limit.into())
                    .await
                    .unwrap(),
            )
        };
        let forward = |after, before, limit: usize| async move {
            let (after, before) = (Position(after), Position(before));
            positions(
                &events::page_forward(db, room.row, after, before, limit.into())
                    .await
                    .unwrap(),
            )
        };
        assert_eq!(back(0, 100, 3).await, [9, 7, 5]);
        assert_eq!(back(0, 5, 3).await, [3, 1]);
        assert_eq!(back(3, 9, 9).await, [7, 5]);
        assert_eq!(forward(0, 100, 2).await, [1, 3]);
        assert_eq!(forward(3, 100, 9).await, [5, 7, 9]);
        assert_eq!(forward(3, 9, 9).await, [5, 7]);
        let latest = events::latest(db, room.row, Position(8))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(latest.position, Some(Position(7)));
        assert_eq!(
            events::latest(db, room.row, Position(0)).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn events_are_found_by_what_they_are_called() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let mut rows = Vec::new();
        let mut ids = Vec::new();
        for n in 0..10 {
            let mut event = room.message(&store);
            event.txn = txn(&n.to_string());
            rows.push(event.row);
            ids.push(event.event.id().to_owned());
            store
                .write(Write::logged(Logged::Event(event)))
                .await
                .unwrap();
        }
        let db = store.reader();
        let one = events::by_id(db, &ids[3]).await.unwrap().unwrap();
        assert_eq!(
            events::by_row(db, rows[3]).await.unwrap().as_ref(),
            Some(&one)
        );
        let parsed = one
            .parse(spec::room_version::RoomVersion::get("11").unwrap())
            .unwrap();
        assert_eq!(parsed.id(), ids[3]);
        assert_eq!(parsed.to_json(), one.json);
        let mut many = events::by_rows(db, &rows[2..7]).await.unwrap();
        many.sort_by_key(|event| event.id);
        assert_eq!(
            many.iter().map(|event| event.id).collect::<Vec<_>>(),
            rows[2..7]
        );
        let refs: Vec<_> = ids.iter().map(|id| &**id).collect();
        assert_eq!(events::by_ids(db, &refs).await.unwrap().len(), 10);
        let sent = events::by_txn(db, &user("alice"), &txn("7").unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(sent.id, rows[7]);
        for (who, id) in [("bob", "7"), ("alice", "10")] {
            assert_eq!(
                events::by_txn(db, &user(who), &txn(id).unwrap())
                    .await
                    .unwrap(),
                None
            );
        }
        let device = txn("7").unwrap().device;
        for (who, limit, count) in [("alice", 100, 10), ("alice", 3, 3), ("bob", 100, 0)] {
            let used = events::txns(db, &user(who), &device, Limit::new(limit)).await;
            assert_eq!(used.unwrap().len(), count, "{who} {limit}");
        }
        let all = events::txns(db, &user("alice"), &device, Limit::new(100)).await;
        let Txn { scope, id, .. } = txn("7").unwrap();
        assert!(all.unwrap().contains(&(scope, id)));
    })
    .await;
}

#[tokio::test]
async fn the_latest_of_a_state_key_is_found_by_position() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let keys = store
            .state_keys()
            .resolve(&[("m.room.topic", "")])
            .await
            .unwrap();
        let mut inserts = keys.inserts;
        for _ in 0..3 {
            let mut event = room.message(&store);
            event.state_key = Some(keys.rows[0]);
            let write = Write {
                plain: std::mem::take(&mut inserts),
                ..Write::logged(Logged::Event(event))
            };
            store.write(write).await.unwrap();
            store.write(room.send(&store)).await.unwrap();
        }
        for (at, expected) in [(0, None), (1, Some(1)), (4, Some(3)), (9, Some(5))] {
            let found = events::latest_state(store.reader(), room.row, keys.rows[0], Position(at));
            let found = found
                .await
                .unwrap()
                .map(|event| event.position.unwrap().get());
            assert_eq!(found, expected, "at {at}");
        }
    })
    .await;
}

#[tokio::test]
async fn members_are_what_their_last_event_says() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        for (room, who, what) in [
            (&room, "alice", Membership::Join),
            (&room, "bob", Membership::Invite),
            (&other, "bob", Membership::Join),
            (&room, "bob", Membership::Join),
            (&other, "alice", Membership::Join),
            (&other, "alice", Membership::Leave),
        ] {
            let mut event = room.message(&store);
            event.membership = Some(membership(who, what));
            store
                .write(Write::logged(Logged::Event(event)))
                .await
                .unwrap();
        }
        let db = store.reader();
        let names = |members: Vec<members::Member>| -> Vec<_> {
            members
                .into_iter()
                .map(|member| (member.user_id, member.membership))
                .collect()
        };
        let all = names(members::of_room(db, room.row, &[]).await.unwrap());
        assert_eq!(
            all,
            [
                ("@alice:test".to_owned(), Membership::Join),
                ("@bob:test".to_owned(), Membership::Join)
            ]
        );
        let left = members::of_room(db, other.row, &[Membership::Leave, Membership::Ban]).await;
        assert_eq!(
            names(left.unwrap()),
            [("@alice:test".to_owned(), Membership::Leave)]
        );
        let counts = members::counts(db, room.row).await.unwrap();
        assert_eq!(counts.get(&Membership::Join), Some(&2));
        let counts = members::counts(db, other.row).await.unwrap();
        assert_eq!(counts.get(&Membership::Leave), Some(&1));
        assert_eq!(
            members::shared_rooms(db, &user("alice"), &user("bob"))
                .await
                .unwrap(),
            [room.row]
        );
        let changed = members::changed_of_user(db, &user("bob"), Position(2), Position(9)).await;
        let changed: Vec<_> = changed
            .unwrap()
            .iter()
            .map(|m| (m.room, m.position))
            .collect();
        assert_eq!(changed, [(other.row, Position(3)), (room.row, Position(4))]);

        let forget = Plain::Forgotten {
            room: other.row,
            user_id: user("alice"),
        };
        store.write(Write::plain(vec![forget])).await.unwrap();
        let rooms = |which: &'static [Membership]| async move {
            let rooms = members::of_user(db, &user("alice"), which).await.unwrap();
            rooms.iter().map(|member| member.room).collect::<Vec<_>>()
        };
        assert_eq!(rooms(&[]).await, [room.row]);
        assert_eq!(rooms(&[Membership::Leave]).await, []);
        assert!(
            members::one(db, other.row, &user("alice"))
                .await
                .unwrap()
                .unwrap()
                .forgotten
        );
        assert_eq!(
            members::one(db, other.row, &user("eve")).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn a_membership_can_come_without_news_of_its_event() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let mut outlier = room.message(&store);
        outlier.place = Place::Outlier;
        let of = |at| Plain::Membership {
            room: room.row,
            event: outlier.row,
            membership: membership("bob", Membership::Join),
            at,
        };
        let write = Write {
            plain: vec![of(At::Logged(1))],
            logged: vec![
                Logged::Event(outlier.clone()),
                Logged::Event(room.message(&store)),
            ],
            ..Write::default()
        };
        store.write(write).await.unwrap();
        let bob = || async {
            members::one(store.reader(), room.row, &user("bob"))
                .await
                .unwrap()
                .unwrap()
                .position
        };
        assert_eq!(bob().await, Position(1));
        store
            .write(Write::plain(vec![of(At::Position(Position(7)))]))
            .await
            .unwrap();
        assert_eq!(bob().await, Position(7));
        store
            .write(Write::plain(vec![of(At::Logged(0))]))
            .await
            .unwrap();
        assert_eq!(
            bob().await,
            Position(1),
            "that of the log, where the write has none"
        );
    })
    .await;
}

#[tokio::test]
async fn receipts_are_asked_for_by_room_and_position() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        for (room, who, event) in [
            (&room, "alice", "$1"),
            (&other, "alice", "$2"),
            (&room, "bob", "$3"),
            (&room, "alice", "$4"),
        ] {
            let receipt = Logged::Receipt(room.receipt(who, event));
            store.write(Write::logged(receipt)).await.unwrap();
        }
        let since = |rooms: Vec<RoomRow>, from, to| {
            let db = store.reader();
            async move {
                let found = receipts::since(db, &rooms, Position(from), Position(to))
                    .await
                    .unwrap();
                found
                    .into_iter()
                    .map(|receipt| receipt.event_id)
                    .collect::<Vec<_>>()
            }
        };
        assert_eq!(
            since(vec![room.row, other.row], 0, 9).await,
            ["$3", "$4", "$2"]
        );
        assert_eq!(since(vec![room.row], 3, 9).await, ["$4"]);
        assert_eq!(since(vec![room.row], 0, 3).await, ["$3"]);
        let changed = receipts::changed(store.reader(), Position(1), Position(3))
            .await
            .unwrap();
        assert_eq!(changed.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn aliases_lead_to_one_room_each() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        let alias = OwnedRoomAliasId::try_from("#all:test").unwrap();
        let add = |room: &Room| {
            let creator = user("alice");
            Write::plain(vec![Plain::Alias {
                alias: alias.clone(),
                room: room.row,
                creator,
            }])
        };
        store.write(add(&room)).await.unwrap();
        assert!(matches!(
            store.write(add(&other)).await,
            Err(Error::Conflict(_))
        ));
        let db = store.reader();
        assert_eq!(
            aliases::one(db, &alias).await.unwrap().unwrap().room,
            room.row
        );
        assert_eq!(aliases::of_room(db, room.row).await.unwrap().len(), 1);
        let delete = Plain::AliasDelete {
            alias: alias.clone(),
        };
        store.write(Write::plain(vec![delete])).await.unwrap();
        assert_eq!(aliases::one(db, &alias).await.unwrap(), None);
        store.write(add(&other)).await.unwrap();
        assert_eq!(
            aliases::one(db, &alias).await.unwrap().unwrap().room,
            other.row
        );
    })
    .await;
}

#[tokio::test]
async fn rooms_are_found_and_known_once() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let other = Room::new(&store).await;
        let db = store.reader();
        let found = rooms::by_id(db, &room.id).await.unwrap().unwrap();
        assert_eq!(found.id, room.row);
        let found = rooms::by_rows(db, &[room.row, other.row]).await.unwrap();
        assert_eq!(found.len(), 2);
        let known = crate::write::NewRoom {
            row: store.ids().next_room(),
            room_id: room.id.clone(),
            version: "11".to_owned(),
            creator: user("eve"),
            published: true,
        };
        let known = store.write(Write::plain(vec![Plain::Room(known)])).await;
        assert!(matches!(known, Err(Error::Conflict(_))));
    })
    .await;
}
