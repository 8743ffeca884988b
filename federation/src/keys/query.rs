//! `GET /_matrix/key/v2/query/{serverName}` and `POST /_matrix/key/v2/query`: this server as a notary.
//!
//! Source: server-server API, "Querying Keys Through Another Server".

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, web};
use engine::buckets::Bucket;
use futures_util::{StreamExt as _, stream};
use ruma::{OwnedServerName, ServerName};
use spec::json::{Object, Strictness, Value, encode_object, parse_object};
use tokio::time::Instant;

use super::{document::own_document, known::Known};
use crate::{ApiError, Shared, body::Unsigned, params::Params};

/// How many documents of a server are told, the newest: each may have 128 KiB.
const DOCUMENTS_MAX: usize = 4;

/// How large the documents of one answer may be together, in bytes, about; servers after that are left out.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many servers one request may ask about.
const SERVERS_MAX: usize = 500;

/// Of how many of them, the first, the keys are asked for where they are not known.
const ASKED_MAX: usize = 50;

/// How many servers are asked at the same time for one request.
const ASKED_AT_ONCE: usize = 10;

/// After what time a request is answered with what is known.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often one address may ask. Nobody signs these requests, and each may make this server ask others; a server that joins
/// a large room has some ten at once.
const RATE: Bucket = Bucket {
    per_second: 1.0,
    burst: 50,
};

/// Which keys of a server are wanted: the IDs, and until when each should be valid. None means all.
type Wanted = BTreeMap<String, i64>;

/// The keys of one server.
pub(crate) async fn get(
    shared: web::Data<Shared>,
    request: HttpRequest,
    server: web::Path<String>,
    params: Params,
) -> Result<HttpResponse, ApiError> {
    count(&shared, &request)?;
    let server = server_name(&server)?;
    let minimum_ms = params.integer("minimum_valid_until_ts")?;
    let minimum_ms = minimum_ms.unwrap_or_else(|| shared.clock.now_ms());
    let until = Instant::now() + ANSWER_WITHIN;
    let (found, _) = documents(&shared, &server, &Wanted::new(), minimum_ms, until).await;
    Ok(answer(found))
}

/// The keys of several servers.
pub(crate) async fn post(
    shared: web::Data<Shared>,
    request: HttpRequest,
    Unsigned(body): Unsigned,
) -> Result<HttpResponse, ApiError> {
    count(&shared, &request)?;
    let now_ms = shared.clock.now_ms();
    let wanted = wanted(&body, now_ms)?;
    let shared = &shared;
    let started = Instant::now();
    let answers = stream::iter(wanted.into_iter().enumerate())
        .map(|(index, (server, keys))| async move {
            let until = match index < ASKED_MAX {
                true => started + ANSWER_WITHIN,
                false => started,
            };
            documents(shared, &server, &keys, now_ms, until).await
        })
        .buffered(ASKED_AT_ONCE);
    let mut answers = pin!(answers);
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some((documents, more)) = answers.next().await {
        bytes += more;
        if bytes > ANSWER_BYTES_MAX {
            break;
        }
        found.extend(documents);
    }
    Ok(answer(found))
}

/// Counts a request of an address; the binary has seen through a proxy of our own.
fn count(shared: &Shared, request: &HttpRequest) -> Result<(), ApiError> {
    let address = request.peer_addr().map(|address| address.ip());
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let counted = shared.asked_for_keys.take(RATE, address);
    counted.map_err(ApiError::too_many)
}

/// What a body asks for.
fn wanted(body: &[u8], now_ms: i64) -> Result<Vec<(OwnedServerName, Wanted)>, ApiError> {
    let body = parse_object(body, Strictness::Lenient)?;
    let servers = body.get("server_keys").and_then(Value::as_object);
    let servers =
        servers.ok_or_else(|| ApiError::bad_json("server_keys is missing, or no object"))?;
    if servers.len() > SERVERS_MAX {
        let sentence = format!("These are more than {SERVERS_MAX} servers");
        return Err(ApiError::invalid_param(sentence));
    }
    let keys = |keys: &Value| -> Result<Wanted, ApiError> {
        let keys = keys.as_object();
        let keys = keys.ok_or_else(|| ApiError::bad_json("The keys of a server are no object"))?;
        let minimum = |criteria: &Value| criteria.get("minimum_valid_until_ts")?.as_i64();
        let keys = keys
            .iter()
            .map(|(id, criteria)| (id.clone(), minimum(criteria).unwrap_or(now_ms)));
        Ok(keys.collect())
    };
    servers
        .iter()
        .map(|(server, wanted)| Ok((server_name(server)?, keys(wanted)?)))
        .collect()
}

