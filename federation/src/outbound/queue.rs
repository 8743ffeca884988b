//! What one server still has to get, and the transaction that is on its way. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use spec::{
    json::{Object, Value},
    object,
};
use storage::Position;

use super::{
    edus::{Edus, Receipt, ReceiptKey, Taken},
    pdu::Pdu,
};

/// Server-server API, "Transactions".
const PDUS_MAX: usize = 50;

/// Server-server API, "Transactions".
const EDUS_MAX: usize = 100;

/// How many bytes of events go into one transaction, unless one event alone has more.
const PDU_BYTES_MAX: usize = 1024 * 1024;

/// How many events wait in memory. Those beyond are read from the store when these are under way.
const EVENTS_MAX: usize = 500;

/// After so many failures in a row nothing waits in memory any more but the transaction that may have arrived.
const FAILURES_IN_MEMORY: u32 = 3;

/// After so many failures in a row, some hours, that transaction is given up too: what is in it goes into another.
const FAILURES_OF_TRANSACTION: u32 = 12;

/// The longest pause that a server may ask for.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// What one server still has to get.
#[derive(Debug)]
pub(super) struct Queue {
    events: BTreeMap<Position, Arc<Pdu>>,
    edus: Edus,
    /// What came up to here is among `events`, or has arrived.
    read: Position,
    /// The store has more, after `read`.
    behind: bool,
    /// The last that was left to the store.
    missed: Position,
    /// Whether so much was missed that only the newest events of each room are sent; `None` before that was looked up.
    pub(super) only_newest: Option<bool>,
    /// Receipts that were left to the store.
    missed_receipts: Option<Missed>,
    /// Events up to here are sent one by one: one of them was refused.
    alone: Option<Position>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// When to try again, in milliseconds since the epoch.
    pub(super) retry_ms: i64,
    /// Before this the server does not want to be asked, whatever it tells us meanwhile.
    not_before_ms: i64,
    /// When it was tried last.
    tried_ms: i64,
    on_its_way: Option<Transaction>,
}

/// What was left to the store: everything between the two, the last included.
#[derive(Debug, Clone, Copy)]
struct Missed {
    after: Position,
    last: Position,
}

/// A transaction, which stays the same until it has arrived.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) id: String,
    ts: i64,
    pub(super) events: Vec<(Position, Arc<Pdu>)>,
    pub(super) edus: Taken,
}

impl Transaction {
    /// The body: server-server API, "Transactions".
    pub(super) fn content(&self, origin: &str) -> Object {
        let pdus = self.events.iter();
        let pdus = pdus.map(|(_, pdu)| Value::Object(pdu.object.clone()));
        object! {
            "origin" => origin,
            "origin_server_ts" => self.ts,
            "pdus" => Value::Array(pdus.collect()),
            "edus" => Value::Array(self.edus.edus.clone()),
        }
    }
}

impl Queue {
    /// An empty queue of a server that has everything up to `read`.
    pub(super) fn new(read: Position) -> Self {
        Self {
            events: BTreeMap::new(),
            edus: Edus::default(),
            read,
            behind: false,
            missed: read,
            only_newest: None,
            missed_receipts: None,
            alone: None,
            failures: 0,
            retry_ms: 0,
            not_before_ms: 0,
            tried_ms: 0,
            on_its_way: None,
        }
    }

    /// A queue of a server that has everything up to `read`, and the receipts up to another position; what came then is in
    /// the store.
    pub(super) fn behind(
        read: Position,
        receipts_after: Option<Position>,
        failures: u32,
        retry_ms: i64,
    ) -> Self {
        let missed = |after| Missed { after, last: after };
        Self {
            behind: true,
            missed_receipts: receipts_after.map(missed),
            failures,
            retry_ms,
            ..Self::new(read)
        }
    }

    /// Adds an event, or leaves it to the store. Events come in the order of their positions.
    pub(super) fn push(&mut self, position: Position, event: Arc<Pdu>) {
        if position <= self.read {
            return;
        }
        self.behind |= self.events.len() >= EVENTS_MAX || self.failures >= FAILURES_IN_MEMORY;
        if self.behind {
            self.missed = self.missed.max(position);
            return;
        }
        self.events.insert(position, event);
        self.read = position;
    }

