//! Profiles: client-server API, "Profiles".
//!
//! A profile is fields with JSON values. The display name and the avatar also stand in the member events of the user's
//! rooms; a change is brought there in the background, room by room, after the answer.

mod settings;

use std::{collections::BTreeMap, time::Duration};

use ruma::UserId;
use serde_json::Value;
use storage::{
    Plain, Write,
    entity::{profile, unspread_profile},
    profiles,
};

use crate::{
    Engine, Error, Requester, Result, Subject, account::Accounts, presence::Names,
    room::profile::member_fields,
};

pub use self::settings::{ProfileSettings, is_profile_field};

/// The field with the name that people show to others.
pub const DISPLAYNAME: &str = "displayname";
/// The field with their picture, an `mxc:` URI.
pub const AVATAR_URL: &str = "avatar_url";

/// The fields of a profile, by name.
pub type Fields = BTreeMap<String, Value>;

/// The longest field name in bytes: "Profiles".
const FIELD_BYTES_MAX: usize = 255;
/// The largest profile in bytes, as one JSON object: "Profiles".
pub(crate) const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// The longest display name in characters, so that it cannot flood the rooms of its user.
const DISPLAYNAME_LENGTH_MAX: usize = 256;
/// After what time rooms that did not take a changed profile are tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The same, where they have not taken it again and again.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// The longest avatar URI in bytes.
const AVATAR_URL_BYTES_MAX: usize = 1000;

impl Engine {
    /// All fields of the profile of any user; none if the user has set none. Those of other servers may be a minute old.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such user. [`Error::Unreachable`]: their server does not answer.
    pub async fn profile(&self, user_id: &UserId) -> Result<Fields> {
        if self.accounts().is_ours(user_id) {
            return self.accounts().profile(user_id).await;
        }
        let fields = self.rooms().remote_profile(user_id).await?;
        Ok(Fields::clone(&fields))
    }

    /// One field of the profile of any user.
    ///
    /// # Errors
    /// As for [`Engine::profile`]; [`Error::NotFound`] also for a field that is not set.
    pub async fn profile_field(&self, user_id: &UserId, field: &str) -> Result<Value> {
        if self.accounts().is_ours(user_id) {
            return self.accounts().profile_field(user_id, field).await;
        }
        let fields = self.rooms().remote_profile(user_id).await?;
        let value = fields.get(field).cloned();
        value.ok_or(Error::NotFound(Subject::Profile))
    }

    /// As [`Accounts::set_profile_field`], and the rooms of the user learn of a new name or picture.
    ///
    /// # Errors
    /// Those of [`Accounts::set_profile_field`].
    pub async fn set_profile_field(
        &self,
        by: &Requester,
        user_id: &UserId,
        field: &str,
        value: Value,
    ) -> Result<()> {
        let changed = self
            .accounts()
            .set_profile_field(by, user_id, field, value)
            .await?;
        self.profile_changed(user_id, field, changed);
        Ok(())
    }

    /// As [`Accounts::delete_profile_field`], and the rooms of the user learn of a lost name or picture.
    ///
    /// # Errors
    /// Those of [`Accounts::delete_profile_field`].
    pub async fn delete_profile_field(
        &self,
        by: &Requester,
        user_id: &UserId,
        field: &str,
    ) -> Result<()> {
        let changed = self
            .accounts()
            .delete_profile_field(by, user_id, field)
            .await?;
        self.profile_changed(user_id, field, changed);
        Ok(())
    }

    /// Has the rooms of the user learn of it, one change after another: each reads the profile anew, so that the last
    /// one leaves the newest.
    fn profile_changed(&self, user_id: &UserId, field: &str, changed: bool) {
        if !changed || ![DISPLAYNAME, AVATAR_URL].contains(&field) {
            return;
        }
        let (engine, user_id) = (self.clone(), user_id.to_owned());
        tokio::spawn(async move { engine.tell_rooms(&user_id).await });
    }

    /// Has the rooms of a user learn of the newest name and picture, or that the account is closed. What fails is tried
    /// again by [`Engine::run_unspread`].
    pub(crate) async fn tell_rooms(&self, user_id: &UserId) {
        let _alone = self.accounts().alone_in_rooms(user_id).await;
        if let Err(error) = self.try_to_tell_rooms(user_id).await {
            tracing::warn!(%user_id, %error, "not all rooms have learnt of a changed profile");
        }
    }

    async fn try_to_tell_rooms(&self, user_id: &UserId) -> Result<()> {
        let store = &self.context.store;
        let Some(change) = profiles::unspread_of(store.reader(), user_id).await? else {
            return Ok(());
        };
        let account = self.accounts().account(user_id).await?;
        if account.is_some_and(|account| account.deactivated) {
            self.leave_all(user_id).await?;
        } else {
            let fields = member_fields(&self.context, user_id).await?;
            self.context.presence.renamed(user_id, Names::of(&fields));
            self.spread_profile(user_id).await?;
        }
        let user_id = user_id.to_owned();
        let spread = Plain::ProfileSpread { user_id, change };
        store.write(Write::plain(vec![spread])).await?;
        Ok(())
    }

