//! Whom a search for people finds.

use super::fixture::{Room, on_each, user};
use crate::{
    Limit, Plain, Position, Store, Write,
    directory_users::{self, Wanted, words},
    entity::membership::Membership::{self, Join, Leave},
    id::EventRow,
    write::{At, NewMembership, NewSummary},
};

/// A member of another server, with a name of their own in the room.
fn becomes(room: &Room, name: &str, called: &str, what: Membership) -> Plain {
    let user_id = format!("@{name}:there").try_into().unwrap();
    Plain::Membership {
        room: room.row,
        event: EventRow(1),
        membership: NewMembership {
            sender: user(name),
            user_id,
            membership: what,
            displayname: Some(called.to_owned()),
            avatar_url: None,
        },
        at: At::Position(Position(1)),
    }
}

async fn opens(store: &Store, room: &Room, join_rule: &str) {
    let summary = NewSummary {
        join_rule: join_rule.to_owned(),
        ..NewSummary::blank(room.row)
    };
    let plain = Plain::Summary(Box::new(summary));
    store.write(Write::plain(vec![plain])).await.unwrap();
}

/// The names under which strangers find people.
async fn found(store: &Store, term: &str) -> Vec<Option<String>> {
    let wanted = Wanted {
        words: words(term),
        user_id: String::new(),
        from_start: true,
    };
    let found = directory_users::in_public(store.reader(), &wanted, Limit::new(10));
    let found = found.await.unwrap().into_iter();
    found.map(|found| found.displayname).collect()
}

/// PROF-06, for users of other servers, of whom only rooms tell names.
#[tokio::test]
async fn users_of_other_servers_are_known_by_public_rooms_only() {
    on_each(async |store| {
        let [lounge, cellar] = [Room::new(&store).await, Room::new(&store).await];
        let joins = vec![
            becomes(&lounge, "bob", "Bob", Join),
            becomes(&cellar, "bob", "Captain Secret", Join),
        ];
        store.write(Write::plain(joins)).await.unwrap();
        assert!(
            found(&store, "bob").await.is_empty(),
            "in closed rooms only"
        );
        opens(&store, &lounge, "public").await;
        assert_eq!(found(&store, "bob").await, [Some("Bob".to_owned())]);
        assert!(found(&store, "secret").await.is_empty());
        let renamed = vec![becomes(&lounge, "bob", "Robert", Join)];
        store.write(Write::plain(renamed)).await.unwrap();
        assert_eq!(found(&store, "robert").await, [Some("Robert".to_owned())]);
        let left = vec![becomes(&lounge, "bob", "Robert", Leave)];
        store.write(Write::plain(left)).await.unwrap();
        assert!(found(&store, "bob").await.is_empty());
        let back = vec![becomes(&lounge, "bob", "Bob", Join)];
        store.write(Write::plain(back)).await.unwrap();
        opens(&store, &lounge, "invite").await;
        assert!(found(&store, "bob").await.is_empty());
    })
    .await;
}

/// Opening and closing a room of many is done in parts.
#[tokio::test]
async fn all_members_of_a_large_room_are_found_once_it_is_open() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        let crowd = (0..600).map(|n| becomes(&room, &format!("user{n}"), "One of many", Join));
        store.write(Write::plain(crowd.collect())).await.unwrap();
        let count = async || {
            let wanted = Wanted {
                words: words("many"),
                user_id: String::new(),
                from_start: false,
            };
            let found = directory_users::in_public(store.reader(), &wanted, Limit::new(1000));
            found.await.unwrap().len()
        };
        opens(&store, &room, "public").await;
        assert_eq!(count().await, 600);
        opens(&store, &room, "knock").await;
        assert_eq!(count().await, 0);
    })
    .await;
}

/// The index follows what it is of.
#[tokio::test]
async fn who_is_renamed_is_found_by_the_new_name_only() {
    on_each(async |store| {
        let room = Room::new(&store).await;
        opens(&store, &room, "public").await;
        let find = async |term: &str, user_id: &str, from_start| {
            let wanted = Wanted {
                words: words(term),
                user_id: user_id.to_owned(),
                from_start,
            };
            let found = directory_users::in_public(store.reader(), &wanted, Limit::new(10));
            found.await.unwrap().len()
        };
        let called = async |name: &str, what| {
            let plain = vec![becomes(&room, "bob", name, what)];
            store.write(Write::plain(plain)).await.unwrap();
        };
        called("Margarete 安娜", Join).await;
        for (term, from_start, expected) in [
            ("marg", true, 1),
            ("garet", true, 0),
            ("garet", false, 1),
            ("ma", true, 1),
            ("m", true, 1),
            ("安娜", true, 1),
            ("marg bo", true, 1),
            ("marg xy", true, 0),
        ] {
            assert_eq!(find(term, "", from_start).await, expected, "{term}");
        }
        called("Ottokar", Join).await;
        assert_eq!(find("marg", "", false).await, 0);
        assert_eq!(find("otto", "", true).await, 1);
        for (id, expected) in [("@bo", 1), ("@bob:there", 1), ("@boc", 0)] {
            assert_eq!(find("nobody else", id, true).await, expected, "{id}");
        }
        called("Ottokar", Leave).await;
        assert_eq!(find("otto", "@bo", false).await, 0);
    })
    .await;
}
