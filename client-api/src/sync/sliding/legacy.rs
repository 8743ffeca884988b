//! `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`: sliding sync as clients speak it since 2024.

use std::{collections::BTreeMap, time::Duration};

use actix_web::web;
use engine::{
    Engine, Requester,
    sync::sliding::{ListAsk, ListFilters, RequiredState, RoomConfig, SlidingAsk, StateElement},
};
use ruma::{OwnedRoomId, presence::PresenceState};
use serde::Deserialize;

use super::{
    Names, check,
    current::{Extensions, limit},
    look, write,
};
use crate::{Shared, error::ApiError, extract::RawAuthed, reply::Written, sync::presence};

const NAMES: Names = Names {
    bytes_max: 64,
    opaque: false,
};

#[derive(Deserialize)]
struct Query {
    pos: Option<String>,
    #[serde(default)]
    timeout: u64,
    #[serde(default)]
    set_presence: PresenceState,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    conn_id: String,
    #[serde(default)]
    lists: BTreeMap<String, List>,
    #[serde(default)]
    room_subscriptions: BTreeMap<OwnedRoomId, Config>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize)]
struct List {
    ranges: Option<Vec<(u64, u64)>>,
    #[serde(flatten)]
    config: Config,
    #[serde(default)]
    filters: Option<Filters>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    timeline_limit: u64,
    #[serde(default)]
    required_state: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
struct Filters {
    is_dm: Option<bool>,
    spaces: Option<Vec<OwnedRoomId>>,
    is_encrypted: Option<bool>,
    is_invite: Option<bool>,
    room_types: Option<Vec<Option<String>>>,
    not_room_types: Option<Vec<Option<String>>>,
    room_name_like: Option<String>,
    tags: Option<Vec<String>>,
    not_tags: Option<Vec<String>>,
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
    let ask = read(&requester, asked.query()?, asked.json()?)?;
    // The body is a part of what the connection reads into, which would be kept while the client waits.
    drop(asked);
    let found = look(&shared, &engine, &requester, ask, write::legacy).await?;
    Ok(Written(found.json))
}

fn read(requester: &Requester, query: Query, body: Body) -> Result<SlidingAsk, ApiError> {
    let me = requester.user_id.as_str();
    let subscriptions = body.room_subscriptions.into_iter();
    let ask = SlidingAsk {
        conn_id: body.conn_id,
        pos: query.pos,
        timeout: Duration::from_millis(query.timeout),
        presence: presence(&query.set_presence)?,
        lists: body
            .lists
            .into_iter()
            .map(|(name, list)| (name, list.read(me)))
            .collect(),
        places: true,
        subscriptions: subscriptions
            .map(|(room, config)| (room, config.read(me)))
            .collect(),
        extensions: body.extensions.into(),
    };
    check(&ask, &NAMES)?;
    Ok(ask)
}

impl List {
    fn read(self, me: &str) -> ListAsk {
        let filters = self.filters.unwrap_or_default();
        // Clients that write their types down send empty lists for what they do not ask for.
        let said = |types: Option<Vec<_>>| types.filter(|types| !types.is_empty());
        ListAsk {
            ranges: self.ranges,
            config: self.config.read(me),
            filters: ListFilters {
                is_dm: filters.is_dm,
                spaces: filters.spaces,
                is_encrypted: filters.is_encrypted,
                is_invited: filters.is_invite,
                room_types: said(filters.room_types),
                not_room_types: filters.not_room_types,
                tags: filters.tags,
                not_tags: filters.not_tags,
                name_like: filters.room_name_like,
            },
        }
    }
}

impl Config {
    fn read(self, me: &str) -> RoomConfig {
        const MEMBER: &str = "m.room.member";
        let mut required = RequiredState::default();
        for (event_type, state_key) in self.required_state {
            if event_type == MEMBER && state_key == "$LAZY" {
                required.lazy_members = true;
                continue;
            }
            let state_key = if state_key == "$ME" {
                me.to_owned()
            } else {
                state_key
            };
            let unless_any = |text: String| (text != "*").then_some(text);
            required.include.push(StateElement {
                event_type: unless_any(event_type),
                state_key: unless_any(state_key),
            });
        }
        RoomConfig {
            timeline_limit: limit(self.timeline_limit),
            required_state: vec![required],
        }
    }
}
