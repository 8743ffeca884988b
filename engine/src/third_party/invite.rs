//! Inviting an address: identity service API, "Association lookup" and "Invitation storage".

use std::fmt;

use ruma::{OwnedServerName, OwnedUserId, UserId};
use spec::{
    hash,
    json::{Object, Value},
    object,
    sign::PublicKey,
};

use super::{
    THIRD_PARTY_INVITE,
    identity::{Identity, IdentityError},
};
use crate::{
    Error, Requester, Result, SetState,
    room::{Room, membership::Target},
    rooms::RoomHandle,
};

/// How many addresses one new room may invite.
pub(crate) const ADDRESSES_MAX: usize = 20;
/// The longest address, in bytes: RFC 3696 has 254 for an e-mail address.
const ADDRESS_BYTES_MAX: usize = 320;
/// The longest access token for an identity server, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;
/// How many keys of an identity server go into the room. They give two: their own, and one for this invite.
const KEYS_MAX: usize = 8;
/// The longest URL at which a key can be checked, in bytes.
const URL_BYTES_MAX: usize = 1024;
/// The longest name for somebody who is known by an address only, in characters.
const DISPLAY_NAME_CHARS_MAX: usize = 255;
/// The longest token of an invite, in bytes: identity service API, "Invitation storage".
const INVITE_TOKEN_BYTES_MAX: usize = 255;

/// Somebody who is known by an address only.
#[derive(Clone)]
pub struct ThirdParty {
    /// The identity server that may know them.
    pub id_server: String,
    /// The inviter's access token there.
    pub id_access_token: String,
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address.
    pub address: String,
}

impl fmt::Debug for ThirdParty {
    /// Without what is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThirdParty")
            .field("id_server", &self.id_server)
            .field("medium", &self.medium)
            .finish_non_exhaustive()
    }
}

/// The same, with nothing in it that makes no sense, and an identity server that is trusted.
struct Checked {
    server: OwnedServerName,
    token: String,
    medium: String,
    address: String,
}

/// Whether the addresses that a new room invites could be invited at all.
///
/// # Errors
/// [`Error::Forbidden`]: this server uses no identity server. [`Error::ServerNotTrusted`], [`Error::InvalidParam`].
pub(crate) fn check_all(identity: &Identity, all: &[ThirdParty]) -> Result<()> {
    if all.len() > ADDRESSES_MAX {
        return Err(Error::InvalidParam(format!(
            "A new room invites at most {ADDRESSES_MAX} addresses"
        )));
    }
    all.iter()
        .try_for_each(|one| check(identity, one.clone()).map(drop))
}

fn check(identity: &Identity, whom: ThirdParty) -> Result<Checked> {
    let invalid = |why: &str| Err(Error::InvalidParam(why.to_owned()));
    let server = identity.check(&whom.id_server)?;
    let token = whom.id_access_token;
    let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !is_plain {
        return invalid("id_access_token is no access token");
    }
    let address = whom.address.trim();
    let is_text = |c: char| !c.is_whitespace() && !c.is_control();
    let fits = address.len() <= ADDRESS_BYTES_MAX && address.chars().all(is_text);
    let address = match whom.medium.as_str() {
        // Appendices, "3PID types": e-mail addresses are the same in both cases.
        "email" if fits && is_email(address) => address.to_lowercase(),
        "msisdn" if fits && !address.is_empty() && address.bytes().all(|b| b.is_ascii_digit()) => {
            address.to_owned()
        }
        "email" | "msisdn" => return invalid("address is none of its medium"),
        _ => return invalid("medium is neither email nor msisdn"),
    };
    Ok(Checked {
        server,
        token,
        medium: whom.medium,
        address,
    })
}

