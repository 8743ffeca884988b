//! The doors of the API, tried through actix without a socket: what holds for every request.

use std::sync::Arc;

use actix_web::{
    App, body,
    http::{
        Method, StatusCode,
        header::{AUTHORIZATION, HeaderMap},
    },
    test::{self, TestRequest},
};
use engine::{
    Clock, Engine,
    account::{Credentials, DeviceWish, LoginAsk, NewAccount, PasswordSettings},
    chance::Chance,
};
use ruma::owned_server_name;
use serde_json::{Value, json};
use spec::sign::ServerKey;
use storage::Store;

use crate::{ClientApi, RateLimits, Settings};

/// A day in 2026, for ever.
struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        1_780_000_000_000
    }
}

/// The API over an empty server with one account.
struct Server {
    api: ClientApi,
    token: String,
}

/// An answer: status, headers, JSON.
type Answer = (StatusCode, HeaderMap, Value);

impl Server {
    async fn start() -> Self {
        let settings = Settings {
            rate_limits: None,
            public_body_bytes_max: 1000,
            body_bytes_max: 100_000,
            ..Settings::default()
        };
        Self::start_with(settings).await
    }

    async fn start_with(settings: Settings) -> Self {
        let name = owned_server_name!("a.b");
        let mut engine_settings = engine::Settings::new(name.clone());
        engine_settings.accounts.password = PasswordSettings {
            memory_kib: 8,
            passes: 1,
            ..PasswordSettings::default()
        };
        let engine = Engine::start(
            Store::in_memory().await.unwrap(),
            engine_settings,
            Arc::new(Stopped),
            Arc::new(Chance::seeded(1)),
            Arc::new(ServerKey::from_seed(name, "1", &[1; 32])),
        )
        .unwrap();
        let account = NewAccount {
            localpart: "ann".to_owned(),
            password: Some("a long password".into()),
            admin: false,
        };
        engine.accounts().create(account).await.unwrap();
        let login = LoginAsk {
            credentials: Credentials::Password {
                user: Some("ann".to_owned()),
                password: "a long password".into(),
            },
            device: DeviceWish::default(),
        };
        let token = engine.accounts().log_in(login).await.unwrap().access_token;
        Self {
            api: ClientApi::new(engine, settings),
            token: token.into_inner(),
        }
    }

    /// Sends one request.
    async fn ask(&self, request: TestRequest) -> Answer {
        let app = App::new().configure(|config| self.api.configure(config));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = body::to_bytes(response.into_body()).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (status, headers, json)
    }

    /// Sends one request with the account's token.
    async fn ask_as_ann(&self, request: TestRequest) -> Answer {
        let bearer = (AUTHORIZATION, format!("Bearer {}", self.token));
        self.ask(request.insert_header(bearer)).await
    }
}

/// Holds an answer against the status, code and form of an error; returns its sentence.
#[track_caller]
fn refused((status, headers, body): Answer, expected: (u16, &str)) -> String {
    let found = (
        status.as_u16(),
        body["errcode"].as_str().unwrap_or_default(),
    );
    assert_eq!(found, expected, "{body}");
    assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
    assert_eq!(headers.get("content-type").unwrap(), "application/json");
    body["error"].as_str().unwrap().to_owned()
}

fn request(method: Method, path: &str) -> TestRequest {
    TestRequest::default().method(method).uri(path)
}

fn post(path: &str, body: &str) -> TestRequest {
    request(Method::POST, path).set_payload(body.to_owned())
}

const CREATE_ROOM: &str = "/_matrix/client/v3/createRoom";
const CAPABILITIES: &str = "/_matrix/client/v3/capabilities";
const VERSIONS: &str = "/_matrix/client/versions";

