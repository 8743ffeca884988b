//! `POST /_matrix/client/v3/createRoom`: client-server API, "Creation".

use actix_web::web;
use engine::{CreateRoom, Engine, InitialState, Preset};
use ruma::{
    OwnedUserId,
    api::client::{
        membership::Invite3pid,
        room::{
            Visibility,
            create_room::v3::{Request, Response, RoomPreset},
        },
    },
};
use serde::Deserialize;
use serde_json::value::RawValue;
use spec::json::{Object, Value};

use super::{content::object, invite_user::third_party};
use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Reply,
};

/// The body. Not ruma's, which knows no room version that is not well-formed and so cannot refuse it by its own code.
#[derive(Deserialize)]
struct Body {
    creation_content: Option<Box<RawValue>>,
    #[serde(default)]
    initial_state: Vec<Box<RawValue>>,
    #[serde(default)]
    invite: Vec<OwnedUserId>,
    #[serde(default)]
    invite_3pid: Vec<Invite3pid>,
    #[serde(default)]
    is_direct: bool,
    name: Option<String>,
    power_level_content_override: Option<Box<RawValue>>,
    preset: Option<RoomPreset>,
    room_alias_name: Option<String>,
    room_version: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    visibility: Visibility,
}

/// Creates a room with all of its first state, and answers with its ID.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless {
        asked: RawAuthed { requester, ask },
        ..
    }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let room_id = engine.create_room(&requester, wish(ask.json()?)?).await?;
    Ok(Reply(Response::new(room_id)))
}

fn wish(body: Body) -> Result<CreateRoom, ApiError> {
    Ok(CreateRoom {
        room_version: body.room_version,
        preset: body.preset.map(preset).transpose()?,
        published: match body.visibility {
            Visibility::Public => true,
            Visibility::Private => false,
            other => return Err(unknown("visibility", other.as_str())),
        },
        alias_localpart: body.room_alias_name,
        name: body.name,
        topic: body.topic,
        invite: body.invite,
        invite_third_party: body.invite_3pid.into_iter().map(third_party).collect(),
        is_direct: body.is_direct,
        initial_state: body
            .initial_state
            .iter()
            .map(|state| initial_state(state))
            .collect::<Result<_, _>>()?,
        creation_content: optional(body.creation_content.as_deref())?,
        power_level_content_override: optional(body.power_level_content_override.as_deref())?,
    })
}

fn preset(preset: RoomPreset) -> Result<Preset, ApiError> {
    match preset {
        RoomPreset::PrivateChat => Ok(Preset::Private),
        RoomPreset::TrustedPrivateChat => Ok(Preset::TrustedPrivate),
        RoomPreset::PublicChat => Ok(Preset::Public),
        other => Err(unknown("preset", other.as_str())),
    }
}

fn unknown(name: &str, value: &str) -> ApiError {
    ApiError::bad_json(format!("\"{name}\" in the body cannot be \"{value}\""))
}

/// The object, or an empty one.
fn optional(raw: Option<&RawValue>) -> Result<Object, ApiError> {
    raw.map_or_else(|| Ok(Object::new()), |raw| object(raw.get()))
}

/// An entry of `initial_state`; other keys than these three are ignored.
fn initial_state(raw: &RawValue) -> Result<InitialState, ApiError> {
    let mut entry = object(raw.get())?;
    let content = match entry.remove("content") {
        Some(Value::Object(content)) => content,
        _ => return Err(misfit("content", "an object")),
    };
    let event_type = match entry.remove("type") {
        Some(Value::String(event_type)) => event_type,
        _ => return Err(misfit("type", "a string")),
    };
    let state_key = match entry.remove("state_key") {
        None => String::new(),
        Some(Value::String(state_key)) => state_key,
        Some(_) => return Err(misfit("state_key", "a string")),
    };
    Ok(InitialState {
        event_type,
        state_key,
        content,
    })
}

fn misfit(key: &str, kind: &str) -> ApiError {
    ApiError::bad_json(format!(
        "Each entry of \"initial_state\" needs {kind} as \"{key}\""
    ))
}
