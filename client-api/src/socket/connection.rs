//! One open socket: pushes news, carries out requests, and knows when to stop.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web;
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, MessageStream,
    ProtocolError, Session,
};
use engine::{Engine, Requester, SyncAsk, sync::sliding::SlidingAsk};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::time::{interval, sleep_until, timeout};

use super::{
    frame::{self, Ask, Frame, Refusal},
    registry::Entry,
    request,
    slides::Slides,
    window::Window,
};
use crate::{
    Shared,
    error::ApiError,
    sync::{
        self, News,
        sliding::{self, Found},
        with_old_names,
    },
};

/// The largest frame of a client: an event of 65,536 bytes, written with escapes and what stands around it.
const FRAME_BYTES_MAX: usize = 128 * 1024;
/// How many requests may wait. Then nothing more is read, and the client's own buffers fill.
const WAITING_MAX: usize = 64;
/// How long a frame may take to leave.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// How long nothing at all may come: two pings without an answer, and some.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How often the token and the deadlines are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long one look for news waits for it; then it is asked for again.
const WAIT_FOR_NEWS: Duration = Duration::from_secs(30);

/// Why a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client went away, or said that it would.
    Gone,
    Binary,
    Broken,
    TooLarge,
    Failed,
    Restart,
    Replaced,
    Unread,
    Revoked,
}

impl End {
    /// Code and reason of the closing frame; none for a client that is gone.
    fn reason(self) -> Option<CloseReason> {
        let (code, description) = match self {
            Self::Gone => return None,
            Self::Binary => (1003, "frames are text"),
            Self::Broken => (1008, "the frame is broken"),
            Self::TooLarge => (1009, "the frame is too large"),
            Self::Failed => (1011, "the server failed"),
            Self::Restart => (1012, "the server restarts"),
            Self::Replaced => (4001, "replaced by a newer connection"),
            Self::Unread => (4002, "pushes are not read or acknowledged"),
            Self::Revoked => (4003, "the token is no longer valid"),
        };
        let description = Some(description.to_owned());
        Some(CloseReason {
            code: CloseCode::from(code),
            description,
        })
    }
}

/// What happened next.
enum Event {
    Message(Option<Result<AggregatedMessage, ProtocolError>>),
    Done(Option<String>, Result<Value, ApiError>),
    News(Result<News, ApiError>),
    Slid(String, Result<Found, ApiError>),
    PingDue,
    CheckDue,
}

/// A request that is being carried out, with the `id` to answer by.
type Work = LocalBoxFuture<'static, (Option<String>, Result<Value, ApiError>)>;
/// A look for news.
type Look = LocalBoxFuture<'static, Result<News, ApiError>>;

/// By which names state after the timeline is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// By that of the specification.
    Stable,
    /// By the one that it had before (MSC4222).
    Old,
}

/// Who opened a socket.
pub(super) struct Client {
    pub(super) requester: Requester,
    pub(super) token: String,
    pub(super) names: Names,
}

/// An open socket.
pub(super) struct Connection {
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    client: Client,
    /// What to ask for next: `since` is where the last push ended.
    ask: Arc<SyncAsk>,
    session: Session,
    stream: AggregatedMessageStream,
    window: Window,
    /// The connections of sliding sync.
    slides: Slides,
    /// Whether ordinary sync is pushed.
    plain: bool,
    waiting: VecDeque<Frame>,
    heard_at: Instant,
}

impl Connection {
    pub(super) fn new(
        engine: web::Data<Engine>,
        shared: web::Data<Shared>,
        client: Client,
        ask: SyncAsk,
        session: Session,
        stream: MessageStream,
    ) -> Self {
        Self {
            engine,
            shared,
            client,
            ask: Arc::new(SyncAsk {
                timeout: WAIT_FOR_NEWS,
                ..ask
            }),
            session,
            stream: stream
                .max_frame_size(FRAME_BYTES_MAX)
                .aggregate_continuations()
                .max_continuation_size(FRAME_BYTES_MAX),
            window: Window::default(),
            slides: Slides::default(),
            plain: true,
            waiting: VecDeque::new(),
            heard_at: Instant::now(),
        }
    }

