//! `GET /_matrix/client/v3/sync`: client-server API, "Syncing".

pub(crate) mod events;
pub(crate) mod sliding;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use engine::{Engine, PresenceState, RelationFilter, Requester, SyncAsk, SyncFilter};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use ruma::api::{
    OutgoingResponseExt as _,
    client::{
        filter::FilterDefinition,
        sync::sync_events::v3::{Filter, Request, Response, State},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Shared,
    error::ApiError,
    extract::{self, Authed},
    reply::Written,
    room::written_filter,
};

/// Answers with what is new since a token; waits for it where nothing is yet.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    asked: Asked,
) -> Result<Written, ApiError> {
    let Asked {
        requester,
        ask,
        under_old_name,
    } = asked;
    let news = tokio::select! {
        news = look(&shared, &engine, &requester, Arc::clone(&ask)) => news?,
        // A server that stops lets nobody wait: they come back to the next one.
        () = shared.sockets.stopping() => {
            look(&shared, &engine, &requester, at_once(&ask)).await?
        }
    };
    if under_old_name {
        let renamed = with_old_names(&news.json);
        return Ok(Written(
            renamed.map_err(|cause| ApiError::internal(&cause))?,
        ));
    }
    Ok(Written(news.json))
}

/// A request to sync.
pub(crate) struct Asked {
    requester: Requester,
    ask: Arc<SyncAsk>,
    /// Whether `state_after` is asked for by its old name.
    under_old_name: bool,
}

impl FromRequest for Asked {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let asked = Authed::from_request(request, payload);
        let request = request.clone();
        async move { read(&request, asked.await?).await }.boxed_local()
    }
}

async fn read(
    request: &HttpRequest,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Asked, ApiError> {
    let under_old_name = !body.use_state_after && wants_state_after(request)?;
    let presence = presence(&body.set_presence)?;
    let timeout_max = extract::shared(request)?.settings.sync_timeout_ms_max;
    let engine = extract::engine(request)?;
    let filter = filter(engine, &requester, request, body.filter).await?;
    let ask = SyncAsk {
        since: body.since,
        filter: filter.definition,
        relations: filter.relations,
        timeout: body
            .timeout
            .unwrap_or_default()
            .min(Duration::from_millis(timeout_max)),
        full_state: body.full_state,
        use_state_after: body.use_state_after || under_old_name,
        presence,
    };
    Ok(Asked {
        requester,
        ask: Arc::new(ask),
        under_old_name,
    })
}

/// The same without waiting.
fn at_once(ask: &SyncAsk) -> Arc<SyncAsk> {
    Arc::new(SyncAsk {
        timeout: Duration::ZERO,
        ..ask.clone()
    })
}

/// Whether the query asks for `state_after` by the name that it had before it was specified (MSC4222).
///
/// # Errors
/// 400 `M_INVALID_PARAM`: neither true nor false.
fn wants_state_after(request: &HttpRequest) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default, rename = "org.matrix.msc4222.use_state_after")]
        use_state_after: bool,
    }
    let query = web::Query::<Query>::from_query(request.query_string());
    let query = query.map_err(|error| {
        ApiError::invalid_param(format!("A query parameter does not fit: {error}"))
    })?;
    Ok(query.use_state_after)
}

/// `state_after` under the name that it had before it was specified.
pub(crate) fn with_old_names(json: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(json)?;
    for kind in ["/rooms/join", "/rooms/leave"] {
        let rooms = body.pointer_mut(kind).and_then(Value::as_object_mut);
        let rooms = rooms.into_iter().flat_map(|rooms| rooms.values_mut());
        for room in rooms.filter_map(Value::as_object_mut) {
            if let Some(state) = room.remove("state_after") {
                room.insert("org.matrix.msc4222.state_after".to_owned(), state);
            }
        }
    }
    serde_json::to_vec(&body)
}

/// What a client says that its user is while it syncs.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: nothing that a client may say here.
pub(crate) fn presence(said: &ruma::presence::PresenceState) -> Result<PresenceState, ApiError> {
    PresenceState::parse(said.as_str()).ok_or_else(|| {
        ApiError::invalid_param("\"set_presence\" is \"online\", \"unavailable\" or \"offline\"")
    })
}

