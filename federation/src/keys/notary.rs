//! Asking a notary for the keys of others. Pure, but for the asking, which is the ring's.
//!
//! Source: server-server API, "Querying Keys Through Another Server".

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use engine::peers::KeyName;
use http::Method;
use ruma::ServerName;
use spec::{
    json::{Object, Value},
    object,
    sign::{PublishedKey, signatures_of, verify_object},
};

use super::published::Published;
use crate::{
    client::{Ask, Occasion},
    uri::Uri,
};

/// How many keys one question asks for.
pub(super) const BATCH: usize = 100;

/// A notary may ask all those servers first.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The question for these keys, each valid at a time at least, in milliseconds since the epoch.
pub(super) fn ask(names: &[(&KeyName, i64)]) -> Ask {
    let mut servers: BTreeMap<String, Value> = BTreeMap::new();
    for (name, valid_at_ms) in names {
        let criteria = object! { "minimum_valid_until_ts" => *valid_at_ms };
        let keys = servers
            .entry(name.server.to_string())
            .or_insert_with(|| Object::new().into());
        if let Value::Object(keys) = keys {
            keys.insert(name.key_id.clone(), criteria.into());
        }
    }
    let uri = Uri::new("/_matrix/key/v2/query");
    Ask::with(Method::POST, uri, object! { "server_keys" => servers })
        .unsigned()
        .on(Occasion::Work)
        .within(ANSWER_TIME, ANSWER_BYTES_MAX)
}

/// The IDs of the notary's keys that signed some of the answer.
pub(super) fn signers(answer: &Object, notary: &ServerName) -> BTreeSet<String> {
    documents(answer)
        .filter_map(Value::as_object)
        .flat_map(|document| signatures_of(document, notary.as_str()))
        .map(|(key_id, _)| key_id.to_owned())
        .collect()
}

/// The documents that are signed by their own servers and by the notary, with its keys by ID.
pub(super) fn read(
    answer: Object,
    notary: &ServerName,
    keys: &HashMap<String, PublishedKey>,
) -> Vec<Published> {
    let documents = documents(&answer).filter_map(Value::as_object);
    let by_notary = documents.filter(|document| {
        let key = |id: &str| keys.get(id).map(|key| key.key);
        verify_object(document, notary.as_str(), key)
    });
    by_notary
        .filter_map(|document| Published::read(document.clone(), None).ok())
        .collect()
}

fn documents(answer: &Object) -> impl Iterator<Item = &Value> {
    let list = answer.get("server_keys").and_then(Value::as_array);
    list.unwrap_or_default().iter()
}

#[cfg(test)]
mod tests {
    use ruma::OwnedServerName;
    use spec::sign::ServerKey;

    use super::{
        super::published::tests::{document, key, server},
        *,
    };

    #[test]
    fn only_what_the_notary_and_the_server_signed_is_taken() {
        let name: OwnedServerName = "notary.example".try_into().unwrap();
        let notary = ServerKey::from_seed(name.clone(), "n", &[9; 32]);
        let mut good = document(&key("a", 1), None, 100);
        let unsigned = good.clone();
        notary.sign_object(&mut good);
        let mut forged = unsigned.clone();
        forged.insert("valid_until_ts".to_owned(), 200.into());
        notary.sign_object(&mut forged);
        let documents = vec![good.into(), unsigned.into(), forged.into(), Value::Null];
        let answer = object! { "server_keys" => Value::Array(documents) };

        let ids = signers(&answer, &name);
        assert_eq!(ids, BTreeSet::from([notary.key_id().to_owned()]));
        let published = PublishedKey {
            key: notary.public_key(),
            valid_until_ts: 100,
            expired_ts: None,
        };
        let keys = HashMap::from([(notary.key_id().to_owned(), published)]);
        let taken = read(answer, &name, &keys);
        assert_eq!(taken.len(), 1);
        assert_eq!(
            (taken[0].server.clone(), taken[0].valid_until_ts),
            (server(), 100)
        );
    }
}