    /// Runs until the socket closes.
    ///
    /// Here and below, what takes only a moment is on the heap for that: what thousands of sockets keep has to be small.
    pub(super) async fn run(mut self: Box<Self>, first: Option<News>, mut entry: Entry) {
        let shared = self.shared.clone();
        let served = tokio::select! {
            served = self.serve(first) => served,
            _ = &mut entry.replaced => Err(End::Replaced),
            () = shared.sockets.stopping() => Err(End::Restart),
        };
        let end = served.err().unwrap_or(End::Gone);
        tracing::debug!(user = %self.client.requester.user_id, ?end, "a socket closes");
        drop(entry);
        // A client that does not read does not read this either.
        let _ = timeout(WRITE_MAX, self.session.close(end.reason())).await;
    }

    async fn serve(&mut self, first: Option<News>) -> Result<(), End> {
        self.plain = first.is_some();
        if let Some(first) = first {
            // It comes in any case: it tells the client that it is up to date.
            let is_empty = false;
            Box::pin(self.push(News { is_empty, ..first })).await?;
        }
        let mut look: Option<Look> = None;
        let mut work: Option<Work> = None;
        let mut check = interval(CHECK_EVERY);
        let mut ping_at = next_ping();
        loop {
            if !self.plain {
                look = None;
            } else if look.is_none() && self.window.is_open() {
                look = Some(self.look());
            }
            if self.window.is_open() && !self.slides.is_empty() {
                self.slide();
            }
            if work.is_none() {
                work = self.waiting.pop_front().map(|frame| self.work(frame));
            }
            let event = tokio::select! {
                message = self.stream.recv(), if self.waiting.len() < WAITING_MAX => Event::Message(message),
                (id, result) = poll(&mut work) => Event::Done(id, result),
                news = poll(&mut look) => Event::News(news),
                (name, found) = self.slides.next(), if self.window.is_open() => Event::Slid(name, found),
                () = sleep_until(ping_at.into()) => Event::PingDue,
                _ = check.tick() => Event::CheckDue,
            };
            match event {
                Event::Message(message) => Box::pin(self.hear(message)).await?,
                Event::Done(id, result) => {
                    work = None;
                    Box::pin(self.answer(id.as_deref(), result)).await?;
                }
                Event::News(news) => {
                    look = None;
                    let news = news.map_err(|_| End::Failed)?;
                    self.check_token().await?;
                    Box::pin(self.push(news)).await?;
                }
                Event::Slid(name, found) => {
                    self.check_token().await?;
                    Box::pin(self.slid(&name, found)).await?;
                }
                Event::PingDue => {
                    ping_at = next_ping();
                    written(timeout(WRITE_MAX, self.session.ping(b"")).await)?;
                }
                Event::CheckDue => self.check().await?,
            }
        }
    }

    /// The next look for news, from where the last push ended.
    fn look(&self) -> Look {
        let (engine, requester) = (self.engine.clone(), self.client.requester.clone());
        let (shared, ask) = (self.shared.clone(), Arc::clone(&self.ask));
        async move { sync::look(&shared, &engine, &requester, ask).await }.boxed_local()
    }

    /// Has the connections of sliding sync look for news.
    fn slide(&mut self) {
        let (engine, requester) = (self.engine.clone(), self.client.requester.clone());
        let shared = self.shared.clone();
        let window = &self.window;
        let is_unacknowledged = |pos: &str| window.has(pos);
        self.slides.start(is_unacknowledged, |ask, waits| {
            let (engine, requester) = (engine.clone(), requester.clone());
            let shared = shared.clone();
            let timeout = if waits { WAIT_FOR_NEWS } else { Duration::ZERO };
            let ask = SlidingAsk { timeout, ..ask };
            async move { sliding::look_current(&shared, &engine, &requester, ask).await }
                .boxed_local()
        });
    }

    /// Sends what is new on a connection of sliding sync.
    async fn slid(&mut self, name: &str, found: Result<Found, ApiError>) -> Result<(), End> {
        match found {
            Ok(found) => {
                if !self.slides.found(name, &found) {
                    return Ok(());
                }
                self.window.push(&found.pos, Instant::now());
                self.write(frame::slide(name, &found.json)).await
            }
            Err(error) => {
                self.slides.end(name);
                self.write(frame::slide_failure(name, &error)).await
            }
        }
    }

    fn work(&self, Frame { id, ask }: Frame) -> Work {
        let (engine, shared) = (self.engine.clone(), self.shared.clone());
        let token = self.client.token.clone();
        async move {
            let result = request::perform(engine, shared, token, id.clone(), ask).await;
            (id, result)
        }
        .boxed_local()
    }

