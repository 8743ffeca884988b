//! A Matrix server on a script: honest by itself, and as wrong as a test wants it.
//!
//! It lives in the process of the test and listens on loopback, with TLS and a signing key of its own. It holds the
//! rooms that it made ([`Peer::creates_room`]) or joined ([`Peer::joins`]), answers for them as a server should, and
//! keeps what it was asked. A script ([`Peer::script`]) answers instead, or changes the honest answer. What it asks and
//! sends goes out signed; [`room`] makes events, which a test may spoil before or after they are sealed.

mod asking;
mod honest;
mod json;
mod listener;
mod room;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedServerName, ServerName};
use serde_json::Value;
use spec::sign::ServerKey;

pub use self::{
    json::{object, value},
    listener::{Ask, Reply},
    room::{Pdu, PeerRoom, now_ms},
};
use crate::eventually::eventually;

/// A server on a script. Clones are the same server.
#[derive(Clone)]
pub struct Peer {
    shared: Arc<Shared>,
}

type Script = Arc<dyn Fn(&Ask) -> Option<Reply> + Send + Sync>;

struct Shared {
    name: OwnedServerName,
    key: ServerKey,
    kept: Mutex<Kept>,
}

/// What changes while it runs.
#[derive(Default)]
struct Kept {
    rooms: BTreeMap<String, PeerRoom>,
    /// The last one comes first.
    scripts: Vec<Script>,
    asked: Vec<Ask>,
}

impl Peer {
    /// A server at this host, an address or a name of loopback, on a port of its own, with this certificate.
    ///
    /// # Panics
    /// If the files are not a certificate and its key, or there is no port.
    pub async fn start(host: &str, certificate: &Path, key: &Path) -> Self {
        let (listener, port) = listener::bind().await;
        let name = ServerName::parse(format!("{host}:{port}")).expect("the name of a server");
        let signing = ServerKey::from_seed(name.clone(), "peer", &rand::random());
        let peer = Self {
            shared: Arc::new(Shared {
                name,
                key: signing,
                kept: Mutex::default(),
            }),
        };
        listener::serve(peer.clone(), listener, certificate, key);
        peer
    }

    /// Its name: an address with a port.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.name.as_str()
    }

    /// The key that it signs with.
    #[must_use]
    pub fn key(&self) -> &ServerKey {
        &self.shared.key
    }

    /// `@local:its name`.
    #[must_use]
    pub fn user(&self, local: &str) -> String {
        format!("@{local}:{}", self.name())
    }

    /// Answers from now on what `script` says, where that says anything; then the scripts before it, and at last as an
    /// honest server does ([`Peer::honest`]).
    pub fn script(&self, script: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) {
        self.kept().scripts.push(Arc::new(script));
    }

    /// Answers every question of an operation, such as `send_join` or `state_ids`, with `reply`.
    pub fn answers(
        &self,
        operation: &'static str,
        reply: impl Fn(&Ask) -> Reply + Send + Sync + 'static,
    ) {
        self.script(move |ask| (ask.operation() == operation).then(|| reply(ask)));
    }

    /// Is honest again.
    pub fn forgets_scripts(&self) {
        self.kept().scripts.clear();
    }

    /// What it was asked so far by `operation`, in order.
    #[must_use]
    pub fn asked(&self, operation: &str) -> Vec<Ask> {
        let kept = self.kept();
        let asked = kept.asked.iter();
        asked
            .filter(|ask| ask.operation() == operation)
            .cloned()
            .collect()
    }

    /// The events that were sent to it in transactions, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Value> {
        let pdus = |ask: Ask| ask.body["pdus"].as_array().cloned().unwrap_or_default();
        self.asked("send").into_iter().flat_map(pdus).collect()
    }

    /// Waits until a transaction brings an event for which `look` has something.
    pub async fn receives<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        eventually(what, async || self.received().iter().find_map(&look)).await
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
