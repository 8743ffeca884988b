//! Profiles of users of other servers: server-server API, "Querying for information".

use std::sync::Arc;

use ruma::UserId;
use serde_json::Value;
use spec::json::{Object, encode_object};

use crate::{
    Error, Result, Subject,
    peers::PeerError,
    profile::{AVATAR_URL, DISPLAYNAME, Fields, PROFILE_BYTES_MAX},
    rooms::Rooms,
};

/// How long a profile is good, in milliseconds: a new name may be late by so much.
const LIFETIME_MS: i64 = 60_000;

impl Rooms {
    /// The profile of a user of another server, as that gave it in the last minute.
    ///
    /// # Errors
    /// [`Error::NotFound`]: that server knows no such user, or does not tell. [`Error::Unreachable`]: it gives no usable
    /// answer.
    pub(crate) async fn remote_profile(&self, user: &UserId) -> Result<Arc<Fields>> {
        let unknown = Error::NotFound(Subject::Profile);
        let profiles = &self.context.asked.profiles;
        let now_ms = self.context.clock.now_ms();
        if let Some(known) = profiles.get(&user.to_owned(), now_ms) {
            return known.ok_or(unknown);
        }
        let server = user.server_name();
        let unreachable = || Error::Unreachable(format!("{server} does not tell the profile"));
        let peers = self.context.peers.get().ok_or_else(unreachable)?;
        let (fields, bytes) = match peers.query_profile(server, user, None).await {
            Ok(answer) => {
                let (fields, bytes) = checked(&answer).ok_or_else(unreachable)?;
                (Some(Arc::new(fields)), bytes)
            }
            Err(PeerError::Refused {
                status: 403 | 404, ..
            }) => (None, 0),
            Err(error) => {
                tracing::info!(%user, error = &error as &dyn std::error::Error, "no profile");
                return Err(unreachable());
            }
        };
        profiles.put(user.to_owned(), fields.clone(), bytes, now_ms + LIFETIME_MS);
        fields.ok_or(unknown)
    }
}

/// The fields of an answer, without names and pictures that are no text, and its length; `None` for an answer that is too
/// large to be a profile.
fn checked(answer: &Object) -> Option<(Fields, usize)> {
    let text = encode_object(answer);
    if text.len() > PROFILE_BYTES_MAX {
        return None;
    }
    let mut fields: Fields = serde_json::from_str(&text).ok()?;
    fields.retain(|name, value| ![DISPLAYNAME, AVATAR_URL].contains(&&**name) || is_text(value));
    Some((fields, text.len()))
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::json::{Value, parse_object};

    use super::checked;

    #[test]
    fn what_cannot_be_a_profile_is_none() {
        let text =
            br#"{"displayname": 5, "avatar_url": "", "m.tz": "Europe/Berlin", "org.example": [1]}"#;
        let answer = parse_object(text, spec::json::Strictness::Lenient).unwrap();
        let (fields, _) = checked(&answer).unwrap();
        let expected = json!({"m.tz": "Europe/Berlin", "org.example": [1]});
        assert_eq!(serde_json::to_value(fields).unwrap(), expected);
        let mut large = answer;
        large.insert("org.large".to_owned(), Value::from("x".repeat(70_000)));
        assert!(checked(&large).is_none());
    }
}
