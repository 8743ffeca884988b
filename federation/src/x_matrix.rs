//! Who signed a request: server-server API, "Request Authentication".
//!
//! [`claims`] and [`verify`] are pure; between them stands the one thing that needs the network, the
//! other server's key, which the caller gets from [`RemoteKeys`]. [`Signed`] does all three.

mod extract;

use std::future::Future;
use std::pin::Pin;

use ruma::{OwnedServerName, ServerName};
use spec::json::Value;
use spec::sign::{PublishedKey, SignedRequest, XMatrix};

pub use self::extract::Signed;

/// The keys of other servers, wherever they come from.
pub trait RemoteKeys: Send + Sync {
    /// The key that `server` publishes under `key_id`, if it can be had in reasonable time.
    fn key<'a>(
        &'a self,
        server: &'a ServerName,
        key_id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<PublishedKey>> + Send + 'a>>;
}

/// Why a request counts as unsigned. All of these answer 401 `M_UNAUTHORIZED`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No header of the right scheme that can be read.
    #[error("The request has no readable X-Matrix authorization")]
    Missing,
    /// Signed for somebody else: a proxy or a thief sends it on.
    #[error("The request is signed for {0}, which is not this server")]
    Destination(OwnedServerName),
    /// We do not know the key, or it may sign no requests any more.
    #[error("The key {key_id} of {server} is not known, or no longer valid")]
    Key {
        /// Whose key.
        server: OwnedServerName,
        /// Which.
        key_id: String,
    },
    /// The signature is not one of this request by this key.
    #[error("The signature of {0} does not fit the request")]
    Signature(OwnedServerName),
}

/// How many signatures of one request are looked at: a server that changes its key may send two.
const CLAIMS_MAX: usize = 3;

/// What a request says about its signer: each `Authorization` header that can be read and names the same signer as the
/// first, at least one.
///
/// # Errors
/// [`Refused::Missing`], or [`Refused::Destination`] if they are meant for another server than `ours`.
/// Servers older than v1.3 name no destination; that is allowed.
pub fn claims<'a>(
    headers: impl IntoIterator<Item = &'a str>,
    ours: &ServerName,
) -> Result<Vec<XMatrix>, Refused> {
    let mut claims: Vec<XMatrix> = headers
        .into_iter()
        .filter_map(XMatrix::parse)
        .take(CLAIMS_MAX)
        .collect();
    let first = claims.first().ok_or(Refused::Missing)?.clone();
    let is_elsewhere =
        |claim: &XMatrix| claim.destination.as_ref().filter(|to| *to != ours).cloned();
    claims.retain(|claim| claim.origin == first.origin && is_elsewhere(claim).is_none());
    match is_elsewhere(&first) {
        Some(destination) if claims.is_empty() => Err(Refused::Destination(destination)),
        _ => Ok(claims),
    }
}

/// Whether the claim holds: `key` is what its server publishes under its key ID, `uri` is path and
/// query as they were sent, and `now_ms` is the time of receipt.
///
/// # Errors
/// [`Refused::Key`] or [`Refused::Signature`].
pub fn verify(
    claim: &XMatrix,
    method: &str,
    uri: &str,
    content: Option<&Value>,
    key: Option<PublishedKey>,
    now_ms: i64,
) -> Result<OwnedServerName, Refused> {
    let key = key
        .filter(|key| key.may_sign_requests(now_ms))
        .ok_or_else(|| Refused::Key {
            server: claim.origin.clone(),
            key_id: claim.key.clone(),
        })?;
    let request = SignedRequest {
        method,
        uri,
        origin: &claim.origin,
        destination: claim.destination.as_deref(),
        content,
    };
    if request.is_signed(claim, key.key) {
        Ok(claim.origin.clone())
    } else {
        Err(Refused::Signature(claim.origin.clone()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
