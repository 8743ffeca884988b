//! What a room shows of itself, kept in the store for lists of many rooms.
//!
//! It is made of a few state events. Each write that changes one of them, or redacts it, carries the new summary.

use std::collections::HashMap;

use spec::{
    auth,
    json::{Object, Value, encode},
    room_version::RoomVersion,
};
use storage::{EventRow, Plain, RoomRow, SnapshotRow, purges::Lifetime, write::NewSummary};

use super::Room;
use crate::{Result, retention};

/// The types of the state events of which a summary is made; the state key is empty.
const TYPES: [&str; 11] = [
    "m.room.create",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
    "m.room.retention",
    TOMBSTONE,
];

const TOMBSTONE: &str = "m.room.tombstone";

/// The longest list of rooms that a join rule may name, so that a summary stays one.
const ALLOWED_ROOMS_MAX: usize = 100;

/// What the stored summary was made of.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The state in which these were looked up.
    snapshot: Option<SnapshotRow>,
    /// The event of each of [`TYPES`].
    events: [Option<EventRow>; TYPES.len()],
}

impl Shown {
    fn tombstone(&self) -> Option<EventRow> {
        self.events[TYPES.len() - 1]
    }
}

impl Room {
    /// Looks up of what the stored summary is made.
    pub(super) async fn read_shown(&self) -> Result<Shown> {
        let pairs = TYPES.map(|event_type| (event_type, ""));
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let mut shown = Shown {
            snapshot: self.lineage.row(),
            ..Shown::default()
        };
        for (place, key) in shown.events.iter_mut().zip(keys) {
            *place = key.and_then(|key| self.state.get(&key).copied());
        }
        Ok(shown)
    }

    /// Adds the summary to the write that is being built, if that changes it. A room that has just been replaced by
    /// another leaves the directory: practice of all servers.
    pub(super) async fn summarise(&mut self) -> Result<()> {
        let emptied = self.batch.plain.iter().any(|plain| {
            matches!(plain, Plain::Redacted { event, .. } if self.shown.events.contains(&Some(*event)))
        });
        if !emptied && self.lineage.row() == self.shown.snapshot {
            return Ok(());
        }
        let shown = self.read_shown().await?;
        if !emptied && shown.events == self.shown.events {
            self.shown = shown;
            return Ok(());
        }
        let rows: Vec<EventRow> = shown.events.iter().flatten().copied().collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        let state: HashMap<&str, &Object> = known
            .iter()
            .map(|known| (known.event.event_type(), known.event.content()))
            .collect();
        let summary = summary_of(self.meta.row, self.meta.version, &state);
        let tombstone = state.get(TOMBSTONE).copied();
        let tombstone = tombstone.filter(|_| shown.tombstone() != self.shown.tombstone());
        let successor = match tombstone {
            Some(tombstone) => self.context.successor(&self.meta.id, tombstone).await?,
            None => None,
        };
        let (room, replaced) = (self.meta.row, tombstone.is_some());
        self.also(Plain::Summary(Box::new(summary)));
        if replaced {
            self.also(Plain::RoomReplaced { room });
        }
        if let Some(to) = successor {
            self.also(Plain::RoomSucceeded { from: room, to });
        }
        self.shown = shown;
        Ok(())
    }
}

/// The summary of a room in whose state the events of these types, with an empty state key, have these contents.
fn summary_of(room: RoomRow, version: &RoomVersion, state: &HashMap<&str, &Object>) -> NewSummary {
    let text = |event_type: &str, key: &str| {
        let text = state.get(event_type)?.get(key)?.as_str()?;
        // PostgreSQL cannot keep a NUL as text; nobody misses it.
        let text = text.replace('\0', "");
        (!text.is_empty()).then_some(text)
    };
    let is = |event_type, key, value: &str| text(event_type, key).as_deref() == Some(value);
    let name = text("m.room.name", "name");
    let topic = text("m.room.topic", "topic");
    let canonical_alias = text("m.room.canonical_alias", "alias");
    let searched = [&name, &topic, &canonical_alias].into_iter().flatten();
    let searched: Vec<String> = searched.map(|text| text.to_lowercase()).collect();
    let rules = state.get("m.room.join_rules").copied();
    let join_rule = join_rule(version, rules);
    let create = state.get("m.room.create");
    let retention = state.get("m.room.retention");
    let federate = create.and_then(|create| create.get("m.federate")?.as_bool());
    NewSummary {
        allowed_rooms: rules
            .filter(|_| join_rule.ends_with("restricted"))
            .map(allowed_rooms),
        join_rule: join_rule.to_owned(),
        avatar_url: text("m.room.avatar", "url"),
        room_type: text("m.room.create", "type"),
        encryption: text("m.room.encryption", "algorithm"),
        world_readable: is(
            "m.room.history_visibility",
            "history_visibility",
            "world_readable",
        ),
        guest_can_join: is("m.room.guest_access", "guest_access", "can_join"),
        federated: federate != Some(false),
        lifetime: retention.map_or_else(Lifetime::default, |content| retention::lifetime(content)),
        search: searched.join("\n"),
        name,
        topic,
        canonical_alias,
        room,
    }
}

