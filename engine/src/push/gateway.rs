//! What is asked of push gateways: push gateway API, `POST /_matrix/push/v1/notify`.

use futures_util::future::BoxFuture;

/// A gateway did not take a notification. The text says why, for the log.
#[derive(Debug, thiserror::Error)]
#[error("a push gateway does not take notifications: {0}")]
pub struct GatewayFailure(pub String);

/// The way to push gateways. Whoever fills it connects only to where this server may connect to.
pub trait Gateways: Send + Sync {
    /// Posts `body` to a gateway and answers with the body of its 200.
    ///
    /// # Errors
    /// It cannot be reached, is slow, or answers with another status.
    fn notify(&self, url: String, body: String) -> BoxFuture<'_, Result<Vec<u8>, GatewayFailure>>;
}
