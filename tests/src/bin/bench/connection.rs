//! One kept-alive HTTP/1.1 connection: the cheapest client that a server cannot tell from a real one.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Result;

/// A connection to one server, for one request at a time.
///
/// A dropped request future leaves the connection unusable, as the answer is still on its way.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
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
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the connection; what went wrong is told to the request that was under way.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: HeaderValue::from_str(address)?,
        })
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
        self.sender.ready().await?;
        let response = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
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
