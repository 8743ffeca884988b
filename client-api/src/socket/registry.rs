//! The open sockets of this process, so that a newer one can take the place of an older, and all can be told to leave.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::sync::{oneshot, watch};

/// What makes two sockets the same connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) user_id: OwnedUserId,
    pub(super) device_id: Option<OwnedDeviceId>,
    pub(super) conn_id: String,
}

/// Who is connected, and whether the server is stopping.
pub(crate) struct Registry {
    open: Mutex<Open>,
    stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Open {
    last_ticket: u64,
    sockets: HashMap<Name, (u64, oneshot::Sender<()>)>,
}

/// A socket's entry in the registry.
pub(super) struct Entry {
    name: Name,
    ticket: u64,
    /// Resolves when a newer socket takes the place.
    pub(super) replaced: oneshot::Receiver<()>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Registry {
    /// Enters a socket; one of the same name is told that it was replaced.
    pub(super) fn enter(&self, name: Name) -> Entry {
        let (replace, replaced) = oneshot::channel();
        let mut open = self.open();
        open.last_ticket += 1;
        let ticket = open.last_ticket;
        if let Some((_, older)) = open.sockets.insert(name.clone(), (ticket, replace)) {
            // It may just have closed by itself.
            let _ = older.send(());
        }
        Entry {
            name,
            ticket,
            replaced,
        }
    }

    /// Removes a socket that has closed. One that took its place stays.
    pub(super) fn leave(&self, entry: &Entry) {
        let mut open = self.open();
        if open
            .sockets
            .get(&entry.name)
            .is_some_and(|(ticket, _)| *ticket == entry.ticket)
        {
            open.sockets.remove(&entry.name);
        }
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ruma::owned_user_id;

    use super::{Name, Registry};

    #[test]
    fn a_newer_socket_replaces_the_older_and_survives_its_leaving() {
        let registry = Registry::default();
        let name = |conn_id: &str| Name {
            user_id: owned_user_id!("@a:b"),
            device_id: None,
            conn_id: conn_id.to_owned(),
        };
        let mut first = registry.enter(name(""));
        let mut other = registry.enter(name("second window"));
        let mut second = registry.enter(name(""));
        assert!(first.replaced.try_recv().is_ok());
        registry.leave(&first);
        let _third = registry.enter(name(""));
        assert!(second.replaced.try_recv().is_ok(), "it was still entered");
        assert!(other.replaced.try_recv().is_err());
    }
}
