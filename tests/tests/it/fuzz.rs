//! Random and spoilt requests to every endpoint: never a 500, never a dropped connection.
//!
//! The number of cases is bounded. The seed is printed when a case fails; `TEST_SEED` runs it again.

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tests::{
    TestServer,
    api::{Api, Operation},
    case::{self, Ask, Who, World},
    path::escape,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Spoilt requests for each operation.
const SPOILT_PER_OPERATION: usize = 20;
/// Connections that get noise.
const NOISY_CONNECTIONS: usize = 100;

/// A generator that starts from the environment's seed or a new one, which it prints: tests show what they print when
/// they fail.
fn chance() -> StdRng {
    let seed = std::env::var("TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    eprintln!("TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

#[tokio::test]
async fn spoilt_requests_are_answered_and_never_with_a_failure() {
    if TestServer::start_own().await.is_none() {
        return; // Others fail at some.
    }
    let mut world = World::new().await;
    let mut chance = chance();
    for operation in Api::get().operations() {
        let Some(ask) = case::good(&operation.id) else {
            continue;
        };
        for _ in 0..SPOILT_PER_OPERATION {
            let who = [
                Who::Alice,
                Who::Alice,
                Who::Alice,
                Who::Bob,
                Who::Eve,
                Who::Nobody,
            ][chance.random_range(0..6)];
            let ask = Ask {
                who: if ask.who == Who::Nobody {
                    Who::Nobody
                } else {
                    who
                },
                ..ask.clone()
            };
            try_spoilt(&world, operation, ask, &mut chance).await;
        }
        // Some requests end sessions, as they should.
        world.wakes_up().await;
    }
    world.server.get("/health").await.ok();
    assert!(
        !world.server.log().contains("panicked"),
        "a panic:\n{}",
        world.server.log()
    );
}

/// One spoilt request.
async fn try_spoilt(
    world: &World,
    operation: &'static Operation,
    mut ask: Ask,
    chance: &mut StdRng,
) {
    let (mut raw, mut in_parts) = (None, false);
    match chance.random_range(0..10) {
        0 => raw = Some(noise(chance, 200)),
        1 => {
            raw = ask
                .body
                .as_ref()
                .map(|body| flip(body.to_string().into_bytes(), chance))
        }
        2..=6 => {
            if let Some(body) = &mut ask.body {
                spoil(body, chance);
            }
        }
        7 => {
            for parameter in operation
                .path
                .split('/')
                .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
            {
                if chance.random_bool(0.5) {
                    ask.parameters.insert(parameter, text(chance));
                }
            }
        }
        _ => {
            let names = [
                "limit",
                "from",
                "since",
                "filter",
                "timeout",
                "dir",
                "at",
                "username",
                "format",
                "full_state",
            ];
            for name in names {
                if chance.random_bool(0.3) {
                    ask.query.push((name, text(chance)));
                }
            }
            // A filter of random shape.
            if chance.random_bool(0.3) {
                let mut filter = json!({"room": {"timeline": {"limit": 3, "types": ["a"]}, "state": {"lazy_load_members": true}}, "event_fields": ["content"]});
                spoil(&mut filter, chance);
                in_parts = true;
                ask.query.push(("filter", filter.to_string()));
            }
        }
    }
    let call = world.call(operation, &ask);
    let call = match raw {
        Some(raw) => call.bytes(raw),
        None => call,
    };
    let call = match in_parts {
        true => call.for_parts(),
        false => call,
    };
    // The call itself checks that the answer is described, and no 5xx is.
    let answer = call.attempt().await;
    assert!(
        answer.is_ok(),
        "{}: {:?} to {ask:?}",
        operation.id,
        answer.err()
    );
}

/// Replaces, adds or removes something somewhere in the value.
fn spoil(value: &mut Value, chance: &mut StdRng) {
    let deeper = chance.random_bool(0.7);
    match value {
        Value::Object(object) if deeper && !object.is_empty() => {
            let at = chance.random_range(0..object.len());
            let key = object.keys().nth(at).expect("it is shorter").clone();
            match chance.random_range(0..6) {
                0 => {
                    object.remove(&key);
                }
                1 => {
                    object.insert(text(chance), anything(chance, 2));
                }
                _ => spoil(&mut object[&key], chance),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = chance.random_range(0..items.len());
            spoil(&mut items[at], chance);
        }
        other => *other = anything(chance, 3),
    }
}

/// Any value, at most `depth` levels deep.
fn anything(chance: &mut StdRng, depth: usize) -> Value {
    match chance.random_range(0..if depth == 0 { 7 } else { 10 }) {
        0 => Value::Null,
        1 => json!(chance.random_bool(0.5)),
        2 => json!(chance.random_range(-3..100_i64)),
        3 => json!([i64::MAX, i64::MIN, 1 << 53, -(1_i64 << 53), 0][chance.random_range(0..5)]),
        4 => json!([0.5, 1e300, -0.0, 1e-300][chance.random_range(0..4)]),
        5 | 6 => json!(text(chance)),
        7 => (0..chance.random_range(0..4))
            .map(|_| anything(chance, depth - 1))
            .collect(),
        _ => {
            let pairs =
                (0..chance.random_range(0..4)).map(|_| (text(chance), anything(chance, depth - 1)));
            Value::Object(pairs.collect())
        }
    }
}

/// A text that code may stumble over.
fn text(chance: &mut StdRng) -> String {
    const TEXTS: [&str; 28] = [
        "",
        " ",
        "0",
        "-1",
        "1",
        "true",
        "null",
        "{",
        "{}",
        "[]",
        "\"",
        "%",
        "%00",
        "\u{0}",
        "\u{feff}",
        "☕",
        "@",
        "@a",
        "@a:b",
        "!",
        "!a:b",
        "#a:b",
        "$",
        "$a",
        "m.room.member",
        "../..",
        "18446744073709551616",
        "a\u{301}\u{202e}",
    ];
    match chance.random_range(0..10) {
        0 => TEXTS[chance.random_range(0..TEXTS.len())].repeat(chance.random_range(1..300)),
        1 => String::from_utf8_lossy(&noise(chance, 30)).into_owned(),
        _ => TEXTS[chance.random_range(0..TEXTS.len())].to_owned(),
    }
}

/// Random bytes, at most so many.
fn noise(chance: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; chance.random_range(0..most)];
    chance.fill_bytes(&mut bytes);
    bytes
}

/// The bytes with a few changed, dropped or doubled.
fn flip(mut bytes: Vec<u8>, chance: &mut StdRng) -> Vec<u8> {
    for _ in 0..chance.random_range(1..4) {
        if bytes.is_empty() {
            break;
        }
        let at = chance.random_range(0..bytes.len());
        match chance.random_range(0..3) {
            0 => bytes[at] = chance.random(),
            1 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, bytes[at]),
        }
    }
    bytes
}

#[tokio::test]
async fn noise_on_the_socket_disturbs_nobody() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let address = server
        .connection()
        .base()
        .trim_start_matches("http://")
        .to_owned();
    let mut chance = chance();
    for _ in 0..NOISY_CONNECTIONS {
        let mut bytes = noise(&mut chance, 400);
        if chance.random_bool(0.7) {
            let path = escape(&text(&mut chance));
            let mut request =
                format!("GET /_matrix/client/v3/{path} HTTP/1.1\r\nHost: a\r\nX: ").into_bytes();
            request.append(&mut bytes);
            request.extend_from_slice(b"\r\n\r\n");
            bytes = request;
        }
        let mut socket = TcpStream::connect(&address)
            .await
            .expect("the server listens");
        // It may hang up while we still write, or before we read: it owes nothing to noise.
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let reading = socket.read_to_end(&mut answer);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), reading).await;
    }
    alice.says(&room, "still there").await;
    assert!(
        !server.log().contains("panicked"),
        "a panic:\n{}",
        server.log()
    );
}
