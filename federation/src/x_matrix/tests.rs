//! Signed requests, made by a server `remote.example` and shown to ours, `example.org`.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpResponse, test as http, web};
use engine::{Engine, buckets::Bucket, chance::Chance};
use spec::sign::ServerKey;

use super::*;
use crate::keys::tests::{keys, server};
use crate::{Federation, Servers, Settings};

const NOW_MS: i64 = 1_000_000;
const URI: &str = "/_test/send/1%2F2?x=y";

fn remote() -> ServerKey {
    ServerKey::from_seed("remote.example".try_into().unwrap(), "a", &[7; 32])
}

fn published() -> PublishedKey {
    let key = remote().public_key();
    PublishedKey {
        key,
        valid_until_ts: NOW_MS,
        expired_ts: None,
    }
}

fn signed(destination: Option<&ServerName>, content: Option<&Value>) -> XMatrix {
    let key = remote();
    let request = SignedRequest {
        method: "PUT",
        uri: URI,
        origin: key.server(),
        destination,
        content,
    };
    request.sign(&key)
}

#[test]
fn a_claim_is_for_us_or_refused() {
    let elsewhere: OwnedServerName = "elsewhere.example".try_into().unwrap();
    for (destination, outcome) in [
        (Some(server()), None),
        (None, None),
        (
            Some(elsewhere.clone()),
            Some(Refused::Destination(elsewhere)),
        ),
    ] {
        let header = signed(destination.as_deref(), None).to_header();
        assert_eq!(
            claims([header.as_str()], &server()).err(),
            outcome,
            "for {destination:?}"
        );
    }
    assert_eq!(claims(["Bearer x"], &server()), Err(Refused::Missing));
    assert_eq!(claims([], &server()), Err(Refused::Missing));
}

#[test]
fn only_what_was_signed_by_a_valid_key_is_believed() {
    let content = Value::Object([("a".to_owned(), Value::Integer(1))].into());
    let claim = signed(Some(&server()), Some(&content));
    let ours = Some(published());
    let check = |method, uri, content, key| {
        verify(&claim, method, uri, content, key, NOW_MS).map_err(|refused| match refused {
            Refused::Key { .. } => "key",
            Refused::Signature(_) => "signature",
            _ => "other",
        })
    };
    let late = PublishedKey {
        valid_until_ts: NOW_MS - 1,
        ..published()
    };
    let retired = PublishedKey {
        expired_ts: Some(NOW_MS),
        ..published()
    };
    let origin: OwnedServerName = "remote.example".try_into().unwrap();
    assert_eq!(check("PUT", URI, Some(&content), ours), Ok(origin));
    for (what, outcome, expected) in [
        (
            "another method",
            check("POST", URI, Some(&content), ours),
            "signature",
        ),
        (
            "another path",
            check("PUT", "/", Some(&content), ours),
            "signature",
        ),
        ("no body", check("PUT", URI, None, ours), "signature"),
        (
            "an unknown key",
            check("PUT", URI, Some(&content), None),
            "key",
        ),
        (
            "a key past its time",
            check("PUT", URI, Some(&content), Some(late)),
            "key",
        ),
        (
            "a retired key",
            check("PUT", URI, Some(&content), Some(retired)),
            "key",
        ),
    ] {
        assert_eq!(outcome, Err(expected), "{what}");
    }
}

struct OneKey;

impl RemoteKeys for OneKey {
    fn key<'a>(
        &'a self,
        server: &'a ServerName,
        key_id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<PublishedKey>> + Send + 'a>> {
        let known = server == "remote.example" && key_id == "ed25519:a";
        Box::pin(async move { known.then(published) })
    }
}

struct Still;

impl engine::Clock for Still {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }
}

/// The API of `example.org`, on a store in memory.
pub(crate) async fn federation() -> Federation {
    federation_with(Servers::default(), None).await
}

/// The same that talks only to some servers, and lets each ask only so often.
async fn federation_with(servers: Servers, rate_limit: Option<Bucket>) -> Federation {
    let settings = Settings {
        key_validity_ms: 86_400_000,
        allow_addresses: Vec::new(),
        plain_push_gateways: false,
        proxy: None,
        trusted_authorities: Vec::new(),
        notaries: Vec::new(),
        servers,
        catch_up_max: 5_000,
        rate_limit,
    };
    let store = storage::Store::in_memory().await.unwrap();
    let (keys, chance) = (keys(), Arc::new(Chance::seeded(1)));
    let engine = Engine::start(
        store.clone(),
        engine::Settings::new(server()),
        Arc::new(Still),
        Arc::clone(&chance),
        Arc::clone(keys.current()),
    );
    let engine = engine.unwrap();
    Federation::start(&engine, store, keys, settings, Arc::new(Still), chance).unwrap()
}

