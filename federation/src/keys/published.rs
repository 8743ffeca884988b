//! The key documents of other servers: what they say, once they prove to be theirs. Pure.
//!
//! Source: server-server API, "Retrieving server keys".

use ruma::{OwnedServerName, ServerName};
use spec::{
    json::{Object, Value, encode_object},
    sign::{PublicKey, verify_object},
};
use storage::entity::remote_key_document;

/// How many keys of one document are looked at: enough for a rotation a month for decades.
const KEYS_MAX: usize = 500;

/// A document that its server has signed.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) server: OwnedServerName,
    /// As the server says, in milliseconds since the epoch.
    pub(crate) valid_until_ts: i64,
    /// The keys by ID. Those of algorithms that nobody uses are left out.
    pub(crate) keys: Vec<(String, Listed)>,
    /// All of it, with the signatures.
    pub(crate) document: Object,
}

/// A key in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: PublicKey,
    /// Of an old key: since when it signs no more.
    pub(crate) expired_ts: Option<i64>,
}

/// Why a document is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("it has not the keys of {0}")]
    Field(&'static str),
    #[error("it is another server's")]
    OtherServer,
    #[error("none of its own keys has signed it, or one that did not says so")]
    Signature,
}

impl Published {
    /// What `document` says, which must be that of `server` where one is expected.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub(crate) fn read(
        document: Object,
        server: Option<&ServerName>,
    ) -> Result<Self, DocumentError> {
        let name = document.get("server_name").and_then(Value::as_str);
        let name = name.and_then(|name| OwnedServerName::try_from(name).ok());
        let name = name.ok_or(DocumentError::Field("server_name"))?;
        if server.is_some_and(|server| server != name) {
            return Err(DocumentError::OtherServer);
        }
        let valid_until_ts = document.get("valid_until_ts").and_then(Value::as_i64);
        let valid_until_ts = valid_until_ts.ok_or(DocumentError::Field("valid_until_ts"))?;
        let current = document.get("verify_keys").and_then(Value::as_object);
        let current = current.ok_or(DocumentError::Field("verify_keys"))?;
        let signer = |id: &str| public_key(current.get(id)?);
        if !verify_object(&document, name.as_str(), signer) {
            return Err(DocumentError::Signature);
        }
        let old = document.get("old_verify_keys").and_then(Value::as_object);
        let mut keys: Vec<_> = listed(current, |_| Some(None)).collect();
        // A key in both lists is in use: the specification forbids it, and this does least harm.
        let retired = old.into_iter().flat_map(|old| listed(old, expired));
        keys.extend(retired.filter(|(id, _)| !current.contains_key(id)));
        keys.truncate(KEYS_MAX);
        Ok(Self {
            server: name,
            valid_until_ts,
            keys,
            document,
        })
    }
}

impl Published {
    /// The document as it is stored.
    pub(crate) fn row(&self) -> remote_key_document::Model {
        remote_key_document::Model {
            server: self.server.to_string(),
            valid_until_ts: self.valid_until_ts,
            document: encode_object(&self.document),
        }
    }
}

/// The keys of one of the lists; `expired` gives their end, or `None` for an entry that lacks it.
fn listed(
    list: &Object,
    expired: impl Fn(&Value) -> Option<Option<i64>>,
) -> impl Iterator<Item = (String, Listed)> {
    list.iter().filter_map(move |(id, entry)| {
        let key = public_key(entry).filter(|_| id.starts_with("ed25519:"))?;
        let expired_ts = expired(entry)?;
        Some((id.clone(), Listed { key, expired_ts }))
    })
}

fn public_key(entry: &Value) -> Option<PublicKey> {
    PublicKey::from_base64(entry.get("key")?.as_str()?)
}

fn expired(entry: &Value) -> Option<Option<i64>> {
    Some(Some(entry.get("expired_ts")?.as_i64()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use spec::{object, sign::ServerKey};

    use super::*;

    pub(crate) fn server() -> OwnedServerName {
        "remote.example".try_into().unwrap()
    }

    pub(crate) fn key(version: &str, seed: u8) -> ServerKey {
        ServerKey::from_seed(server(), version, &[seed; 32])
    }

    /// The document of a server that signs with `current` and once did with `old`.
    pub(crate) fn document(current: &ServerKey, old: Option<&ServerKey>, until: i64) -> Object {
        let entry = |key: &ServerKey| object! { "key" => key.public_key().to_base64() };
        let verify = Object::from([(current.key_id().to_owned(), entry(current).into())]);
        let old = old.map(|old| {
            let mut entry = entry(old);
            entry.insert("expired_ts".to_owned(), 50.into());
            (old.key_id().to_owned(), Value::Object(entry))
        });
        let old: Object = old.into_iter().collect();
        let mut document = object! {
            "server_name" => current.server().as_str(),
            "valid_until_ts" => until,
            "verify_keys" => verify,
            "old_verify_keys" => old,
        };
        current.sign_object(&mut document);
        document
    }

    #[test]
    fn a_document_lists_current_and_old_keys() {
        let (current, old) = (key("b", 2), key("a", 1));
        let read = Published::read(document(&current, Some(&old), 100), Some(&server())).unwrap();
        assert_eq!(read.valid_until_ts, 100);
        let listed = |key: &ServerKey, expired_ts| {
            let listed = Listed {
                key: key.public_key(),
                expired_ts,
            };
            (key.key_id().to_owned(), listed)
        };
        assert_eq!(read.keys, [listed(&current, None), listed(&old, Some(50))]);
    }

    #[test]
    fn what_its_server_has_not_signed_is_refused() {
        let good = document(&key("b", 2), None, 100);
        let other: OwnedServerName = "other.example".try_into().unwrap();
        let error = |document: &Object, server: &ServerName| {
            Published::read(document.clone(), Some(server)).unwrap_err()
        };
        assert_eq!(error(&good, &other), DocumentError::OtherServer);
        for (field, value, expected) in [
            ("valid_until_ts", Value::from(101), DocumentError::Signature),
            (
                "valid_until_ts",
                "soon".into(),
                DocumentError::Field("valid_until_ts"),
            ),
            ("signatures", Object::new().into(), DocumentError::Signature),
            (
                "verify_keys",
                Object::new().into(),
                DocumentError::Signature,
            ),
            ("server_name", 1.into(), DocumentError::Field("server_name")),
        ] {
            let mut changed = good.clone();
            changed.insert(field.to_owned(), value);
            assert_eq!(error(&changed, &server()), expected, "{field}");
        }
    }
}