fn is_email(address: &str) -> bool {
    let parts = address.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

impl RoomHandle {
    /// Invites whoever has an address: the user to whom it belongs, if the identity server knows, else whoever proves to
    /// have it.
    ///
    /// # Errors
    /// [`Error::Denied`]: the inviter may not; the identity server is not asked then. [`Error::Forbidden`]: this server uses
    /// no identity server. [`Error::ServerNotTrusted`], [`Error::InvalidParam`]. [`Error::Identity`]: the identity
    /// server refuses. [`Error::Unreachable`]: it gives no usable answer. Those of [`RoomHandle::invite`].
    pub async fn invite_third_party(&self, by: &Requester, whom: ThirdParty) -> Result<()> {
        self.invite_third_party_as(by, whom, false).await
    }

    /// The same; `is_direct` says that the room is a direct chat.
    pub(crate) async fn invite_third_party_as(
        &self,
        by: &Requester,
        whom: ThirdParty,
        is_direct: bool,
    ) -> Result<()> {
        let whom = check(&self.context.identity, whom)?;
        // Before anybody else hears of the address.
        let attempt = self.draft(
            by,
            THIRD_PARTY_INVITE.to_owned(),
            Some(String::new()),
            Object::new(),
        );
        self.run(move |room| Box::pin(async move { room.propose(attempt).await.map(drop) }))
            .await?;
        match self.look_up(&whom).await? {
            Some(user_id) => {
                let target = Target {
                    user_id,
                    reason: None,
                };
                self.invite_as(by, target, is_direct).await.map(drop)
            }
            None => self.store_invite(by, &whom).await,
        }
    }

    /// Whose the address is, if the identity server knows.
    async fn look_up(&self, whom: &Checked) -> Result<Option<OwnedUserId>> {
        let way = self.context.identity.way()?;
        let failed = |error: IdentityError| error.refusal(&whom.server);
        let details = way.hash_details(&whom.server, &whom.token).await;
        let details = details.map_err(failed)?;
        let (algorithm, address, pepper) = hashed(whom, &details).map_err(failed)?;
        let body = object! {
            "algorithm" => algorithm,
            "pepper" => pepper,
            "addresses" => Value::Array(vec![address.as_str().into()]),
        };
        let found = way.lookup(&whom.server, &whom.token, body).await;
        let found = found.map_err(failed)?;
        let mappings = found.get("mappings").and_then(Value::as_object);
        let mappings = mappings.ok_or_else(|| failed(nonsense("mappings")))?;
        let Some(user) = mappings.get(&address) else {
            return Ok(None);
        };
        let user = user.as_str().and_then(|user| UserId::parse(user).ok());
        user.map(Some).ok_or_else(|| failed(nonsense("mappings")))
    }

    /// Has the identity server keep the invite, and says in the room how it will be proven.
    async fn store_invite(&self, by: &Requester, whom: &Checked) -> Result<()> {
        let (sender, room_id) = (by.user_id.clone(), self.meta.id.clone());
        let mut body = self
            .run(move |room| Box::pin(async move { room.shown_to_invited(&sender).await }))
            .await?;
        for (key, value) in [
            ("medium", whom.medium.as_str()),
            ("address", whom.address.as_str()),
            ("room_id", room_id.as_str()),
            ("sender", by.user_id.as_str()),
        ] {
            body.insert(key.to_owned(), value.into());
        }
        let failed = |error: IdentityError| error.refusal(&whom.server);
        let way = self.context.identity.way()?;
        let stored = way.store_invite(&whom.server, &whom.token, body).await;
        let (token, content) = issued(&stored.map_err(failed)?).map_err(failed)?;
        let invite = SetState {
            event_type: THIRD_PARTY_INVITE.to_owned(),
            state_key: token,
            content,
        };
        self.set_state(by, invite).await.map(drop)
    }
}

impl Room {
    /// What the identity server may write to whoever is invited: identity service API, "Invitation storage".
    async fn shown_to_invited(&self, sender: &UserId) -> Result<Object> {
        let mut shown = object! { "sender_display_name" => sender.as_str() };
        for (key, event_type, state_key, field) in [
            (
                "sender_display_name",
                "m.room.member",
                sender.as_str(),
                "displayname",
            ),
            (
                "sender_avatar_url",
                "m.room.member",
                sender.as_str(),
                "avatar_url",
            ),
            ("room_alias", "m.room.canonical_alias", "", "alias"),
            ("room_avatar_url", "m.room.avatar", "", "url"),
            ("room_join_rules", "m.room.join_rules", "", "join_rule"),
            ("room_name", "m.room.name", "", "name"),
            ("room_type", "m.room.create", "", "type"),
        ] {
            let known = self.state_event(event_type, state_key).await?;
            let value = known.and_then(|known| known.event.content().get(field).cloned());
            if let Some(value @ Value::String(_)) = value {
                shown.insert(key.to_owned(), value);
            }
        }
        Ok(shown)
    }
}

/// The algorithm, the address as it is asked for by that, and the pepper. Without the address in the clear, if the server can
/// do without: identity service API, "Security considerations".
fn hashed<'a>(
    whom: &Checked,
    details: &'a Object,
) -> Result<(&'static str, String, &'a str), IdentityError> {
    let pepper = details.get("lookup_pepper").and_then(Value::as_str);
    let pepper = pepper.ok_or_else(|| nonsense("lookup_pepper"))?;
    let algorithms = details.get("algorithms").and_then(Value::as_array);
    let algorithms = algorithms.ok_or_else(|| nonsense("algorithms"))?;
    let knows = |name: &str| algorithms.iter().any(|one| one.as_str() == Some(name));
    let Checked {
        medium, address, ..
    } = whom;
    if knows("sha256") {
        let hash = hash::sha256_base64_url(format!("{address} {medium} {pepper}").as_bytes());
        Ok(("sha256", hash, pepper))
    } else if knows("none") {
        Ok(("none", format!("{address} {medium}"), pepper))
    } else {
        Err(nonsense("algorithms"))
    }
}

