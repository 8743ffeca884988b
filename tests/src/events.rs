//! A stream of server-sent events: MSC2108.

use std::time::Duration;

use tokio::time::timeout;

use crate::{server::Connection, sync::Sync};

/// Where it is.
pub const EVENTS: &str = "/_matrix/client/unstable/org.matrix.msc2108/sync/sse";

/// How long nothing comes before a stream counts as quiet.
const QUIET: Duration = Duration::from_millis(200);

/// A stream, read event by event.
pub struct Events {
    response: reqwest::Response,
    unread: String,
}

impl Events {
    /// Opens a stream; `query` without its question mark, `last`: the ID of the event to go on from.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open(
        connection: &Connection,
        token: &str,
        query: &str,
        last: Option<&str>,
    ) -> Self {
        let url = format!("{}{EVENTS}?{query}", connection.base());
        let mut request = connection.http().get(url).bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let unread = String::new();
        Self { response, unread }
    }

    /// ID and data of the next event.
    ///
    /// # Panics
    /// If the stream ends.
    pub async fn next(&mut self) -> (String, Sync) {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            assert!(self.reads().await, "the stream goes on");
        }
    }

    /// Data of the next event; `None` if none comes for a while.
    pub async fn told(&mut self) -> Option<Sync> {
        loop {
            if let Some((_, event)) = self.take() {
                return Some(event);
            }
            if !timeout(QUIET, self.reads()).await.ok()? {
                return None;
            }
        }
    }

    /// All that comes until the stream ends.
    pub async fn rest(mut self) -> String {
        while self.reads().await {}
        self.unread
    }

    /// An event that has come whole.
    fn take(&mut self) -> Option<(String, Sync)> {
        while let Some((event, rest)) = self.unread.split_once("\n\n") {
            let field = |name: &str| {
                let line = event.lines().find_map(|line| line.strip_prefix(name));
                line.map(|value| value.trim_start_matches(": ").to_owned())
            };
            let found = field("id").zip(field("data"));
            self.unread = rest.to_owned();
            if let Some((id, data)) = found {
                let data = serde_json::from_str(&data).expect("a sync body");
                return Some((id, Sync(data)));
            }
        }
        None
    }

    /// Reads on; `false` at the end.
    async fn reads(&mut self) -> bool {
        let chunk = self.response.chunk().await.expect("the stream");
        let Some(chunk) = chunk else {
            return false;
        };
        self.unread += std::str::from_utf8(&chunk).expect("text");
        true
    }
}