#[actix_web::test]
async fn versions_need_no_account() {
    let server = Server::start().await;
    let (status, headers, body) = server.ask(request(Method::GET, VERSIONS)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
    assert!(
        body["versions"]
            .as_array()
            .unwrap()
            .contains(&"v1.1".into()),
        "{body}"
    );
}

#[actix_web::test]
async fn tokens_come_in_the_header_or_if_allowed_in_the_query() {
    let server = Server::start().await;
    let get = |path: &str| request(Method::GET, path);
    let with = |header: &str| get(CAPABILITIES).insert_header((AUTHORIZATION, header.to_owned()));
    let in_query = format!("{CAPABILITIES}?access_token={}", server.token);
    let as_ann = server.ask(with(&format!("bearer {}", server.token))).await;
    assert_eq!(as_ann.0, StatusCode::OK);
    assert_eq!(server.ask(get(&in_query)).await.0, StatusCode::OK);
    refused(
        server.ask(get(CAPABILITIES)).await,
        (401, "M_MISSING_TOKEN"),
    );
    refused(server.ask(with("Basic x")).await, (401, "M_MISSING_TOKEN"));
    refused(server.ask(with("Bearer x")).await, (401, "M_UNKNOWN_TOKEN"));
    // Where a token is not needed, a bad one is refused all the same.
    let bad = get(&format!("{VERSIONS}?access_token=x"));
    refused(server.ask(bad).await, (401, "M_UNKNOWN_TOKEN"));

    let settings = Settings {
        token_in_query: false,
        ..Settings::default()
    };
    let server = Server::start_with(settings).await;
    let in_query = format!("{CAPABILITIES}?access_token={}", server.token);
    refused(server.ask(get(&in_query)).await, (401, "M_MISSING_TOKEN"));
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_unrecognized() {
    let server = Server::start().await;
    for path in [
        "/_matrix/client/v3/nothing",
        "/_matrix/client",
        "/_matrix/media/v9/x",
        "/_synapse/y",
    ] {
        refused(
            server.ask(request(Method::GET, path)).await,
            (404, "M_UNRECOGNIZED"),
        );
    }
    let answer = server.ask(request(Method::DELETE, VERSIONS)).await;
    assert_eq!(answer.1.get("allow").unwrap(), "GET");
    refused(answer, (405, "M_UNRECOGNIZED"));
}

#[actix_web::test]
async fn options_asks_for_nothing() {
    let server = Server::start().await;
    for path in [CAPABILITIES, "/_matrix/client/v3/nothing"] {
        let (status, headers, _) = server.ask(request(Method::OPTIONS, path)).await;
        assert!(status.is_success(), "{path}");
        assert!(
            headers.contains_key("access-control-allow-methods"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn bodies_that_are_no_json_or_do_not_fit() {
    let server = Server::start().await;
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(100_000));
    for (body, expected, word) in [
        ("{", (400, "M_NOT_JSON"), "JSON"),
        ("[]", (400, "M_BAD_JSON"), "object"),
        (r#"{"name":5}"#, (400, "M_BAD_JSON"), "\"name\""),
        (r#"{"name":"a","name":"b"}"#, (400, "M_BAD_JSON"), "name"),
        (
            r#"{"invite":["@a:b",7]}"#,
            (400, "M_BAD_JSON"),
            "\"invite[1]\"",
        ),
        (
            r#"{"room_version":12}"#,
            (400, "M_BAD_JSON"),
            "\"room_version\"",
        ),
        (r#"{"preset":"castle"}"#, (400, "M_BAD_JSON"), "castle"),
        (
            r#"{"initial_state":[{"type":"a"}]}"#,
            (400, "M_BAD_JSON"),
            "content",
        ),
        (
            r#"{"creation_content":{"a":1,"a":2}}"#,
            (400, "M_BAD_JSON"),
            "twice",
        ),
        (&*deep, (400, "M_BAD_JSON"), "deep"),
        (&*large, (413, "M_TOO_LARGE"), "100000"),
    ] {
        let sentence = refused(server.ask_as_ann(post(CREATE_ROOM, body)).await, expected);
        assert!(sentence.contains(word), "{sentence}");
    }
    let invalid = request(Method::POST, CREATE_ROOM).set_payload(b"{\"name\":\"\xff\"}".to_vec());
    refused(server.ask_as_ann(invalid).await, (400, "M_NOT_JSON"));
    // Who it is comes before what it says.
    refused(
        server.ask(post(CREATE_ROOM, "{")).await,
        (401, "M_MISSING_TOKEN"),
    );
}

#[actix_web::test]
async fn paths_and_queries_that_do_not_fit() {
    let server = Server::start().await;
    for (path, expected, word) in [
        (
            "/rooms/nonsense/messages?dir=b",
            (400, "M_INVALID_PARAM"),
            "room ID",
        ),
        ("/rooms/!a/messages", (400, "M_MISSING_PARAM"), "dir"),
        ("/rooms/!a/messages?dir=up", (400, "M_INVALID_PARAM"), "up"),
        (
            "/rooms/!a/messages?dir=b&limit=-1",
            (400, "M_INVALID_PARAM"),
            "",
        ),
        (
            "/rooms/!a/messages?dir=b&limit=x",
            (400, "M_INVALID_PARAM"),
            "",
        ),
        (
            "/rooms/!a/messages?dir=b&filter=x",
            (400, "M_INVALID_PARAM"),
            "",
        ),
        (
            "/rooms/!a/state/m.room.name/%00",
            (400, "M_INVALID_PARAM"),
            "NUL",
        ),
        (
            "/rooms/!a/event/nonsense",
            (400, "M_INVALID_PARAM"),
            "event ID",
        ),
        ("/sync?timeout=-5", (400, "M_INVALID_PARAM"), ""),
        ("/sync?since=nonsense", (400, "M_INVALID_PARAM"), "token"),
        (
            "/sync?filter=nonsense",
            (400, "M_INVALID_PARAM"),
            "nonsense",
        ),
    ] {
        let path = format!("/_matrix/client/v3{path}");
        let answer = server.ask_as_ann(request(Method::GET, &path)).await;
        let sentence = refused(answer, expected);
        assert!(sentence.contains(word), "{path}: {sentence}");
    }
}

#[actix_web::test]
async fn identifiers_with_odd_characters_reach_the_engine() {
    let server = Server::start().await;
    let (status, _, body) = server
        .ask_as_ann(post(CREATE_ROOM, r#"{"name":"a"}"#))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let room = body["room_id"].as_str().unwrap().to_owned();
    let v3 = |rest: &str| format!("/_matrix/client/v3/rooms/{room}{rest}");
    let state = [
        (
            "/state/my%2Ftype/a%2Fb+c%20%F0%9F%90%A6",
            "/state/my%2Ftype/a%2fb%2Bc%20🐦",
        ),
        ("/state/org.x", "/state/org.x/"),
        ("/state/org.y/", "/state/org.y"),
    ];
    for (put, get) in state {
        let content = json!({"by": put, "1": [null, true]});
        let put = request(Method::PUT, &v3(put)).set_payload(content.to_string());
        assert_eq!(server.ask_as_ann(put).await.0, StatusCode::OK);
        let get = get.replace('🐦', "%F0%9F%90%A6");
        let (status, _, body) = server.ask_as_ann(request(Method::GET, &v3(&get))).await;
        assert_eq!((status, &body), (StatusCode::OK, &content), "{get}");
    }
    // As `r0`, and with a type that ruma would rename.
    let old = format!("/_matrix/client/r0/rooms/{room}/send/m.beacon/1");
    let sent = server
        .ask_as_ann(request(Method::PUT, &old).set_payload("{}"))
        .await;
    let event = sent.2["event_id"].as_str().unwrap().to_owned();
    let (_, _, event) = server
        .ask_as_ann(request(Method::GET, &v3(&format!("/event/{event}"))))
        .await;
    assert_eq!(event["type"], "m.beacon");
    let empty = request(Method::PUT, &v3("/send/m.room.message/2"));
    refused(server.ask_as_ann(empty).await, (400, "M_NOT_JSON"));
    let float = request(Method::PUT, &v3("/send/m.room.message/3")).set_payload(r#"{"a":1.5}"#);
    refused(server.ask_as_ann(float).await, (400, "M_BAD_JSON"));
}

#[actix_web::test]
async fn who_asks_too_often_has_to_wait() {
    let slow = engine::buckets::Bucket {
        per_second: 0.01,
        burst: 2,
    };
    let rates = RateLimits {
        sends: slow,
        requests: slow,
        anonymous: slow,
        logins: slow,
    };
    let settings = Settings {
        rate_limits: Some(rates),
        ..Settings::default()
    };
    let server = Server::start_with(settings).await;
    for _ in 0..2 {
        assert_eq!(
            server.ask(request(Method::GET, VERSIONS)).await.0,
            StatusCode::OK
        );
        let answer = server.ask_as_ann(request(Method::GET, CAPABILITIES)).await;
        assert_eq!(answer.0, StatusCode::OK);
    }
    for answer in [
        server.ask(request(Method::GET, VERSIONS)).await,
        server.ask_as_ann(request(Method::GET, CAPABILITIES)).await,
    ] {
        let seconds: u64 = answer
            .1
            .get("retry-after")
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let ms = answer.2["retry_after_ms"].as_u64().unwrap();
        assert!(
            ms > 0 && seconds == ms.div_ceil(1000),
            "{seconds} s, {ms} ms"
        );
        refused(answer, (429, "M_LIMIT_EXCEEDED"));
    }
}

#[actix_web::test]
async fn a_stopping_server_lets_nobody_wait() {
    let server = Server::start().await;
    let get = |query: &str| request(Method::GET, &format!("/_matrix/client/v3/sync?{query}"));
    let (_, _, first) = server.ask_as_ann(get("")).await;
    let since = first["next_batch"].as_str().unwrap();
    let waiting = server.ask_as_ann(get(&format!("since={since}&timeout=60000")));
    let stopping = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        server.api.stop();
    };
    let ((status, _, body), ()) = tokio::join!(waiting, stopping);
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["next_batch"].is_string(), "{body}");
}
