//! The link from a space to a child: client-server API, "m.space.child" and "Ordering of children within a space".

use ruma::{OwnedRoomId, OwnedServerName, RoomId};
use spec::{
    event::Event,
    json::{Object, Value},
    object, server_name,
};

/// The most children of one space that are looked at, in order: bounds the work that one room can make.
pub(super) const CHILDREN_MAX: usize = 1_000;
/// The most servers of a link that are of use.
const VIA_MAX: usize = 10;
/// The longest `order` that counts.
const ORDER_CHARS_MAX: usize = 50;

/// A link that is valid: it says through which servers the child is reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Child {
    pub(super) room_id: OwnedRoomId,
    pub(super) via: Vec<OwnedServerName>,
    pub(super) suggested: bool,
    /// The link as others get it: a stripped state event with its time.
    pub(super) stripped: Object,
    order: Option<String>,
    ts: i64,
}

impl Child {
    /// A link by its stripped state event; `None` if it is none, or no valid one.
    pub(super) fn parse(stripped: Object) -> Option<Self> {
        let text = |key: &str| stripped.get(key).and_then(Value::as_str);
        if text("type") != Some("m.space.child") {
            return None;
        }
        let content = stripped.get("content")?.as_object()?;
        let via = content.get("via")?.as_array()?.iter();
        let via = via.filter_map(|server| server_name::owned(server.as_str()?));
        let via: Vec<OwnedServerName> = via.take(VIA_MAX).collect();
        if via.is_empty() {
            return None;
        }
        text("sender")?;
        let order = content.get("order").and_then(Value::as_str);
        Some(Self {
            room_id: RoomId::parse(text("state_key")?).ok()?,
            via,
            suggested: content.get("suggested").and_then(Value::as_bool) == Some(true),
            order: order.filter(|order| counts(order)).map(str::to_owned),
            ts: stripped.get("origin_server_ts")?.as_i64()?,
            stripped,
        })
    }

    /// The link of a state event.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Self::parse(object! {
            "type" => event.event_type(),
            "state_key" => event.state_key()?,
            "sender" => event.sender().as_str(),
            "content" => event.content().clone(),
            "origin_server_ts" => event.origin_server_ts(),
        })
    }
}

/// Whether an `order` is one.
fn counts(order: &str) -> bool {
    order.len() <= ORDER_CHARS_MAX && order.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// Brings links into their order, one a room, and cuts off what is too much: those with an `order` by that, then by age,
/// then by room.
pub(super) fn in_order(mut children: Vec<Child>) -> Vec<Child> {
    children.sort_by(|a, b| {
        let key = |child: &Child| (child.order.is_none(), child.order.clone(), child.ts);
        key(a).cmp(&key(b)).then_with(|| a.room_id.cmp(&b.room_id))
    });
    let mut seen = std::collections::HashSet::new();
    children.retain(|child| seen.insert(child.room_id.clone()));
    children.truncate(CHILDREN_MAX);
    children
}

#[cfg(test)]
mod tests {
    use spec::{
        json::{Object, Value},
        object,
    };

    use super::{Child, in_order};

    fn link(room: &str, ts: i64, order: impl Into<Value>) -> Object {
        let via = Value::Array(vec!["here".into(), "no server!".into()]);
        object! {
            "type" => "m.space.child",
            "state_key" => room,
            "sender" => "@alice:here",
            "origin_server_ts" => ts,
            "content" => object! { "via" => via, "order" => order.into() },
        }
    }

    #[test]
    fn links_without_a_way_are_none() {
        let child = Child::parse(link("!a:here", 1, "a")).expect("a link");
        assert_eq!(child.via.len(), 1);
        assert!(Child::parse(link("no room", 1, "a")).is_none());
        for (key, value) in [
            ("type", Value::from("m.space.parent")),
            ("sender", Value::from(1)),
            ("origin_server_ts", Value::from("1")),
            ("content", Value::from(1)),
            ("content", object! {}.into()),
            ("content", object! { "via" => Value::Array(vec![]) }.into()),
            ("content", object! { "via" => "here" }.into()),
        ] {
            let mut link = link("!a:here", 1, "a");
            link.insert(key.to_owned(), value);
            assert!(Child::parse(link.clone()).is_none(), "{link:?}");
        }
    }

    /// Client-server API, "Ordering of children within a space"; SPACE-07: what is no valid `order` does not count.
    #[test]
    fn children_are_ordered_by_order_then_age_then_room() {
        let links = [
            link("!last:here", 9, Value::Null),
            link("!old:here", 1, Value::Null),
            link("!b:here", 5, Value::Null),
            link("!a:here", 5, Value::Null),
            link("!long:here", 6, "a".repeat(51)),
            link("!umlaut:here", 7, "ä"),
            link("!number:here", 8, 1),
            link("!second:here", 9, "b"),
            link("!first:here", 9, "a"),
            link("!empty:here", 9, ""),
            link("!tie:here", 8, "b"),
            link("!old:here", 2, Value::Null),
        ];
        let children = links.into_iter().filter_map(Child::parse).collect();
        let ordered = in_order(children);
        let names: Vec<&str> = ordered
            .iter()
            .filter_map(|child| {
                child
                    .room_id
                    .as_str()
                    .strip_prefix('!')?
                    .strip_suffix(":here")
            })
            .collect();
        let expected = [
            "empty", "first", "tie", "second", "old", "a", "b", "long", "umlaut", "number", "last",
        ];
        assert_eq!(names, expected);
    }
}