    /// Adds a receipt, or leaves it to the store.
    pub(super) fn push_receipt(&mut self, key: ReceiptKey, receipt: Receipt) {
        let position = receipt.position;
        if self.failures >= FAILURES_IN_MEMORY || !self.edus.receipt(key, receipt) {
            self.miss_receipts(Position(position.get() - 1), position);
        }
    }

    fn miss_receipts(&mut self, after: Position, last: Position) {
        let missed = self.missed_receipts.unwrap_or(Missed { after, last });
        self.missed_receipts = Some(Missed {
            after: missed.after.min(after),
            last: missed.last.max(last),
        });
    }

    /// After which position the store has to be asked for receipts, if it has to. Events go first, and of receipts one page
    /// waits at a time.
    pub(super) fn wants_receipts(&self) -> Option<Position> {
        let can_take = !self.behind && !self.edus.has_receipts() && self.on_its_way.is_none();
        let missed = self.missed_receipts.filter(|_| can_take);
        missed.map(|missed| missed.after)
    }

    /// Adds what the store has of receipts up to `read`; `is_all` if that is everything at `read`.
    pub(super) fn refill_receipts(
        &mut self,
        receipts: impl IntoIterator<Item = (ReceiptKey, Receipt)>,
        read: Position,
        is_all: bool,
    ) {
        let missed = self.missed_receipts.take();
        for (key, receipt) in receipts {
            // There is room for a page: no receipt waited.
            self.edus.receipt(key, receipt);
        }
        self.missed_receipts =
            missed
                .filter(|missed| !is_all || missed.last > read)
                .map(|missed| Missed {
                    after: missed.after.max(read),
                    ..missed
                });
    }

    /// Whether the store has receipts that do not wait here.
    pub(super) fn misses_receipts(&self) -> bool {
        self.missed_receipts.is_some()
    }