    /// Brings changed profiles into the rooms that do not know them yet, and takes closed accounts out of rooms: where an
    /// earlier life of the server was stopped at it, and where it has failed. Never returns; to be run in the background.
    pub async fn run_unspread(&self) {
        let (mut known, mut wait) = (Vec::new(), AGAIN_AFTER);
        loop {
            match self.finish_profiles().await {
                // The same are left again.
                Ok(left) if !left.is_empty() && left == known => {
                    wait = AGAIN_AFTER_MAX.min(wait * 2)
                }
                Ok(left) => (known, wait) = (left, AGAIN_AFTER),
                Err(error) => tracing::warn!(%error, "changed profiles wait"),
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Tries once to bring all that is left into the rooms; returns what is still left then.
    ///
    /// # Errors
    /// Only those of the store.
    pub(crate) async fn finish_profiles(&self) -> Result<Vec<unspread_profile::Model>> {
        let db = self.context.store.reader();
        for unspread in profiles::unspread(db).await? {
            if let Ok(user_id) = UserId::parse(&unspread.user_id) {
                self.tell_rooms(&user_id).await;
            }
        }
        Ok(profiles::unspread(db).await?)
    }
}

impl Accounts {
    /// All fields of a profile; none if the user has set none.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such user here, or deactivated.
    pub async fn profile(&self, user_id: &UserId) -> Result<Fields> {
        self.check_profile_owner(user_id).await?;
        let fields = profiles::all(self.store().reader(), user_id).await?;
        fields
            .into_iter()
            .map(|(field, json)| Ok((field, parse(&json)?)))
            .collect()
    }

    /// One field of a profile.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such user here, deactivated, or without this field.
    pub async fn profile_field(&self, user_id: &UserId, field: &str) -> Result<Value> {
        self.check_profile_owner(user_id).await?;
        let json = profiles::field(self.store().reader(), user_id, field).await?;
        parse(&json.ok_or(Error::NotFound(Subject::Profile))?)
    }

    /// Sets a field of a profile. An empty or `null` display name or avatar removes the field.
    ///
    /// Returns whether that has changed anything.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `by` is neither the user nor an administrator, or the operator lets nobody else change this
    /// field. [`Error::NotFound`]: no such user.
    /// [`Error::InvalidParam`]: an impossible name or value. [`Error::KeyTooLarge`], [`Error::ProfileTooLarge`].
    pub async fn set_profile_field(
        &self,
        by: &Requester,
        user_id: &UserId,
        field: &str,
        value: Value,
    ) -> Result<bool> {
        self.check_writable(by, user_id, field).await?;
        let Some(value) = checked(field, value)? else {
            return self.remove(user_id, field).await;
        };
        let _alone = self.alone(user_id).await;
        let mut fields = profiles::all(self.store().reader(), user_id).await?;
        let json = value.to_string();
        if fields.get(field) == Some(&json) {
            return Ok(false);
        }
        fields.insert(field.to_owned(), json);
        if size(&fields) > PROFILE_BYTES_MAX {
            let sentence = format!("The profile would have over {PROFILE_BYTES_MAX} bytes");
            return Err(Error::ProfileTooLarge(sentence));
        }
        let mut write = vec![row(user_id, field, &value)];
        write.extend(self.unspread(user_id, field));
        self.write(write).await?;
        Ok(true)
    }

    /// Removes a field of a profile. Returns whether it was there.
    ///
    /// # Errors
    /// As for [`set_profile_field`](Self::set_profile_field).
    pub async fn delete_profile_field(
        &self,
        by: &Requester,
        user_id: &UserId,
        field: &str,
    ) -> Result<bool> {
        self.check_writable(by, user_id, field).await?;
        self.remove(user_id, field).await
    }

    async fn remove(&self, user_id: &UserId, field: &str) -> Result<bool> {
        let _alone = self.alone(user_id).await;
        if profiles::field(self.store().reader(), user_id, field)
            .await?
            .is_none()
        {
            return Ok(false);
        }
        let unspread = self.unspread(user_id, field);
        let (user_id, field) = (user_id.to_owned(), field.to_owned());
        let mut write = vec![Plain::ProfileFieldDelete { user_id, field }];
        write.extend(unspread);
        self.write(write).await?;
        Ok(true)
    }

    /// What keeps in mind that the rooms of the user have to learn of a change, until they have.
    fn unspread(&self, user_id: &UserId, field: &str) -> Option<Plain> {
        let shown = [DISPLAYNAME, AVATAR_URL].contains(&field);
        shown.then(|| {
            Plain::UnspreadProfile(unspread_profile::Model {
                user_id: user_id.to_string(),
                change: self.new_change(),
            })
        })
    }

    async fn check_writable(&self, by: &Requester, user_id: &UserId, field: &str) -> Result<()> {
        if by.user_id != user_id && !by.admin {
            return Err(Error::Forbidden(
                "You can only change your own profile".to_owned(),
            ));
        }
        check_field(field)?;
        if !by.admin {
            self.profile_settings().check(field)?;
        }
        self.check_profile_owner(user_id).await
    }

    async fn check_profile_owner(&self, user_id: &UserId) -> Result<()> {
        match self.account(user_id).await? {
            Some(account) if !account.deactivated => Ok(()),
            _ => Err(Error::NotFound(Subject::Profile)),
        }
    }
}

/// The row that sets a field of a profile.
pub(crate) fn row(user_id: &UserId, field: &str, value: &Value) -> Plain {
    Plain::ProfileField(profile::Model {
        user_id: user_id.to_string(),
        field: field.to_owned(),
        value: value.to_string(),
    })
}

/// A field name is one of the three of the specification, or a namespaced identifier (appendices, "Common Namespaced
/// Identifier Grammar").
fn check_field(field: &str) -> Result<()> {
    if field.len() > FIELD_BYTES_MAX {
        let sentence = format!("The name of a profile field may have {FIELD_BYTES_MAX} bytes");
        return Err(Error::KeyTooLarge(sentence));
    }
    if [DISPLAYNAME, AVATAR_URL].contains(&field) {
        return Ok(());
    }
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let starts_well = field.starts_with(|first: char| first.is_ascii_lowercase());
    if !starts_well || !field.contains('.') || !field.bytes().all(allowed) {
        return Err(Error::InvalidParam(
            "The name of a profile field is displayname, avatar_url, or namespaced such as com.example.field"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The value to store; `None`: the field is to go.
fn checked(field: &str, value: Value) -> Result<Option<Value>> {
    let refuse = |sentence: &str| Err(Error::InvalidParam(sentence.to_owned()));
    match (field, &value) {
        (DISPLAYNAME | AVATAR_URL, Value::Null) => Ok(None),
        (DISPLAYNAME | AVATAR_URL, Value::String(text)) if text.is_empty() => Ok(None),
        (DISPLAYNAME, Value::String(name)) if name.chars().count() > DISPLAYNAME_LENGTH_MAX => {
            refuse("A display name may have 256 characters")
        }
        (AVATAR_URL, Value::String(uri)) if uri.len() > AVATAR_URL_BYTES_MAX => {
            refuse("An avatar URI may have 1000 bytes")
        }
        (DISPLAYNAME | AVATAR_URL | "m.tz", value) if !value.is_string() => {
            refuse("The value of this profile field is a string")
        }
        _ => Ok(Some(value)),
    }
}

/// The length of `{"field":value,…}`.
fn size(fields: &BTreeMap<String, String>) -> usize {
    fields
        .iter()
        .map(|(field, json)| field.len() + json.len() + 4)
        .sum::<usize>()
        + 1
}

fn parse(json: &str) -> Result<Value> {
    serde_json::from_str(json)
        .map_err(|error| Error::Internal(format!("a stored profile field is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{check_field, checked};
    use crate::Error;

    #[test]
    fn field_names_are_known_or_namespaced() {
        for field in [
            "displayname",
            "avatar_url",
            "m.tz",
            "com.example.field-1",
            "org.a_b.c",
        ] {
            assert!(check_field(field).is_ok(), "{field}");
        }
        for field in [
            "",
            "name",
            "Com.example",
            ".a",
            "1.a",
            "a b.c",
            "ä.b",
            "a.ü",
        ] {
            assert!(
                matches!(check_field(field), Err(Error::InvalidParam(_))),
                "{field}"
            );
        }
        let long = format!("a.{}", "b".repeat(254));
        assert!(matches!(check_field(&long), Err(Error::KeyTooLarge(_))));
    }

    #[test]
    fn known_fields_have_their_types_and_can_be_emptied() {
        for (field, value) in [
            ("displayname", json!(1)),
            ("displayname", json!("x".repeat(257))),
            ("avatar_url", json!({})),
            ("m.tz", Value::Null),
        ] {
            let refusal = checked(field, value.clone());
            assert!(
                matches!(refusal, Err(Error::InvalidParam(_))),
                "{field}: {value}"
            );
        }
        assert_eq!(checked("displayname", Value::Null).unwrap(), None);
        assert_eq!(checked("avatar_url", json!("")).unwrap(), None);
        assert_eq!(checked("a.b", Value::Null).unwrap(), Some(Value::Null));
        assert_eq!(checked("a.b", json!([1.5])).unwrap(), Some(json!([1.5])));
    }
}
