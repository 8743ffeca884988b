//! `POST /_matrix/client/v4/sync`: sliding sync as MSC4186 has it.

use std::{collections::BTreeMap, time::Duration};

use actix_web::web;
use engine::{
    Engine,
    sync::sliding::{
        ExtensionsAsk, ListAsk, ListFilters, RequiredState, RoomConfig, Scope, SlidingAsk,
        StateElement, TIMELINE_MAX,
    },
};
use ruma::{OwnedRoomId, presence::PresenceState};
use serde::Deserialize;

use super::{Names, check, look, write};
use crate::{Shared, error::ApiError, extract::RawAuthed, reply::Written, sync::presence};

/// Opaque identifiers, of that length.
const NAMES: Names = Names {
    bytes_max: 255,
    opaque: true,
};

/// A request.
#[derive(Debug, Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    conn_id: String,
    pos: Option<String>,
    #[serde(default)]
    timeout: u64,
    #[serde(default)]
    set_presence: PresenceState,
    #[serde(default)]
    lists: BTreeMap<String, List>,
    #[serde(default)]
    room_subscriptions: BTreeMap<OwnedRoomId, Config>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Debug, Deserialize)]
struct List {
    range: Option<(u64, u64)>,
    #[serde(flatten)]
    config: Config,
    #[serde(default)]
    filters: Filters,
}

#[derive(Debug, Deserialize)]
struct Config {
    timeline_limit: u64,
    required_state: Required,
}

#[derive(Debug, Deserialize)]
struct Required {
    #[serde(default)]
    include: Vec<Element>,
    #[serde(default)]
    exclude: Vec<Element>,
    #[serde(default)]
    lazy_members: bool,
}

#[derive(Debug, Deserialize)]
struct Element {
    #[serde(rename = "type")]
    event_type: Option<String>,
    state_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Filters {
    is_dm: Option<bool>,
    spaces: Option<Vec<OwnedRoomId>>,
    is_encrypted: Option<bool>,
    is_invited: Option<bool>,
    room_types: Option<Vec<Option<String>>>,
    not_room_types: Option<Vec<Option<String>>>,
    tags: Option<Vec<String>>,
    not_tags: Option<Vec<String>>,
}

/// The extensions, which are the same in both dialects.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Extensions {
    #[serde(default)]
    account_data: Extension,
    #[serde(default)]
    receipts: Extension,
    #[serde(default)]
    typing: Extension,
    #[serde(default, rename = "io.element.msc4308.thread_subscriptions")]
    thread_subscriptions: ThreadSubscriptions,
}

#[derive(Debug, Default, Deserialize)]
struct ThreadSubscriptions {
    #[serde(default)]
    enabled: bool,
    limit: Option<u64>,
}

/// How many changes of threads a client gets that does not say: MSC4308.
const THREADS_DEFAULT: u64 = 100;

#[derive(Debug, Default, Deserialize)]
struct Extension {
    #[serde(default)]
    enabled: bool,
    lists: Option<Vec<String>>,
    rooms: Option<Vec<String>>,
}

/// Answers with what is new on a connection; waits for it where nothing is yet.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    RawAuthed {
        requester,
        ask: asked,
    }: RawAuthed,
) -> Result<Written, ApiError> {
    let ask = read(asked.json()?)?;
    // The body is a part of what the connection reads into, which would be kept while the client waits.
    drop(asked);
    let found = look(&shared, &engine, &requester, ask, write::current).await?;
    Ok(Written(found.json))
}

/// A request in the engine's form.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: too many rules, or a value that makes no sense.
pub(crate) fn read(body: Body) -> Result<SlidingAsk, ApiError> {
    let lists = body.lists.into_iter();
    let subscriptions = body.room_subscriptions.into_iter();
    let ask = SlidingAsk {
        conn_id: body.conn_id,
        pos: body.pos,
        timeout: Duration::from_millis(body.timeout),
        presence: presence(&body.set_presence)?,
        lists: lists.map(|(name, list)| (name, list.into())).collect(),
        places: false,
        subscriptions: subscriptions
            .map(|(room, config)| (room, config.into()))
            .collect(),
        extensions: body.extensions.into(),
    };
    check(&ask, &NAMES)?;
    Ok(ask)
}

impl From<List> for ListAsk {
    fn from(list: List) -> Self {
        let filters = list.filters;
        Self {
            ranges: list.range.map(|range| vec![range]),
            config: list.config.into(),
            filters: ListFilters {
                is_dm: filters.is_dm,
                spaces: filters.spaces,
                is_encrypted: filters.is_encrypted,
                is_invited: filters.is_invited,
                room_types: filters.room_types,
                not_room_types: filters.not_room_types,
                tags: filters.tags,
                not_tags: filters.not_tags,
                name_like: None,
            },
        }
    }
}

impl From<Config> for RoomConfig {
    fn from(config: Config) -> Self {
        let elements = |elements: Vec<Element>| {
            elements
                .into_iter()
                .map(|element| StateElement {
                    event_type: element.event_type,
                    state_key: element.state_key,
                })
                .collect()
        };
        let required = config.required_state;
        Self {
            timeline_limit: limit(config.timeline_limit),
            required_state: vec![RequiredState {
                include: elements(required.include),
                exclude: elements(required.exclude),
                lazy_members: required.lazy_members,
            }],
        }
    }
}

impl From<Extensions> for ExtensionsAsk {
    fn from(extensions: Extensions) -> Self {
        let threads = extensions.thread_subscriptions;
        Self {
            account_data: extensions.account_data.scope(),
            receipts: extensions.receipts.scope(),
            typing: extensions.typing.scope(),
            thread_subscriptions: threads
                .enabled
                .then_some(threads.limit.unwrap_or(THREADS_DEFAULT)),
        }
    }
}

impl Extension {
    fn scope(self) -> Option<Scope> {
        let rooms = self
            .rooms
            .filter(|rooms| !rooms.iter().any(|room| room == "*"));
        let rooms = rooms.map(|rooms| {
            let ids = rooms.iter().map(String::as_str);
            ids.filter_map(|id| OwnedRoomId::try_from(id).ok())
                .collect()
        });
        self.enabled.then_some(Scope {
            lists: self
                .lists
                .filter(|lists| !lists.iter().any(|list| list == "*")),
            rooms,
        })
    }
}

/// How many events a client gets that wants so many.
pub(super) fn limit(wanted: u64) -> usize {
    usize::try_from(wanted).map_or(TIMELINE_MAX, |wanted| wanted.min(TIMELINE_MAX))
}
