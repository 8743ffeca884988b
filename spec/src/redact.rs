//! Redaction: what is left of an event, and whether a redaction applies.
//!
//! Source: client-server API, "Redactions"; each room version's "Redactions" and "Handling redactions".

use crate::{
    auth::{Power, PowerLevels},
    event::Event,
    json::{Object, Value, Writer},
    room_version::{Keep, Key, RoomVersion},
};

/// What redaction leaves of `event`, in the form that federation uses.
///
/// `unsigned` goes as well; a server that records why (`redacted_because`) adds it anew.
pub fn redact_object(version: &RoomVersion, event: &Object) -> Object {
    let mut left = Object::new();
    let event_type = event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    for &key in version.redaction.top_level {
        if let Some(value) = event.get(key) {
            let value = match value {
                Value::Object(content) if key == "content" => {
                    Value::Object(redact_content(version, event_type, content))
                }
                other => other.clone(),
            };
            left.insert(key.to_owned(), value);
        }
    }
    left
}

/// What redaction leaves of the `content` of an event of this type.
pub fn redact_content(version: &RoomVersion, event_type: &str, content: &Object) -> Object {
    let keys = match keep(version, event_type) {
        Keep::All => return content.clone(),
        Keep::Keys(keys) => keys,
    };
    let mut left = Object::new();
    for key in keys {
        match *key {
            Key::Whole(name) => {
                if let Some(value) = content.get(name) {
                    left.insert(name.to_owned(), value.clone());
                }
            }
            Key::Part(name, part) => {
                if let Some(Value::Object(whole)) = content.get(name) {
                    let kept = whole.get_key_value(part);
                    let kept = kept.map(|(key, value)| (key.clone(), value.clone()));
                    left.insert(name.to_owned(), Value::Object(kept.into_iter().collect()));
                }
            }
        }
    }
    left
}

/// The canonical JSON of the redacted `event` without `signatures`: what its signatures sign and what
/// its reference hash is taken of. Nothing is copied but the text.
pub(crate) fn essential_json(version: &RoomVersion, event: &Object) -> String {
    let event_type = event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut writer = Writer::with_capacity(1024);
    writer.open();
    for &key in version.redaction.top_level {
        let Some(value) = event.get(key).filter(|_| key != "signatures") else {
            continue;
        };
        writer.key(key);
        match value {
            Value::Object(content) if key == "content" => {
                write_content(&mut writer, version, event_type, content);
            }
            other => writer.value(other),
        }
    }
    writer.close();
    writer.finish()
}

fn write_content(writer: &mut Writer, version: &RoomVersion, event_type: &str, content: &Object) {
    let keys = match keep(version, event_type) {
        Keep::All => {
            return writer.object(content.iter().map(|(key, value)| (key.as_str(), value)));
        }
        Keep::Keys(keys) => keys,
    };
    writer.open();
    for key in keys {
        match *key {
            Key::Whole(name) => {
                if let Some(value) = content.get(name) {
                    writer.key(name);
                    writer.value(value);
                }
            }
            Key::Part(name, part) => {
                if let Some(Value::Object(whole)) = content.get(name) {
                    writer.key(name);
                    writer.object(whole.get(part).map(|value| (part, value)).into_iter());
                }
            }
        }
    }
    writer.close();
}

fn keep(version: &RoomVersion, event_type: &str) -> Keep {
    let listed = version
        .redaction
        .content
        .iter()
        .find(|(listed, _)| *listed == event_type);
    listed.map_or(Keep::Keys(&[]), |(_, keep)| *keep)
}

/// Whether `redaction` takes effect on `target`, in a state with these power levels.
///
/// Both must be of the same room and neither the other's target. From room version 3 on, the sender needs
/// the redact level or be of the server that sent the target; before, the authorization rules have asked
/// for as much when the redaction was accepted.
pub fn applies(
    version: &RoomVersion,
    levels: &PowerLevels,
    redaction: &Event,
    target: &Event,
) -> bool {
    redaction.redacts() == Some(target.id()) && may_apply(version, Some(levels), redaction, target)
}

/// The same for a redaction that is known to have named `target`: one that was itself redacted may name nothing any
/// more. Without power levels, where the state is not known, only the sender's server counts.
pub fn may_apply(
    version: &RoomVersion,
    levels: Option<&PowerLevels>,
    redaction: &Event,
    target: &Event,
) -> bool {
    let aimed =
        redaction.event_type() == "m.room.redaction" && redaction.room_id() == target.room_id();
    let circular = redaction.id() == target.id() || target.redacts() == Some(redaction.id());
    if !aimed || circular {
        return false;
    }
    version.auth.redactions_by_rule
        || redaction.sender().server_name() == target.sender().server_name()
        || levels.is_some_and(|levels| may_redact_others(levels, redaction.sender().as_str()))
}

/// Whether a user may redact what others have sent.
pub fn may_redact_others(levels: &PowerLevels, user: &str) -> bool {
    levels.user(user) >= Power::Level(levels.redact())
}