/// The token of a stored invite, and the content of its `m.room.third_party_invite` event.
fn issued(stored: &Object) -> Result<(String, Object), IdentityError> {
    let token = stored.get("token").and_then(Value::as_str);
    let token = token.filter(|token| is_token(token));
    let token = token.ok_or_else(|| nonsense("token"))?;
    let name = stored.get("display_name").and_then(Value::as_str);
    let name = name.ok_or_else(|| nonsense("display_name"))?;
    let name: String = name.chars().take(DISPLAY_NAME_CHARS_MAX).collect();
    let keys = stored.get("public_keys").and_then(Value::as_array);
    let keys = keys.unwrap_or_default().iter().filter_map(issued_key);
    let keys: Vec<Object> = keys.take(KEYS_MAX).collect();
    // Its own, for those who look for one key only.
    let mut content = keys
        .first()
        .cloned()
        .ok_or_else(|| nonsense("public_keys"))?;
    let keys = keys.into_iter().map(Value::Object).collect();
    content.insert("public_keys".to_owned(), Value::Array(keys));
    content.insert("display_name".to_owned(), name.into());
    Ok((token.to_owned(), content))
}

fn issued_key(key: &Value) -> Option<Object> {
    let text = |name: &str| key.get(name)?.as_str();
    let (public_key, url) = (text("public_key")?, text("key_validity_url")?);
    PublicKey::from_any_base64(public_key)?;
    let fits = url.len() <= URL_BYTES_MAX && url.starts_with("https://");
    fits.then(|| object! { "public_key" => public_key, "key_validity_url" => url })
}

fn is_token(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte);
    !token.is_empty() && token.len() <= INVITE_TOKEN_BYTES_MAX && token.bytes().all(allowed)
}

fn nonsense(key: &str) -> IdentityError {
    IdentityError::Unreachable(format!("{key} is missing, or not what it should be"))
}

#[cfg(test)]
mod tests {
    use ruma::owned_server_name;
    use spec::{
        json::{Object, Strictness, parse_object},
        object,
    };

    use super::{Checked, ThirdParty, check, hashed, issued};
    use crate::{Error, third_party::Identity};

    fn parsed(text: &str) -> Object {
        parse_object(text.as_bytes(), Strictness::Lenient).unwrap()
    }

    fn whom(server: &str, medium: &str, address: &str) -> ThirdParty {
        ThirdParty {
            id_server: server.to_owned(),
            id_access_token: "token".to_owned(),
            medium: medium.to_owned(),
            address: address.to_owned(),
        }
    }

