//! What one server still has to get, and the transaction that is on its way. Pure.

use std::collections::BTreeMap;

use spec::{
    json::{Object, Value},
    object,
};
use storage::Position;

/// Server-server API, "Transactions".
const PDUS_MAX: usize = 50;

/// How many receipts one transaction carries, all in one ephemeral event.
const RECEIPTS_MAX: usize = 100;

/// How many events wait in memory. Those beyond are read from the store when the server is reached again.
const EVENTS_MAX: usize = 1_000;

/// Whose receipt, where, in which thread.
pub(super) type ReceiptKey = (String, String, String);

/// How far somebody has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) event_id: String,
    pub(super) ts: i64,
}

/// What one server still has to get.
#[derive(Debug)]
pub(super) struct Queue {
    events: BTreeMap<Position, Object>,
    receipts: BTreeMap<ReceiptKey, Receipt>,
    /// It has everything up to here.
    pub(super) sent: Position,
    /// More than what waits here: the store has to be asked for what came after `sent`.
    pub(super) behind: bool,
    /// The store is being asked.
    catching_up: bool,
    /// Failures in a row.
    pub(super) failures: u32,
    /// When to try again, in milliseconds since the epoch.
    pub(super) retry_ms: i64,
    on_its_way: Option<Transaction>,
}

/// A transaction, which stays the same until it has arrived.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) content: Object,
    events: Vec<Position>,
}

impl Queue {
    /// An empty queue of a server that has everything up to `sent`.
    pub(super) fn new(sent: Position) -> Self {
        Self {
            events: BTreeMap::new(),
            receipts: BTreeMap::new(),
            sent,
            behind: false,
            catching_up: false,
            failures: 0,
            retry_ms: 0,
            on_its_way: None,
        }
    }

    /// Adds an event, unless the store has to be asked anyway.
    pub(super) fn push(&mut self, position: Position, event: Object) {
        if self.behind || position <= self.sent {
            return;
        }
        self.events.insert(position, event);
        if self.events.len() > EVENTS_MAX {
            self.fall_behind();
        }
    }

    /// Adds an event that is older than some that were sent.
    pub(super) fn refill(&mut self, position: Position, event: Object) {
        self.events.insert(position, event);
    }

    /// Forgets what waits here: the store has it.
    pub(super) fn fall_behind(&mut self) {
        self.behind = true;
        self.catching_up = false;
        self.events.clear();
        self.receipts.clear();
        self.on_its_way = None;
    }

    /// From now on new events wait here again; what came before, and after the position that is returned, has to
    /// be read from the store.
    pub(super) fn catch_up(&mut self) -> Position {
        self.behind = false;
        self.catching_up = true;
        self.sent
    }

    /// All that the store has is here.
    pub(super) fn caught_up(&mut self) {
        self.catching_up = false;
    }

    /// Whether the store has more than what waits here.
    pub(super) fn is_behind(&self) -> bool {
        self.behind || self.catching_up
    }

    /// Adds a receipt; only the last of each is of interest.
    pub(super) fn push_receipt(&mut self, key: ReceiptKey, receipt: Receipt) {
        if !self.behind && (self.receipts.len() < EVENTS_MAX || self.receipts.contains_key(&key)) {
            self.receipts.insert(key, receipt);
        }
    }

    /// Whether nothing has to be sent.
    pub(super) fn is_done(&self) -> bool {
        !self.is_behind()
            && self.events.is_empty()
            && self.receipts.is_empty()
            && self.on_its_way.is_none()
    }

    /// Up to where everything has arrived, if it is less than everything.
    pub(super) fn pending_after(&self) -> Option<Position> {
        if self.is_behind() {
            return Some(self.sent);
        }
        let first = self.events.keys().next()?;
        Some(Position(first.get() - 1).max(self.sent))
    }

    /// What to send next: the same as before, if that has not arrived. `None` if there is nothing.
    pub(super) fn transaction(
        &mut self,
        origin: &str,
        now_ms: i64,
        id: impl FnOnce() -> String,
    ) -> Option<Transaction> {
        if let Some(again) = &self.on_its_way {
            return Some(again.clone());
        }
        if self.events.is_empty() && self.receipts.is_empty() {
            return None;
        }
        let (events, pdus): (Vec<Position>, Vec<Value>) = self
            .events
            .iter()
            .take(PDUS_MAX)
            .map(|(position, event)| (*position, Value::Object(event.clone())))
            .unzip();
        let receipts = std::mem::take(&mut self.receipts);
        let mut receipts = receipts.into_iter();
        let edu = receipt_edu(receipts.by_ref().take(RECEIPTS_MAX));
        self.receipts = receipts.collect();
        let content = object! {
            "origin" => origin,
            "origin_server_ts" => now_ms,
            "pdus" => Value::Array(pdus),
            "edus" => Value::Array(edu.into_iter().collect()),
        };
        let transaction = Transaction {
            id: id(),
            content,
            events,
        };
        self.on_its_way = Some(transaction.clone());
        Some(transaction)
    }