/// What a look for news found.
pub(crate) struct News {
    /// The sync body.
    pub(crate) json: Vec<u8>,
    /// Where it ends.
    pub(crate) next_batch: String,
    /// Whether there is nothing in it.
    pub(crate) is_empty: bool,
}

/// Looks for news, and waits for them as long as `ask` says. The body is built and written on the main runtime.
///
/// # Errors
/// Those of [`Engine::sync`].
pub(crate) async fn look(
    shared: &Shared,
    engine: &web::Data<Engine>,
    requester: &Requester,
    ask: impl Into<Arc<SyncAsk>>,
) -> Result<News, ApiError> {
    let (engine, requester, ask) = (engine.clone(), requester.clone(), ask.into());
    let looking = async move {
        let response = engine.sync(&requester, &ask).await?;
        Ok(News {
            next_batch: response.next_batch.clone(),
            is_empty: is_empty(&response),
            json: write(response)?,
        })
    };
    shared.main.run(looking).await?
}

/// The body as JSON.
fn write(response: Response) -> Result<Vec<u8>, ApiError> {
    let stateless_leaves = (response.rooms.leave.values())
        .any(|room| matches!(&room.state, State::Before(state) if state.is_empty()));
    let json = response
        .try_into_http_response::<Vec<u8>>()
        .map_err(|cause| ApiError::internal(&cause))?
        .into_body();
    if stateless_leaves {
        return with_states_of_left_rooms(&json).map_err(|cause| ApiError::internal(&cause));
    }
    Ok(json)
}

/// Adds the empty `state` of left rooms, which ruma leaves out: the specification does not require it, but matrix-nio
/// drops the whole sync without it.
fn with_states_of_left_rooms(json: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(json)?;
    let rooms = body
        .pointer_mut("/rooms/leave")
        .and_then(Value::as_object_mut);
    for room in rooms
        .into_iter()
        .flat_map(|rooms| rooms.values_mut())
        .filter_map(Value::as_object_mut)
    {
        if !room.contains_key("state_after") {
            room.entry("state")
                .or_insert_with(|| json!({ "events": [] }));
        }
    }
    serde_json::to_vec(&body)
}

/// The filter of clients that name none: one for all of them.
static EVERYTHING: LazyLock<Arc<FilterDefinition>> = LazyLock::new(Arc::default);

/// The filter that a client named or wrote out, and what it says of relations in timelines.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: the user has no such filter.
pub(crate) async fn filter(
    engine: &Engine,
    requester: &Requester,
    request: &HttpRequest,
    filter: Option<Filter>,
) -> Result<SyncFilter, ApiError> {
    match filter {
        None => Ok(SyncFilter {
            definition: Arc::clone(&EVERYTHING),
            relations: RelationFilter::default(),
        }),
        Some(Filter::FilterDefinition(filter)) => {
            let written = written_filter(request);
            let relations = written.map(|written| RelationFilter::of_timeline(&written));
            Ok(SyncFilter {
                definition: Arc::new(filter),
                relations: relations.transpose()?.unwrap_or_default(),
            })
        }
        // What begins with a brace was meant to be a filter.
        Some(Filter::FilterId(id)) if id.starts_with('{') => {
            Err(match serde_json::from_str::<serde::de::IgnoredAny>(&id) {
                Err(error) => ApiError::not_json(format!("The filter is no JSON: {error}")),
                Ok(_) => ApiError::bad_json("The filter has values of the wrong kind"),
            })
        }
        Some(Filter::FilterId(id)) => match engine.accounts().sync_filter(requester, &id).await {
            Err(engine::Error::NotFound(_)) => Err(ApiError::invalid_param(format!(
                "You have no filter with the ID \"{id}\""
            ))),
            found => Ok(found?),
        },
        Some(_) => Err(ApiError::invalid_param(
            "The filter is neither an ID nor a filter",
        )),
    }
}

/// Whether a body brings no news.
fn is_empty(body: &Response) -> bool {
    body.rooms.is_empty()
        && body.presence.is_empty()
        && body.account_data.is_empty()
        && body.to_device.is_empty()
        && body.device_lists.is_empty()
}
