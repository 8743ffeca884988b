//! Ephemeral news for one server: only the last of each kind is of interest. Typing and presence may be lost;
//! receipts are in the store, and are read there again. Pure.

use std::collections::BTreeMap;

use spec::{
    json::{Object, Value},
    object,
};
use storage::Position;

/// How many receipts, people who type, and people whose presence changed wait for one server. What comes beyond is lost,
/// or left to the store.
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
    /// Its place in the log.
    pub(super) position: Position,
}

/// What goes into one transaction.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    pub(super) edus: Vec<Value>,
    /// Before the first of the receipts in it.
    pub(super) receipts_after: Option<Position>,
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

    /// Whether there is room for it. The newest of each key is kept.
    pub(super) fn receipt(&mut self, key: ReceiptKey, receipt: Receipt) -> bool {
        let earlier = self.receipts.get(&key);
        if earlier.is_some_and(|earlier| earlier.position >= receipt.position) {
            return true;
        }
        put(&mut self.receipts, key, receipt)
    }

    pub(super) fn has_receipts(&self) -> bool {
        !self.receipts.is_empty()
    }

    /// Before the first of the receipts that wait.
    pub(super) fn receipts_after(&self) -> Option<Position> {
        first_after(self.receipts.values())
    }

    pub(super) fn typing(&mut self, room: String, user: String, typing: bool) {
        put(&mut self.typing, (room, user), typing);
    }

    /// `update`: an entry of `push`, server-server API, "Presence".
    pub(super) fn presence(&mut self, user: String, update: Object) {
        put(&mut self.presence, user, update);
    }

    /// Takes out at most `max` ephemeral events.
    pub(super) fn take(&mut self, max: usize) -> Taken {
        let mut taken = Taken::default();
        while taken.edus.len() < max {
            let next = self
                .take_typing()
                .or_else(|| self.take_receipts(&mut taken.receipts_after))
                .or_else(|| self.take_presence());
            match next {
                Some(edu) => taken.edus.push(edu),
                None => break,
            }
        }
        taken
    }

    fn take_typing(&mut self) -> Option<Value> {
        let ((room, user), typing) = self.typing.pop_first()?;
        let content = object! { "room_id" => room, "user_id" => user, "typing" => typing };
        Some(edu("m.typing", content))
    }

    /// `room → m.read → user → {event_ids, data}`: server-server API, "Receipts". It has room for one receipt of each user
    /// and room; that of another thread goes into the next one.
    fn take_receipts(&mut self, after: &mut Option<Position>) -> Option<Value> {
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
        let taken: Vec<Receipt> = taken
            .iter()
            .filter_map(|key| self.receipts.remove(key))
            .collect();
        *after = first_after(&taken).into_iter().chain(*after).min();
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

/// Before the first of some receipts.
fn first_after<'a>(receipts: impl IntoIterator<Item = &'a Receipt>) -> Option<Position> {
    let positions = receipts.into_iter().map(|receipt| receipt.position.get());
    positions.min().map(|first| Position(first - 1))
}

/// Whether there is room for it.
fn put<K: Ord, V>(waiting: &mut BTreeMap<K, V>, key: K, value: V) -> bool {
    let fits = waiting.len() < WAITING_MAX || waiting.contains_key(&key);
    if fits {
        waiting.insert(key, value);
    }
    fits
}

fn edu(kind: &str, content: Object) -> Value {
    object! { "edu_type" => kind, "content" => content }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(edus: &mut Edus, position: i64, user: &str, thread: &str, event_id: &str) {
        let key = ("!r".to_owned(), user.to_owned(), thread.to_owned());
        let receipt = Receipt {
            event_id: event_id.to_owned(),
            ts: 3,
            position: Position(position),
        };
        assert!(edus.receipt(key, receipt));
    }

    fn text(edus: &[Value]) -> String {
        spec::json::encode(&Value::Array(edus.to_vec()))
    }

    #[test]
    fn only_the_last_receipt_of_each_is_sent_and_those_of_a_room_together() {
        let mut edus = Edus::default();
        read(&mut edus, 5, "@a:b", "", "$1");
        read(&mut edus, 7, "@a:b", "", "$2");
        read(&mut edus, 6, "@a:b", "", "$1");
        read(&mut edus, 8, "@c:b", "", "$1");
        assert_eq!(edus.receipts_after(), Some(Position(6)));
        let sent = edus.take(9);
        assert_eq!(sent.receipts_after, Some(Position(6)));
        let sent = text(&sent.edus);
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
            read(&mut edus, 5, "@a:b", thread, event);
        }
        let sent = edus.take(9).edus;
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
        assert_eq!(edus.take(100).edus.len(), 100);
        let rest = edus.take(10_000).edus;
        assert_eq!(rest.len(), WAITING_MAX - 100 + WAITING_MAX / USERS_MAX);
        assert!(edus.is_empty());
    }
}
