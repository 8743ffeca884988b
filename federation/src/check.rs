//! How another server is found and whether it answers, step by step: for the operator who wonders.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::chance::Chance;
use http::Request;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http_body_util::Full;
use ruma::ServerName;
use rustls_pki_types::CertificateDer;
use spec::discovery::Target;
use spec::json::{Object, Strictness, Value, parse_object};

use crate::client::AGENT;
use crate::discovery::Discovery;
use crate::keys::published::Published;
use crate::transport::{Limits, Transport, Way};
use crate::{Clock, Settings, Step, TrustError, outward};

/// For one request, and for connecting.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(15),
    body_bytes_max: 256 * 1024,
};

/// Looks at other servers without being one: it needs no data and no key.
pub struct Checker {
    transport: Arc<Transport>,
    discovery: Arc<Discovery>,
    clock: Clock,
}

/// Something that was found out. Findings come in the order of the variants.
#[derive(Debug)]
pub enum Finding {
    /// A step of the resolution that needed the network.
    Step(Step),
    /// Where the server is, as the specification wants it to be found.
    Found(Target),
    /// It could be connected to, and its certificate is right.
    Connected(Connected),
    /// Which software it is; the text says why it does not say.
    Version(Result<String, String>),
    /// The keys that it signs with; the text says why they cannot be used.
    Keys(Result<Keys, String>),
}

/// A connection that was made.
#[derive(Debug)]
pub struct Connected {
    /// Where.
    pub way: Way,
    /// The certificate of the other side, in DER.
    pub certificate: Option<CertificateDer<'static>>,
}

/// The keys that a server publishes.
#[derive(Debug)]
pub struct Keys {
    /// The IDs of those that it signs with.
    pub current: Vec<String>,
    /// How many it has from former times.
    pub old: usize,
    /// For how much longer they may be relied on, in milliseconds; negative if they may not be.
    pub valid_for_ms: i64,
}

/// Why a check ended early.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is no server name.
    #[error("this is not the name of a server")]
    Name,
    /// No connection could be made.
    #[error("{0}")]
    Unreachable(String),
    /// Something answers, but not as a Matrix server does.
    #[error("something answers there, but not as a Matrix server should")]
    NoServer,
}

impl Checker {
    /// A checker that connects where the settings allow it.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn new(settings: &Settings, clock: Clock, chance: Arc<Chance>) -> Result<Self, TrustError> {
        let (transport, discovery) = outward(settings, &clock, chance)?;
        Ok(Self {
            transport,
            discovery,
            clock,
        })
    }

    /// Finds `server` and asks for its version and its keys; `tell` hears of each finding as it is made.
    ///
    /// # Errors
    /// See [`CheckError`]; `Ok` means that this server could talk to it.
    pub async fn check(
        &self,
        server: &ServerName,
        mut tell: impl FnMut(Finding),
    ) -> Result<(), CheckError> {
        let steps = |step| tell(Finding::Step(step));
        let target = self.discovery.find(server, steps).await;
        let target = target.ok_or(CheckError::Name)?;
        tell(Finding::Found(target.clone()));
        let met = self.transport.meet(&target, LIMITS.time).await;
        let met = met.map_err(|error| CheckError::Unreachable(chain(&error)))?;
        tell(Finding::Connected(Connected {
            way: met.way,
            certificate: met.certificate,
        }));

        let version = self.get(&target, "/_matrix/federation/v1/version").await;
        tell(Finding::Version(version.map(|body| software(&body))));
        let keys = self.get(&target, "/_matrix/key/v2/server").await;
        let keys = keys.and_then(|body| self.keys(body, server));
        let usable = keys.as_ref().is_ok_and(|keys| keys.valid_for_ms > 0);
        tell(Finding::Keys(keys));
        if usable {
            Ok(())
        } else {
            Err(CheckError::NoServer)
        }
    }

    async fn get(&self, target: &Target, path: &str) -> Result<Object, String> {
        let request = Request::get(path)
            .header(HOST, &target.authority)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json")
            .body(Full::new(Bytes::new()))
            .map_err(|error| error.to_string())?;
        let answer = self.transport.send(target, request, LIMITS).await;
        let answer = answer.map_err(|error| chain(&error))?;
        if !answer.status().is_success() {
            return Err(format!("the answer has the status {}", answer.status()));
        }
        parse_object(answer.body(), Strictness::Lenient)
            .map_err(|_| "the answer is not a JSON object".to_owned())
    }

    fn keys(&self, document: Object, server: &ServerName) -> Result<Keys, String> {
        let published = Published::read(document, Some(server)).map_err(|e| e.to_string())?;
        let (current, old): (Vec<_>, Vec<_>) = published
            .keys
            .into_iter()
            .partition(|(_, listed)| listed.expired_ts.is_none());
        Ok(Keys {
            current: current.into_iter().map(|(id, _)| id).collect(),
            old: old.len(),
            valid_for_ms: published.valid_until_ts.saturating_sub(self.clock.now_ms()),
        })
    }
}

/// Name and version, as far as it tells them.
fn software(body: &Object) -> String {
    let text = |key: &str| body.get("server")?.get(key).and_then(Value::as_str);
    let name = text("name").unwrap_or("software without a name");
    match text("version") {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
