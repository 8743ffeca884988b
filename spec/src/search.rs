//! Which text of an event is searched: client-server API, "Server Side Search".
//!
//! Of what is encrypted there is none.

use crate::{
    event::Event,
    json::{Object, Value},
    relation,
};

/// Where the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `content.body` of a message.
    Body,
    /// `content.name` of the room's name.
    Name,
    /// `content.topic` of the room's topic.
    Topic,
}

impl Key {
    /// All keys.
    pub const ALL: [Self; 3] = [Self::Body, Self::Name, Self::Topic];
}

/// The text of an event that is searched, and where it stands; of an edit, that of the new content. `None` if it has none.
pub fn text(event: &Event) -> Option<(Key, String)> {
    let content = event.content();
    let (key, text) = match (event.event_type(), event.state_key()) {
        ("m.room.message", None) => (Key::Body, body(event)?.to_owned()),
        ("m.room.name", Some("")) => (Key::Name, content.get("name")?.as_str()?.to_owned()),
        ("m.room.topic", Some("")) => (Key::Topic, topic(content)?),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some((key, text))
}

fn body(event: &Event) -> Option<&str> {
    let content = event.content();
    let new_content = content
        .get("m.new_content")
        .filter(|_| relation::may_replace(event));
    let body = new_content.and_then(|content| content.get("body"));
    body.or_else(|| content.get("body"))?.as_str()
}

/// Both forms of the topic, where they differ.
fn topic(content: &Object) -> Option<String> {
    let old = content.get("topic").and_then(Value::as_str);
    let new = content.get("m.topic").and_then(|topic| {
        let forms = topic.get("m.text")?.as_array()?;
        forms.iter().find_map(|form| form.get("body")?.as_str())
    });
    match (old, new) {
        (Some(old), Some(new)) if old != new => Some(format!("{old}\n{new}")),
        (old, new) => old.or(new).map(str::to_owned),
    }
}
