//! The checks on an event that need no room: format, signatures, content hash.
//! Server-server API, "Checks performed on receipt of a PDU", 1 to 3.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use ruma::{OwnedEventId, ServerName};
use spec::{
    event::Event,
    json::Object,
    room_version::RoomVersion,
    sign::{self, Content, KeyRing, PublishedKey},
};

use crate::{context::Context, peers::KeyName};

/// How long keys may take: those of a large room with many dead servers are asked for by the hundred.
const KEYS_WITHIN: Duration = Duration::from_secs(120);

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
    let mut verified = verify(context, events, KEYS_WITHIN).await.into_iter();
    let mut next = || match verified.next() {
        Some((_, verified)) => verified,
        None => Err("the event was not checked".to_owned()),
    };
    flaws
        .into_iter()
        .map(|parsed| parsed.and_then(|()| next()))
        .collect()
}

/// The same for a state and its auth chain: those of the chain that stand in the state as well are checked once, and come
/// out with the state only. What is wrong with the others is logged.
pub(super) async fn check_state(
    context: &Context,
    version: &'static RoomVersion,
    state: Vec<Object>,
    chain: Vec<Object>,
) -> (Vec<Event>, Vec<Event>) {
    let read = |objects: Vec<Object>| -> Vec<Event> {
        let events = objects.into_iter();
        let events = events.map(|object| Event::parse_history(version, object));
        events
            .filter_map(|event| match event {
                Ok(event) => Some(event),
                Err(error) => {
                    tracing::info!(%error, "an event of a state is dropped");
                    None
                }
            })
            .collect()
    };
    let (state, mut chain) = (read(state), read(chain));
    let in_state: HashSet<OwnedEventId> = state.iter().map(|event| event.id().to_owned()).collect();
    chain.retain(|event| !in_state.contains(event.id()));
    let of_state = state.len();
    let all = state.into_iter().chain(chain);
    let verified = verify(
        context,
        all.map(|event| (version, event)).collect(),
        KEYS_WITHIN,
    )
    .await;
    let (mut state, mut chain) = (Vec::with_capacity(of_state), Vec::new());
    for (index, (id, verified)) in verified.into_iter().enumerate() {
        match verified {
            Ok(event) if index < of_state => state.push(event),
            Ok(event) => chain.push(event),
            Err(flaw) => tracing::info!(event = %id, flaw, "an event of a state is dropped"),
        }
    }
    (state, chain)
}

/// Checks the signatures and hashes of events, which may be of different rooms, all in one batch; the results are in
/// order, each with the event's id. One whose content is not what was signed comes out redacted. Where a key does not come
/// in time, the signature counts as wrong.
pub(crate) async fn verify(
    context: &Context,
    events: Vec<(&'static RoomVersion, Event)>,
    keys_within: Duration,
) -> Vec<(OwnedEventId, Result<Event, Flaw>)> {
    if events.is_empty() {
        return Vec::new();
    }
    let names = key_names(&events, context.clock.now_ms());
    let ring = Ring::new(context, names, keys_within).await;
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

/// The keys that the signatures of these events name, as far as they count, each with the time of the newest event that
/// it signed: a server that is gone is not asked again because others of the batch talk on.
fn key_names(events: &[(&'static RoomVersion, Event)], now_ms: i64) -> BTreeMap<KeyName, i64> {
    let mut names = BTreeMap::new();
    for (version, event) in events {
        let at = event.origin_server_ts().min(now_ms);
        for server in sign::required_signers(version, event) {
            for (key_id, _) in sign::server_signatures(event.object(), &server) {
                let name = KeyName {
                    server: server.clone(),
                    key_id: key_id.to_owned(),
                };
                let newest = names.entry(name).or_insert(at);
                *newest = at.max(*newest);
            }
        }
    }
    names
}

/// The keys for one batch of events.
struct Ring(HashMap<KeyName, PublishedKey>);

impl Ring {
    async fn new(context: &Context, names: BTreeMap<KeyName, i64>, within: Duration) -> Self {
        let (own, foreign): (BTreeMap<_, _>, BTreeMap<_, _>) = names
            .into_iter()
            .partition(|(name, _)| name.server == context.server_name);
        let mut keys = match context.peers.get() {
            Some(peers) if !foreign.is_empty() => peers.public_keys(foreign, within).await,
            _ => HashMap::new(),
        };
        let own = own.into_keys();
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

#[cfg(test)]
mod tests {
    use spec::{event::Draft, object, sign::ServerKey};

    use super::*;

    #[test]
    fn a_key_is_needed_for_the_newest_event_that_it_signed() {
        let version = RoomVersion::get("11").unwrap();
        let event = |server: &str, ts: i64| {
            let key = ServerKey::from_seed(server.try_into().unwrap(), "1", &[1; 32]);
            let draft = Draft {
                room_id: Some("!room:here".try_into().unwrap()),
                sender: format!("@user:{server}").try_into().unwrap(),
                event_type: "m.room.message".to_owned(),
                state_key: None,
                content: object! {},
                redacts: None,
            };
            let event = draft.seal(version, &[], &[], ts, &ts.to_string(), &key);
            (version, event.unwrap())
        };
        let events = [
            event("gone", 10),
            event("here", 500),
            event("gone", 20),
            event("ahead", 2_000),
        ];
        let names: Vec<_> = key_names(&events, 1_000)
            .into_iter()
            .map(|(name, at)| (name.server.to_string(), at))
            .collect();
        let names: Vec<_> = names
            .iter()
            .map(|(name, at)| (name.as_str(), *at))
            .collect();
        assert_eq!(names, [("ahead", 1_000), ("gone", 20), ("here", 500)]);
    }
}
