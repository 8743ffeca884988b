//! The checks on an event that need no room: format, signatures, content hash.
//! Server-server API, "Checks performed on receipt of a PDU", 1 to 3.

use std::collections::{BTreeSet, HashMap};

use ruma::{OwnedEventId, ServerName};
use spec::{
    event::Event,
    json::Object,
    room_version::RoomVersion,
    sign::{self, Content, KeyRing, PublishedKey},
};

use crate::{context::Context, peers::KeyName};

/// What is wrong with an event that is dropped, for the log and for its sender.
pub(crate) type Flaw = String;

/// Reads events and checks their signatures, all in one batch. One whose content is not what was signed comes out
/// redacted.
pub(crate) async fn check(
    context: &Context,
    version: &'static RoomVersion,
    objects: Vec<Object>,
) -> Vec<Result<Event, Flaw>> {
    let parsed: Vec<Result<Event, Flaw>> = objects
        .into_iter()
        .map(|object| Event::parse_history(version, object).map_err(|error| error.to_string()))
        .collect();
    let mut flaws = Vec::with_capacity(parsed.len());
    let mut events = Vec::with_capacity(parsed.len());
    for parsed in parsed {
        flaws.push(parsed.map(|event| events.push((version, event))));
    }
    let mut verified = verify(context, events).await.into_iter();
    let mut next = || match verified.next() {
        Some((_, verified)) => verified,
        None => Err("the event was not checked".to_owned()),
    };
    flaws
        .into_iter()
        .map(|parsed| parsed.and_then(|()| next()))
        .collect()
}

/// Checks the signatures and hashes of events, which may be of different rooms, all in one batch; the results are in
/// order, each with the event's id. One whose content is not what was signed comes out redacted.
pub(crate) async fn verify(
    context: &Context,
    events: Vec<(&'static RoomVersion, Event)>,
) -> Vec<(OwnedEventId, Result<Event, Flaw>)> {
    if events.is_empty() {
        return Vec::new();
    }
    let names = key_names(&events);
    let valid_at = events.iter().map(|(_, event)| event.origin_server_ts());
    let valid_at = valid_at.max().unwrap_or(0);
    let ring = Ring::new(context, names, valid_at.min(context.clock.now_ms())).await;
    // Signatures are arithmetic: not on a thread that serves others.
    let verified = tokio::task::spawn_blocking(move || {
        let borrowed = events.iter().map(|(version, event)| (*version, event));
        let results = sign::verify_events(borrowed, &ring);
        let verified = events
            .into_iter()
            .zip(results)
            .map(|((version, event), result)| {
                let id = event.id().to_owned();
                let verified = match result {
                    Ok(Content::Intact) => Ok(event),
                    Ok(Content::MustBeRedacted) => Ok(event.redacted(version)),
                    Err(error) => Err(error.to_string()),
                };
                (id, verified)
            });
        verified.collect()
    });
    verified.await.unwrap_or_default()
}

/// The keys that the signatures of these events name, as far as they count.
fn key_names(events: &[(&'static RoomVersion, Event)]) -> BTreeSet<KeyName> {
    let mut names = BTreeSet::new();
    for (version, event) in events {
        for server in sign::required_signers(version, event) {
            for (key_id, _) in sign::server_signatures(event.object(), &server) {
                names.insert(KeyName {
                    server: server.clone(),
                    key_id: key_id.to_owned(),
                });
            }
        }
    }
    names
}

/// The keys for one batch of events.
struct Ring(HashMap<KeyName, PublishedKey>);

impl Ring {
    async fn new(context: &Context, names: BTreeSet<KeyName>, valid_at_ms: i64) -> Self {
        let (own, foreign): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|name| name.server == context.server_name);
        let mut keys = match context.peers.get() {
            Some(peers) if !foreign.is_empty() => peers.public_keys(foreign, valid_at_ms).await,
            _ => HashMap::new(),
        };
        let own = own.into_iter();
        keys.extend(own.filter_map(|name| Some((name.clone(), own_key(context, &name.key_id)?))));
        Self(keys)
    }
}

/// A key of this server, of now or of former times.
fn own_key(context: &Context, key_id: &str) -> Option<PublishedKey> {
    if key_id != context.key.key_id() {
        return context.former_keys.get(key_id).cloned();
    }
    Some(PublishedKey {
        key: context.key.public_key(),
        valid_until_ts: i64::MAX,
        expired_ts: None,
    })
}

impl KeyRing for Ring {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<PublishedKey> {
        let name = KeyName {
            server: server.to_owned(),
            key_id: key_id.to_owned(),
        };
        self.0.get(&name).cloned()
    }
}
