//! Ephemeral news for one server: only the last of each kind is of interest, and some may be lost. Pure.

use std::collections::BTreeMap;

use spec::{
    json::{Object, Value},
    object,
};

/// How many receipts, people who type, and people whose presence changed wait for one server. What comes beyond is lost.
const WAITING_MAX: usize = 2_000;

/// How many users one ephemeral event speaks of, so that a transaction stays small.
const USERS_MAX: usize = 50;

/// Whose receipt, where, in which thread.
pub(super) type ReceiptKey = (String, String, String);

/// How far somebody has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) event_id: String,
    pub(super) ts: i64,
}

/// What waits for one server.
#[derive(Debug, Default)]
pub(super) struct Edus {
    receipts: BTreeMap<ReceiptKey, Receipt>,
    /// Whether they type, by room and user.
    typing: BTreeMap<(String, String), bool>,
    /// What a push says of them, by user.
    presence: BTreeMap<String, Object>,
}

impl Edus {
    pub(super) fn is_empty(&self) -> bool {
        self.receipts.is_empty() && self.typing.is_empty() && self.presence.is_empty()
    }

    pub(super) fn receipt(&mut self, key: ReceiptKey, receipt: Receipt) {
        put(&mut self.receipts, key, receipt);
    }

    pub(super) fn typing(&mut self, room: String, user: String, typing: bool) {
        put(&mut self.typing, (room, user), typing);
    }

    /// `update`: an entry of `push`, server-server API, "Presence".
    pub(super) fn presence(&mut self, user: String, update: Object) {
        put(&mut self.presence, user, update);
    }

    /// Takes out at most `max` ephemeral events.
    pub(super) fn take(&mut self, max: usize) -> Vec<Value> {
        let mut edus = Vec::new();
        while edus.len() < max {
            let next = self
                .take_typing()
                .or_else(|| self.take_receipts())
                .or_else(|| self.take_presence());
            match next {
                Some(edu) => edus.push(edu),
                None => break,
            }
        }
        edus
    }

    fn take_typing(&mut self) -> Option<Value> {
        let ((room, user), typing) = self.typing.pop_first()?;
        let content = object! { "room_id" => room, "user_id" => user, "typing" => typing };
        Some(edu("m.typing", content))
    }

    /// `room → m.read → user → {event_ids, data}`: server-server API, "Receipts". It has room for one receipt of each user
    /// and room; that of another thread goes into the next one.
    fn take_receipts(&mut self) -> Option<Value> {
        let mut rooms: BTreeMap<String, Object> = BTreeMap::new();
        let mut taken = Vec::new();
        for (key, receipt) in &self.receipts {
            let (room, user, thread) = key;
            let users = rooms.entry(room.clone()).or_default();
            if users.contains_key(user) {
                continue;
            }
            let mut data = object! { "ts" => receipt.ts };
            if !thread.is_empty() {
                data.insert("thread_id".to_owned(), thread.as_str().into());
            }
            let ids = Value::Array(vec![receipt.event_id.as_str().into()]);
            let read = object! { "event_ids" => ids, "data" => data };
            users.insert(user.clone(), read.into());
            taken.push(key.clone());
            if taken.len() >= USERS_MAX {
                break;
            }
        }
        for key in &taken {
            self.receipts.remove(key);
        }
        let content: Object = rooms
            .into_iter()
            .map(|(room, users)| (room, Value::Object(object! { "m.read" => users })))
            .collect();
        (!taken.is_empty()).then(|| edu("m.receipt", content))
    }

    fn take_presence(&mut self) -> Option<Value> {
        let mut push = Vec::new();
        while push.len() < USERS_MAX
            && let Some((_, update)) = self.presence.pop_first()
        {
            push.push(Value::Object(update));
        }
        let content = object! { "push" => Value::Array(push.clone()) };
        (!push.is_empty()).then(|| edu("m.presence", content))
    }
}

fn put<K: Ord, V>(waiting: &mut BTreeMap<K, V>, key: K, value: V) {
    if waiting.len() < WAITING_MAX || waiting.contains_key(&key) {
        waiting.insert(key, value);
    }
}

fn edu(kind: &str, content: Object) -> Value {
    object! { "edu_type" => kind, "content" => content }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(edus: &mut Edus, room: &str, user: &str, thread: &str, event_id: &str) {
        let key = (room.to_owned(), user.to_owned(), thread.to_owned());
        let event_id = event_id.to_owned();
        edus.receipt(key, Receipt { event_id, ts: 3 });
    }

    fn text(edus: &[Value]) -> String {
        spec::json::encode(&Value::Array(edus.to_vec()))
    }

    #[test]
    fn only_the_last_receipt_of_each_is_sent_and_those_of_a_room_together() {
        let mut edus = Edus::default();
        read(&mut edus, "!r", "@a:b", "", "$1");
        read(&mut edus, "!r", "@a:b", "", "$2");
        read(&mut edus, "!r", "@c:b", "", "$1");
        let sent = text(&edus.take(9));
        assert_eq!(
            sent,
            concat!(
                r#"[{"content":{"!r":{"m.read":{"#,
                r#""@a:b":{"data":{"ts":3},"event_ids":["$2"]},"#,
                r#""@c:b":{"data":{"ts":3},"event_ids":["$1"]}"#,
                r#"}}},"edu_type":"m.receipt"}]"#
            )
        );
        assert!(edus.is_empty());
    }

    #[test]
    fn receipts_of_several_threads_do_not_displace_each_other() {
        let mut edus = Edus::default();
        for (thread, event) in [("", "$1"), ("main", "$1"), ("$root", "$2")] {
            read(&mut edus, "!r", "@a:b", thread, event);
        }
        let sent = edus.take(9);
        assert_eq!(sent.len(), 3, "{}", text(&sent));
        assert!(!text(&sent[..1]).contains("thread_id"), "{}", text(&sent));
        assert!(text(&sent[1..]).contains(r#""thread_id":"$root""#));
        assert!(text(&sent[1..]).contains(r#""thread_id":"main""#));
    }

    #[test]
    fn what_waits_is_bounded_and_taken_in_parts() {
        let mut edus = Edus::default();
        for n in 0..3_000 {
            let user = format!("@{n}:b");
            edus.typing("!r".to_owned(), user.clone(), true);
            edus.presence(user.clone(), object! { "user_id" => user });
        }
        assert_eq!(edus.take(100).len(), 100);
        let rest = edus.take(10_000);
        assert_eq!(rest.len(), WAITING_MAX - 100 + WAITING_MAX / USERS_MAX);
        assert!(edus.is_empty());
    }
}
