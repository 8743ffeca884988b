//! `GET /_matrix/key/v2/server`: server-server API, "Publishing Keys".

use actix_web::{HttpResponse, web};
use spec::json::{Object, Value, encode_object};

use super::OwnKeys;
use crate::Shared;

/// Our keys, signed by all that have no end, valid from now on for as long as the settings say.
pub(crate) async fn handle(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(encode_object(&own_document(&shared)))
}

/// The document as it is now.
pub(super) fn own_document(shared: &Shared) -> Object {
    let now_ms = shared.clock.now_ms();
    let until = now_ms.saturating_add(shared.key_validity_ms);
    document(shared.keys.own(), until)
}

/// The signed document. `valid_until_ts` is in milliseconds since the epoch.
fn document(keys: &OwnKeys, valid_until_ts: i64) -> Object {
    let current = keys.current();
    let signing = || keys.beside().iter().chain([current]);
    let verify = signing().map(|signing| {
        (
            signing.key_id().to_owned(),
            key(signing.public_key().to_base64(), None),
        )
    });
    let old = keys.old().iter().map(|old| {
        (
            old.key_id.clone(),
            key(old.key.to_base64(), Some(old.expired_ts)),
        )
    });
    let mut document = Object::from([
        ("server_name".to_owned(), current.server().as_str().into()),
        ("valid_until_ts".to_owned(), Value::Integer(valid_until_ts)),
        ("verify_keys".to_owned(), Value::Object(verify.collect())),
        ("old_verify_keys".to_owned(), Value::Object(old.collect())),
    ]);
    for signing in signing() {
        signing.sign_object(&mut document);
    }
    document
}

fn key(public: String, expired_ts: Option<i64>) -> Value {
    let mut entry = Object::from([("key".to_owned(), Value::String(public))]);
    if let Some(ts) = expired_ts {
        entry.insert("expired_ts".to_owned(), Value::Integer(ts));
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use spec::sign::{PublicKey, verify_object};

    use super::super::tests::{keys, server};
    use super::*;

    #[test]
    fn others_can_check_the_document_with_the_key_in_it() {
        let keys = keys();
        let document = document(&keys, 86_400_000);
        let published = |id: &str| {
            let entry = document.get("verify_keys")?.get(id)?.get("key")?;
            PublicKey::from_base64(entry.as_str()?)
        };
        assert!(verify_object(&document, server().as_str(), published));
        assert_eq!(document["server_name"].as_str(), Some("example.org"));
        assert_eq!(document["valid_until_ts"].as_i64(), Some(86_400_000));

        let old = document["old_verify_keys"]
            .get(&keys.old()[0].key_id)
            .unwrap();
        assert_eq!(old.get("expired_ts").and_then(Value::as_i64), Some(2_000));
        assert!(
            document["verify_keys"].get(&keys.old()[0].key_id).is_none(),
            "old, not current"
        );
    }
}
