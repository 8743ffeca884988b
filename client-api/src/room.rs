//! Rooms: one endpoint a file.

pub(crate) mod aliases;
pub(crate) mod ban_user;
pub(crate) mod content;
pub(crate) mod create_receipt;
pub(crate) mod create_room;
pub(crate) mod create_typing_event;
pub(crate) mod delay;
pub(crate) mod forget_room;
pub(crate) mod get_context;
pub(crate) mod get_event_by_timestamp;
pub(crate) mod get_hierarchy;
pub(crate) mod get_member_events;
pub(crate) mod get_message_events;
pub(crate) mod get_mutual_rooms;
pub(crate) mod get_relating_events;
pub(crate) mod get_room_event;
pub(crate) mod get_state_event_for_key;
pub(crate) mod get_state_events;
pub(crate) mod get_summary;
pub(crate) mod get_thread_roots;
pub(crate) mod invite_user;
pub(crate) mod join_room_by_id;
pub(crate) mod join_room_by_id_or_alias;
pub(crate) mod joined_members;
pub(crate) mod joined_rooms;
pub(crate) mod kick_user;
pub(crate) mod knock_room;
pub(crate) mod leave_room;
pub(crate) mod redact_event;
pub(crate) mod room_initial_sync;
pub(crate) mod send_message_event;
pub(crate) mod send_state_event;
pub(crate) mod set_read_marker;
pub(crate) mod thread_subscription;
pub(crate) mod thread_subscriptions;
pub(crate) mod unban_user;
pub(crate) mod upgrade_room;

use actix_web::{HttpRequest, web::Query};
use engine::RelationFilter;
use ruma::UInt;

use crate::error::ApiError;

/// The most events in one page; a larger wish is cut, not refused.
const LIMIT_MAX: u16 = 1000;

/// The size of a page as the engine takes it.
fn limit(wish: UInt) -> u16 {
    u16::try_from(wish).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
}

/// What the filter in the query says of relations.
///
/// # Errors
/// 400: it says something else than lists.
fn relation_filter(request: &HttpRequest) -> Result<RelationFilter, ApiError> {
    match written_filter(request) {
        Some(filter) => Ok(RelationFilter::parse(&filter)?),
        None => Ok(RelationFilter::default()),
    }
}

/// The filter in the query as it stands there, for keys that ruma does not read.
pub(crate) fn written_filter(request: &HttpRequest) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Asked {
        filter: Option<String>,
    }
    let asked = Query::<Asked>::from_query(request.query_string());
    asked.ok()?.into_inner().filter
}