    /// Before the first receipt that has not arrived; `None` if all have.
    pub(super) fn receipts_after(&self) -> Option<Position> {
        let on_its_way = self.on_its_way.as_ref();
        [
            self.edus.receipts_after(),
            on_its_way.and_then(|sent| sent.edus.receipts_after),
            self.missed_receipts.map(|missed| missed.after),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Changes the ephemeral news, unless the server cannot be reached.
    pub(super) fn push_edu(&mut self, push: impl FnOnce(&mut Edus)) {
        if self.failures < FAILURES_IN_MEMORY {
            push(&mut self.edus);
        }
    }

    /// After which position the store has to be asked for more, if it has to.
    pub(super) fn wants_more(&self) -> Option<Position> {
        (self.behind && self.events.len() < PDUS_MAX && self.on_its_way.is_none())
            .then_some(self.read)
    }

    /// Adds what the store has up to `read`; `is_all` if that is everything at `read`.
    pub(super) fn refill(
        &mut self,
        events: impl IntoIterator<Item = (Position, Arc<Pdu>)>,
        read: Position,
        is_all: bool,
    ) {
        self.events.extend(events);
        self.read = self.read.max(read);
        if is_all && self.missed <= self.read {
            self.behind = false;
            self.only_newest = None;
        }
    }

    /// How many events wait in memory.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the store has more than what waits here.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether nothing has to be sent.
    pub(super) fn is_done(&self) -> bool {
        !self.behind
            && self.missed_receipts.is_none()
            && self.events.is_empty()
            && self.edus.is_empty()
            && self.on_its_way.is_none()
    }

    /// Up to where all events have arrived, if it is less than everything.
    pub(super) fn pending_after(&self) -> Option<Position> {
        match self.events.keys().next() {
            Some(first) => Some(Position(first.get() - 1).min(self.read)),
            None => self.behind.then_some(self.read),
        }
    }

    /// What to send next: the same as before, if that has not arrived. `None` if there is nothing.
    pub(super) fn transaction(
        &mut self,
        now_ms: i64,
        id: impl FnOnce() -> String,
    ) -> Option<Transaction> {
        self.tried_ms = now_ms;
        if let Some(again) = &self.on_its_way {
            return Some(again.clone());
        }
        let first = *self.events.keys().next().unwrap_or(&Position::MAX);
        self.alone = self.alone.filter(|alone| first <= *alone);
        let (pdus_max, edus_max) = match self.alone {
            Some(_) => (1, 0),
            None => (PDUS_MAX, EDUS_MAX),
        };
        let mut bytes = 0;
        let events: Vec<_> = self
            .events
            .iter()
            .take(pdus_max)
            .take_while(|(_, pdu)| {
                let fits = bytes == 0 || bytes + pdu.bytes <= PDU_BYTES_MAX;
                bytes += pdu.bytes;
                fits
            })
            .map(|(position, pdu)| (*position, Arc::clone(pdu)))
            .collect();
        let edus = self.edus.take(edus_max);
        if events.is_empty() && edus.edus.is_empty() {
            return None;
        }
        let transaction = Transaction {
            id: id(),
            ts: now_ms,
            events,
            edus,
        };
        self.on_its_way = Some(transaction.clone());
        Some(transaction)
    }

    /// The transaction has arrived.
    pub(super) fn arrived(&mut self) {
        self.failures = 0;
        self.retry_ms = 0;
        let transaction = self.on_its_way.take();
        for (position, _) in transaction.into_iter().flat_map(|sent| sent.events) {
            self.events.remove(&position);
        }
    }

    /// The transaction will never be taken. One with a single event is given up; the events of a larger one are sent one
    /// by one, so that the others are not lost with the one that is refused. Returns whether an event was given up.
    pub(super) fn refused(&mut self) -> bool {
        let refused = self.on_its_way.as_ref();
        let (pdus, edus) = refused.map_or((0, 0), |sent| (sent.events.len(), sent.edus.edus.len()));
        if pdus == 0 || (pdus == 1 && edus == 0) {
            self.arrived();
            return pdus == 1;
        }
        self.failures = 0;
        self.retry_ms = 0;
        let refused = self.give_up();
        self.alone = refused.and_then(|sent| Some(sent.events.last()?.0));
        false
    }

    /// It could not be delivered; it is tried again at `retry_ms`. `chance` lengthens the pause.
    pub(super) fn failed(&mut self, now_ms: i64, chance: u8) {
        self.failures = self.failures.saturating_add(1);
        let pause_ms = super::backoff::pause_ms(self.failures, chance);
        self.retry_ms = now_ms.saturating_add(pause_ms);
        if self.failures >= FAILURES_OF_TRANSACTION {
            self.give_up();
        }
        if self.failures >= FAILURES_IN_MEMORY {
            self.let_go();
        }
    }

    /// The server says after what time it wants to be asked again. Not before then, if that is not too long.
    pub(super) fn waits_for(&mut self, now_ms: i64, wait: Duration) {
        let wait = i64::try_from(wait.min(WAIT_MAX).as_millis()).unwrap_or(0);
        self.not_before_ms = now_ms.saturating_add(wait);
        self.retry_ms = self.retry_ms.max(self.not_before_ms);
    }

    /// Makes the transaction one that was never sent: its events are still here, its receipts in the store.
    fn give_up(&mut self) -> Option<Transaction> {
        let transaction = self.on_its_way.take();
        let receipts = transaction
            .as_ref()
            .and_then(|sent| sent.edus.receipts_after);
        if let Some(after) = receipts {
            self.miss_receipts(after, after);
        }
        transaction
    }

    /// Leaves to the store what is not on its way.
    fn let_go(&mut self) {
        if let Some(after) = self.edus.receipts_after() {
            self.miss_receipts(after, after);
        }
        self.edus = Edus::default();
        let on_its_way = self.on_its_way.as_ref();
        let last = on_its_way.and_then(|sent| Some(sent.events.last()?.0));
        let next = self
            .events
            .keys()
            .find(|position| last.is_none_or(|last| **position > last));
        if let Some(next) = next.copied() {
            self.missed = self.missed.max(self.read);
            self.read = Position(next.get() - 1);
            self.behind = true;
            self.only_newest = None;
            drop(self.events.split_off(&next));
        }
    }

    /// The server has spoken to us: it is tried again soon. Returns whether something waits for it.
    pub(super) fn heard_from(&mut self) -> bool {
        if self.failures == 0 {
            return false;
        }
        let soon = self.tried_ms.saturating_add(super::backoff::HEARD_MS);
        self.failures = 1;
        self.retry_ms = self.retry_ms.min(soon.max(self.not_before_ms));
        !self.is_done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: i64) -> Arc<Pdu> {
        Pdu::new(object! { "n" => n })
    }

    fn large() -> Arc<Pdu> {
        Pdu::new(object! { "n" => "x".repeat(PDU_BYTES_MAX / 3) })
    }

    fn filled(numbers: std::ops::RangeInclusive<i64>) -> Queue {
        let mut queue = Queue::new(Position(numbers.start() - 1));
        for n in numbers {
            queue.push(Position(n), event(n));
        }
        queue
    }

    fn next(queue: &mut Queue, id: &str) -> Option<Transaction> {
        queue.transaction(7, || id.to_owned())
    }

    fn positions(transaction: &Transaction) -> Vec<i64> {
        let events = transaction.events.iter();
        events.map(|(position, _)| position.get()).collect()
    }

    #[test]
    fn a_server_with_too_much_to_do_is_waited_for_even_if_it_speaks_to_us() {
        let mut queue = filled(1..=1);
        next(&mut queue, "a").unwrap();
        queue.failed(1_000, 0);
        queue.waits_for(1_000, Duration::from_secs(60));
        assert_eq!(queue.retry_ms, 61_000);
        assert!(queue.heard_from());
        assert_eq!(queue.retry_ms, 61_000);
        queue.failed(61_000, 0);
        queue.waits_for(61_000, Duration::ZERO);
        assert_eq!(queue.retry_ms, 65_000, "and then as others");
        queue.waits_for(61_000, WAIT_MAX * 9);
        assert_eq!(queue.retry_ms, 61_000 + 3_600_000);
    }

    #[test]
    fn a_transaction_is_repeated_until_it_arrives() {
        let mut queue = filled(1..=60);
        let first = next(&mut queue, "a").unwrap();
        assert_eq!(positions(&first), (1..=50).collect::<Vec<_>>());
        queue.failed(1_000, 0);
        assert_eq!((queue.failures, queue.retry_ms), (1, 3_000));
        queue.push(Position(61), event(61));
        let again = next(&mut queue, "b").unwrap();
        assert_eq!(again.id, "a");
        assert_eq!(again.content("x"), first.content("x"));
        assert_eq!(queue.pending_after(), Some(Position(0)));
        queue.arrived();
        assert_eq!(queue.pending_after(), Some(Position(50)));
        assert_eq!(queue.failures, 0);
        assert_eq!(next(&mut queue, "c").unwrap().events.len(), 11);
        queue.arrived();
        assert!(queue.is_done() && next(&mut queue, "d").is_none());
        assert_eq!(queue.pending_after(), None);
    }

    #[test]
    fn a_queue_that_grows_too_long_is_left_to_the_store() {
        let mut queue = filled(6..=2_000);
        queue.push(Position(4), event(4));
        assert!(queue.is_behind() && queue.len() == EVENTS_MAX);
        assert_eq!(queue.wants_more(), None, "enough is here");
        for _ in 0..EVENTS_MAX / PDUS_MAX {
            next(&mut queue, "a").unwrap();
            queue.arrived();
        }
        let read = Position(5 + EVENTS_MAX as i64);
        assert_eq!(queue.wants_more(), Some(read));
        assert_eq!(queue.pending_after(), Some(read));
        queue.refill([(Position(600), event(600))], Position(1_999), true);
        assert!(queue.is_behind(), "one came while the store was read");
        queue.refill([(Position(2_000), event(2_000))], Position(2_000), true);
        queue.push(Position(2_000), event(2_000));
        queue.push(Position(2_001), event(2_001));
        let sent = next(&mut queue, "a").unwrap();
        assert_eq!(positions(&sent), [600, 2_000, 2_001]);
    }

    #[test]
    fn a_server_that_cannot_be_reached_keeps_no_memory_but_of_what_may_have_arrived() {
        let mut queue = filled(1..=200);
        next(&mut queue, "a").unwrap();
        for _ in 0..FAILURES_IN_MEMORY {
            queue.failed(0, 0);
        }
        assert_eq!(
            (queue.len(), queue.pending_after()),
            (50, Some(Position(0)))
        );
        queue.push(Position(201), event(201));
        assert_eq!(next(&mut queue, "b").unwrap().id, "a");
        queue.arrived();
        assert_eq!(queue.wants_more(), Some(Position(50)));
        queue.refill(
            (51..=201).map(|n| (Position(n), event(n))),
            Position(201),
            true,
        );
        assert!(!queue.is_behind());

        next(&mut queue, "c").unwrap();
        for _ in 0..FAILURES_OF_TRANSACTION {
            queue.failed(0, 0);
        }
        assert_eq!(
            (queue.len(), queue.pending_after()),
            (0, Some(Position(50)))
        );
        assert_eq!(queue.wants_more(), Some(Position(50)));
    }

    fn read(queue: &mut Queue, position: i64, thread: &str) {
        let key = ("!r".to_owned(), "@a:b".to_owned(), thread.to_owned());
        let (event_id, position) = (format!("${position}"), Position(position));
        let ts = 3;
        queue.push_receipt(
            key,
            Receipt {
                event_id,
                ts,
                position,
            },
        );
    }

    #[test]
    fn receipts_that_do_not_arrive_are_left_to_the_store() {
        let mut queue = Queue::new(Position(4));
        read(&mut queue, 5, "");
        let sent = next(&mut queue, "a").unwrap();
        assert_eq!(sent.edus.edus.len(), 1);
        read(&mut queue, 9, "main");
        assert!(!queue.misses_receipts(), "they are here");
        assert_eq!(queue.receipts_after(), Some(Position(4)));
        for _ in 0..FAILURES_IN_MEMORY {
            queue.failed(0, 0);
        }
        read(&mut queue, 12, "");
        assert_eq!(queue.wants_receipts(), None, "one is on its way");
        assert_eq!(queue.receipts_after(), Some(Position(4)));
        queue.arrived();
        assert!(!queue.is_done());
        assert_eq!(queue.wants_receipts(), Some(Position(8)));
        queue.refill_receipts([], Position(11), true);
        assert_eq!(queue.wants_receipts(), Some(Position(11)), "one came since");
        queue.refill_receipts([], Position(12), true);
        assert!(queue.is_done());

        read(&mut queue, 13, "");
        next(&mut queue, "b").unwrap();
        for _ in 0..FAILURES_OF_TRANSACTION {
            queue.failed(0, 0);
        }
        assert_eq!(
            queue.wants_receipts(),
            Some(Position(12)),
            "it is read anew"
        );
    }

    #[test]
    fn receipts_beyond_those_that_fit_are_left_to_the_store() {
        let mut queue = Queue::new(Position(0));
        for n in 1..=2_005 {
            read(&mut queue, n, &n.to_string());
        }
        assert_eq!(queue.wants_receipts(), None, "enough is here");
        while next(&mut queue, "a").is_some() {
            queue.arrived();
        }
        assert_eq!(queue.wants_receipts(), Some(Position(2_000)));
    }

    #[test]
    fn one_event_that_is_refused_does_not_take_others_with_it() {
        let mut queue = filled(1..=3);
        queue.push_edu(|edus| edus.typing("!r".to_owned(), "@a:b".to_owned(), true));
        assert_eq!(next(&mut queue, "a").unwrap().events.len(), 3);
        assert!(!queue.refused());
        queue.push(Position(4), event(4));
        for n in 1..=3 {
            assert_eq!(positions(&next(&mut queue, "b").unwrap()), [n]);
            if n == 2 {
                assert!(queue.refused(), "it is this one");
            } else {
                queue.arrived();
            }
        }
        queue.push(Position(5), event(5));
        assert_eq!(positions(&next(&mut queue, "c").unwrap()), [4, 5]);
    }

    #[test]
    fn large_events_go_in_several_transactions() {
        let mut queue = Queue::new(Position(0));
        for n in 1..=5 {
            queue.push(Position(n), large());
        }
        let mut sent = Vec::new();
        while let Some(transaction) = next(&mut queue, "a") {
            sent.push(positions(&transaction));
            queue.arrived();
        }
        assert_eq!(sent, [vec![1, 2], vec![3, 4], vec![5]]);
    }

    #[test]
    fn whoever_speaks_is_tried_again_soon_but_not_at_once() {
        let mut queue = filled(1..=1);
        assert!(!queue.heard_from(), "there was no trouble");
        queue.transaction(10_000, || "a".to_owned()).unwrap();
        for _ in 0..10 {
            queue.failed(10_000, 0);
        }
        assert!(queue.heard_from());
        assert_eq!((queue.failures, queue.retry_ms), (1, 12_000));
    }
}
