//! Questions to other servers: found, signed, sent, and their answers read.

mod rest;

use std::{
    error::Error as _,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use http_body_util::Full;
use ruma::{OwnedServerName, ServerName};
use spec::{
    json::{Object, Strictness, Value, encode, parse_object},
    sign::{ServerKey, SignedRequest},
};
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

use self::rest::Rest;
use crate::{
    Servers,
    discovery::Discovery,
    transport::{Limits, Transport, TransportError},
    uri::Uri,
};

/// How this server introduces itself.
pub(crate) const AGENT: &str = concat!("Rookery/", env!("CARGO_PKG_VERSION"));

/// Bodies above this many bytes are read as JSON on a thread for work that blocks.
const LARGE_BODY_BYTES: usize = 512 * 1024;

/// The most characters that are kept of another server's sentence.
const SENTENCE_CHARS_MAX: usize = 500;

/// Why another server gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It has a name with which it cannot be found.
    #[error("{0} cannot be the name of a server")]
    Name(OwnedServerName),
    /// There was no answer.
    #[error("{server} cannot be reached")]
    Transport {
        server: OwnedServerName,
        source: Box<TransportError>,
    },
    /// It has trouble, or too much to do. Later may do, or another server.
    #[error("{server} answered with the status {status}")]
    Status {
        server: OwnedServerName,
        status: u16,
        /// When to come back, if it says so.
        retry_after: Option<Duration>,
    },
    /// It refused, status 400 to 499.
    #[error("{server} refused with {status} {errcode}: {error}")]
    Refused {
        server: OwnedServerName,
        status: u16,
        errcode: String,
        error: String,
        body: Object,
    },
    /// The answer is not what the specification allows.
    #[error("{server} answered nonsense: {why}")]
    Invalid {
        server: OwnedServerName,
        why: String,
    },
    /// It could not be reached lately, and is not asked again so soon.
    #[error("{0} could not be reached, and is left alone for a while")]
    Resting(OwnedServerName),
    /// The operator does not want it.
    #[error("this server does not talk to {0}")]
    Denied(OwnedServerName),
    /// This server is going down.
    #[error("this server is stopping")]
    Stopping,
}

impl AskError {
    pub(crate) fn invalid(server: &ServerName, why: impl Into<String>) -> Self {
        Self::Invalid {
            server: server.to_owned(),
            why: why.into(),
        }
    }

    /// The error with all its causes, for logs.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// Why a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Somebody waits for it: it is asked whatever happened before.
    Wish,
    /// It can wait, or others can be asked: not while the server is left alone.
    Work,
    /// It brings a transaction: the queue knows when.
    Queue,
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// The body; `None` for none.
    pub(crate) content: Option<Value>,
    /// Questions about keys are not signed: whoever is asked may not have ours yet.
    pub(crate) signed: bool,
    pub(crate) occasion: Occasion,
    pub(crate) limits: Limits,
}

impl Ask {
    /// A signed `GET` that is answered soon.
    pub(crate) fn get(uri: Uri) -> Self {
        Self {
            method: Method::GET,
            uri,
            content: None,
            signed: true,
            occasion: Occasion::Wish,
            limits: Limits {
                time: Duration::from_secs(30),
                body_bytes_max: 32 * 1024 * 1024,
            },
        }
    }

    /// The same with a body.
    pub(crate) fn with(method: Method, uri: Uri, content: impl Into<Value>) -> Self {
        Self {
            method,
            content: Some(content.into()),
            ..Self::get(uri)
        }
    }

    /// Without a signature.
    #[must_use]
    pub(crate) fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// For another reason than that somebody waits for it.
    #[must_use]
    pub(crate) fn on(mut self, occasion: Occasion) -> Self {
        self.occasion = occasion;
        self
    }

    /// Within these limits.
    #[must_use]
    pub(crate) fn within(mut self, time: Duration, body_bytes_max: usize) -> Self {
        self.limits = Limits {
            time,
            body_bytes_max,
        };
        self
    }
}

/// Asks other servers.
pub(crate) struct Client {
    inner: Arc<Inner>,
    /// The main runtime. Connections outlive the request that made them, and so must not belong to the
    /// runtime of one actix worker.
    runtime: Handle,
}

struct Inner {
    transport: Arc<Transport>,
    discovery: Arc<Discovery>,
    key: Arc<ServerKey>,
    servers: Arc<Servers>,
    rest: Rest,
    answered: OnceLock<Answered>,
}

/// Hears which servers answer.
type Answered = Box<dyn Fn(&ServerName) + Send + Sync>;

impl Client {
    /// A client that signs with `key` and asks only `servers`. Connections live on `runtime`.
    pub(crate) fn new(
        transport: Arc<Transport>,
        discovery: Arc<Discovery>,
        key: Arc<ServerKey>,
        runtime: Handle,
        servers: Arc<Servers>,
    ) -> Self {
        let inner = Arc::new(Inner {
            transport,
            discovery,
            key,
            servers,
            rest: Rest::default(),
            answered: OnceLock::new(),
        });
        Self { inner, runtime }
    }

