//! A client on our WebSocket (`spec/api/extensions/websocket.md`), as small as it can be: it acknowledges what it is pushed.

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::AUTHORIZATION;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Result;
use crate::person::{Person, escaped};
use crate::server::Server;

/// Bytes of a client's buffer: thousands of clients share the machine with the server.
const BUFFER: usize = 4 << 10;
/// The path of the endpoint.
const PATH: &str = "/_matrix/client/unstable/org.rookery.ws/stream";

/// An open socket.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a socket that is pushed what comes after `since`.
    pub(crate) async fn open(server: &Server, person: &Person, since: &str) -> Result<Self> {
        let address = server.address();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}{PATH}?since={}", escaped(since));
        let mut request = url.into_client_request()?;
        request
            .headers_mut()
            .insert(AUTHORIZATION, person.authorization().clone());
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0);
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self(stream))
    }

    /// The next push, a sync body.
    pub(crate) async fn push(&mut self) -> Result<Utf8Bytes> {
        loop {
            match self.0.next().await {
                Some(message) => {
                    if let Message::Text(text) = message? {
                        return Ok(text);
                    }
                }
                None => return Err("the server closed a socket".into()),
            }
        }
    }

    /// Says that everything up to `next_batch` has been processed.
    pub(crate) async fn acknowledge(&mut self, next_batch: &str) -> Result<()> {
        let frame = json!({ "method": "ack", "params": { "next_batch": next_batch } });
        self.0.send(Message::text(frame.to_string())).await?;
        Ok(())
    }
}
