//! Which events relate to which.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId};
use spec::{event::Event, room_version::RoomVersion};

use super::fixture::{Room, on_each, user};
use crate::{
    Logged, Plain, Position, Store, Write, relations,
    timeline::Spot,
    write::{NewEvent, Outcome, Place},
};

impl Room {
    /// A reaction of alice, at the end of the room.
    fn reaction(&self, store: &Store, parent: &str, key: &str) -> NewEvent {
        let new = self.message(store);
        let json = new.event.to_json().replace(
            r#""content":{"#,
            &format!(
                r#""content":{{"m.relates_to":{{"rel_type":"m.annotation","event_id":"{parent}","key":"{key}"}},"#
            ),
        );
        let id: OwnedEventId = new.event.id().to_owned();
        let version = RoomVersion::get("11").unwrap();
        NewEvent {
            event: Arc::new(Event::from_stored(version, id, &json).unwrap()),
            ..new
        }
    }
}

fn id(text: &str) -> &EventId {
    text.try_into().unwrap()
}

#[tokio::test]
async fn a_relation_comes_with_its_event_wherever_that_stands_and_goes_with_its_redaction() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let news = room.reaction(&store, "$parent", "👍");
        let history = NewEvent {
            place: Place::History {
                anchor: Position(1),
                rank: 5,
            },
            ..room.reaction(&store, "$parent", "👎")
        };
        let aside = NewEvent {
            place: Place::Outlier,
            outcome: Outcome::Outlier,
            ..room.reaction(&store, "$parent", "?")
        };
        let refused = NewEvent {
            outcome: Outcome::SoftFailed,
            ..room.reaction(&store, "$parent", "!")
        };
        let rows = [news.row, history.row, aside.row, refused.row];
        let all = [news.clone(), history, aside.clone(), refused];
        let write = Write {
            logged: all.into_iter().map(Logged::Event).collect(),
            ..Write::default()
        };
        let committed = store.write(write).await.unwrap();
        let db = store.reader();
        let mut stored = relations::of_rows(db, &rows).await.unwrap();
        stored.sort_by_key(|relation| relation.child);
        let spots: Vec<_> = stored
            .iter()
            .map(|relation| (relation.child, relation.spot()))
            .collect();
        let behind = Spot {
            anchor: Position(1),
            rank: 5,
            position: committed.positions[1].unwrap(),
        };
        let first = Spot::news(committed.positions[0].unwrap());
        assert_eq!(spots, [(rows[0], first), (rows[1], behind)]);
        let promoted = NewEvent {
            place: Place::New,
            outcome: Outcome::Accepted,
            promoted: true,
            ..aside
        };
        store
            .write(Write::logged(Logged::Event(promoted)))
            .await
            .unwrap();
        let ids: Vec<OwnedEventId> = rows
            .iter()
            .map(|row| format!("$event{row}").try_into().unwrap())
            .collect();
        let ids: Vec<&EventId> = ids.iter().map(AsRef::as_ref).collect();
        let mut stored = relations::of_ids(db, &ids).await.unwrap();
        stored.sort_by_key(|relation| relation.child);
        let children: Vec<_> = stored.iter().map(|relation| relation.child).collect();
        assert_eq!(children, rows[..3]);
        let alice = user("alice");
        let same = async |key: &str| {
            let what = (alice.as_ref(), "m.room.message", key);
            relations::annotations(db, room.row, id("$parent"), what)
                .await
                .unwrap()
        };
        assert_eq!(same("👍").await, [rows[0]]);
        assert!(same("👍👍").await.is_empty());
        let redacted = Plain::Redacted {
            event: rows[0],
            by: rows[1],
            json: news.event.to_json(),
        };
        store.write(Write::plain(vec![redacted])).await.unwrap();
        assert!(same("👍").await.is_empty());
        assert!(relations::of_rows(db, &rows[..1]).await.unwrap().is_empty());
    })
    .await;
}
