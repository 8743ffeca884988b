//! The open sockets of this process, so that a newer one can take the place of an older, and all can be told to leave.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::sync::{oneshot, watch};

/// How many sockets a user may have open, and as many streams of events: far more than anybody has devices and windows, and each
/// costs memory as long as it is open.
pub(crate) const OPEN_MAX: usize = 100;

/// When somebody who has too many may try again: they have to close some first.
pub(crate) const FULL_PAUSE: Duration = Duration::from_secs(30);

/// What makes two sockets the same connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) user_id: OwnedUserId,
    pub(super) device_id: Option<OwnedDeviceId>,
    pub(super) conn_id: String,
}

/// Who is connected, and whether the server is stopping.
pub(crate) struct Registry {
    open: Arc<Mutex<Open>>,
    stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Open {
    last_ticket: u64,
    sockets: HashMap<Name, (u64, oneshot::Sender<()>)>,
    /// How many of these each user has.
    of_users: HashMap<OwnedUserId, usize>,
    /// How many streams each user has.
    streams: HashMap<OwnedUserId, usize>,
}

/// A user's place for a stream, free again when it is dropped.
pub(crate) struct Place {
    open: Arc<Mutex<Open>>,
    user_id: OwnedUserId,
}

impl Drop for Place {
    fn drop(&mut self) {
        fewer(&mut lock(&self.open).streams, &self.user_id);
    }
}

/// A socket's entry in the registry, gone when it is dropped. One that took its place stays.
pub(super) struct Entry {
    open: Arc<Mutex<Open>>,
    name: Name,
    ticket: u64,
    /// Resolves when a newer socket takes the place.
    pub(super) replaced: oneshot::Receiver<()>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        let last = open.sockets.get(&self.name);
        if last.is_some_and(|(ticket, _)| *ticket == self.ticket) {
            open.sockets.remove(&self.name);
            fewer(&mut open.of_users, &self.name.user_id);
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            open: Arc::default(),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Registry {
    /// Enters a socket; one of the same name is told that it was replaced. `None`: its user has too many.
    pub(super) fn enter(&self, name: Name) -> Option<Entry> {
        let (replace, replaced) = oneshot::channel();
        let mut open = self.open();
        if !open.sockets.contains_key(&name) && !more(&mut open.of_users, &name.user_id) {
            return None;
        }
        open.last_ticket += 1;
        let ticket = open.last_ticket;
        if let Some((_, older)) = open.sockets.insert(name.clone(), (ticket, replace)) {
            // It may just have closed by itself.
            let _ = older.send(());
        }
        Some(Entry {
            open: Arc::clone(&self.open),
            name,
            ticket,
            replaced,
        })
    }

    /// A place for a stream of events; `None`: the user has too many.
    pub(crate) fn stream(&self, user_id: &OwnedUserId) -> Option<Place> {
        more(&mut self.open().streams, user_id).then(|| Place {
            open: Arc::clone(&self.open),
            user_id: user_id.clone(),
        })
    }

    /// Tells all who wait that the server stops.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Resolves when the server stops.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives in `self`, so that waiting cannot fail.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts one more of a user's; refuses it where there are too many.
fn more(counts: &mut HashMap<OwnedUserId, usize>, user_id: &OwnedUserId) -> bool {
    let count = counts.entry(user_id.clone()).or_default();
    let fits = *count < OPEN_MAX;
    *count += usize::from(fits);
    fits
}

fn fewer(counts: &mut HashMap<OwnedUserId, usize>, user_id: &OwnedUserId) {
    if let Some(count) = counts.get_mut(user_id) {
        *count -= 1;
        if *count == 0 {
            counts.remove(user_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::owned_user_id;

    use super::{Name, OPEN_MAX, Registry};

    #[test]
    fn a_newer_socket_replaces_the_older_and_survives_its_leaving() {
        let registry = Registry::default();
        let name = |conn_id: &str| Name {
            user_id: owned_user_id!("@a:b"),
            device_id: None,
            conn_id: conn_id.to_owned(),
        };
        let enter = |conn_id: &str| registry.enter(name(conn_id)).expect("a place");
        let mut first = enter("");
        let mut other = enter("second window");
        let mut second = enter("");
        assert!(first.replaced.try_recv().is_ok());
        drop(first);
        let _third = enter("");
        assert!(second.replaced.try_recv().is_ok(), "it was still entered");
        assert!(other.replaced.try_recv().is_err());
    }

    #[test]
    fn nobody_has_more_sockets_or_streams_than_anybody_needs() {
        let registry = Registry::default();
        let (alice, bob) = (owned_user_id!("@alice:b"), owned_user_id!("@bob:b"));
        let enter = |user_id: &ruma::OwnedUserId, conn_id: usize| {
            registry.enter(Name {
                user_id: user_id.clone(),
                device_id: None,
                conn_id: conn_id.to_string(),
            })
        };
        let mut open: Vec<_> = (0..OPEN_MAX).map(|n| enter(&alice, n)).collect();
        assert!(open.iter().all(Option::is_some));
        assert!(enter(&alice, OPEN_MAX).is_none());
        assert!(enter(&bob, 0).is_some(), "others are not concerned");
        let replaces = enter(&alice, 0).expect("the same once more");
        drop(open.remove(0));
        assert!(
            enter(&alice, OPEN_MAX).is_none(),
            "one was replaced, none left"
        );
        drop(replaces);
        assert!(enter(&alice, OPEN_MAX).is_some());

        let mut streams: Vec<_> = (0..OPEN_MAX).map(|_| registry.stream(&alice)).collect();
        assert!(streams.iter().all(Option::is_some));
        assert!(registry.stream(&alice).is_none());
        assert!(registry.stream(&bob).is_some());
        streams.pop();
        assert!(registry.stream(&alice).is_some());
        drop(streams);
        assert!(registry.open().streams.is_empty());
    }
}
