//! The doors of the API, tried through actix without a socket: what holds for every request.

use actix_web::{
    App, body,
    http::{Method, StatusCode},
    test,
};
use engine::Engine;
use serde_json::Value;

use crate::{ClientApi, Settings};

/// Sends one request; the status, the headers and the JSON of the answer.
async fn ask(
    request: test::TestRequest,
) -> (StatusCode, actix_web::http::header::HeaderMap, Value) {
    let api = ClientApi::new(Engine, Settings::default());
    let app = test::init_service(App::new().configure(|config| api.configure(config))).await;
    let response = test::call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = body::to_bytes(response.into_body()).await.unwrap();
    (
        status,
        headers,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

async fn refused(request: test::TestRequest, status: u16, errcode: &str) {
    let (got, headers, body) = ask(request).await;
    assert_eq!(
        (got.as_u16(), body["errcode"].as_str()),
        (status, Some(errcode)),
        "{body}"
    );
    assert!(
        body["error"]
            .as_str()
            .is_some_and(|sentence| !sentence.is_empty()),
        "{body}"
    );
    assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
    assert_eq!(headers.get("content-type").unwrap(), "application/json");
}

fn request(method: Method, path: &str) -> test::TestRequest {
    test::TestRequest::default().method(method).uri(path)
}

#[actix_web::test]
async fn versions_need_no_account() {
    let (status, headers, body) = ask(request(Method::GET, "/_matrix/client/versions")).await;
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
async fn a_bad_token_is_refused_even_where_none_is_needed() {
    let versions = || request(Method::GET, "/_matrix/client/versions");
    refused(
        versions().insert_header(("authorization", "Bearer x")),
        401,
        "M_UNKNOWN_TOKEN",
    )
    .await;
    refused(
        request(Method::GET, "/_matrix/client/versions?access_token=x"),
        401,
        "M_UNKNOWN_TOKEN",
    )
    .await;
    refused(
        versions().insert_header(("authorization", "Basic x")),
        401,
        "M_MISSING_TOKEN",
    )
    .await;
}

#[actix_web::test]
async fn a_missing_token_and_an_unknown_one() {
    let capabilities = || request(Method::GET, "/_matrix/client/v3/capabilities");
    refused(capabilities(), 401, "M_MISSING_TOKEN").await;
    refused(
        capabilities().insert_header(("authorization", "bearer x")),
        401,
        "M_UNKNOWN_TOKEN",
    )
    .await;
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_unrecognized() {
    for path in [
        "/_matrix/client/v3/nothing",
        "/_matrix/client",
        "/_matrix/media/v9/x",
        "/_synapse/y",
    ] {
        refused(request(Method::GET, path), 404, "M_UNRECOGNIZED").await;
    }
    refused(
        request(Method::DELETE, "/_matrix/client/versions"),
        405,
        "M_UNRECOGNIZED",
    )
    .await;
}

#[actix_web::test]
async fn options_asks_for_nothing() {
    for path in [
        "/_matrix/client/v3/capabilities",
        "/_matrix/client/v3/nothing",
    ] {
        let (status, headers, _) = ask(request(Method::OPTIONS, path)).await;
        assert!(status.is_success(), "{path}");
        assert!(
            headers.contains_key("access-control-allow-methods"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn old_paths_stay() {
    refused(
        request(Method::GET, "/_matrix/client/r0/capabilities"),
        401,
        "M_MISSING_TOKEN",
    )
    .await;
}
