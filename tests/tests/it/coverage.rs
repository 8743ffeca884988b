//! Every route is described, every description is exercised, and every endpoint refuses what all must refuse.

use std::{collections::BTreeSet, process::Command};

use reqwest::Method;
use tests::{
    TestServer,
    api::{Api, Operation},
    case::{self, Ask, Who, World},
    server::binary,
};

/// Operations that are no request with an answer, tested in `websocket` and `sync`; and what only the links in e-mails lead to,
/// tested in `email`.
const ELSEWHERE: [&str; 5] = [
    "openStream",
    "openStreamR0",
    "syncEvents",
    "askUnsubscribe",
    "unsubscribe",
];

/// Operations that ask for what this server never has.
const NOTHING_THERE: [&str; 1] = ["getProtocolMetadata"];

/// All routes that the server registers, as method and path.
fn registered() -> BTreeSet<(String, String)> {
    let listed = Command::new(binary())
        .arg("routes")
        .output()
        .expect("the homeserver lists its routes");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let routes = listed.lines().filter_map(|line| line.split_once(' '));
    routes
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect()
}

#[test]
fn every_registered_route_is_described() {
    let api = Api::get();
    let routes = registered();
    assert!(routes.len() > 4, "no routes are registered");
    let missing: Vec<_> = routes
        .iter()
        .filter(|(method, path)| api.find(method, path).is_none())
        .collect();
    assert!(missing.is_empty(), "spec/api lacks {missing:#?}");
}

#[test]
fn every_described_route_is_registered() {
    let api = Api::get();
    let routes = registered();
    let served: BTreeSet<_> = routes
        .iter()
        .filter_map(|(method, path)| api.find(method, path))
        .map(|operation| &operation.id)
        .collect();
    let missing: Vec<_> = api
        .operations()
        .iter()
        .map(|o| &o.id)
        .filter(|id| !served.contains(id))
        .collect();
    assert!(missing.is_empty(), "nobody serves {missing:#?}");
}

#[tokio::test]
async fn every_operation_is_exercised() {
    let world = World::new().await;
    let mut failures = Vec::new();
    for operation in operations(&world) {
        let Some(ask) = case::good(&operation.id) else {
            failures.push(format!("{} has no case in tests/src/case.rs", operation.id));
            continue;
        };
        let answer = world.asks(operation, &ask).await;
        let expected = if NOTHING_THERE.contains(&operation.id.as_str()) {
            404
        } else {
            200
        };
        if answer.status != expected {
            failures.push(format!(
                "{}: {expected} expected, but it is {}",
                operation.id,
                answer.summary()
            ));
        }
        let (well, _) = world.server.connection().coverage.of(operation);
        assert!(
            well > 0 || answer.status != 200,
            "{} was not recorded",
            operation.id
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn every_operation_with_a_token_refuses_those_without() {
    let world = World::new().await;
    let mut failures = Vec::new();
    for operation in operations(&world).filter(|operation| operation.authenticated) {
        let ask = Ask {
            who: Who::Nobody,
            ..case::good(&operation.id).unwrap_or_else(|| Ask::by(Who::Nobody))
        };
        for (token, errcode) in [
            (None, "M_MISSING_TOKEN"),
            (Some("wrong"), "M_UNKNOWN_TOKEN"),
        ] {
            let call = world.call(operation, &ask);
            let answer = match token {
                Some(token) => call.token(token).await,
                None => call.await,
            };
            // These two may be open to who proves to be the user in another way.
            let interactive = matches!(
                operation.id.as_str(),
                "changePassword" | "deactivateAccount"
            ) && token.is_none()
                && answer.json().get("flows").is_some();
            let refused = (answer.status, answer.errcode().as_deref()) == (401, Some(errcode));
            if !refused && !interactive {
                failures.push(format!(
                    "{}: {errcode} expected, but it is {}",
                    operation.id,
                    answer.summary()
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn every_operation_with_a_body_refuses_what_is_none() {
    let world = World::new().await;
    let mut failures = Vec::new();
    for operation in operations(&world) {
        let Some(ask) = case::good(&operation.id).filter(|ask| ask.body.is_some()) else {
            continue;
        };
        // Of somebody whose token will still do afterwards.
        let who = if ask.who == Who::Newcomer {
            Who::Alice
        } else {
            ask.who
        };
        let ask = Ask { who, ..ask };
        for (body, errcode) in [
            (b"{\"a\":".as_slice(), "M_NOT_JSON"),
            (b"\xff\xfe{}", "M_NOT_JSON"),
            (b"{} {}", "M_NOT_JSON"),
            (b"[]", "M_BAD_JSON"),
            (b"\"text\"", "M_BAD_JSON"),
        ] {
            let answer = world.call(operation, &ask).bytes(body).await;
            let refused = (answer.status, answer.errcode().as_deref()) == (400, Some(errcode));
            // Others let some of it pass where they need no body; that they do not fail is checked in passing.
            if !refused && world.server.is_own() {
                let body = String::from_utf8_lossy(body);
                failures.push(format!(
                    "{} with {body}: {errcode} expected, but it is {}",
                    operation.id,
                    answer.summary()
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn every_path_refuses_other_methods_and_allows_options() {
    let world = World::new().await;
    let mut failures = Vec::new();
    for operation in operations(&world).filter(|operation| operation.path.starts_with("/_matrix/"))
    {
        let ask = Ask {
            body: None,
            ..case::good(&operation.id).unwrap_or_else(|| Ask::by(Who::Nobody))
        };
        let wrong = world.call(operation, &ask).method(Method::PATCH).await;
        if (wrong.status, wrong.errcode().as_deref()) != (405, Some("M_UNRECOGNIZED"))
            && world.server.is_own()
        {
            failures.push(format!("PATCH {}: {}", operation.path, wrong.summary()));
        }
        let options = world
            .call(operation, &ask)
            .anonymous()
            .method(Method::OPTIONS)
            .await;
        if !matches!(options.status, 200 | 204) {
            failures.push(format!("OPTIONS {}: {}", operation.path, options.summary()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The operations of the server under test.
fn operations(world: &World) -> impl Iterator<Item = &'static Operation> {
    let own = world.server.is_own();
    let described = Api::get()
        .operations()
        .iter()
        .filter(|operation| !ELSEWHERE.contains(&operation.id.as_str()));
    // What only servers may ask is told in `federation`.
    let described = described.filter(|operation| !operation.signed);
    described.filter(move |operation| own || operation.path.starts_with("/_matrix/"))
}

#[tokio::test]
async fn unknown_paths_are_unrecognized() {
    let server = TestServer::start().await;
    for path in [
        "/_matrix/client/v3/no_such_endpoint",
        "/_matrix/client/v99/sync",
        "/_matrix/client/v3/rooms/%21a/no_such_part",
        "/_matrix/client/v3/sync/",
        "/_matrix/client",
        "/_matrix/media/v3/no_such_endpoint",
        "/_matrix/federation/v1/no_such_endpoint",
        "/_matrix/key/v2/no_such_endpoint",
        "/_matrix/app/v1/no_such_endpoint",
        "/_matrix/",
        "/_matrix/client/v3/profile/%FF%FE",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = server.call(method.clone(), path).await;
            assert!(
                answer.status == 404 || !server.is_own(),
                "{method} {path}: {}",
                answer.summary()
            );
            assert!(
                answer.errcode().as_deref() == Some("M_UNRECOGNIZED") || !server.is_own(),
                "{method} {path}: {}",
                answer.summary()
            );
        }
    }
}