fn server_name(name: &str) -> Result<OwnedServerName, ApiError> {
    let parsed = spec::server_name::owned(name);
    parsed.ok_or_else(|| ApiError::invalid_param("This is not the name of a server"))
}

/// The documents that have the wanted keys of `server`, signed by us too. None if there is no way to know; after `until` the
/// server is not asked, nor waited for. And how many bytes were read for that.
async fn documents(
    shared: &Shared,
    server: &ServerName,
    wanted: &Wanted,
    minimum_ms: i64,
    until: Instant,
) -> (Vec<Object>, usize) {
    let ring = &shared.keys;
    if server == ring.own().current().server() {
        return (vec![own_document(shared)], 0);
    }
    let now_ms = shared.clock.now_ms();
    let known = ring
        .of_server(server, until, |known| {
            is_enough(known, wanted, minimum_ms, now_ms)
        })
        .await;
    let listed_in: BTreeSet<i64> = known
        .iter()
        .filter(|(id, _)| wanted.is_empty() || wanted.contains_key(*id))
        .map(|(_, known)| known.valid_until_ts)
        .collect();
    let newest: Vec<i64> = listed_in.into_iter().rev().take(DOCUMENTS_MAX).collect();
    let texts = ring.documents_of(server, &newest).await;
    let bytes = texts.values().map(String::len).sum();
    let signed = texts.into_values().filter_map(|text| {
        let mut document = parse_object(text.as_bytes(), Strictness::Lenient).ok()?;
        ring.own().current().sign_object(&mut document);
        Some(document)
    });
    (signed.collect(), bytes)
}

/// Whether what is known answers the question without asking the server.
fn is_enough(
    known: &BTreeMap<String, Known>,
    wanted: &Wanted,
    minimum_ms: i64,
    now_ms: i64,
) -> bool {
    let good = |known: &Known, minimum_ms: i64| {
        known.expired_ts.is_some()
            || (minimum_ms <= known.valid_until_ts && !known.is_stale(now_ms))
    };
    if wanted.is_empty() {
        let mut current = known.values().filter(|known| known.expired_ts.is_none());
        return current.any(|known| good(known, minimum_ms));
    }
    wanted
        .iter()
        .all(|(id, minimum)| known.get(id).is_some_and(|known| good(known, *minimum)))
}

fn answer(documents: Vec<Object>) -> HttpResponse {
    let documents = documents.into_iter().map(Value::Object).collect();
    let body = Object::from([("server_keys".to_owned(), Value::Array(documents))]);
    HttpResponse::Ok()
        .content_type("application/json")
        .body(encode_object(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_the_wrong_shape_are_refused() {
        for (body, servers) in [
            (r#"{"server_keys": {}}"#, Some(0)),
            (
                r#"{"server_keys": {"a.example": {"ed25519:a": {}}}}"#,
                Some(1),
            ),
            (r#"{"server_keys": {"a.example": {}}, "more": 1}"#, Some(1)),
            (r#"{"server_keys": {"a.example": []}}"#, None),
            (r#"{"server_keys": {"no name": {}}}"#, None),
            (r#"{"server_keys": []}"#, None),
            ("{}", None),
            ("{", None),
        ] {
            let wanted = wanted(body.as_bytes(), 7);
            assert_eq!(wanted.ok().map(|wanted| wanted.len()), servers, "{body}");
        }
    }

    #[test]
    fn the_server_is_asked_when_what_is_known_is_half_as_old_as_it_may_be() {
        let known = |expired_ts| Known {
            key: super::super::published::tests::key("a", 1).public_key(),
            valid_until_ts: 1_000,
            expired_ts,
            fetched_ts: 0,
        };
        let current = BTreeMap::from([("ed25519:a".to_owned(), known(None))]);
        let old = BTreeMap::from([("ed25519:a".to_owned(), known(Some(1)))]);
        let all = Wanted::new();
        let one = |id: &str| Wanted::from([(id.to_owned(), 900)]);
        for (case, known, wanted, minimum, now, enough) in [
            ("fresh", &current, &all, 900, 400, true),
            ("stale", &current, &all, 900, 600, false),
            ("too short", &current, &all, 1_001, 400, false),
            ("nothing current", &old, &all, 0, 0, false),
            ("the one", &current, &one("ed25519:a"), 0, 400, true),
            ("another", &current, &one("ed25519:b"), 0, 400, false),
            ("an old one", &old, &one("ed25519:a"), 0, 9_000, true),
        ] {
            assert_eq!(is_enough(known, wanted, minimum, now), enough, "{case}");
        }
    }
}