    /// From now on `answered` hears of each server that answers, whatever it answers, to anything but a transaction. Only
    /// the first call counts.
    pub(crate) fn tell_answers(&self, answered: impl Fn(&ServerName) + Send + Sync + 'static) {
        // A second one has no use.
        let _ = self.inner.answered.set(Box::new(answered));
    }

    /// Whether a server could not be reached lately and is left alone.
    pub(crate) fn is_resting(&self, server: &ServerName) -> bool {
        self.inner.rest.is_resting(server, Instant::now())
    }

    /// A server has spoken to us, and so may be back.
    pub(crate) fn heard_from(&self, server: &ServerName) {
        self.inner.rest.heard_from(server);
    }

    /// The answer of `server`, a JSON object.
    ///
    /// Dropping the future ends the request.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(crate) async fn ask(&self, server: &ServerName, ask: Ask) -> Result<Object, AskError> {
        let body = self.ask_raw(server, ask).await?;
        let invalid = |why: &str| AskError::invalid(server, why);
        let parse = move |body: Bytes| parse_object(&body, Strictness::Lenient);
        let parsed = if body.len() > LARGE_BODY_BYTES {
            let parsing = self.runtime.spawn_blocking(move || parse(body));
            parsing.await.map_err(|_| AskError::Stopping)?
        } else {
            parse(body)
        };
        parsed.map_err(|error| invalid(&error.to_string()))
    }

    /// The body of a good answer of `server`, as it came.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(crate) async fn ask_raw(&self, server: &ServerName, ask: Ask) -> Result<Bytes, AskError> {
        let (inner, server) = (self.inner.clone(), server.to_owned());
        let asking = self
            .runtime
            .spawn(async move { inner.ask(&server, ask).await });
        joined(asking).await.unwrap_or(Err(AskError::Stopping))
    }
}

impl Inner {
    async fn ask(&self, server: &ServerName, ask: Ask) -> Result<Bytes, AskError> {
        if !self.servers.allow(server) {
            return Err(AskError::Denied(server.to_owned()));
        }
        let (asked, occasion) = (Instant::now(), ask.occasion);
        if occasion == Occasion::Work && self.rest.is_resting(server, asked) {
            return Err(AskError::Resting(server.to_owned()));
        }
        let answer = self.send(server, ask, asked).await;
        match health(&answer) {
            Health::Well => {
                self.rest.answered(server);
                if let Some(answered) = self.answered.get().filter(|_| occasion != Occasion::Queue)
                {
                    answered(server);
                }
            }
            Health::Ill(wait) => self.rest.failed(server, asked, Instant::now(), wait),
            Health::Unknown => {}
        }
        answer
    }

    async fn send(&self, server: &ServerName, ask: Ask, asked: Instant) -> Result<Bytes, AskError> {
        let mut limits = ask.limits;
        let found = self.discovery.find(server, drop);
        let timeout = AskError::Transport {
            server: server.to_owned(),
            source: Box::new(TransportError::Timeout(limits.time)),
        };
        let Ok(target) = tokio::time::timeout(limits.time, found).await else {
            return Err(timeout);
        };
        let target = target.ok_or_else(|| AskError::Name(server.to_owned()))?;
        let request = self.request(server, &target.authority, ask)?;
        limits.time = limits.time.saturating_sub(asked.elapsed());
        let answer = self.transport.send(&target, request, limits).await;
        let answer = answer.map_err(|source| AskError::Transport {
            server: server.to_owned(),
            source: Box::new(source),
        })?;
        read(server, answer)
    }

    /// Server-server API, "Request Authentication": what is signed are the names before delegation.
    fn request(
        &self,
        server: &ServerName,
        authority: &str,
        ask: Ask,
    ) -> Result<Request<Full<Bytes>>, AskError> {
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(ask.uri.as_str())
            .header(HOST, authority)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json");
        if ask.signed {
            let signed = SignedRequest {
                method: ask.method.as_str(),
                uri: ask.uri.as_str(),
                origin: self.key.server(),
                destination: Some(server),
                content: ask.content.as_ref(),
            };
            request = request.header(AUTHORIZATION, signed.sign(&self.key).to_header());
        }
        let body = match &ask.content {
            Some(content) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(encode(content))
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body));
        request.map_err(|_| AskError::Name(server.to_owned()))
    }
}

/// What an answer says about its server.
#[derive(Debug, PartialEq, Eq)]
enum Health {
    /// It is there, whatever it answers.
    Well,
    /// It is not, or wants to be left alone for as long as it says.
    Ill(Option<Duration>),
    /// Nothing.
    Unknown,
}