#[actix_web::test]
async fn a_handler_hears_only_from_servers_that_signed() {
    let federation = federation().await;
    let remote_keys: Arc<dyn RemoteKeys> = Arc::new(OneKey);
    let app = http::init_service(
        App::new()
            .configure(|c| federation.configure(c))
            .app_data(web::Data::new(remote_keys))
            .route(
                "/_test/send/{id}",
                web::put()
                    .to(async |signed: Signed| HttpResponse::Ok().body(signed.origin.to_string())),
            ),
    )
    .await;
    let content = Value::Object([("a".to_owned(), Value::Integer(1))].into());
    let good = signed(Some(&server()), Some(&content)).to_header();
    let unknown = good.replace("ed25519:a", "ed25519:b");
    let both = format!("{unknown}\n{good}");
    let others = format!("{}\n{good}", unknown.replace("remote.", "other."));
    // Large ones are checked on another thread.
    let large = |rest: &str| format!("{{{}{rest}", " ".repeat(100_000));
    let (large, changed, broken) = (large("\"a\":1}"), large("\"a\":2}"), large(""));
    for (header, body, status) in [
        (Some(good.as_str()), r#"{ "a": 1 }"#, StatusCode::OK),
        (Some(good.as_str()), r#"{"a":2}"#, StatusCode::UNAUTHORIZED),
        (Some(good.as_str()), "{", StatusCode::BAD_REQUEST),
        (
            Some("X-Matrix nonsense"),
            r#"{"a":1}"#,
            StatusCode::UNAUTHORIZED,
        ),
        (None, r#"{"a":1}"#, StatusCode::UNAUTHORIZED),
        (Some(good.as_str()), large.as_str(), StatusCode::OK),
        (
            Some(good.as_str()),
            changed.as_str(),
            StatusCode::UNAUTHORIZED,
        ),
        (
            Some(good.as_str()),
            broken.as_str(),
            StatusCode::BAD_REQUEST,
        ),
        // More than one: one that fits is enough.
        (Some(both.as_str()), r#"{"a":1}"#, StatusCode::OK),
        (Some(both.as_str()), r#"{"a":2}"#, StatusCode::UNAUTHORIZED),
        (
            Some(others.as_str()),
            r#"{"a":1}"#,
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let mut request = http::TestRequest::with_uri(URI)
            .method(Method::PUT)
            .set_payload(body.to_owned());
        for header in header.iter().flat_map(|headers| headers.lines()) {
            request = request.append_header(("Authorization", header));
        }
        let answer = http::call_service(&app, request.to_request()).await;
        assert_eq!(answer.status(), status, "{header:?} {body}");
    }
}

#[actix_web::test]
async fn a_server_may_be_denied_or_ask_too_often() {
    let denied = Servers::new(&["*".to_owned()], &["remote.*".to_owned()]);
    let bucket = Bucket {
        per_second: 0.5,
        burst: 1,
    };
    for (servers, statuses) in [(denied, [403, 403]), (Servers::default(), [200, 429])] {
        let federation = federation_with(servers, Some(bucket)).await;
        let remote_keys: Arc<dyn RemoteKeys> = Arc::new(OneKey);
        let handler = async |signed: Signed| HttpResponse::Ok().body(signed.origin.to_string());
        let app = App::new()
            .configure(|c| federation.configure(c))
            .app_data(web::Data::new(remote_keys))
            .route("/_test/send/{id}", web::put().to(handler));
        let app = http::init_service(app).await;
        let content = Value::Object([("a".to_owned(), Value::Integer(1))].into());
        let good = signed(Some(&server()), Some(&content)).to_header();
        for status in statuses {
            let request = http::TestRequest::with_uri(URI)
                .method(Method::PUT)
                .insert_header(("Authorization", good.as_str()))
                .set_payload(r#"{"a":1}"#);
            let answer = http::call_service(&app, request.to_request()).await;
            assert_eq!(answer.status().as_u16(), status);
            if status == 429 {
                let wait = answer.headers().get("Retry-After").cloned();
                assert_eq!(wait.unwrap(), "2");
            }
        }
    }
}

#[actix_web::test]
async fn known_paths_and_unknown_ones_are_told_apart() {
    let federation = federation().await;
    let app = http::init_service(App::new().configure(|c| federation.configure(c))).await;
    for (method, path, status) in [
        (Method::GET, "/_matrix/key/v2/server", 200),
        (Method::GET, "/_matrix/key/v2/server/ed25519:a", 200),
        (Method::GET, "/_matrix/federation/v1/version", 200),
        (Method::POST, "/_matrix/federation/v1/version", 405),
        (Method::OPTIONS, "/_matrix/federation/v1/version", 204),
        (Method::GET, "/_matrix/federation/v1/nonsense", 404),
        (Method::GET, "/_matrix/key/v3/server", 404),
        (Method::GET, "/_matrix/key/v2/query/example.org", 200),
        (Method::GET, "/_matrix/key/v2/query/no%20name", 400),
        (Method::GET, "/_matrix/key/v2/query/example.org:+80", 400),
        (Method::POST, "/_matrix/key/v2/query", 400),
        (Method::GET, "/_matrix/federation/v1/event/%24a", 401),
        (Method::PUT, "/_matrix/federation/v1/send/1", 401),
    ] {
        let request = http::TestRequest::with_uri(path)
            .method(method.clone())
            .to_request();
        let answer = http::call_service(&app, request).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
    }
}

#[actix_web::test]
async fn an_address_asks_for_the_keys_of_others_only_so_often() {
    let federation = federation().await;
    let app = http::init_service(App::new().configure(|c| federation.configure(c))).await;
    let mut statuses = Vec::new();
    for n in 0..60 {
        let request = http::TestRequest::with_uri("/_matrix/key/v2/query/example.org");
        let address = format!("192.0.2.{}:1", n / 59 + 1).parse().unwrap();
        let request = request.peer_addr(address).to_request();
        statuses.push(http::call_service(&app, request).await.status().as_u16());
    }
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[58], 429);
    assert_eq!(statuses[59], 200, "another address");
}
