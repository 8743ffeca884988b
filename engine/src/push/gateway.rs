//! What is asked of push gateways, push gateway API, `POST /_matrix/push/v1/notify`; and of the push services of browsers,
//! RFC 8030.

use futures_util::future::BoxFuture;

/// A gateway did not take a notification. The text says why, for the log.
#[derive(Debug, thiserror::Error)]
#[error("a push gateway does not take notifications: {0}")]
pub struct GatewayFailure(pub String);

/// A message for a browser, as its push service takes it.
#[derive(Clone, Debug)]
pub struct WebPush {
    /// Where the push service takes messages for this browser.
    pub url: String,
    /// What it proves who speaks with.
    pub authorization: String,
    /// How long the service keeps it if the browser is away, in seconds.
    pub keep_s: u64,
    /// `high`, or `normal` for what need not wake a device.
    pub urgency: &'static str,
    /// Encrypted for the browser, in the encoding `aes128gcm`.
    pub body: Vec<u8>,
}

/// What a push service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushService {
    /// It brings the message to the browser.
    Taken,
    /// It does not know the browser any more.
    Gone,
}

/// The way to push gateways and push services. Whoever fills it connects only to where this server may connect to.
pub trait Gateways: Send + Sync {
    /// Posts `body` to a gateway and answers with the body of its 200.
    ///
    /// # Errors
    /// It cannot be reached, is slow, or answers with another status.
    fn notify(&self, url: String, body: String) -> BoxFuture<'_, Result<Vec<u8>, GatewayFailure>>;

    /// Posts a message to the push service of a browser.
    ///
    /// # Errors
    /// It cannot be reached, is slow, or answers with a status that says neither that it has taken the message nor that it
    /// does not know the browser.
    fn push_to_browser(&self, push: WebPush) -> BoxFuture<'_, Result<PushService, GatewayFailure>>;
}
