//! Credentials for TURN servers, which make calls possible through routers: client-server API, "Voice over IP".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::{Engine, Requester};

/// What a client needs for a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnCredentials {
    /// The user name: until when it is good, in seconds, and whose it is.
    pub username: String,
    /// The password that goes with it.
    pub password: String,
}

impl Engine {
    /// Credentials for a TURN server that shares `secret` with this one, good for `lifetime_s` seconds: "A REST API For
    /// Access To TURN Services", the draft that all TURN servers follow.
    #[must_use]
    pub fn turn_credentials(
        &self,
        by: &Requester,
        secret: &str,
        lifetime_s: u64,
    ) -> TurnCredentials {
        let now_s = self.context.clock.now_ms() / 1000;
        let until_s = now_s.saturating_add(i64::try_from(lifetime_s).unwrap_or(i64::MAX));
        let username = format!("{until_s}:{}", by.user_id);
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
            .expect("a key of any length is allowed");
        mac.update(username.as_bytes());
        let password = STANDARD.encode(mac.finalize().into_bytes());
        TurnCredentials { username, password }
    }
}
