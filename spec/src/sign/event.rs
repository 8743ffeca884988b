//! Who must have signed an event, and whether they did.
//!
//! Source: server-server API, "Validating hashes and signatures on received events"; room versions 1, 3 and 8,
//! "Authorization rules".

use std::collections::BTreeSet;

use ruma::{OwnedServerName, ServerName, UserId};

use super::{Check, POLICY_KEY_ID, PublishedKey, batch::verify_each, signatures_of};
use crate::{
    event::Event,
    hash,
    json::{Object, Value},
    redact,
    room_version::{EventIds, RoomVersion},
};

/// The keys of other servers, as far as they are known.
pub trait KeyRing {
    /// The key that `server` publishes as `key_id` (`ed25519:…`). `None` if it is not known: signatures by
    /// it are then skipped.
    fn key(&self, server: &ServerName, key_id: &str) -> Option<PublishedKey>;
}

/// Whether a correctly signed event has the content that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The content hash is right.
    Intact,
    /// It is not: only what redaction leaves is covered by the signatures, and only that may be used.
    MustBeRedacted,
}

/// Why an event counts as unsigned. Such an event is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    #[error("no signature of {0} by a known and valid key")]
    /// The server has not signed with any key that is known and was valid then.
    Missing(OwnedServerName),
    #[error("a signature of {0} is wrong")]
    /// The server seems to have signed, but something else.
    Wrong(OwnedServerName),
}

/// The servers whose signatures an event needs.
///
/// The sender's, unless the event is an invite by third party, which another server may send on the
/// inviter's behalf; in versions 1 and 2 also the one in the event ID; from version 8 on that of the user
/// who authorises a restricted join.
pub fn required_signers(version: &RoomVersion, event: &Event) -> BTreeSet<OwnedServerName> {
    let mut signers = BTreeSet::new();
    let content = event.content();
    let membership = content.get("membership").and_then(Value::as_str);
    let is_member = event.event_type() == "m.room.member" && event.is_state();
    let third_party =
        is_member && membership == Some("invite") && content.contains_key("third_party_invite");
    if !third_party {
        signers.insert(event.sender().server_name().to_owned());
    }
    if version.event_ids == EventIds::Chosen {
        signers.extend(event.id().server_name().map(ToOwned::to_owned));
    }
    if is_member && version.auth.restricted {
        let authoriser = content
            .get("join_authorised_via_users_server")
            .and_then(Value::as_str);
        let authoriser = authoriser.and_then(|user| UserId::parse(user).ok());
        signers.extend(authoriser.map(|user| user.server_name().to_owned()));
    }
    signers
}

/// The signatures of a server on an event, by the keys that it publishes: key IDs and base64. That of a policy server is
/// none of them, whatever the server publishes under its key ID.
pub fn server_signatures<'a>(
    event: &'a Object,
    server: &ServerName,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    signatures_of(event, server.as_str()).filter(|(key_id, _)| *key_id != POLICY_KEY_ID)
}

/// Whether `event` is signed as it must be, and has the content that was signed.
///
/// # Errors
/// See [`SignatureError`]; the event is to be dropped.
pub fn verify_event(
    version: &RoomVersion,
    event: &Event,
    keys: &impl KeyRing,
) -> Result<Content, SignatureError> {
    let mut results = verify_events([(version, event)], keys);
    results.pop().expect("one result an event")
}

/// The same for many events, with their signatures checked in batches. The results are in order.
pub fn verify_events<'a>(
    events: impl IntoIterator<Item = (&'a RoomVersion, &'a Event)>,
    keys: &impl KeyRing,
) -> Vec<Result<Content, SignatureError>> {
    let events: Vec<_> = events.into_iter().collect();
    let messages: Vec<String> = events
        .iter()
        .map(|(version, event)| redact::essential_json(version, event.object()))
        .collect();
    let mut results = Vec::with_capacity(events.len());
    let mut checks = Vec::with_capacity(events.len());
    let mut sources = Vec::with_capacity(events.len());
    for (index, (version, event)) in events.iter().enumerate() {
        let mut result = Ok(());
        for server in required_signers(version, event) {
            let before = checks.len();
            for (key_id, signature) in server_signatures(event.object(), &server) {
                let key = keys.key(&server, key_id);
                let key = key.filter(|key| key.may_sign(version, event.origin_server_ts()));
                let Some(key) = key else { continue };
                let message = messages[index].as_bytes();
                checks.push(Check {
                    message,
                    signature,
                    key: key.key,
                });
                sources.push((index, server.clone()));
            }
            if checks.len() == before && result.is_ok() {
                result = Err(SignatureError::Missing(server));
            }
        }
        results.push(result);
    }
    for (valid, (index, server)) in verify_each(&checks).into_iter().zip(sources) {
        if !valid && results[index].is_ok() {
            results[index] = Err(SignatureError::Wrong(server));
        }
    }
    let content = |event: &Event| {
        if hash::has_its_content(event.object()) {
            Content::Intact
        } else {
            Content::MustBeRedacted
        }
    };
    results
        .into_iter()
        .zip(&events)
        .map(|(result, (_, event))| result.map(|()| content(event)))
        .collect()
}
