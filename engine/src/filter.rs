//! Filters: client-server API, "Filtering".
//!
//! A filter is kept as the client wrote it, keys that we do not know included. Its id is made from its content, so that
//! a client that uploads the same filter at each start gets the same id, and one row.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use quick_cache::sync::Cache;
use ruma::{OwnedUserId, RoomId, UserId, api::client::filter::FilterDefinition};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use storage::{Plain, entity, filters};

use crate::{Error, RelationFilter, Requester, Result, Subject, account::Accounts};

/// Length of a filter id: 96 bits of the hash, which only the filters of one user share.
const ID_BYTES: usize = 12;

/// How many filters are remembered, by who named them and by what they say. One that is not shared takes some 1.5 KiB, and
/// 10 KiB at the most.
const NAMED_MAX: usize = 10_000;
const PARSED_MAX: usize = 1_000;

/// The longest that is remembered, in bytes. Those of clients have some 200.
const REMEMBERED_BYTES_MAX: usize = 1_024;

/// A filter of sync, to filter with: client-server API, "Filtering". Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SyncFilter {
    /// What it says.
    pub definition: Arc<FilterDefinition>,
    /// What it says of relations in timelines.
    pub relations: RelationFilter,
}

/// The filters that were named lately: each sync names one, and nobody changes it. The same text is kept once, whoever
/// wrote it, since all who use a client use its filter.
pub(crate) struct Filters {
    named: Cache<(OwnedUserId, String), SyncFilter>,
    parsed: Cache<String, SyncFilter>,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            named: Cache::new(NAMED_MAX),
            parsed: Cache::new(PARSED_MAX),
        }
    }
}

impl Filters {
    /// What `json`, named by `name`, says.
    fn remember(&self, name: (OwnedUserId, String), json: String) -> Result<SyncFilter> {
        if json.len() > REMEMBERED_BYTES_MAX {
            return parse(&json);
        }
        let parsed = self.parsed.get_or_insert_with(&json, || parse(&json))?;
        self.named.insert(name, parsed.clone());
        Ok(parsed)
    }
}

impl Accounts {
    /// Stores a filter of `by`, and returns its id.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `user_id` is somebody else. [`Error::BadJson`]: it is no filter.
    pub async fn create_filter(
        &self,
        by: &Requester,
        user_id: &UserId,
        filter: &Value,
    ) -> Result<String> {
        check_own(by, user_id)?;
        check(filter)?;
        let json = filter.to_string();
        let id = URL_SAFE_NO_PAD.encode(&Sha256::digest(json.as_bytes())[..ID_BYTES]);
        let row = entity::filter::Model {
            user_id: user_id.to_string(),
            id: id.clone(),
            json,
        };
        self.write(vec![Plain::Filter(row)]).await?;
        Ok(id)
    }

    /// A filter of `by`, as it was uploaded.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `user_id` is somebody else. [`Error::NotFound`]: there is none with this id.
    pub async fn filter(&self, by: &Requester, user_id: &UserId, id: &str) -> Result<Value> {
        check_own(by, user_id)?;
        let json = filters::find(self.store().reader(), user_id, id).await?;
        let json = json.ok_or(Error::NotFound(Subject::Filter))?;
        serde_json::from_str(&json).map_err(damaged)
    }

    /// A filter of `by` to filter with. No query where it was named lately.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none with this id.
    pub async fn sync_filter(&self, by: &Requester, id: &str) -> Result<SyncFilter> {
        let name = (by.user_id.clone(), id.to_owned());
        if let Some(parsed) = self.filters().named.get(&name) {
            return Ok(parsed);
        }
        let json = filters::find(self.store().reader(), &by.user_id, id).await?;
        let json = json.ok_or(Error::NotFound(Subject::Filter))?;
        self.filters().remember(name, json)
    }
}

fn parse(json: &str) -> Result<SyncFilter> {
    Ok(SyncFilter {
        definition: serde_json::from_str(json).map_err(damaged)?,
        // Not all its keys were checked when it came.
        relations: RelationFilter::of_timeline(json).unwrap_or_default(),
    })
}

fn check_own(by: &Requester, user_id: &UserId) -> Result<()> {
    if by.user_id == user_id {
        Ok(())
    } else {
        Err(Error::Forbidden(
            "You can only use your own filters".to_owned(),
        ))
    }
}

fn damaged(error: serde_json::Error) -> Error {
    Error::Internal(format!("a stored filter is not readable: {error}"))
}

/// The largest number in JSON: appendices, "Canonical JSON".
const COUNT_MAX: u64 = spec::json::MAX_INTEGER.unsigned_abs();

/// What a value in a filter has to be.
#[derive(Clone, Copy)]
enum Shape {
    Flag,
    /// A number of events, above zero.
    Count,
    Strings,
    Users,
    Rooms,
    Format,
    /// The keys of an object, and what their values have to be. Other keys may have any value.
    Section(&'static [(&'static str, Shape)]),
}

const EVENTS: &[(&str, Shape)] = &[
    ("limit", Shape::Count),
    ("types", Shape::Strings),
    ("not_types", Shape::Strings),
    ("senders", Shape::Users),
    ("not_senders", Shape::Users),
];

