//! Clients that behave as none should: they hold up nobody, and what they took is given back.

use std::{fs, time::Duration};

use tests::{TestServer, eventually::eventually};
use tokio::time::timeout;

/// How often a client comes back.
const CONNECTS: usize = 500;

/// How many connections, files and the like a server may have open besides those at the beginning.
const SPARE: usize = 40;

/// What fills the buffers of a connection that nobody reads.
const LARGE: usize = 60_000;

/// How many files and connections the server has open.
fn open_files(server: &TestServer) -> usize {
    let pid = server.pid().expect("a running server");
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Sockets and waiting requests that are given up as soon as they are there, one after another as fast as they go.
#[tokio::test]
async fn a_client_that_always_comes_back_leaves_nothing_behind() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let since = bob.syncs().await.next_batch();
    let before = open_files(&server);
    let restless = async {
        for n in 0..CONNECTS {
            if n % 2 == 0 {
                drop(bob.opens_socket(&format!("since={since}")).await);
            } else {
                let waiting = bob.syncs().since(&since).timeout(30_000).into_future();
                let _ = timeout(Duration::from_millis(2), waiting).await;
            }
        }
    };
    let patient = async {
        let mut last = String::new();
        for n in 0..50 {
            last = alice.says(&room, &format!("message {n}")).await;
        }
        last
    };
    let ((), last) = tokio::join!(restless, patient);
    bob.syncs_on_until(Some(&since), &room, &last).await;
    eventually("connections that end", async || {
        (open_files(&server) <= before + SPARE).then_some(())
    })
    .await;
}

/// It reads nothing, though its connection is open.
#[tokio::test]
async fn a_client_that_never_reads_holds_up_nobody() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let room = alice.creates_room().with([&bob, &carol]).await;
    let since = carol.syncs().await.next_batch();
    let deaf = bob.opens_socket("").await;
    let body = "x".repeat(LARGE);
    let mut last = String::new();
    for _ in 0..200 {
        last = alice.says(&room, &body).await;
    }
    carol.syncs_on_until(Some(&since), &room, &last).await;
    drop(deaf);
    // He comes back, and finds the end of it.
    let mut again = bob.opens_socket("").await;
    again
        .pushes_until(|push| push.event(&room, &last).cloned())
        .await;
}

/// It reads, but never says what it has processed.
#[tokio::test]
async fn a_client_that_acknowledges_nothing_is_let_go() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut socket = bob.opens_socket("").await;
    for _ in 0..20 {
        alice.says(&room, "hello").await;
    }
    assert_eq!(socket.closes().await, Some(4002));
}

/// Tokens that this server never gave.
#[tokio::test]
async fn tokens_of_nowhere_are_refused_and_those_of_the_future_wait() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    for token in [
        "garbage",
        "s",
        "s-1_2",
        "s99999999999999999999_1",
        "\u{0}",
        "s1_1_1_1_1_1_1_1_1_1_1_1",
    ] {
        let refused = alice.syncs().since(token).call().await;
        assert_eq!(refused.status, 400, "{token:?}: {}", refused.summary());
    }
    // As after a database was put back to an older state: nothing is shown twice, and what comes is not missed.
    let now = alice.syncs().await.next_batch();
    let ahead: String = match now.strip_prefix('s') {
        Some(rest) if server.is_own() => {
            let (position, rest) = rest.split_once('_').unwrap_or((rest, ""));
            let position: u64 = position.parse().expect("a position");
            format!("s{}_{rest}", position + 1_000_000)
        }
        _ => return,
    };
    let future = alice.syncs().since(&ahead).await;
    let rooms = future.0["rooms"]["join"].as_object();
    assert!(rooms.is_none_or(serde_json::Map::is_empty), "{future:?}");
    let event = alice.says(&room, "hello").await;
    alice
        .syncs_on_until(Some(&future.next_batch()), &room, &event)
        .await;
}