    #[test]
    fn addresses_are_what_their_medium_says() {
        let identity = Identity::new(&["id.example".to_owned()]);
        for (medium, address, expected) in [
            ("email", "Bob@Example.org", Some("bob@example.org")),
            ("email", "bob", None),
            ("email", "@example.org", None),
            ("email", "bob@example.org\nx", None),
            ("msisdn", "447700900000", Some("447700900000")),
            ("msisdn", "+447700900000", None),
            ("msisdn", "", None),
            ("pigeon", "bob@example.org", None),
        ] {
            let checked = check(&identity, whom("id.example:8090", medium, address));
            let address = checked.ok().map(|checked| checked.address);
            assert_eq!(address.as_deref(), expected, "{medium}");
        }
        let mut bad = whom("id.example", "email", "bob@example.org");
        bad.id_access_token = "a\r\nb: c".to_owned();
        assert!(matches!(check(&identity, bad), Err(Error::InvalidParam(_))));
    }

    #[test]
    fn only_servers_that_are_trusted_are_asked() {
        let bob = |server| whom(server, "email", "bob@example.org");
        let some = Identity::new(&["*.example".to_owned()]);
        assert!(check(&some, bob("id.example")).is_ok());
        assert!(matches!(
            check(&some, bob("id.elsewhere")),
            Err(Error::ServerNotTrusted(_))
        ));
        assert!(matches!(
            check(&some, bob("https://id.example/")),
            Err(Error::InvalidParam(_))
        ));
        let none = Identity::new(&[]);
        assert!(matches!(
            check(&none, bob("id.example")),
            Err(Error::Forbidden(_))
        ));
    }

    /// The example of the identity service API, "Algorithms".
    #[test]
    fn the_address_is_hashed_where_the_server_can() {
        let whom = Checked {
            server: owned_server_name!("id.example"),
            token: "token".to_owned(),
            medium: "email".to_owned(),
            address: "alice@example.com".to_owned(),
        };
        for (details, expected) in [
            (
                r#"{"lookup_pepper": "matrixrocks", "algorithms": ["none", "sha256"]}"#,
                Some("4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"),
            ),
            (
                r#"{"lookup_pepper": "matrixrocks", "algorithms": ["none"]}"#,
                Some("alice@example.com email"),
            ),
            (
                r#"{"lookup_pepper": "matrixrocks", "algorithms": ["md5"]}"#,
                None,
            ),
            (r#"{"algorithms": ["sha256"]}"#, None),
            (r#"{"lookup_pepper": "matrixrocks"}"#, None),
        ] {
            let details = parsed(details);
            let hashed = hashed(&whom, &details).ok();
            let address = hashed.map(|(_, address, _)| address);
            assert_eq!(address.as_deref(), expected);
        }
    }

    #[test]
    fn what_is_no_stored_invite_is_not_put_into_the_room() {
        let key = r#"{"public_key": "VXuGitF39UH5iRfvbIknlvlAVKgD1BsLDMvBf0pmp7c", "key_validity_url": "https://id.example/v"}"#;
        let stored = |token: &str, keys: &str| {
            issued(&parsed(&format!(
                r#"{{"token": "{token}", "display_name": "b...@e...", "public_keys": [{keys}], "more": 1}}"#
            )))
        };
        let (token, content) = stored("abc.=_-1", key).unwrap();
        assert_eq!(token, "abc.=_-1");
        let mut expected = parsed(key);
        expected.insert(
            "public_keys".to_owned(),
            spec::json::Value::Array(vec![parsed(key).into()]),
        );
        expected.insert("display_name".to_owned(), "b...@e...".into());
        assert_eq!(content, expected);
        for (token, keys) in [
            ("", key),
            ("a/b", key),
            ("abc", ""),
            (
                "abc",
                r#"{"public_key": "none", "key_validity_url": "https://id.example/v"}"#,
            ),
            (
                "abc",
                r#"{"public_key": "VXuGitF39UH5iRfvbIknlvlAVKgD1BsLDMvBf0pmp7c", "key_validity_url": "http://id.example/v"}"#,
            ),
        ] {
            assert!(stored(token, keys).is_err(), "{token} {keys}");
        }
        assert!(issued(&object! { "token" => "abc" }).is_err());
    }
}