/// The join rule in force: what the room's version does not know lets nobody in uninvited.
fn join_rule<'a>(version: &RoomVersion, rules: Option<&'a Object>) -> &'a str {
    let rule = rules.and_then(|rules| rules.get("join_rule")?.as_str());
    match rule {
        Some("public") => "public",
        Some(rule @ "knock") if version.auth.knock => rule,
        Some(rule @ "restricted") if version.auth.restricted => rule,
        Some(rule @ "knock_restricted") if version.auth.knock_restricted => rule,
        Some(rule @ "private") => rule,
        _ => "invite",
    }
}

/// The rooms whose members may join, as JSON: client-server API, "Restricted rooms".
fn allowed_rooms(rules: &Object) -> String {
    let rooms = auth::allowed_rooms(rules).into_iter();
    let rooms = rooms.map(|room| Value::from(room.as_str()));
    encode(&Value::Array(rooms.take(ALLOWED_ROOMS_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use spec::{
        json::{Object, Value},
        object,
        room_version::RoomVersion,
    };
    use storage::{RoomRow, write::NewSummary};

    use super::summary_of;

    fn summary(version: &str, state: &[(&'static str, Object)]) -> NewSummary {
        let state: HashMap<&str, &Object> = state.iter().map(|(of, what)| (*of, what)).collect();
        let version = RoomVersion::get(version).expect("a version");
        summary_of(RoomRow(1), version, &state)
    }

    #[test]
    fn a_room_without_state_is_closed() {
        assert_eq!(summary("11", &[]), NewSummary::blank(RoomRow(1)));
    }

    #[test]
    fn what_is_no_text_is_not_shown() {
        let seen = summary(
            "11",
            &[
                ("m.room.name", object! { "name" => 1 }),
                ("m.room.topic", object! { "topic" => "a\0b" }),
                ("m.room.avatar", object! { "url" => "" }),
                ("m.room.canonical_alias", object! { "alias" => "#Ä:here" }),
            ],
        );
        assert_eq!((seen.name, seen.avatar_url), (None, None));
        assert_eq!(seen.topic.as_deref(), Some("ab"));
        assert_eq!(seen.search, "ab\n#ä:here");
    }

    #[test]
    fn a_join_rule_opens_rooms_of_versions_that_know_it() {
        let condition =
            |of: &str, room: &str| Value::Object(object! { "type" => of, "room_id" => room });
        let allow = Value::Array(vec![
            condition("m.room_membership", "!space:here"),
            condition("m.room_membership", "no room"),
            condition("org.example", "!other:here"),
            Value::from("nonsense"),
        ]);
        let allowed = Some("[\"!space:here\"]".to_owned());
        for (version, rule, shown, allowed) in [
            ("1", "public", "public", None),
            ("6", "knock", "invite", None),
            ("7", "knock", "knock", None),
            ("7", "restricted", "invite", None),
            ("8", "restricted", "restricted", allowed.clone()),
            ("9", "knock_restricted", "invite", None),
            ("10", "knock_restricted", "knock_restricted", allowed),
            ("11", "private", "private", None),
            ("11", "whatever", "invite", None),
        ] {
            let rules = object! { "join_rule" => rule, "allow" => allow.clone() };
            let seen = summary(version, &[("m.room.join_rules", rules)]);
            assert_eq!(
                (seen.join_rule.as_str(), seen.allowed_rooms),
                (shown, allowed),
                "{rule} in {version}"
            );
        }
    }
}
