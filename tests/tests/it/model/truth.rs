//! What is to be known in the end: what the reading endpoints say, and a first sync for what only a sync shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{Room, User, path::v3};

use super::{
    knowledge::{Knowledge, Known, Told, text},
    people::People,
    watchers::told,
};

/// What is to be known.
pub(super) struct Truth {
    rooms: BTreeMap<String, Known>,
    /// By room, what became of the watcher after they had left: a sync tells it, but it is no part of what they may read.
    later: BTreeMap<String, BTreeSet<String>>,
    account_data: BTreeMap<String, Value>,
}

impl Truth {
    pub(super) async fn of(people: &People) -> Self {
        let bob = &people.bob;
        // Receipts, counts and what is typed are to be had nowhere else.
        let filter = json!({"room": {"timeline": {"limit": 1, "unread_thread_notifications": true}, "include_leave": true}});
        let sync = bob.syncs().filter(&filter).await;
        let mut shown = Knowledge::default();
        for (room, news) in told(&sync.0) {
            let told = Told {
                gap: None,
                start: None,
                ..news
            };
            shown.hears_of(bob, &room, told).await;
        }
        let (mut rooms, mut later) = (BTreeMap::new(), BTreeMap::new());
        for room in &people.rooms {
            let path = ["rooms", &room.id, "state", "m.room.member", &bob.id];
            let member = people.keeper().get(v3(&path)).await;
            if member.status != 200 {
                continue;
            }
            let membership = text(&member.ok(), "membership");
            let mut known = shown.rooms.remove(&room.id).unwrap_or_default();
            known.membership = membership;
            (known.state, known.timeline, known.redacted) = read(bob, room).await;
            let all = people.keeper().all_messages(room, "b", 50).await;
            let own = all.iter().filter(|event| event["state_key"] == *bob.id);
            let own = own.map(|event| text(event, "event_id"));
            let own = own.filter(|id| !known.timeline.contains(id)).collect();
            later.insert(room.id.clone(), own);
            rooms.insert(room.id.clone(), known);
        }
        shown.hears(&sync.0["account_data"]["events"]);
        Self {
            rooms,
            later,
            account_data: shown.account_data,
        }
    }

    /// In what a client is wrong. One of sliding sync is told of receipts that are older than its knowledge of a room only for
    /// the events that it is shown.
    pub(super) fn complaints(&self, knowledge: &Knowledge, is_sliding: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        let nothing = Known::default();
        for (room, truth) in &self.rooms {
            let known = knowledge.rooms.get(room).unwrap_or(&nothing);
            let away = ["leave", "ban"].contains(&&*truth.membership);
            let later = &self.later[room];
            if away && known.timeline.iter().all(|id| later.contains(id)) {
                // The room came and went unseen.
                continue;
            }
            let mut complain =
                |what: &str, known: &dyn std::fmt::Debug, truth: &dyn std::fmt::Debug| {
                    complaints.push(format!(
                        "{room}: {what}\n  known: {known:?}\n  truth: {truth:?}"
                    ));
                };
            let same =
                known.membership == truth.membership || (away && known.membership == "leave");
            if !same {
                complain("membership", &known.membership, &truth.membership);
            }
            if truth.membership == "invite"
                || truth.membership == "knock"
                || away && truth.state.is_empty()
            {
                continue;
            }
            if known.state != truth.state {
                let places = known.state.keys().chain(truth.state.keys());
                let is_later = |place: &&(String, String)| {
                    away && known.state.get(place).is_some_and(|id| later.contains(id))
                };
                let places: BTreeSet<_> = places
                    .filter(|place| known.state.get(place) != truth.state.get(place))
                    .filter(|place| !is_later(place))
                    .collect();
                for place in places {
                    complain(
                        &format!("state {place:?}"),
                        &known.state.get(place),
                        &truth.state.get(place),
                    );
                }
            }
            let beyond = known.timeline.strip_prefix(truth.timeline.as_slice());
            let is_right = beyond.is_some_and(|beyond| {
                beyond.is_empty() || away && beyond.iter().all(|id| later.contains(id))
            });
            if !is_right {
                complain("timeline", &known.timeline, &truth.timeline);
            }
            if known.redacted != truth.redacted {
                complain("redacted", &known.redacted, &truth.redacted);
            }
            if away {
                continue;
            }
            let mut receipts = truth.receipts.clone();
            receipts.retain(|whose, event| {
                !is_sliding || known.receipts.contains_key(whose) || known.heard.contains(event)
            });
            if known.receipts != receipts {
                complain("receipts", &known.receipts, &receipts);
            }
            if !known.typing.is_empty() {
                complain("typing", &known.typing, &"nobody");
            }
            if known.unread != truth.unread {
                complain("unread", &known.unread, &truth.unread);
            }
            if known.account_data != truth.account_data {
                complain("account data", &known.account_data, &truth.account_data);
            }
        }
        if knowledge.account_data != self.account_data {
            complaints.push(format!(
                "account data\n  known: {:?}\n  truth: {:?}",
                knowledge.account_data, self.account_data
            ));
        }
        complaints
    }
}

/// The state, the events and which of them are redacted; nothing where the room may not be read.
async fn read(
    user: &User,
    room: &Room,
) -> (
    BTreeMap<(String, String), String>,
    Vec<String>,
    BTreeSet<String>,
) {
    let state = user.get(v3(&["rooms", &room.id, "state"])).await;
    if state.status != 200 {
        return Default::default();
    }
    let state = state.ok();
    let state = state.as_array().into_iter().flatten();
    let state = state.map(|event| {
        (
            (text(event, "type"), text(event, "state_key")),
            text(event, "event_id"),
        )
    });
    let mut events = user.all_messages(room, "b", 50).await;
    events.reverse();
    let joins = |event: &Value| {
        event["state_key"] == user.id.as_str() && event["content"]["membership"] == "join"
    };
    if !events.iter().any(joins) {
        // The room is open to the world, to which syncs tell nothing.
        return Default::default();
    }
    let redacted = events
        .iter()
        .filter(|event| event["unsigned"].get("redacted_because").is_some());
    let redacted = redacted.map(|event| text(event, "event_id")).collect();
    let timeline = events.iter().map(|event| text(event, "event_id")).collect();
    (state.collect(), timeline, redacted)
}
