//! Account data: client-server API, "Client config", and tags ("Room tagging"), which are account data too.

use ruma::{RoomId, UserId};
use serde_json::{Map, Value, json, value::RawValue};
use storage::{Logged, RoomRow, Write, account_data, write::NewAccountData};

use crate::{
    Error, Requester, Result, Subject,
    account::Accounts,
    push::rules::{self, PUSH_RULES},
};

/// The types that have endpoints of their own.
const NOT_HERE: [&str; 2] = ["m.fully_read", PUSH_RULES];
/// The longest type in bytes, as for events.
const TYPE_BYTES_MAX: usize = 255;
/// The longest name of a tag in bytes: "Room tagging".
const TAG_BYTES_MAX: usize = 255;
/// The type that holds the tags of a room.
const TAG: &str = "m.tag";
/// The type that lists the direct chats, by the person they are with.
const DIRECT: &str = "m.direct";

/// Which account data is meant.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whose.
    pub user_id: &'a UserId,
    /// For which room; `None` for all.
    pub room_id: Option<&'a RoomId>,
}

impl Accounts {
    /// The content of one type.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: it is somebody else's. [`Error::NotFound`]: there is none.
    pub async fn account_data(
        &self,
        by: &Requester,
        place: Place<'_>,
        event_type: &str,
    ) -> Result<Box<RawValue>> {
        check_own(by, place.user_id)?;
        if event_type == PUSH_RULES && place.room_id.is_none() {
            let rules = self.push_rules_of(place.user_id).await?;
            return RawValue::from_string(rules::content(&rules)?).map_err(damaged);
        }
        let missing = || Error::NotFound(Subject::AccountData);
        let db = self.store().reader();
        let room = match place.room_id {
            Some(room_id) => Some(
                account_data::room_row(db, room_id)
                    .await?
                    .ok_or_else(missing)?,
            ),
            None => None,
        };
        let json = account_data::find(db, place.user_id, room, event_type).await?;
        let json = json.filter(|json| !is_deleted(json));
        RawValue::from_string(json.ok_or_else(missing)?).map_err(damaged)
    }

    /// Takes one type away (MSC3391). The other sessions of the user see it empty once. It is not missed if it is not there.
    ///
    /// # Errors
    /// Those of [`set_account_data`](Self::set_account_data).
    pub async fn delete_account_data(
        &self,
        by: &Requester,
        place: Place<'_>,
        event_type: &str,
    ) -> Result<()> {
        if !NOT_HERE.contains(&event_type) {
            match self.account_data(by, place, event_type).await {
                Err(Error::NotFound(_)) => return Ok(()),
                found => drop(found?),
            }
        }
        let empty = RawValue::from_string("{}".to_owned()).map_err(damaged)?;
        self.set_account_data(by, place, event_type, &empty).await
    }

    /// Replaces the content of one type; an empty object takes it away. It reaches the other sessions of the user by sync.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: it is somebody else's. [`Error::MethodNotAllowed`]: the type has an endpoint of its own.
    /// [`Error::BadJson`]: the content is no object. [`Error::InvalidParam`]: an overlong type.
    /// [`Error::NotFound`]: the server does not know the room.
    pub async fn set_account_data(
        &self,
        by: &Requester,
        place: Place<'_>,
        event_type: &str,
        content: &RawValue,
    ) -> Result<()> {
        check_own(by, place.user_id)?;
        if NOT_HERE.contains(&event_type) {
            let sentence =
                format!("{event_type} has an endpoint of its own and cannot be set here");
            return Err(Error::MethodNotAllowed(sentence));
        }
        if event_type.len() > TYPE_BYTES_MAX {
            return Err(Error::InvalidParam(format!(
                "A type may have {TYPE_BYTES_MAX} bytes"
            )));
        }
        if !content.get().starts_with('{') {
            return Err(Error::BadJson(
                "Account data has to be a JSON object".to_owned(),
            ));
        }
        let room = self.known_room(place.room_id).await?;
        let _alone = self.alone(place.user_id).await;
        self.log_account_data(place.user_id, room, event_type, content.get())
            .await
    }

