//! `GET /_matrix/client/unstable/org.matrix.msc2108/sync/sse`: sync as a stream of server-sent events, MSC2108. For
//! clients behind a proxy that lets no WebSocket through.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web::{self, Bytes},
};
use engine::{Engine, SyncAsk};
use futures_util::{Stream, stream};

use super::{Asked, News, look, with_old_names};
use crate::{
    Shared,
    error::ApiError,
    extract,
    socket::{FULL_PAUSE, Place},
};

/// How long a look for news waits. Then a comment is sent, so that whoever stands between keeps the line open.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// A stream that goes on: what it has sent, and who hears it.
struct Feed {
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    token: String,
    ask: SyncAsk,
    /// Whether `state_after` is asked for by its old name.
    under_old_name: bool,
    /// Among those of the user.
    _place: Place,
    /// What was found before the stream began.
    first: Option<News>,
}

/// Answers with a stream of sync bodies, each with its `next_batch` as its ID. `Last-Event-ID` goes on where a stream
/// broke off.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    request: HttpRequest,
    asked: Asked,
) -> Result<HttpResponse, ApiError> {
    let token = extract::token(&request, shared.settings.token_in_query)?;
    let token = token.ok_or_else(ApiError::missing_token)?;
    let last = request.headers().get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()).map(str::to_owned);
    let Asked {
        requester,
        ask,
        under_old_name,
    } = asked;
    let ask = Arc::unwrap_or_clone(ask);
    let ask = SyncAsk {
        since: last.or(ask.since),
        timeout: Duration::ZERO,
        ..ask
    };
    let place = shared.sockets.stream(&requester.user_id);
    let place = place.ok_or_else(|| ApiError::limit_exceeded(FULL_PAUSE))?;
    // Before the stream begins, so that a bad token or filter is an HTTP error.
    let first = look(&shared, &engine, &requester, ask.clone()).await?;
    let feed = Feed {
        engine,
        shared,
        token,
        ask,
        under_old_name,
        _place: place,
        first: Some(first),
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Proxies that gather answers are asked not to, and what is compressed would be gathered here.
        .insert_header(("x-accel-buffering", "no"))
        .insert_header(("content-encoding", "identity"))
        .streaming(feed.stream()))
}

impl Feed {
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            let event = feed.next().await?;
            Some((Ok(event), feed))
        })
    }

    /// The next event or comment; `None` when the stream has to end: the server stops, or the token is no longer good.
    async fn next(&mut self) -> Option<Bytes> {
        let news = match self.first.take() {
            Some(first) => News {
                is_empty: false,
                ..first
            },
            None => {
                let requester = self.engine.authenticate(&self.token).await.ok()?;
                let ask = SyncAsk {
                    timeout: HEARTBEAT,
                    full_state: false,
                    ..self.ask.clone()
                };
                let news = tokio::select! {
                    news = look(&self.shared, &self.engine, &requester, ask) => news.ok()?,
                    () = self.shared.sockets.stopping() => return None,
                };
                // The token may have been revoked meanwhile.
                self.engine.authenticate(&self.token).await.ok()?;
                news
            }
        };
        self.ask.since = Some(news.next_batch.clone());
        if news.is_empty {
            return Some(Bytes::from_static(b":\n\n"));
        }
        let json = match self.under_old_name {
            true => with_old_names(&news.json).ok()?,
            false => news.json,
        };
        let mut event = format!("id: {}\nevent: sync\ndata: ", news.next_batch).into_bytes();
        event.extend_from_slice(&json);
        event.extend_from_slice(b"\n\n");
        Some(Bytes::from(event))
    }
}
