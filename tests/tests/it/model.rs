//! Whatever happens, and however a client hears of it, in the end it knows what the server knows.
//!
//! People do things at random; one of them watches with four clients: by long-polling, over a socket, and by sliding sync
//! over both. Now and then the clients ask, lose an answer or their connection. In the end each must know what the
//! reading endpoints say. `TEST_SEED` runs one history alone.

mod knowledge;
mod people;
mod truth;
mod watchers;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tests::{TestServer, federation::Neighbourhood, path::v3};

use self::{people::People, truth::Truth, watchers::Watcher};

/// The type of the account data that ends a history.
const END: &str = "org.example.end";

/// After how many of the things that happen a watcher looks, on average.
const LOOK_EVERY: u32 = 12;

/// The histories to try: always the same, so that a failure is the doing of a change.
fn seeds(fixed: u64) -> Vec<u64> {
    let named = std::env::var("TEST_SEED").ok();
    match named.and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=fixed).collect(),
    }
}

#[tokio::test]
async fn all_transports_tell_the_same_truth() {
    for seed in seeds(5) {
        let Some(server) = TestServer::start_own().await else {
            return;
        };
        let people = People::here(&server).await;
        a_history(people, seed, 150).await;
    }
}

/// Two servers lose and find each other again: events come late, in forks, and state is decided anew.
#[tokio::test]
async fn all_transports_tell_the_same_truth_of_two_servers() {
    for seed in seeds(3) {
        let machine = Neighbourhood::new();
        let Some((here, to_here)) = machine.server_behind_switch().await else {
            return;
        };
        let (there, to_there) = machine.server_behind_switch().await.expect("another one");
        let people = People::of_both(&here, &there, vec![to_here, to_there]).await;
        a_history(people, seed, 100).await;
    }
}

async fn a_history(mut people: People, seed: u64, length: usize) {
    let mut chance = StdRng::seed_from_u64(seed);
    let late = people.are_apart();
    let mut watchers = Watcher::all(&people.bob, late).await;
    for _ in 0..length {
        people.something_happens(&mut chance).await;
        for watcher in &mut watchers {
            if chance.random_ratio(1, LOOK_EVERY) {
                watcher.looks(&mut chance).await;
            }
        }
    }
    people.come_to_rest().await;
    let end = v3(&["user", &people.bob.id, "account_data", END]);
    people.bob.put(end, &json!({"seed": seed})).await.ok();
    let truth = Truth::of(&people).await;
    let mut complaints = Vec::new();
    for mut watcher in watchers {
        watcher.looks_to_the_end().await;
        let wrong = truth.complaints(&watcher.knowledge, watcher.is_sliding());
        complaints.extend(
            wrong
                .iter()
                .map(|wrong| format!("{}, {wrong}", watcher.name)),
        );
    }
    assert!(
        complaints.is_empty(),
        "TEST_SEED={seed}\n{}\nThis happened:\n{}",
        complaints.join("\n"),
        people.story.join("\n"),
    );
}