    /// The tags that `by` has given to a room, with what belongs to each.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: they are somebody else's.
    pub async fn tags(
        &self,
        by: &Requester,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Map<String, Value>> {
        check_own(by, user_id)?;
        let Some(room) = account_data::room_row(self.store().reader(), room_id).await? else {
            return Ok(Map::new());
        };
        self.tags_of(user_id, room).await
    }

    /// Tags a room; `info` is what belongs to the tag, such as its `order`. The tag is replaced if it is there.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the tags are somebody else's. [`Error::InvalidParam`]: an overlong name.
    /// [`Error::NotFound`]: the server does not know the room.
    pub async fn set_tag(
        &self,
        by: &Requester,
        place: (&UserId, &RoomId),
        tag: &str,
        info: Value,
    ) -> Result<()> {
        if tag.len() > TAG_BYTES_MAX {
            return Err(Error::InvalidParam(format!(
                "A tag may have {TAG_BYTES_MAX} bytes"
            )));
        }
        self.change_tags(by, place, |tags| {
            tags.insert(tag.to_owned(), info);
            true
        })
        .await
    }

    /// Takes a tag off a room. It is not missed if it is not there.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the tags are somebody else's. [`Error::NotFound`]: the server does not know the room.
    pub async fn delete_tag(
        &self,
        by: &Requester,
        place: (&UserId, &RoomId),
        tag: &str,
    ) -> Result<()> {
        self.change_tags(by, place, |tags| tags.remove(tag).is_some())
            .await
    }

    /// Reads the tags, has `change` change them, and writes them if it says that it did.
    async fn change_tags(
        &self,
        by: &Requester,
        (user_id, room_id): (&UserId, &RoomId),
        change: impl FnOnce(&mut Map<String, Value>) -> bool,
    ) -> Result<()> {
        check_own(by, user_id)?;
        let room = self.known_room(Some(room_id)).await?;
        let _alone = self.alone(user_id).await;
        let mut tags = match room {
            Some(room) => self.tags_of(user_id, room).await?,
            None => Map::new(),
        };
        if !change(&mut tags) {
            return Ok(());
        }
        let content = json!({ "tags": tags }).to_string();
        self.log_account_data(user_id, room, TAG, &content).await
    }

    async fn tags_of(&self, user_id: &UserId, room: RoomRow) -> Result<Map<String, Value>> {
        let json = account_data::find(self.store().reader(), user_id, Some(room), TAG).await?;
        let content: Value = match json {
            Some(json) => serde_json::from_str(&json).map_err(damaged)?,
            None => Value::Null,
        };
        // A client may have stored something else under this type.
        Ok(content
            .get("tags")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default())
    }

    /// Gives the new room the tags of the old one that it does not have, and makes it a direct chat with those with whom the
    /// old one was one. It may run twice.
    pub(crate) async fn carry_over(
        &self,
        user_id: &UserId,
        (old, old_id): (RoomRow, &RoomId),
        (new, new_id): (RoomRow, &RoomId),
    ) -> Result<()> {
        let _alone = self.alone(user_id).await;
        let former = self.tags_of(user_id, old).await?;
        if !former.is_empty() {
            let mut tags = self.tags_of(user_id, new).await?;
            let count = tags.len();
            for (tag, info) in former {
                tags.entry(tag).or_insert(info);
            }
            if tags.len() > count {
                let content = json!({ "tags": tags }).to_string();
                self.log_account_data(user_id, Some(new), TAG, &content)
                    .await?;
            }
        }
        let direct = account_data::find(self.store().reader(), user_id, None, DIRECT).await?;
        let direct = direct.and_then(|json| directly(&json, old_id, new_id));
        if let Some(content) = direct {
            self.log_account_data(user_id, None, DIRECT, &content)
                .await?;
        }
        let rules = account_data::find(self.store().reader(), user_id, None, PUSH_RULES).await?;
        match rules.and_then(|json| ruled_alike(&json, old_id, new_id)) {
            Some(content) => {
                self.log_account_data(user_id, None, PUSH_RULES, &content)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn known_room(&self, room_id: Option<&RoomId>) -> Result<Option<RoomRow>> {
        let Some(room_id) = room_id else {
            return Ok(None);
        };
        let row = account_data::room_row(self.store().reader(), room_id).await?;
        Ok(Some(row.ok_or(Error::NotFound(Subject::Room))?))
    }

    pub(crate) async fn log_account_data(
        &self,
        user_id: &UserId,
        room: Option<RoomRow>,
        event_type: &str,
        content: &str,
    ) -> Result<()> {
        let data = NewAccountData {
            user_id: user_id.to_owned(),
            room,
            event_type: event_type.to_owned(),
            content: content.to_owned(),
        };
        self.store()
            .write(Write::logged(Logged::AccountData(data)))
            .await?;
        Ok(())
    }
}

/// The list of direct chats with a new room wherever the old one stands. `None`: that changes nothing.
fn directly(json: &str, old: &RoomId, new: &RoomId) -> Option<String> {
    // A client may have stored something else under this type.
    let mut direct: Map<String, Value> = serde_json::from_str(json).ok()?;
    let mut changed = false;
    for rooms in direct.values_mut().filter_map(Value::as_array_mut) {
        let has = |room: &RoomId| {
            rooms
                .iter()
                .any(|listed| listed.as_str() == Some(room.as_str()))
        };
        if has(old) && !has(new) {
            rooms.push(new.as_str().into());
            changed = true;
        }
    }
    changed.then(|| Value::Object(direct).to_string())
}

/// Push rules with a copy for the new room of each rule for the old one, right behind that. `None`: there is none to copy.
fn ruled_alike(json: &str, old: &RoomId, new: &RoomId) -> Option<String> {
    let mut content: Value = serde_json::from_str(json).ok()?;
    let mut changed = false;
    for kind in ["override", "underride", "room"] {
        let rules = content
            .get_mut("global")
            .and_then(|rules| rules.get_mut(kind));
        let Some(rules) = rules.and_then(Value::as_array_mut) else {
            continue;
        };
        let copies: Vec<(usize, Value)> = rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, for_room(rule, old, new)?)))
            .filter(|(_, copy)| !rules.iter().any(|rule| rule["rule_id"] == copy["rule_id"]))
            .collect();
        changed |= !copies.is_empty();
        for (index, copy) in copies.into_iter().rev() {
            rules.insert(index + 1, copy);
        }
    }
    changed.then(|| content.to_string())
}

/// A rule as it is for another room; `None`: it is not for the old one.
fn for_room(rule: &Value, old: &RoomId, new: &RoomId) -> Option<Value> {
    let mut rule = rule.clone();
    let id = rule["rule_id"].as_str()?;
    // Other rules that happen to name the room in a condition could not have an id of their own.
    let copied = id.replace(old.as_str(), new.as_str());
    if copied == id {
        return None;
    }
    rule["rule_id"] = copied.into();
    let conditions = rule.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if condition["key"] == "room_id" && condition["pattern"] == old.as_str() {
            condition["pattern"] = new.as_str().into();
        }
    }
    Some(rule)
}