    /// Sends a sync body, if there is anything in it.
    async fn push(&mut self, news: News) -> Result<(), End> {
        Arc::make_mut(&mut self.ask).since = Some(news.next_batch.clone());
        if news.is_empty {
            return Ok(());
        }
        self.window.push(&news.next_batch, Instant::now());
        let json = match self.client.names {
            Names::Stable => news.json,
            Names::Old => with_old_names(&news.json).map_err(|_| End::Failed)?,
        };
        let body = String::from_utf8(json).map_err(|_| End::Failed)?;
        self.write(body).await
    }

    /// Takes in what the client sent.
    async fn hear(
        &mut self,
        message: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<(), End> {
        self.heard_at = Instant::now();
        match message {
            None | Some(Ok(AggregatedMessage::Close(_))) => Err(End::Gone),
            Some(Err(ProtocolError::Overflow)) => Err(End::TooLarge),
            // The limit of a frame in parts is reported as an I/O error.
            Some(Err(ProtocolError::Io(error))) if error.kind() == std::io::ErrorKind::Other => {
                Err(End::TooLarge)
            }
            Some(Err(ProtocolError::Io(_))) => Err(End::Gone),
            Some(Err(_)) => Err(End::Broken),
            Some(Ok(AggregatedMessage::Binary(_))) => Err(End::Binary),
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Ping(bytes))) => {
                written(timeout(WRITE_MAX, self.session.pong(&bytes)).await)
            }
            Some(Ok(AggregatedMessage::Text(text))) => self.take(&text).await,
        }
    }

    /// Answers at once what needs no engine, and lets the rest wait its turn.
    async fn take(&mut self, text: &str) -> Result<(), End> {
        match frame::parse(text) {
            Err(Refusal { id, error }) => self.write(frame::failure(id.as_deref(), &error)).await,
            Ok(Frame { id, ask: Ask::Ping }) => self.answer(id.as_deref(), Ok(json!({}))).await,
            Ok(Frame {
                id,
                ask: Ask::Ack(ack),
            }) => {
                let result = if self.window.acknowledge(&ack.next_batch) {
                    Ok(json!({}))
                } else {
                    Err(ApiError::invalid_param(
                        "No push with this \"next_batch\" waits for its acknowledgement",
                    ))
                };
                self.answer(id.as_deref(), result).await
            }
            Ok(Frame {
                id,
                ask: Ask::Sync(body),
            }) => {
                let asked = sliding::read(*body).and_then(|ask| self.slides.ask(ask));
                self.plain &= asked.is_err();
                self.answer(id.as_deref(), asked.map(|()| json!({}))).await
            }
            Ok(frame) => {
                self.waiting.push_back(frame);
                Ok(())
            }
        }
    }

    async fn answer(
        &mut self,
        id: Option<&str>,
        result: Result<Value, ApiError>,
    ) -> Result<(), End> {
        let Some(id) = id else { return Ok(()) };
        let frame = match &result {
            Ok(value) => frame::result(id, value),
            Err(error) => frame::failure(Some(id), error),
        };
        self.write(frame).await
    }

    async fn write(&mut self, text: String) -> Result<(), End> {
        written(timeout(WRITE_MAX, self.session.text(text)).await)
    }

    /// Ends the socket if the token is no longer good, or the client neither acknowledges nor gives a sign of life.
    async fn check(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now.duration_since(self.heard_at) > SILENCE_MAX
            || self
                .window
                .deadline()
                .is_some_and(|deadline| deadline < now)
        {
            return Err(End::Unread);
        }
        self.check_token().await
    }

    async fn check_token(&mut self) -> Result<(), End> {
        // On the heap for the time that it takes: thousands of sockets wait.
        let known = Box::pin(self.engine.authenticate(&self.client.token));
        self.client.requester = known.await.map_err(failed)?;
        Ok(())
    }
}

/// Polls what may not be there: then it never resolves.
async fn poll<T>(future: &mut Option<LocalBoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Some 22 seconds from now; not all sockets at the same time.
fn next_ping() -> Instant {
    Instant::now() + Duration::from_millis(rand::rng().random_range(20_000..25_000))
}

fn written<E, T>(written: Result<Result<(), E>, T>) -> Result<(), End> {
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Unread),
    }
}

/// What an error of the engine means for the socket.
fn failed(error: engine::Error) -> End {
    match error {
        engine::Error::UnknownToken { .. }
        | engine::Error::UserDeactivated
        | engine::Error::UserLocked => End::Revoked,
        error => {
            tracing::error!(%error, "a socket fails");
            End::Failed
        }
    }
}
