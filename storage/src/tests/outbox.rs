//! What has to be brought to other servers.

use super::fixture::{Room, on_each};
use crate::{
    Logged, Position, Write, outbox,
    write::{NewEvent, Place},
};

#[tokio::test]
async fn only_what_is_outgoing_is_found_in_order_and_by_room() {
    on_each(async |store| {
        let (room, other) = (Room::new(&store).await, Room::new(&store).await);
        for (room, outgoing) in [(&room, true), (&other, true), (&room, false), (&room, true)] {
            let event = NewEvent {
                outgoing,
                ..room.message(&store)
            };
            store
                .write(Write::logged(Logged::Event(event)))
                .await
                .unwrap();
        }
        let aside = NewEvent {
            outgoing: true,
            place: Place::Outlier,
            ..room.message(&store)
        };
        store
            .write(Write::logged(Logged::Event(aside)))
            .await
            .unwrap();

        let db = store.reader();
        let (start, end) = (Position(0), store.position());
        let places = async |after, to, limit: usize| {
            let whole = outbox::outgoing(db, after, to, limit.into()).await.unwrap();
            let light = outbox::outgoing_events(db, after, to, limit.into())
                .await
                .unwrap();
            let whole: Vec<_> = whole
                .iter()
                .map(|event| (event.id, event.room, event.outgoing.unwrap()))
                .collect();
            let light: Vec<_> = light
                .iter()
                .map(|event| (event.id, event.room, event.outgoing))
                .collect();
            assert_eq!(whole, light);
            whole
                .into_iter()
                .map(|(.., at)| at.get())
                .collect::<Vec<_>>()
        };
        assert_eq!(places(start, end, 9).await, [1, 2, 4]);
        assert_eq!(places(start, end, 2).await, [1, 2]);
        assert_eq!(places(Position(1), Position(3), 9).await, [2]);

        let mut rooms = outbox::outgoing_rooms(db, start, end).await.unwrap();
        rooms.sort_unstable_by_key(|of| of.last);
        let rooms: Vec<_> = rooms
            .iter()
            .map(|of| (of.room, of.count, of.last.get()))
            .collect();
        assert_eq!(rooms, [(other.row, 1, 2), (room.row, 2, 4)]);
    })
    .await;
}
