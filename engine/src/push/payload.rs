//! What a push gateway is told: push gateway API, `POST /_matrix/push/v1/notify`.

use ruma::push::{Action, Tweak};
use serde_json::{Map, Value, json};
use storage::pushers::Pusher;
use url::Url;

use super::shown::Shown;
use crate::{Error, Result};

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    /// All of it but the devices.
    pub(super) said: Map<String, Value>,
    /// The device that it is for.
    device: Value,
    /// How much is unread in all.
    pub(super) unread: i64,
    /// Whether it is worth waking a device.
    pub(super) urgent: bool,
}

impl Notification {
    /// As a gateway gets it.
    pub(super) fn whole(self) -> String {
        let mut said = self.said;
        said.insert("devices".to_owned(), json!([self.device]));
        json!({ "notification": said }).to_string()
    }

    /// What the push rule sets.
    pub(super) fn tweaks(&self) -> Option<&Value> {
        self.device.get("tweaks")
    }

    fn new(said: Map<String, Value>, device: Value, unread: i64, urgent: bool) -> Self {
        let mut said = said;
        said.insert("counts".to_owned(), json!({ "unread": unread }));
        let prio = if urgent { "high" } else { "low" };
        said.insert("prio".to_owned(), prio.into());
        Self {
            said,
            device,
            unread,
            urgent,
        }
    }
}

/// The notification of an event, with how much is unread in all.
pub(super) fn of_event(pusher: &Pusher, shown: &Shown, unread: i64) -> Result<Notification> {
    let data = data(pusher)?;
    let only_ids = data.get("format").and_then(Value::as_str) == Some("event_id_only");
    let tweaks = tweaks(&shown.actions);
    let event = &shown.event;
    let urgent = tweaks.contains_key("highlight")
        || tweaks.contains_key("sound")
        || event.event_type() == "m.room.encrypted";
    let mut said = Map::new();
    let mut say = |key: &str, value: Value| drop(said.insert(key.to_owned(), value));
    say("event_id", json!(event.id()));
    say("room_id", json!(event.room_id()));
    if !only_ids {
        say("type", event.event_type().into());
        say("sender", event.sender().as_str().into());
        say("content", json!(event.content()));
        say("user_is_target", shown.user_is_target.into());
        for (key, text) in [
            ("sender_display_name", &shown.sender_display_name),
            ("room_name", &shown.room_name),
            ("room_alias", &shown.room_alias),
        ] {
            if let Some(text) = text {
                say(key, text.as_str().into());
            }
        }
    }
    let device = device(pusher, data, (!only_ids).then_some(tweaks));
    Ok(Notification::new(said, device, unread, urgent))
}

/// Only how much is unread now.
pub(super) fn of_count(pusher: &Pusher, unread: i64) -> Result<Notification> {
    let device = device(pusher, data(pusher)?, None);
    Ok(Notification::new(Map::new(), device, unread, false))
}

/// Whether a pusher does not want to hear that only the count has changed: browsers must show each push that they get.
pub(super) fn wants_only_events(pusher: &Pusher) -> Result<bool> {
    Ok(data(pusher)?.get("events_only") == Some(&Value::Bool(true)))
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

/// What tells the gateway from others: its host and port.
pub(super) fn gateway(pusher: &Pusher) -> Result<String> {
    let url = Url::parse(&url(pusher)?);
    let url = url.map_err(|error| Error::Internal(format!("a pusher's gateway: {error}")))?;
    Ok(url.authority().to_owned())
}

pub(super) fn data(pusher: &Pusher) -> Result<Map<String, Value>> {
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
