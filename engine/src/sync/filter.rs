//! Which events a client's filter lets through: client-server API, "Filtering".

use ruma::{
    RoomId, UserId,
    api::client::filter::{RoomEventFilter, RoomFilter, UrlFilter},
};
use spec::event::Event;

/// Whether `filter` speaks about `room` at all. Exclusion wins over inclusion.
pub(crate) fn allows_room(filter: &RoomFilter, room: &RoomId) -> bool {
    !filter.not_rooms.iter().any(|other| other == room)
        && filter
            .rooms
            .as_ref()
            .is_none_or(|rooms| rooms.iter().any(|other| other == room))
}

/// Whether `filter` lets `event` of `room` through. Exclusion wins; an empty list of inclusions matches nothing.
pub(crate) fn allows_event(filter: &RoomEventFilter, event: &Event) -> bool {
    allows(
        filter,
        event.event_type(),
        Some(event.sender()),
        event.room_id(),
    ) && match filter.url_filter {
        None => true,
        Some(wanted) => {
            event
                .content()
                .get("url")
                .is_some_and(|url| url.as_str().is_some())
                == matches!(wanted, UrlFilter::EventsWithUrl)
        }
    }
}

/// The same for what is no room event: account data and ephemeral events, which may have no sender.
pub(crate) fn allows(
    filter: &RoomEventFilter,
    event_type: &str,
    sender: Option<&UserId>,
    room: &RoomId,
) -> bool {
    let by_type = allows_type(filter.types.as_deref(), &filter.not_types, event_type);
    let by_sender = sender.is_none_or(|sender| {
        !filter.not_senders.iter().any(|other| other == sender)
            && filter
                .senders
                .as_ref()
                .is_none_or(|list| list.iter().any(|other| other == sender))
    });
    let by_room = !filter.not_rooms.iter().any(|other| other == room)
        && filter
            .rooms
            .as_ref()
            .is_none_or(|list| list.iter().any(|other| other == room));
    by_type && by_sender && by_room
}

/// Whether a type passes a list of patterns to include and one to exclude.
pub(crate) fn allows_type(
    include: Option<&[String]>,
    exclude: &[String],
    event_type: &str,
) -> bool {
    !exclude.iter().any(|pattern| glob(pattern, event_type))
        && include.is_none_or(|list| list.iter().any(|pattern| glob(pattern, event_type)))
}

/// `*` stands for any run of characters. Linear in the length of `text` times the number of stars at most.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run_and_exclusion_wins() {
        for (pattern, text, matches) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.*", "m.room.message", true),
            ("*", "", true),
            ("*.message", "m.room.message", true),
            ("m.*.message", "m.message", false),
            ("m.*o*.message", "m.room.message", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} on {text}");
        }
        let star = ["*".to_owned()];
        assert!(!allows_type(Some(&star), &star, "m.room.message"));
        assert!(!allows_type(Some(&[]), &[], "m.room.message"));
    }
}