const ROOM_EVENTS: &[(&str, Shape)] = &[
    ("limit", Shape::Count),
    ("types", Shape::Strings),
    ("not_types", Shape::Strings),
    ("senders", Shape::Users),
    ("not_senders", Shape::Users),
    ("rooms", Shape::Rooms),
    ("not_rooms", Shape::Rooms),
    ("contains_url", Shape::Flag),
    ("lazy_load_members", Shape::Flag),
    ("include_redundant_members", Shape::Flag),
    ("unread_thread_notifications", Shape::Flag),
    ("related_by_senders", Shape::Users),
    ("related_by_rel_types", Shape::Strings),
];

const ROOM: &[(&str, Shape)] = &[
    ("rooms", Shape::Rooms),
    ("not_rooms", Shape::Rooms),
    ("include_leave", Shape::Flag),
    ("account_data", Shape::Section(ROOM_EVENTS)),
    ("ephemeral", Shape::Section(ROOM_EVENTS)),
    ("state", Shape::Section(ROOM_EVENTS)),
    ("timeline", Shape::Section(ROOM_EVENTS)),
];

const FILTER: &[(&str, Shape)] = &[
    ("event_fields", Shape::Strings),
    ("event_format", Shape::Format),
    ("presence", Shape::Section(EVENTS)),
    ("account_data", Shape::Section(EVENTS)),
    ("room", Shape::Section(ROOM)),
];

/// # Errors
/// [`Error::BadJson`], naming the place.
fn check(filter: &Value) -> Result<()> {
    check_shape("The filter", filter, Shape::Section(FILTER))
}

fn check_shape(place: &str, value: &Value, shape: Shape) -> Result<()> {
    let fits = match shape {
        Shape::Flag => value.is_boolean(),
        Shape::Count => value
            .as_u64()
            .is_some_and(|count| count > 0 && count <= COUNT_MAX),
        Shape::Strings => all(value, |_| true),
        Shape::Users => all(value, |id| <&UserId>::try_from(id).is_ok()),
        Shape::Rooms => all(value, |id| <&RoomId>::try_from(id).is_ok()),
        Shape::Format => matches!(value.as_str(), Some("client" | "federation")),
        Shape::Section(keys) => match value.as_object() {
            Some(section) => return check_section(section, keys),
            None => false,
        },
    };
    if fits {
        return Ok(());
    }
    let wanted = match shape {
        Shape::Flag => "true or false",
        Shape::Count => "an integer above 0 and below 2^53",
        Shape::Strings => "a list of strings",
        Shape::Users => "a list of user IDs",
        Shape::Rooms => "a list of room IDs",
        Shape::Format => "\"client\" or \"federation\"",
        Shape::Section(_) => "an object",
    };
    Err(Error::BadJson(format!("{place} has to be {wanted}")))
}

fn check_section(section: &Map<String, Value>, keys: &[(&str, Shape)]) -> Result<()> {
    for (key, shape) in keys {
        if let Some(value) = section.get(*key) {
            check_shape(&format!("{key} in the filter"), value, *shape)?;
        }
    }
    Ok(())
}

fn all(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    value
        .as_array()
        .is_some_and(|list| list.iter().all(|item| item.as_str().is_some_and(&fits)))
}

#[cfg(test)]
mod tests {
    use ruma::api::client::filter::FilterDefinition;
    use serde_json::json;

    use super::check;
    use crate::Error;

    /// Behaviour FILT-01.
    #[test]
    fn filters_of_the_wrong_shape_are_refused() {
        for filter in [
            json!([]),
            json!({"presence": []}),
            json!({"room": "all"}),
            json!({"room": {"timeline": 1}}),
            json!({"room": {"rooms": "!a:b"}}),
            json!({"room": {"rooms": ["a"]}}),
            json!({"room": {"timeline": {"senders": ["alice"]}}}),
            json!({"room": {"timeline": {"types": {"m.room.message": true}}}}),
            json!({"room": {"timeline": {"types": [1]}}}),
            json!({"room": {"timeline": {"limit": 0}}}),
            json!({"room": {"timeline": {"limit": -1}}}),
            json!({"room": {"timeline": {"limit": "10"}}}),
            json!({"room": {"timeline": {"limit": 1.5}}}),
            json!({"room": {"timeline": {"limit": 9_007_199_254_740_992_u64}}}),
            json!({"room": {"state": {"lazy_load_members": "yes"}}}),
            json!({"event_fields": "type"}),
            json!({"event_format": "xml"}),
        ] {
            let refusal = check(&filter);
            assert!(matches!(refusal, Err(Error::BadJson(_))), "{filter}");
        }
    }

    /// What passes the check must be readable for sync, too.
    #[test]
    fn filters_of_the_right_shape_are_read() {
        for filter in [
            json!({}),
            json!({"org.example": 1, "room": {"org.example": {}}}),
            json!({
                "event_fields": ["type", "content.body"],
                "event_format": "client",
                "presence": {"types": ["*"], "senders": ["@alice:a"]},
                "room": {
                    "include_leave": true,
                    "rooms": ["!a:b", "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"],
                    "state": {"lazy_load_members": true, "include_redundant_members": false},
                    "timeline": {"limit": 9_007_199_254_740_991_u64, "contains_url": true, "related_by_rel_types": ["m.thread"]},
                },
            }),
        ] {
            check(&filter).unwrap();
            serde_json::from_value::<FilterDefinition>(filter).unwrap();
        }
    }
}
