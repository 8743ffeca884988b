//! What a push gateway is told: push gateway API, `POST /_matrix/push/v1/notify`.

use ruma::push::{Action, Tweak};
use serde_json::{Map, Value, json};
use spec::event::Event;
use storage::pushers::Pusher;

use crate::{Error, Result};

/// An event, and what else the gateway may show of it.
pub(super) struct Shown<'a> {
    pub(super) event: &'a Event,
    pub(super) sender_display_name: Option<String>,
    pub(super) room_name: Option<String>,
    pub(super) room_alias: Option<String>,
    /// Whether it is about the membership of the pusher's user.
    pub(super) user_is_target: bool,
    pub(super) actions: Vec<Action>,
}

/// The notification of an event, with how much is unread in all.
pub(super) fn of_event(pusher: &Pusher, shown: &Shown<'_>, unread: i64) -> Result<String> {
    let data = data(pusher)?;
    let only_ids = data.get("format").and_then(Value::as_str) == Some("event_id_only");
    let tweaks = tweaks(&shown.actions);
    let event = shown.event;
    let urgent = tweaks.contains_key("highlight")
        || tweaks.contains_key("sound")
        || event.event_type() == "m.room.encrypted";
    let mut notification = json!({
        "event_id": event.id(),
        "room_id": event.room_id(),
        "counts": { "unread": unread },
        "prio": if urgent { "high" } else { "low" },
        "devices": [device(pusher, data, (!only_ids).then_some(tweaks))],
    });
    if !only_ids {
        notification["type"] = event.event_type().into();
        notification["sender"] = event.sender().as_str().into();
        notification["content"] = json!(event.content());
        notification["user_is_target"] = shown.user_is_target.into();
        for (key, text) in [
            ("sender_display_name", &shown.sender_display_name),
            ("room_name", &shown.room_name),
            ("room_alias", &shown.room_alias),
        ] {
            if let Some(text) = text {
                notification[key] = text.as_str().into();
            }
        }
    }
    Ok(json!({ "notification": notification }).to_string())
}

/// Only how much is unread now.
pub(super) fn of_count(pusher: &Pusher, unread: i64) -> Result<String> {
    let device = device(pusher, data(pusher)?, None);
    let notification = json!({
        "counts": { "unread": unread },
        "prio": "low",
        "devices": [device],
    });
    Ok(json!({ "notification": notification }).to_string())
}

/// The keys that a gateway does not know any more, by its answer.
pub(super) fn rejected(answer: &[u8]) -> Vec<String> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let keys = answer["rejected"].as_array().cloned().unwrap_or_default();
    let text = |key: &Value| key.as_str().map(str::to_owned);
    keys.iter().filter_map(text).collect()
}

/// Where the gateway is.
pub(super) fn url(pusher: &Pusher) -> Result<String> {
    let data = data(pusher)?;
    let url = data.get("url").and_then(Value::as_str);
    let url = url.ok_or_else(|| Error::Internal("a pusher without a gateway".to_owned()))?;
    Ok(url.to_owned())
}

fn data(pusher: &Pusher) -> Result<Map<String, Value>> {
    let data = serde_json::from_str(&pusher.data);
    data.map_err(|error| Error::Internal(format!("a stored pusher: {error}")))
}

fn device(
    pusher: &Pusher,
    mut data: Map<String, Value>,
    tweaks: Option<Map<String, Value>>,
) -> Value {
    data.remove("url");
    let mut device = json!({
        "app_id": pusher.app_id,
        "pushkey": pusher.pushkey,
        // In seconds.
        "pushkey_ts": pusher.created_ts / 1_000,
        "data": data,
    });
    if let Some(tweaks) = tweaks {
        device["tweaks"] = Value::Object(tweaks);
    }
    device
}

/// What the actions set, by name.
fn tweaks(actions: &[Action]) -> Map<String, Value> {
    let tweak = |action: &Action| match action {
        Action::SetTweak(tweak @ Tweak::Highlight(_)) => {
            let written = serde_json::to_value(tweak).ok()?;
            let value = written.get("value").cloned().unwrap_or(true.into());
            (value != Value::Bool(false)).then(|| ("highlight".to_owned(), value))
        }
        Action::SetTweak(tweak) => {
            let written = serde_json::to_value(tweak).ok()?;
            let name = written.get("set_tweak")?.as_str()?.to_owned();
            Some((name, written.get("value").cloned().unwrap_or_default()))
        }
        _ => None,
    };
    actions.iter().filter_map(tweak).collect()
}
