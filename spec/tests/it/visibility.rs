//! Client-server API, "Room History Visibility", case by case.

use spec::{
    auth::Membership,
    event::Event,
    fixture::{RoomFixture, Say, text},
    object,
    visibility::{HistoryVisibility, Moment, may_see, may_see_server},
};

const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";

fn event(say: Say) -> Event {
    let mut room = RoomFixture::new("12", ALICE, "public");
    let key = room.add(say);
    Event::clone(room.event(key))
}

fn moment(visibility: &str, membership: &str, joined_later: bool) -> Moment {
    Moment {
        visibility: HistoryVisibility::parse(visibility),
        membership: Membership::parse(membership),
        joined_later,
    }
}

#[test]
fn messages_are_seen_by_visibility_and_membership() {
    let message = event(Say::message(ALICE, "m.room.message", text("hello")));
    for (visibility, membership, joined_later, seen) in [
        ("world_readable", "leave", false, true),
        ("world_readable", "ban", false, true),
        ("shared", "join", false, true),
        ("shared", "leave", true, true),
        ("shared", "leave", false, false),
        ("shared", "invite", false, false),
        ("shared", "invite", true, true),
        ("invited", "invite", false, true),
        ("invited", "join", false, true),
        ("invited", "leave", true, false),
        ("invited", "knock", true, false),
        ("joined", "join", false, true),
        ("joined", "invite", true, false),
        ("joined", "leave", true, false),
        ("org.example.unknown", "leave", true, true),
        ("org.example.unknown", "leave", false, false),
    ] {
        let moment = moment(visibility, membership, joined_later);
        assert_eq!(may_see(&message, BOB, moment), seen, "{moment:?}");
    }
    assert_eq!(HistoryVisibility::of(None), HistoryVisibility::Shared);
}

#[test]
fn changes_are_seen_by_what_was_or_what_is() {
    let visibility = |value: &str| {
        let content = object! { "history_visibility" => value };
        event(Say::state(ALICE, "m.room.history_visibility", "", content))
    };
    let own = |membership| event(Say::member(BOB, BOB, membership));
    for (event, before, seen) in [
        (
            visibility("joined"),
            moment("world_readable", "leave", false),
            true,
        ),
        (
            visibility("world_readable"),
            moment("joined", "leave", false),
            true,
        ),
        (
            visibility("invited"),
            moment("joined", "leave", false),
            false,
        ),
        (visibility("shared"), moment("joined", "leave", true), true),
        (own("join"), moment("joined", "leave", false), true),
        (own("leave"), moment("joined", "join", false), true),
        (own("invite"), moment("invited", "leave", false), true),
        (own("invite"), moment("joined", "leave", false), false),
        (own("leave"), moment("joined", "invite", false), true),
        (own("leave"), moment("joined", "leave", false), false),
    ] {
        assert_eq!(
            may_see(&event, BOB, before),
            seen,
            "{} after {before:?}",
            event.to_json()
        );
        let another = Moment {
            membership: Membership::Leave,
            joined_later: false,
            ..before
        };
        let free = before.visibility == HistoryVisibility::WorldReadable
            || event
                .content()
                .get("history_visibility")
                .is_some_and(|v| v.as_str() == Some("world_readable"));
        assert_eq!(
            may_see(&event, "@eve:c.example", another),
            free,
            "another: {}",
            event.to_json()
        );
    }
}

#[test]
fn servers_see_what_one_of_their_users_may() {
    let message = event(Say::message(ALICE, "m.room.message", text("hello")));
    let join = event(Say::member(BOB, BOB, "join"));
    for (event, server, visibility, memberships, seen) in [
        (&message, "b.example", "shared", &[][..], true),
        (
            &message,
            "b.example",
            "joined",
            &["leave", "join"][..],
            true,
        ),
        (
            &message,
            "b.example",
            "joined",
            &["leave", "invite"][..],
            false,
        ),
        (&message, "b.example", "invited", &["invite"][..], true),
        (&message, "b.example", "invited", &["ban"][..], false),
        (&message, "a.example", "joined", &[][..], true),
        (&join, "b.example", "joined", &[][..], true),
    ] {
        let memberships = memberships
            .iter()
            .map(|membership| Membership::parse(membership));
        let visibility = HistoryVisibility::parse(visibility);
        assert_eq!(
            may_see_server(event, server, visibility, memberships),
            seen,
            "{server} {visibility:?}"
        );
    }
}
