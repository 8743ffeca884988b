//! A client on the WebSocket of `spec/api/extensions/websocket.md`.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        handshake::client::Request,
        http::{HeaderValue, header::AUTHORIZATION},
    },
};

use crate::{api::Api, eventually::PATIENCE, server::Connection, sync::Sync};

/// The path of the endpoint.
pub const PATH: &str = "/_matrix/client/unstable/org.rookery.ws/stream";

/// How long a socket must be silent to be quiet.
const QUIET: Duration = Duration::from_millis(300);

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Pushes that came while something else was waited for.
    pushes: VecDeque<Sync>,
    /// Those of sliding sync.
    slides: VecDeque<Value>,
    answers: VecDeque<Value>,
    last_id: u32,
}

impl Socket {
    /// Opens a socket with the token in the header. `query` is what stands behind the `?`.
    ///
    /// # Errors
    /// The HTTP answer of a refused handshake: status and body.
    ///
    /// # Panics
    /// If there is no answer, or it is not as described.
    pub async fn open(
        connection: &Connection,
        token: &str,
        query: &str,
    ) -> Result<Self, (u16, Value)> {
        let mut request = request(connection, query);
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).expect("a token");
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Self::open_with(connection, request).await
    }

    /// Opens a socket as a page of `origin` does: with the token as a subprotocol.
    ///
    /// # Errors
    /// As [`Socket::open`].
    ///
    /// # Panics
    /// As [`Socket::open`].
    pub async fn open_from_page(
        connection: &Connection,
        encoded_token: &str,
        origin: &str,
    ) -> Result<Self, (u16, Value)> {
        let mut request = request(connection, "");
        let headers = request.headers_mut();
        let protocols = format!("m.json, m.bearer.{encoded_token}");
        let protocols = HeaderValue::try_from(protocols).expect("protocols");
        headers.insert("sec-websocket-protocol", protocols);
        headers.insert("origin", HeaderValue::try_from(origin).expect("an origin"));
        Self::open_with(connection, request).await
    }

    async fn open_with(connection: &Connection, request: Request) -> Result<Self, (u16, Value)> {
        let operation = Api::get()
            .find("GET", PATH)
            .expect("the endpoint is described");
        match connect_async(request).await {
            Ok((stream, response)) => {
                connection.coverage.record(operation, 101);
                let protocol = response.headers().get("sec-websocket-protocol");
                assert!(
                    protocol.is_none_or(|p| p == "m.json"),
                    "the token was echoed: {protocol:?}"
                );
                let (pushes, answers) = (VecDeque::new(), VecDeque::new());
                Ok(Self {
                    stream,
                    pushes,
                    slides: VecDeque::new(),
                    answers,
                    last_id: 0,
                })
            }
            Err(tungstenite::Error::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.body().clone().unwrap_or_default();
                connection.coverage.record(operation, status);
                Api::get()
                    .check(operation, status, "application/json", &body)
                    .unwrap_or_else(|complaint| {
                        panic!("refused, but not as described: {complaint}")
                    });
                Err((status, serde_json::from_slice(&body).unwrap_or_default()))
            }
            Err(error) => panic!("no answer to a handshake: {error}"),
        }
    }

    /// The next push, acknowledged.
    pub async fn push(&mut self) -> Sync {
        let push = self.push_unacknowledged().await;
        self.acknowledge(&push).await;
        push
    }

    async fn acknowledge(&mut self, push: &Sync) {
        self.send(&json!({"method": "ack", "params": {"next_batch": push.next_batch()}}))
            .await;
    }

    /// The next push.
    ///
    /// # Panics
    /// If none comes, or the socket closes.
    pub async fn push_unacknowledged(&mut self) -> Sync {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return push;
            }
            self.receive(PATIENCE)
                .await
                .unwrap_or_else(|code| panic!("closed with {code:?}"));
        }
    }

    /// The next push of sliding sync, acknowledged.
    ///
    /// # Panics
    /// If none comes, or the socket closes.
    pub async fn slide(&mut self) -> Value {
        loop {
            if let Some(slide) = self.slides.pop_front() {
                if let Some(pos) = slide["data"]["pos"].as_str() {
                    self.send(&json!({"method": "ack", "params": {"pos": pos}}))
                        .await;
                }
                return slide;
            }
            self.receive(PATIENCE)
                .await
                .unwrap_or_else(|code| panic!("closed with {code:?}"));
        }
    }

    /// The next push, acknowledged; `None` if nothing comes for a while.
    pub async fn pushed(&mut self) -> Option<Sync> {
        if self.pushes.is_empty() {
            let _ = self.receive(QUIET).await;
        }
        let push = self.pushes.pop_front()?;
        self.acknowledge(&push).await;
        Some(push)
    }

    /// The next push of sliding sync, acknowledged; `None` if none comes for a while.
    pub async fn slid(&mut self) -> Option<Value> {
        if self.slides.is_empty() {
            let _ = self.receive(QUIET).await;
        }
        match self.slides.is_empty() {
            true => None,
            false => Some(self.slide().await),
        }
    }

    /// Whether nothing is pushed for a while.
    pub async fn is_quiet(&mut self) -> bool {
        let _ = self.receive(QUIET).await;
        self.pushes.is_empty()
    }

    /// Reads pushes, acknowledging them, until one shows what is wanted.
    pub async fn pushes_until<T>(&mut self, mut wanted: impl FnMut(&Sync) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.push().await) {
                return found;
            }
        }
    }

    /// Asks for something and returns its `result`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn asks(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = format!("ask-{}", self.last_id);
        self.asks_as(&id, method, params)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Asks for something under an ID, and returns its `result` or `error`.
    ///
    /// # Errors
    /// Its refusal.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn asks_as(&mut self, id: &str, method: &str, params: Value) -> Result<Value, Value> {
        self.send(&json!({"id": id, "method": method, "params": params}))
            .await;
        let mut answer = self.answer().await;
        assert_eq!(answer["id"], id, "{answer}");
        match answer.get_mut("error").map(Value::take) {
            Some(error) => Err(error),
            None => Ok(answer["result"].take()),
        }
    }

    /// The next answer to a request.
    ///
    /// # Panics
    /// If none comes.
    pub async fn answer(&mut self) -> Value {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return answer;
            }
            self.receive(PATIENCE)
                .await
                .unwrap_or_else(|code| panic!("closed with {code:?}"));
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.send_message(Message::text(frame.to_string())).await;
    }

    /// Sends any frame.
    pub async fn send_message(&mut self, message: Message) {
        // A socket that the server has closed is noticed by reading from it.
        let _ = self.stream.send(message).await;
    }

    /// Reads on until the server closes, and returns its code; `None` if it just went away.
    ///
    /// # Panics
    /// If it does not close.
    pub async fn closes(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.receive(PATIENCE).await {
                return code;
            }
        }
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// The code with which the server closed.
    async fn receive(&mut self, patience: Duration) -> Result<(), Option<u16>> {
        let message = match timeout(patience, self.stream.next()).await {
            Err(_) if patience < PATIENCE => return Ok(()),
            Err(_) => panic!("nothing came over the socket"),
            Ok(None | Some(Err(_))) => return Err(None),
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Close(frame) => return Err(frame.map(|frame| frame.code.into())),
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                if frame.get("id").is_some() {
                    self.answers.push_back(frame);
                } else if frame["method"] == "sync" {
                    check_slide(&frame);
                    self.slides.push_back(frame);
                } else {
                    check_push(&text);
                    self.pushes.push_back(Sync(frame));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn request(connection: &Connection, query: &str) -> Request {
    let base = connection.base().replacen("http", "ws", 1);
    format!("{base}{PATH}?{query}")
        .into_client_request()
        .expect("a URL")
}

/// Holds a push of sliding sync against the description of its body.
fn check_slide(frame: &Value) {
    let Some(data) = frame.get("data") else {
        return;
    };
    let api = Api::get();
    let sync = api
        .find("POST", "/_matrix/client/v4/sync")
        .expect("sliding sync is described");
    api.check(sync, 200, "application/json", data.to_string().as_bytes())
        .unwrap_or_else(|complaint| panic!("a push is no answer: {complaint}\n{frame}"));
}

/// Holds a push against the description of a sync body.
fn check_push(text: &str) {
    let api = Api::get();
    let sync = api
        .find("GET", "/_matrix/client/v3/sync")
        .expect("sync is described");
    api.check(sync, 200, "application/json", text.as_bytes())
        .unwrap_or_else(|complaint| panic!("a push is no sync body: {complaint}\n{text}"));
}
