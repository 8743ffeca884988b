//! User-interactive authentication: client-server API, "User-Interactive Authentication API".

/// What a client has to do before its request goes through: the body of the 401 answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The session that the client names in its next try.
    pub session: String,
}
