//! Timelines: news, and history in front of it.

use super::fixture::{Room, on_each};
use crate::{
    EventRow, Limit, Logged, Plain, Position, Store, Write,
    timeline::{self, Gap, Nearest, Spot},
    write::{Outcome, Place},
};

/// A room with news at 1, 2 and 3, and in front of the second and the third some history, as (anchor, rank). Returns the
/// rows in the order of the timeline.
async fn filled(store: &Store) -> (Room, Vec<EventRow>) {
    let room = Room::new(store).await;
    let mut rows = Vec::new();
    let mut put = async |place| {
        let mut event = room.message(store);
        event.place = place;
        rows.push(event.row);
        let logged = Logged::Event(event);
        store.write(Write::logged(logged)).await.unwrap();
    };
    let history = |anchor, rank| Place::History {
        anchor: Position(anchor),
        rank,
    };
    for _ in 0..3 {
        put(Place::New).await;
    }
    // An island, then what lies between it and the news, of which two have the same rank; the first to come is the later.
    for (anchor, rank) in [(3, 10), (3, 20), (3, 15), (3, 15), (2, 99)] {
        put(history(anchor, rank)).await;
    }
    let order = [0, 7, 1, 3, 6, 5, 4, 2];
    (room, order.map(|index| rows[index]).to_vec())
}

#[tokio::test]
async fn history_stands_in_front_of_what_it_was_missing_before() {
    on_each(async |store| {
        let (room, rows) = filled(&store).await;
        let db = store.reader();
        let row = |events: &[crate::events::StoredEvent]| -> Vec<EventRow> {
            events.iter().map(|event| event.id).collect()
        };
        let all = timeline::forward(db, room.row, Spot::MIN, Spot::MAX, Limit::MAX);
        let all = all.await.unwrap();
        assert_eq!(row(&all), rows);
        let spots: Vec<Spot> = all.iter().filter_map(|event| event.spot()).collect();
        for (index, spot) in spots.iter().enumerate() {
            let one = Limit::new(1);
            let back = timeline::back(db, room.row, *spot, Spot::MIN, one).await;
            assert_eq!(row(&back.unwrap()), rows[index..=index], "{index}");
            let all = timeline::back(db, room.row, spot.just_before(), Spot::MIN, Limit::MAX).await;
            let mut before = row(&all.unwrap());
            before.reverse();
            assert_eq!(before, rows[..index], "before {index}");
            let after = timeline::forward(db, room.row, *spot, Spot::MAX, Limit::MAX).await;
            assert_eq!(row(&after.unwrap()), rows[index + 1..], "after {index}");
            let few = timeline::back(db, room.row, Spot::MAX, *spot, Limit::MAX).await;
            assert_eq!(few.unwrap().len(), rows.len() - index, "down to {index}");
        }
    })
    .await;
}

#[tokio::test]
async fn gaps_are_found_from_the_last_on_and_closed() {
    on_each(async |store| {
        let (room, rows) = filled(&store).await;
        let db = store.reader();
        let gap = |index: usize, open| Plain::Gap {
            event: rows[index],
            open,
        };
        let open = vec![gap(1, true), gap(3, true), gap(5, true), gap(7, true)];
        store.write(Write::plain(open)).await.unwrap();
        let found = async |at, limit| -> Vec<EventRow> {
            let gaps = timeline::last_gaps(db, room.row, at, limit).await.unwrap();
            gaps.iter().map(|gap: &Gap| gap.event).collect()
        };
        assert_eq!(found(Spot::MAX, 9).await, [rows[7], rows[5], rows[3]]);
        assert_eq!(found(Spot::MAX, 2).await, [rows[7], rows[5]]);
        assert_eq!(found(Spot::news(Position(2)), 9).await, [rows[1]]);
        let spot = timeline::last_gaps(db, room.row, Spot::MAX, 1)
            .await
            .unwrap()[0]
            .spot;
        let before = found(spot.just_before(), 9).await;
        assert_eq!(before, [rows[7], rows[5], rows[3]], "it is still ahead");
        let beyond = found(spot.just_before().just_before(), 9).await;
        assert_eq!(beyond, [rows[5], rows[3]]);
        assert_eq!(found(Spot::news(Position(1)), 9).await, []);
        let first = timeline::gap_after(db, room.row, 0).await.unwrap();
        assert_eq!(first.map(|gap| gap.event), Some(rows[1]));
        assert_eq!(timeline::gap_after(db, room.row, 1).await.unwrap(), None);
        store
            .write(Write::plain(vec![gap(7, false), gap(3, false)]))
            .await
            .unwrap();
        assert_eq!(found(Spot::MAX, 9).await, [rows[5]]);
    })
    .await;
}

#[tokio::test]
async fn events_are_found_by_their_time() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let mut rows = Vec::new();
        for (ts, outcome) in [
            (10, Outcome::Accepted),
            (20, Outcome::Accepted),
            (20, Outcome::Accepted),
            (25, Outcome::SoftFailed),
            (30, Outcome::Accepted),
        ] {
            let mut event = room.message_at(&store, ts);
            event.outcome = outcome;
            rows.push(event.row);
            store
                .write(Write::logged(Logged::Event(event)))
                .await
                .unwrap();
        }
        let db = store.reader();
        let near = async |ts, which, seen| {
            let found = timeline::nearest(db, room.row, ts, which, seen, Limit::MAX);
            let found = found.await.unwrap();
            found.iter().map(|event| event.id).collect::<Vec<_>>()
        };
        let (after, before) = (Nearest::AtOrAfter, Nearest::AtOrBefore);
        assert_eq!(near(20, after, None).await, [rows[1], rows[2], rows[4]]);
        assert_eq!(near(21, after, None).await, [rows[4]]);
        assert_eq!(near(31, after, None).await, []);
        assert_eq!(near(20, before, None).await, [rows[2], rows[1], rows[0]]);
        assert_eq!(near(9, before, None).await, []);
        let seen = Some((20, rows[1]));
        assert_eq!(near(20, after, seen).await, [rows[2], rows[4]]);
        assert_eq!(near(20, before, seen).await, [rows[0]]);
    })
    .await;
}
