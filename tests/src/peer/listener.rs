//! Where others ask: TLS, HTTP, and all the ways of answering badly.

use std::{collections::BTreeMap, convert::Infallible, io, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Peer;
use crate::federation::acceptor;

/// The pause between two bytes of [`Reply::Trickle`]: short enough that no timeout of a connection ends it.
const TRICKLE: Duration = Duration::from_millis(50);

/// What was asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// Its segments, unescaped.
    pub segments: Vec<String>,
    /// The query, unescaped.
    pub query: Vec<(String, String)>,
    /// The body; null where there is none.
    pub body: Value,
    /// The body as it came.
    pub raw: Vec<u8>,
    /// The `Authorization` header.
    pub authorization: String,
    /// All headers that are text, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The name that the connection was opened for (SNI), if it names one.
    pub sni: Option<String>,
}

/// An answer.
pub enum Reply {
    /// A status and a body.
    Json(u16, Value),
    /// A status and any bytes, which claim to be JSON.
    Bytes(u16, Vec<u8>),
    /// A status that sends elsewhere: to this address.
    Elsewhere(u16, String),
    /// The question is read, and nothing follows.
    Silence,
    /// 200, and then a space now and then, without an end.
    Trickle,
    /// 200, the first part, and then the second over and over, as fast as it is taken.
    Endless(Vec<u8>, Vec<u8>),
    /// The connection ends.
    HangUp,
}

impl Reply {
    /// 200 with this body.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }

    /// A refusal.
    #[must_use]
    pub fn refused(status: u16, errcode: &str) -> Self {
        Self::Json(
            status,
            json!({"errcode": errcode, "error": "The peer refuses"}),
        )
    }

    /// The body of a good answer, for scripts that change it.
    ///
    /// # Panics
    /// If it is no good answer.
    #[must_use]
    pub fn into_body(self) -> Value {
        match self {
            Self::Json(200, body) => body,
            Self::Json(status, body) => panic!("not a good answer: {status} {body}"),
            _ => panic!("no answer with a body"),
        }
    }
}

impl Ask {
    /// What is asked: the part of the path behind the version, such as `send_join`, `query/profile`; `key` for keys.
    #[must_use]
    pub fn operation(&self) -> &str {
        let at = |index: usize| self.segments.get(index).map_or("", String::as_str);
        match (at(1), at(3)) {
            ("key", _) => "key",
            (_, "query") => at(4),
            (_, operation) => operation,
        }
    }

    /// A segment behind the operation, counted from 0.
    #[must_use]
    pub fn argument(&self, index: usize) -> &str {
        self.segments.get(4 + index).map_or("", String::as_str)
    }

    /// A parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    async fn read(request: Request<Incoming>, sni: Option<String>) -> Self {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let header = head.headers.get("authorization");
        let header = header.and_then(|value| value.to_str().ok());
        let pairs = head.uri.query().unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        let path = head.uri.path();
        Self {
            sni,
            method: head.method.to_string(),
            path: path.to_owned(),
            segments: path.split('/').skip(1).map(unescape).collect(),
            query: pairs
                .map(|(name, value)| (unescape(name), unescape(value)))
                .collect(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            raw: body.to_vec(),
            authorization: header.unwrap_or_default().to_owned(),
            headers: head
                .headers
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.to_string(), value.to_str().ok()?.to_owned()))
                })
                .collect(),
        }
    }
}

/// A listener, and its port.
pub(super) async fn bind() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Answers for as long as the runtime of the test lives.
pub(super) fn serve(peer: Peer, listener: TcpListener, certificate: &Path, key: &Path) {
    let acceptor = acceptor(certificate, key);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(connection(peer.clone(), acceptor.clone(), tcp));
        }
    });
}

async fn connection(peer: Peer, acceptor: TlsAcceptor, tcp: TcpStream) {
    let Ok(tls) = acceptor.accept(tcp).await else {
        return;
    };
    let sni = tls.get_ref().1.server_name().map(str::to_owned);
    let service = service_fn(move |request| {
        let (peer, sni) = (peer.clone(), sni.clone());
        async move {
            let ask = Ask::read(request, sni).await;
            respond(peer.replies(ask)).await
        }
    });
    // It ends when the other side has enough.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(tls), service)
        .await;
}

type Body = BoxBody<Bytes, Infallible>;

async fn respond(reply: Reply) -> io::Result<Response<Body>> {
    let response = Response::builder().header("content-type", "application/json");
    let (status, body) = match reply {
        Reply::Json(status, body) => (status, Full::from(body.to_string()).boxed()),
        Reply::Bytes(status, body) => (status, Full::from(body).boxed()),
        Reply::Elsewhere(status, address) => {
            let response = response.status(status).header("location", address);
            let body = Full::from(Bytes::new()).boxed();
            return response.body(body).map_err(io::Error::other);
        }
        Reply::Silence => std::future::pending().await,
        Reply::Trickle => {
            let ticks = stream::unfold((), |()| async {
                tokio::time::sleep(TRICKLE).await;
                Some((Bytes::from_static(b" "), ()))
            });
            (200, flowing(ticks))
        }
        Reply::Endless(first, again) => {
            let first = stream::iter([Bytes::from(first)]);
            (
                200,
                flowing(first.chain(stream::repeat(Bytes::from(again)))),
            )
        }
        Reply::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let response = response.status(status).body(body);
    response.map_err(io::Error::other)
}

fn flowing(chunks: impl stream::Stream<Item = Bytes> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))))
}

/// What percent-encoding stands for.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