fn health(answer: &Result<Bytes, AskError>) -> Health {
    match answer {
        Ok(_) | Err(AskError::Refused { .. } | AskError::Invalid { .. }) => Health::Well,
        Err(AskError::Transport { source, .. }) => match **source {
            // There was more of an answer than was wanted.
            TransportError::TooLarge(_) => Health::Unknown,
            _ => Health::Ill(None),
        },
        Err(AskError::Status {
            status: 429 | 502..=504,
            retry_after,
            ..
        }) => Health::Ill(*retry_after),
        // One question may be too much for it.
        Err(AskError::Status { .. }) => Health::Well,
        Err(
            AskError::Name(_) | AskError::Resting(_) | AskError::Denied(_) | AskError::Stopping,
        ) => Health::Unknown,
    }
}

/// The body of a good answer, or what the other kinds mean.
fn read(server: &ServerName, answer: Response<Bytes>) -> Result<Bytes, AskError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    if !status.is_client_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(AskError::Status {
            server: server.to_owned(),
            status: status.as_u16(),
            retry_after: retry_after(&answer),
        });
    }
    let body = parse_object(answer.body(), Strictness::Lenient).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    Err(AskError::Refused {
        server: server.to_owned(),
        status: status.as_u16(),
        errcode: text("errcode").unwrap_or("M_UNKNOWN").to_owned(),
        error: text("error")
            .unwrap_or("without a reason")
            .chars()
            .take(SENTENCE_CHARS_MAX)
            .collect(),
        body,
    })
}

/// When a server that has too much to do wants to be asked again: client-server API, "Rate limiting".
fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let header = answer.headers().get(RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    if let Some(seconds) = seconds {
        return Some(Duration::from_secs(seconds));
    }
    let body = parse_object(answer.body(), Strictness::Lenient).ok()?;
    let ms = body.get("retry_after_ms")?.as_i64()?;
    Some(Duration::from_millis(u64::try_from(ms).ok()?))
}

/// What a task of another runtime makes; `None` if that runtime stops. Dropping the future ends the task.
fn joined<T>(task: JoinHandle<T>) -> impl Future<Output = Option<T>> {
    struct Ends<T>(JoinHandle<T>);
    impl<T> Drop for Ends<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let mut task = Ends(task);
    async move { (&mut task.0).await.ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_too_much_to_do_says_when_to_come_back() {
        for (header, body, expected) in [
            (Some("7"), r#"{"retry_after_ms": 1}"#, Some(7_000)),
            (Some("soon"), r#"{"retry_after_ms": 1500}"#, Some(1_500)),
            (None, r#"{"retry_after_ms": -1}"#, None),
            (None, "<html>", None),
        ] {
            let mut answer = Response::builder().status(429);
            if let Some(header) = header {
                answer = answer.header(RETRY_AFTER, header);
            }
            let answer = answer.body(Bytes::from_static(body.as_bytes())).unwrap();
            let wait = retry_after(&answer).map(|wait| wait.as_millis());
            assert_eq!(wait, expected, "{header:?} {body}");
        }
    }

    #[test]
    fn only_who_cannot_answer_at_all_is_left_alone() {
        let server: OwnedServerName = "a.example".try_into().unwrap();
        let status = |status| AskError::Status {
            server: server.clone(),
            status,
            retry_after: Some(Duration::from_secs(7)),
        };
        let transport = |source| AskError::Transport {
            server: server.clone(),
            source: Box::new(source),
        };
        let wait = Some(Duration::from_secs(7));
        for (error, expected) in [
            (status(429), Health::Ill(wait)),
            (status(503), Health::Ill(wait)),
            (status(500), Health::Well),
            (AskError::invalid(&server, "why"), Health::Well),
            (
                transport(TransportError::Timeout(Duration::ZERO)),
                Health::Ill(None),
            ),
            (transport(TransportError::TooLarge(1)), Health::Unknown),
            (AskError::Resting(server.clone()), Health::Unknown),
        ] {
            let what = error.to_string();
            assert_eq!(health(&Err(error)), expected, "{what}");
        }
        assert_eq!(health(&Ok(Bytes::new())), Health::Well);
    }

    #[test]
    fn refusals_and_trouble_are_told_apart() {
        let server: OwnedServerName = "a.example".try_into().unwrap();
        let read = |status: u16, body: &'static str| {
            let answer = Response::builder().status(status);
            let answer = answer.body(Bytes::from_static(body.as_bytes())).unwrap();
            match read(&server, answer) {
                Ok(_) => "good".to_owned(),
                Err(AskError::Refused { errcode, error, .. }) => format!("{errcode} {error}"),
                Err(AskError::Status { status, .. }) => status.to_string(),
                Err(other) => other.to_string(),
            }
        };
        for (status, body, expected) in [
            (200, "{}", "good"),
            (
                403,
                r#"{"errcode":"M_FORBIDDEN","error":"no"}"#,
                "M_FORBIDDEN no",
            ),
            (404, "<html>", "M_UNKNOWN without a reason"),
            (429, "{}", "429"),
            (502, "<html>", "502"),
            (302, "", "302"),
        ] {
            assert_eq!(read(status, body), expected, "{status} {body}");
        }
    }
}
