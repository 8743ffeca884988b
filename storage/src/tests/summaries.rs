//! What rooms show: the number of the joined, the published list, its searches and pages.

use super::fixture::{Room, membership, on_each};
use crate::{
    Limit, Plain, Position, Store, Write,
    entity::membership::Membership::{self, Ban, Join, Leave},
    id::EventRow,
    summaries::{self, Part, Place, Wanted},
    write::{At, NewSummary},
};

fn becomes(room: &Room, name: &str, what: Membership) -> Plain {
    Plain::Membership {
        room: room.row,
        event: EventRow(1),
        membership: membership(name, what),
        at: At::Position(Position(1)),
    }
}

/// A published room with so many members, with a name.
async fn listed(store: &Store, name: &str, members: usize) -> Room {
    let room = Room::new(store).await;
    let mut plain: Vec<Plain> = (0..members)
        .map(|n| becomes(&room, &format!("user{n}"), Join))
        .collect();
    plain.push(Plain::RoomPublished {
        room: room.row,
        published: true,
    });
    plain.push(Plain::Summary(Box::new(shows(&room, name))));
    store.write(Write::plain(plain)).await.unwrap();
    room
}

fn shows(room: &Room, name: &str) -> NewSummary {
    NewSummary {
        name: Some(name.to_owned()),
        join_rule: "public".to_owned(),
        search: name.to_lowercase(),
        ..NewSummary::blank(room.row)
    }
}

/// The names on one page, and where it begins and ends.
async fn page(store: &Store, wanted: &Wanted, part: Part, limit: u64) -> (Vec<String>, Vec<Place>) {
    let page = summaries::published(store.reader(), wanted, part, Limit::new(limit))
        .await
        .unwrap();
    let place = |room: &summaries::Summary| Place {
        joined: room.joined,
        room: room.room,
    };
    let places = page.iter().map(place).collect();
    let names = page.into_iter().filter_map(|room| room.name).collect();
    (names, places)
}

#[tokio::test]
async fn the_joined_are_counted_however_they_came_and_went() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let joined = async || {
            let found = summaries::one(store.reader(), room.row).await.unwrap();
            found.expect("every room has a summary").joined
        };
        for (batch, expected) in [
            (vec![("alice", Join)], 1),
            (vec![("alice", Join), ("bob", Join), ("eve", Ban)], 2),
            (vec![("bob", Leave), ("eve", Leave)], 1),
            (vec![("bob", Join), ("bob", Leave), ("bob", Join)], 2),
            (vec![("alice", Ban), ("bob", Leave)], 0),
        ] {
            let plain = batch.iter().map(|(name, what)| becomes(&room, name, *what));
            store.write(Write::plain(plain.collect())).await.unwrap();
            assert_eq!(joined().await, expected, "{batch:?}");
        }
        let crowd = (0..600).map(|n| becomes(&room, &format!("user{n}"), Join));
        store.write(Write::plain(crowd.collect())).await.unwrap();
        assert_eq!(joined().await, 600);
        let renamed = Plain::Summary(Box::new(shows(&room, "a name")));
        store.write(Write::plain(vec![renamed])).await.unwrap();
        assert_eq!(joined().await, 600, "not touched by a new name");
    })
    .await;
}

#[tokio::test]
async fn the_list_goes_from_many_members_to_few_and_back() {
    on_each(async |store| {
        for (name, members) in [("few", 1), ("many", 3), ("some", 2), ("as few", 1)] {
            listed(&store, name, members).await;
        }
        let empty = listed(&store, "empty", 0).await;
        let closed = listed(&store, "closed", 2).await;
        let rule = NewSummary {
            join_rule: "invite".to_owned(),
            ..shows(&closed, "closed")
        };
        let plain = Plain::Summary(Box::new(rule));
        store.write(Write::plain(vec![plain])).await.unwrap();
        let secret = listed(&store, "secret", 2).await;
        let plain = Plain::RoomPublished {
            room: secret.row,
            published: false,
        };
        store.write(Write::plain(vec![plain])).await.unwrap();
        assert!(empty.row > closed.row || closed.row > empty.row);

        let all = Wanted::default();
        let (first, places) = page(&store, &all, Part::First, 3).await;
        assert_eq!(first, ["many", "some", "as few"]);
        let (second, next) = page(&store, &all, Part::After(places[2]), 3).await;
        assert_eq!(second, ["few"]);
        let (back, _) = page(&store, &all, Part::Before(next[0]), 2).await;
        assert_eq!(back, ["some", "as few"]);
        let (start, _) = page(&store, &all, Part::Before(places[0]), 2).await;
        assert!(start.is_empty());
        let count = summaries::published_count(store.reader()).await.unwrap();
        assert_eq!(count, 5, "with the closed one");
    })
    .await;
}

#[tokio::test]
async fn a_search_takes_text_as_it_is() {
    on_each(async |store| {
        for name in [
            "100% Ärger",
            "1000 mice",
            "under_score",
            "underscore",
            "back\\slash",
        ] {
            listed(&store, name, 1).await;
        }
        for (term, found) in [
            ("100", vec!["1000 mice", "100% Ärger"]),
            ("100%", vec!["100% Ärger"]),
            ("ÄRGER", vec!["100% Ärger"]),
            ("r_s", vec!["under_score"]),
            ("\\", vec!["back\\slash"]),
            (
                "",
                vec![
                    "back\\slash",
                    "underscore",
                    "under_score",
                    "1000 mice",
                    "100% Ärger",
                ],
            ),
            ("nothing", vec![]),
        ] {
            let wanted = Wanted {
                term: Some(term.to_owned()),
                ..Wanted::default()
            };
            let (names, _) = page(&store, &wanted, Part::First, 9).await;
            assert_eq!(names, found, "{term}");
        }
    })
    .await;
}

#[tokio::test]
async fn rooms_are_chosen_by_type_and_by_reach() {
    on_each(async |store| {
        for (name, room_type, federated) in [
            ("space", Some("m.space"), true),
            ("plain", None, true),
            ("ours", None, false),
            ("odd", Some("org.example"), true),
        ] {
            let room = listed(&store, name, 1).await;
            let shown = NewSummary {
                room_type: room_type.map(str::to_owned),
                federated,
                ..shows(&room, name)
            };
            let plain = Plain::Summary(Box::new(shown));
            store.write(Write::plain(vec![plain])).await.unwrap();
        }
        let space = Some("m.space".to_owned());
        for (types, federated, found) in [
            (vec![], false, vec!["odd", "ours", "plain", "space"]),
            (vec![], true, vec!["odd", "plain", "space"]),
            (vec![space.clone()], false, vec!["space"]),
            (vec![None], true, vec!["plain"]),
            (vec![None, space], false, vec!["ours", "plain", "space"]),
        ] {
            let wanted = Wanted {
                types,
                federated,
                term: None,
            };
            let (names, _) = page(&store, &wanted, Part::First, 9).await;
            assert_eq!(names, found, "{wanted:?}");
        }
    })
    .await;
}
