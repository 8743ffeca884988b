//! One kept-alive HTTP/1.1 connection: the cheapest client that a server cannot tell from a real one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Result;

/// How long a connection may be silent. Servers close it at some time, and it may be while the next request is under way.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A connection to one server, for one request at a time.
///
/// A dropped request future leaves the connection unusable, as the answer is still on its way.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    used: Instant,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Connects to `address`, a `host:port`.
    pub(crate) async fn open(address: &str) -> Result<Self> {
        Ok(Self {
            sender: connect(address).await?,
            host: HeaderValue::from_str(address)?,
            used: Instant::now(),
        })
    }

    /// The text that a path answers to anybody.
    pub(crate) async fn text(mut self, path: &str) -> Result<String> {
        let answer = self.request(Method::GET, path, None, "").await?;
        Ok(String::from_utf8(answer.success(path)?.to_vec())?)
    }

    /// Sends one request and reads the whole answer, whatever its status.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&HeaderValue>,
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let body: Bytes = body.into();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if self.sender.is_closed() || self.used.elapsed() > SILENCE_MAX {
            self.sender = connect(self.host.to_str()?).await?;
        }
        self.sender.ready().await?;
        let response = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.used = Instant::now();
        Ok(Answer { status, body })
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the connection; what went wrong is told to the request that was under way.
    tokio::spawn(connection);
    Ok(sender)
}

impl Answer {
    /// The body of a success; anything else is an error with the server's words.
    pub(crate) fn success(self, what: &str) -> Result<Bytes> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let words = String::from_utf8_lossy(&self.body);
        Err(format!("{what}: {} {words}", self.status).into())
    }
}
