//! How one event relates to another: client-server API, "Forming relationships between events".
//!
//! What is read here stands in clear text also where the event is encrypted. Replies (`m.in_reply_to`) are no
//! relations in this sense.

use ruma::EventId;

use crate::{event::Event, json::Value};

/// Replies in a thread.
pub const THREAD: &str = "m.thread";
/// Edits.
pub const REPLACE: &str = "m.replace";
/// What merely refers to an event: the votes of a poll, the steps of a verification.
pub const REFERENCE: &str = "m.reference";
/// Reactions.
pub const ANNOTATION: &str = "m.annotation";

/// The longest name of a kind of relation and the longest key of an annotation, in bytes: what identifiers may have.
/// What is longer relates to nothing.
const BYTES_MAX: usize = 255;

/// What an event says of its relation to another one, its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The kind: [`THREAD`], [`REPLACE`], ... or one that nobody knows.
    pub rel_type: &'a str,
    /// The event that it relates to. Whether that one is in the same room is not known here.
    pub parent: &'a EventId,
    /// Of an annotation: what it annotates with.
    pub key: Option<&'a str>,
}

impl<'a> Relation<'a> {
    /// The relation of an event; `None` if it has none, or a malformed one.
    pub fn of(event: &'a Event) -> Option<Self> {
        Self::read(event.content().get("m.relates_to")?)
    }

    /// The relation that `m.relates_to` of a content speaks of.
    pub fn read(relates_to: &'a Value) -> Option<Self> {
        let text = |name: &str| relates_to.get(name)?.as_str().filter(|text| fits(text));
        let rel_type = text("rel_type")?;
        let parent = <&EventId>::try_from(text("event_id")?).ok()?;
        let key = (rel_type == ANNOTATION).then(|| text("key")).flatten();
        Some(Self {
            rel_type,
            parent,
            key,
        })
    }
}

fn fits(text: &str) -> bool {
    !text.is_empty() && text.len() <= BYTES_MAX && !text.contains('\0')
}

/// Whether an event can be an edit, as far as it says itself: it is no state, replaces another, and has new content, which
/// encryption hides ("Validity of replacement events").
pub fn may_replace(event: &Event) -> bool {
    let new_content = event.content().get("m.new_content");
    !event.is_state()
        && Relation::of(event).is_some_and(|relation| relation.rel_type == REPLACE)
        && (event.event_type() == "m.room.encrypted"
            || new_content.is_some_and(|content| content.as_object().is_some()))
}

/// Whether `edit` may take the place of `original`, both being of the same room ("Validity of replacement events").
pub fn replaces(edit: &Event, original: &Event) -> bool {
    let is_edit = |event| Relation::of(event).is_some_and(|relation| relation.rel_type == REPLACE);
    may_replace(edit)
        && Relation::of(edit).is_some_and(|relation| relation.parent == original.id())
        && edit.sender() == original.sender()
        && edit.event_type() == original.event_type()
        && !original.is_state()
        && !is_edit(original)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn what_is_malformed_is_no_relation() {
        let long = "x".repeat(256);
        for (rel_type, event_id, is_one) in [
            ("m.thread", "$a", true),
            ("org.example.anything", "$a", true),
            ("", "$a", false),
            (long.as_str(), "$a", false),
            ("m.thread", "a", false),
            ("m.thread", "", false),
            ("m.thread", "$a\0", false),
            ("m.thr\0ead", "$a", false),
        ] {
            let value = Value::from(object! { "rel_type" => rel_type, "event_id" => event_id });
            assert_eq!(
                Relation::read(&value).is_some(),
                is_one,
                "{rel_type} {event_id}"
            );
        }
        let reply = object! { "m.in_reply_to" => object! { "event_id" => "$a" } };
        assert_eq!(Relation::read(&reply.into()), None);
        assert_eq!(Relation::read(&Value::from("m.thread")), None);
    }

    #[test]
    fn only_annotations_have_a_key() {
        for (rel_type, key, expected) in [
            (ANNOTATION, Value::from("👍"), Some("👍")),
            (ANNOTATION, Value::from(1), None),
            (THREAD, Value::from("👍"), None),
        ] {
            let value = object! { "rel_type" => rel_type, "event_id" => "$a", "key" => key }.into();
            let relation = Relation::read(&value).expect("a relation");
            assert_eq!(relation.key, expected, "{rel_type}");
        }
    }
}
