//! Identity servers, as the engine sees them: identity service API, version 2. The federation crate fills this in.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use ruma::{OwnedServerName, ServerName};
use spec::{
    acl::ServerAcl,
    json::{Object, Value},
    object,
};

use crate::{Engine, Error, Result};

/// The error codes of an identity server that are passed on to the client. Others are about the session of the client with
/// its homeserver, of which an identity server knows nothing.
const ERRCODES: [&str; 6] = [
    "M_FORBIDDEN",
    "M_INVALID_EMAIL",
    "M_INVALID_PARAM",
    "M_TERMS_NOT_SIGNED",
    "M_THREEPID_IN_USE",
    "M_UNRECOGNIZED",
];

/// Why an identity server gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It could not be reached, answered too late, with a server error, or nonsense.
    #[error("it gives no usable answer: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("it refuses with {status} {errcode}: {error}")]
    Refused {
        /// The status of its answer, 400 to 499.
        status: u16,
        /// The Matrix error code.
        errcode: String,
        /// Its sentence for people.
        error: String,
    },
}

impl IdentityError {
    /// What it means for the user who asked.
    pub(super) fn refusal(self, server: &ServerName) -> Error {
        match self {
            Self::Unreachable(why) => {
                tracing::info!(%server, why, "an identity server gives no usable answer");
                Error::Unreachable(format!(
                    "The identity server {server} gives no usable answer"
                ))
            }
            Self::Refused {
                status,
                errcode,
                error,
            } => Error::Identity {
                // 401 is about the token of the client at this server.
                status: if status == 401 { 403 } else { status },
                errcode: match errcode {
                    known if ERRCODES.contains(&&*known) => known,
                    _ => "M_FORBIDDEN".to_owned(),
                },
                error: format!("The identity server {server} refuses: {error}"),
            },
        }
    }
}

/// The answer of an identity server.
pub type IdentityAnswer<'a, T> = BoxFuture<'a, Result<T, IdentityError>>;

/// The way to identity servers. Whoever fills it connects only to where this server may connect to, and bounds the time and
/// the size of what is answered.
pub trait IdentityServers: Send + Sync + 'static {
    /// How addresses are to be hashed: `GET /hash_details`. `token` is the user's at the identity server.
    fn hash_details<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
    ) -> IdentityAnswer<'a, Object>;

    /// Whose addresses these are: `POST /lookup`.
    fn lookup<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
        body: Object,
    ) -> IdentityAnswer<'a, Object>;

    /// Stores an invite for whoever proves to have an address: `POST /store-invite`.
    fn store_invite<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
        body: Object,
    ) -> IdentityAnswer<'a, Object>;

    /// Whether a key is still valid, as `url` answers, which anybody may have written.
    fn is_valid<'a>(&'a self, url: &'a str, public_key: &'a str) -> IdentityAnswer<'a, bool>;
}

/// The identity servers that the operator trusts, and the way to them.
pub(crate) struct Identity {
    /// `None`: none at all.
    trusted: Option<ServerAcl>,
    /// Empty as long as this server reaches none.
    way: OnceLock<Arc<dyn IdentityServers>>,
}

impl Identity {
    /// Those with names that match one of these globs, which say nothing of ports.
    pub(crate) fn new(trusted: &[String]) -> Self {
        let globs = trusted.iter().map(|glob| Value::from(glob.as_str()));
        let content = object! { "allow" => Value::Array(globs.collect()) };
        Self {
            trusted: (!trusted.is_empty()).then(|| ServerAcl::parse(&content)),
            way: OnceLock::new(),
        }
    }

    /// An identity server that a client names, if it is one that is trusted.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: this server uses none. [`Error::InvalidParam`]: it is no name of a server.
    /// [`Error::ServerNotTrusted`].
    pub(super) fn check(&self, server: &str) -> Result<OwnedServerName> {
        let Some(trusted) = &self.trusted else {
            return Err(Error::Forbidden(
                "This server cannot invite by e-mail address or telephone number".to_owned(),
            ));
        };
        let name = spec::server_name::owned(server)
            .ok_or_else(|| Error::InvalidParam("id_server is no name of a server".to_owned()))?;
        if !trusted.allows(name.as_str()) {
            return Err(Error::ServerNotTrusted(name.to_string()));
        }
        Ok(name)
    }

    /// The way to identity servers.
    ///
    /// # Errors
    /// [`Error::Unreachable`]: there is none.
    pub(super) fn way(&self) -> Result<&dyn IdentityServers> {
        let way = self.way.get().map(AsRef::as_ref);
        way.ok_or_else(|| Error::Unreachable("This server reaches no identity server".to_owned()))
    }
}

impl Engine {
    /// Has the engine ask identity servers from now on. Only the first call counts.
    pub fn connect_identity(&self, way: Arc<dyn IdentityServers>) {
        // A second call is a mistake of the wiring and changes nothing.
        let _ = self.context.identity.way.set(way);
    }
}
