//! What the client API lets its owner decide. The binary reads these from its settings file; only checked values come here.

use std::fmt;

use engine::buckets::Bucket;

/// The settings of the client API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest request body from a signed-in client, in bytes; more is answered with 413.
    pub body_bytes_max: usize,
    /// The largest request body of a request without a token, in bytes.
    pub public_body_bytes_max: usize,
    /// Whether `?access_token=` is accepted beside the `Authorization` header (old bots and bridges need it).
    pub token_in_query: bool,
    /// Rate limits; `None` switches them off.
    pub rate_limits: Option<RateLimits>,
    /// The longest that a `/sync` may wait, in milliseconds; longer wishes are shortened to it.
    pub sync_timeout_ms_max: u64,
    /// Origins (`https://app.example`) whose pages may open a WebSocket, besides the server's own; `*` for all.
    pub socket_origins: Vec<String>,
    /// The TURN servers for calls; `None` if there are none.
    pub turn: Option<Turn>,
    /// The services by which clients find the LiveKit servers for calls of many people.
    pub livekit_urls: Vec<String>,
}

/// TURN servers, and what opens them.
#[derive(Clone)]
pub struct Turn {
    /// Where they are.
    pub uris: Vec<String>,
    /// How long credentials are good, in seconds.
    pub lifetime_s: u64,
    /// Whether guests get them too.
    pub for_guests: bool,
    /// What opens them.
    pub access: TurnAccess,
}

/// What opens a TURN server.
#[derive(Clone)]
pub enum TurnAccess {
    /// A secret that it shares with this server, from which credentials are made for each user.
    Shared {
        /// The secret.
        secret: String,
    },
    /// One name for everybody.
    Fixed {
        /// The name.
        username: String,
        /// Its password.
        password: String,
    },
}

impl fmt::Debug for Turn {
    /// Without what opens them: what is printed ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("uris", &self.uris)
            .field("lifetime_s", &self.lifetime_s)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes_max: 10 * 1024 * 1024,
            public_body_bytes_max: 256 * 1024,
            token_in_query: true,
            rate_limits: Some(RateLimits::default()),
            sync_timeout_ms_max: 120_000,
            socket_origins: Vec::new(),
            turn: None,
            livekit_urls: Vec::new(),
        }
    }
}

/// How many requests of which kind are let through.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// Events that one user sends.
    pub sends: Bucket,
    /// Other requests of one user that the specification marks as rate-limited.
    pub requests: Bucket,
    /// Requests without a token from one address (an IPv6 network of 64 bits counts as one).
    pub anonymous: Bucket,
    /// Attempts to log in or to register from one address.
    pub logins: Bucket,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            sends: Bucket {
                per_second: 20.0,
                burst: 100,
            },
            requests: Bucket {
                per_second: 10.0,
                burst: 100,
            },
            anonymous: Bucket {
                per_second: 10.0,
                burst: 100,
            },
            logins: Bucket {
                per_second: 0.5,
                burst: 20,
            },
        }
    }
}
