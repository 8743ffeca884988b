//! Policy servers: which one a room uses, and whether it recommends an event.
//!
//! Source: server-server API, "Policy Servers"; client-server API, "m.room.policy".

use ruma::{OwnedServerName, ServerName};

use crate::{
    event::Event,
    json::Object,
    redact,
    room_version::RoomVersion,
    server_name,
    sign::{POLICY_KEY_ID, PublicKey},
};

/// The type of the state event that names a room's policy server.
pub const POLICY: &str = "m.room.policy";

/// The policy server that a room's state names. Whether one of its users is in the room, which it takes to be in use, is
/// for others to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyServer {
    name: OwnedServerName,
    /// `None`: the room names something else than a key, so that nothing can be recommended.
    key: Option<PublicKey>,
}

impl PolicyServer {
    /// The policy server that the content of an `m.room.policy` event names; `None` if it is not valid.
    pub fn parse(content: &Object) -> Option<Self> {
        let via = content.get("via")?.as_str()?;
        let key = content.get("public_keys")?.get("ed25519")?.as_str()?;
        Some(Self {
            name: server_name::owned(via)?,
            key: PublicKey::from_base64(key),
        })
    }

    /// Whom to ask.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// Whether the room names a key by which it can recommend anything.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether it has signed the event by the key that the room names.
    pub fn recommends(&self, version: &RoomVersion, event: &Event) -> bool {
        let Some(key) = &self.key else { return false };
        let all = event.object().get("signatures");
        let signature =
            all.and_then(|all| all.get(self.name.as_str())?.get(POLICY_KEY_ID)?.as_str());
        let Some(signature) = signature else {
            return false;
        };
        let message = redact::essential_json(version, event.object());
        key.verify(message.as_bytes(), signature)
    }

    /// Its signature in an answer of it.
    pub fn signature_in<'a>(&self, answer: &'a Object) -> Option<&'a str> {
        answer.get(self.name.as_str())?.get(POLICY_KEY_ID)?.as_str()
    }
}

/// Whether an event of this type and state key needs the recommendation of the policy server: all do but the one by
/// which a room chooses it.
pub fn is_subject(event_type: &str, state_key: Option<&str>) -> bool {
    event_type != POLICY || state_key != Some("")
}