/// Whether stored data is none any more: it was replaced by an empty object (MSC3391).
pub(crate) fn is_deleted(json: &str) -> bool {
    let inner = json.trim().strip_prefix('{');
    inner.is_some_and(|inner| inner.trim_start() == "}")
}

fn check_own(by: &Requester, user_id: &UserId) -> Result<()> {
    if by.user_id == user_id {
        Ok(())
    } else {
        Err(Error::Forbidden(
            "You can only use your own account data".to_owned(),
        ))
    }
}

fn damaged(error: serde_json::Error) -> Error {
    Error::Internal(format!("stored account data is not readable: {error}"))
}

#[cfg(test)]
mod tests {
    use ruma::room_id;
    use serde_json::{Value, json};

    use super::{is_deleted, ruled_alike};

    /// PUSH-09: a room that is muted stays so when it is replaced.
    #[test]
    fn push_rules_follow_a_room() {
        let (old, new) = (room_id!("!old:a"), room_id!("!new:a"));
        let mute = |room: &str| {
            json!({"rule_id": room, "actions": [], "enabled": true, "default": false,
            "conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}]})
        };
        let simple = |room: &str| json!({"rule_id": room, "actions": ["notify"], "enabled": true, "default": false});
        let rules = json!({"global": {
            "override": [{"rule_id": ".m.rule.master", "conditions": []}, mute("!old:a"), mute("!x:a")],
            "room": [simple("!old:a")],
        }});
        let copied = ruled_alike(&rules.to_string(), old, new).expect("two to copy");
        let copied: Value = serde_json::from_str(&copied).expect("JSON");
        assert_eq!(copied["global"]["override"][2], mute("!new:a"));
        assert_eq!(
            copied["global"]["override"].as_array().map(Vec::len),
            Some(4)
        );
        assert_eq!(
            copied["global"]["room"],
            json!([simple("!old:a"), simple("!new:a")])
        );
        assert_eq!(ruled_alike(&copied.to_string(), old, new), None, "once");
        assert_eq!(ruled_alike("{}", old, new), None);
    }

    #[test]
    fn an_empty_object_is_no_data() {
        assert!(is_deleted("{}") && is_deleted(" { } "));
        assert!(!is_deleted(r#"{"a":{}}"#) && !is_deleted("{ {}"));
    }
}
