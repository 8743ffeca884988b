//! Connections that wait for their next request.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use spec::discovery::{Host, Target};
use tokio::time::Instant;

use super::Sender;

/// How long a connection is kept. Reverse proxies close theirs after 60 to 75 seconds.
const KEPT_FOR: Duration = Duration::from_secs(50);

/// How many are kept for one server: a transaction, and some questions beside it.
const KEPT_EACH: usize = 4;

/// How many are kept in all: each takes a file descriptor here and there.
const KEPT_ALL: usize = 1_024;

/// Who is at the other end: what was proven by the certificate, and by which name it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    authority: String,
    certificate: Host,
}

impl Key {
    pub(super) fn of(target: &Target) -> Self {
        Self {
            authority: target.authority.clone(),
            certificate: target.certificate.clone(),
        }
    }
}

/// The connections that nobody uses now.
#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    connections: HashMap<Key, Vec<(Instant, Sender)>>,
    count: usize,
}

impl Pool {
    /// The one that was used last. It may have been closed since.
    pub(super) fn take(&self, key: &Key) -> Option<Sender> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.connections.get_mut(key)?;
        let found = kept.pop();
        if kept.is_empty() {
            idle.connections.remove(key);
        }
        let (since, sender) = found?;
        idle.count -= 1;
        (since.elapsed() < KEPT_FOR && !sender.is_closed()).then_some(sender)
    }

    /// Keeps it for later, or closes it if there are enough.
    pub(super) fn put(&self, key: Key, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.count >= KEPT_ALL {
            idle.sweep();
        }
        if idle.count >= KEPT_ALL {
            return;
        }
        let kept = idle.connections.entry(key).or_default();
        if kept.len() < KEPT_EACH {
            kept.push((Instant::now(), sender));
            idle.count += 1;
        }
    }
}

impl Idle {
    /// Closes what is too old.
    fn sweep(&mut self) {
        self.connections.retain(|_, kept| {
            kept.retain(|(since, sender)| since.elapsed() < KEPT_FOR && !sender.is_closed());
            !kept.is_empty()
        });
        self.count = self.connections.values().map(Vec::len).sum();
    }
}