    /// The transaction has arrived, or will never be taken.
    pub(super) fn arrived(&mut self) {
        self.failures = 0;
        self.retry_ms = 0;
        let Some(transaction) = self.on_its_way.take() else {
            return;
        };
        for position in transaction.events {
            self.events.remove(&position);
            self.sent = self.sent.max(position);
        }
    }

    /// It could not be delivered; it is tried again after a pause.
    pub(super) fn failed(&mut self, now_ms: i64) {
        self.failures = self.failures.saturating_add(1);
        let pause_ms = super::backoff::pause_ms(self.failures);
        self.retry_ms = now_ms.saturating_add(pause_ms);
    }
}

/// `room → m.read → user → {event_ids, data}`: server-server API, "Receipts".
fn receipt_edu(receipts: impl Iterator<Item = (ReceiptKey, Receipt)>) -> Option<Value> {
    let mut rooms: BTreeMap<String, Object> = BTreeMap::new();
    for ((room, user, thread), receipt) in receipts {
        let mut data = object! { "ts" => receipt.ts };
        if !thread.is_empty() {
            data.insert("thread_id".to_owned(), thread.into());
        }
        let ids = Value::Array(vec![receipt.event_id.into()]);
        let read = object! { "event_ids" => ids, "data" => data };
        rooms.entry(room).or_default().insert(user, read.into());
    }
    if rooms.is_empty() {
        return None;
    }
    let content: Object = rooms
        .into_iter()
        .map(|(room, users)| (room, Value::Object(object! { "m.read" => users })))
        .collect();
    Some(object! { "edu_type" => "m.receipt", "content" => content }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: i64) -> Object {
        object! { "n" => n }
    }

    fn next(queue: &mut Queue, id: &str) -> Option<Transaction> {
        queue.transaction("a.example", 7, || id.to_owned())
    }

    fn pdus(transaction: &Transaction) -> Vec<i64> {
        let pdus = transaction.content["pdus"].as_array().unwrap();
        let number = |pdu: &Value| pdu.get("n").unwrap().as_i64().unwrap();
        pdus.iter().map(number).collect()
    }

    #[test]
    fn a_transaction_is_repeated_until_it_arrives() {
        let mut queue = Queue::new(Position(0));
        for n in 1..=60 {
            queue.push(Position(n), event(n));
        }
        let first = next(&mut queue, "a").unwrap();
        assert_eq!(pdus(&first), (1..=50).collect::<Vec<_>>());
        queue.failed(1_000);
        assert_eq!((queue.failures, queue.retry_ms), (1, 3_000));
        queue.push(Position(61), event(61));
        let again = next(&mut queue, "b").unwrap();
        assert_eq!((again.id.as_str(), &again.content), ("a", &first.content));
        queue.arrived();
        assert_eq!((queue.sent, queue.failures), (Position(50), 0));
        assert_eq!(pdus(&next(&mut queue, "c").unwrap()).len(), 11);
        queue.arrived();
        assert!(queue.is_done() && next(&mut queue, "d").is_none());
    }

    #[test]
    fn a_queue_that_grows_too_long_is_left_to_the_store() {
        let mut queue = Queue::new(Position(5));
        queue.push(Position(4), event(4));
        assert!(queue.is_done(), "it has that");
        for n in 6..2_000 {
            queue.push(Position(n), event(n));
        }
        assert!(queue.behind && queue.events.is_empty() && !queue.is_done());
        assert_eq!(queue.pending_after(), Some(Position(5)));
        assert_eq!(queue.catch_up(), Position(5));
        queue.push(Position(2_001), event(2_001));
        queue.refill(Position(6), event(6));
        assert_eq!(queue.pending_after(), Some(Position(5)), "not all is here");
        queue.caught_up();
        assert_eq!(pdus(&next(&mut queue, "a").unwrap()), [6, 2_001]);
    }

    #[test]
    fn only_the_last_receipt_of_each_is_sent() {
        let mut queue = Queue::new(Position(0));
        let key = |thread: &str| ("!r".to_owned(), "@a:b".to_owned(), thread.to_owned());
        for id in ["$1", "$2"] {
            let event_id = id.to_owned();
            queue.push_receipt(key(""), Receipt { event_id, ts: 3 });
        }
        let sent = next(&mut queue, "a").unwrap();
        let edus = sent.content["edus"].as_array().unwrap();
        let read = object! { "event_ids" => Value::Array(vec!["$2".into()]), "data" => object! { "ts" => 3 } };
        let users = object! { "@a:b" => read };
        let content = object! { "!r" => object! { "m.read" => users } };
        let expected = object! { "edu_type" => "m.receipt", "content" => content };
        assert_eq!(edus, [Value::Object(expected)]);
        queue.arrived();
        assert!(queue.is_done());
    }
}
