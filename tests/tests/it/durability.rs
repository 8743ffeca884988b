//! What was acknowledged is kept: SIGKILL at random moments under load, and everything that got a 200 is there once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tests::{Room, TestServer, User, database::number, path::v3};

/// How often the server is killed.
const KILLS: usize = 20;
/// Who sends at the same time, each to a room of all.
const SENDERS: usize = 8;
/// The longest that a server runs before it is killed. Short, so that kills hit what is being written.
const LIFE_MS_MAX: u64 = 400;

/// What was acknowledged, by transaction ID.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// On the database of the environment; `make test` runs it on both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    let seed = std::env::var("TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    eprintln!("TEST_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);

    let [alice, bob] = server.users(["alice", "bob"]).await;
    let rooms = [
        alice.creates_room().with([&bob]).await,
        alice.creates_room().with([&bob]).await,
    ];
    let acknowledged = Acknowledged::default();
    let mut tokens = vec![bob.syncs().await.next_batch()];
    for life in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let room = rooms[sender % rooms.len()].clone();
                let user = if sender % 2 == 0 {
                    alice.clone()
                } else {
                    bob.clone()
                };
                let prefix = format!("life{life}-sender{sender}");
                tokio::spawn(send(
                    user,
                    room,
                    prefix,
                    Arc::clone(&acknowledged),
                    Arc::clone(&stop),
                ))
            })
            .collect();
        let reader = tokio::spawn(read(bob.clone(), tokens.last().cloned(), Arc::clone(&stop)));
        tokio::time::sleep(Duration::from_millis(chance.random_range(5..LIFE_MS_MAX))).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.await.expect("the sender ends");
        }
        tokens.extend(reader.await.expect("the reader ends"));
        server.restart().await;
        check_last(&bob, &rooms, &acknowledged, life).await;
    }
    let acknowledged = acknowledged
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    assert!(
        acknowledged.len() > KILLS * 2,
        "hardly anything was sent: {}",
        acknowledged.len()
    );
    check_history(&bob, &rooms, &acknowledged).await;
    check_tokens(&bob, &rooms, &tokens).await;
    check_retries(&alice, &bob, &rooms, &acknowledged).await;
    server.stop().await;
    check_positions(&server).await;
}

/// Sends one message after the other until the server is gone. What gets a 200 is noted.
async fn send(
    user: User,
    room: Room,
    prefix: String,
    acknowledged: Acknowledged,
    stop: Arc<AtomicBool>,
) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let txn = format!("{prefix}-{number}");
        // Every tenth changes the state.
        let content = json!({"msgtype": "m.text", "body": txn});
        let call = if number % 10 == 9 {
            let path = v3(&["rooms", &room.id, "state", "org.example.state", &prefix]);
            match user
                .put(path, &content)
                .answering::<Value>()
                .attempt()
                .await
            {
                // Bob has not the power; that is an answer, too.
                Ok(answer) if answer.status == 403 => continue,
                other => other,
            }
        } else {
            user.sends_as(&room, "m.room.message", &txn, &content)
                .answering::<Value>()
                .attempt()
                .await
        };
        let Ok(answer) = call else { return };
        let event = answer.ok()["event_id"].as_str().expect("an ID").to_owned();
        acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(txn, event);
    }
}

/// Syncs until the server is gone, and returns the tokens that it got.
async fn read(user: User, mut since: Option<String>, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut tokens = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut call = user.get("/_matrix/client/v3/sync").query("timeout", 50);
        if let Some(since) = &since {
            call = call.query("since", since);
        }
        let Ok(answer) = call.attempt().await else {
            break;
        };
        let next = answer.ok()["next_batch"]
            .as_str()
            .expect("a token")
            .to_owned();
        since = Some(next.clone());
        tokens.push(next);
    }
    tokens
}

/// After a restart, what this life acknowledged is there.
async fn check_last(user: &User, rooms: &[Room], acknowledged: &Acknowledged, life: usize) {
    let of_life: Vec<(String, String)> = {
        let all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = format!("life{life}-");
        all.iter()
            .filter(|(txn, _)| txn.starts_with(&prefix))
            .map(|(t, e)| (t.clone(), e.clone()))
            .collect()
    };
    // The last of each sender is the one that a kill would hit.
    let mut last: BTreeMap<&str, &(String, String)> = BTreeMap::new();
    for sent in &of_life {
        let sender = sent.0.rsplit_once('-').expect("a number").0;
        let number = |txn: &str| txn.rsplit('-').next().and_then(|n| n.parse::<usize>().ok());
        if last
            .get(sender)
            .is_none_or(|known| number(&known.0) < number(&sent.0))
        {
            last.insert(sender, sent);
        }
    }
    for (txn, event) in last.into_values() {
        let sender: usize = txn
            .split("sender")
            .nth(1)
            .and_then(|s| s.split('-').next())
            .and_then(|s| s.parse().ok())
            .expect("a number");
        let found = user.event(&rooms[sender % rooms.len()], event).await.ok();
        assert_eq!(found["content"]["body"], *txn, "life {life}");
    }
}

/// Every acknowledged event is in the history exactly once, and no transaction made two.
async fn check_history(user: &User, rooms: &[Room], acknowledged: &BTreeMap<String, String>) {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for room in rooms {
        let backwards = user.all_messages(room, "b", 100).await;
        let mut forwards = user.all_messages(room, "f", 100).await;
        forwards.reverse();
        assert_eq!(ids(&backwards), ids(&forwards), "both directions");
        for event in &backwards {
            if let Some(body) = event["content"]["body"].as_str() {
                let id = event["event_id"].as_str().expect("an ID").to_owned();
                found.entry(body.to_owned()).or_default().push(id);
            }
        }
    }
    for (txn, event) in acknowledged {
        assert_eq!(found.get(txn), Some(&vec![event.clone()]), "{txn}");
    }
    for (txn, events) in found {
        assert_eq!(events.len(), 1, "{txn} made {events:?}");
    }
}

/// Every token that was given out still works, and leads to what came after it: the timelines from it, gaps filled by
/// paging, are the end of the history.
async fn check_tokens(user: &User, rooms: &[Room], tokens: &[String]) {
    let filter = json!({"room": {"timeline": {"limit": 1000}}});
    let mut histories = Vec::new();
    for room in rooms {
        histories.push(ids(&user.all_messages(room, "f", 100).await));
    }
    // Some of each life; the later a token, the less may follow it.
    let mut earlier = vec![usize::MAX; rooms.len()];
    for token in tokens.iter().step_by((tokens.len() / 40).max(1)) {
        let sync = user.syncs().since(token).filter(&filter).await;
        for ((room, history), earlier) in rooms.iter().zip(&histories).zip(&mut earlier) {
            let timeline = ids(sync.events(room, "timeline"));
            assert!(
                history.ends_with(&timeline),
                "from {token}: {} events are not the end of the history",
                timeline.len()
            );
            assert!(
                timeline.len() <= *earlier,
                "from {token}: more than from an earlier token"
            );
            if sync
                .joined(room)
                .is_none_or(|joined| joined["timeline"]["limited"] != true)
            {
                *earlier = timeline.len();
            }
        }
    }
}

/// A transaction ID is remembered over the kills.
async fn check_retries(
    alice: &User,
    bob: &User,
    rooms: &[Room],
    acknowledged: &BTreeMap<String, String>,
) {
    let messages = acknowledged.iter().filter(|(txn, _)| !txn.ends_with('9'));
    for (txn, event) in messages.step_by((acknowledged.len() / 50).max(1)) {
        let sender: usize = txn
            .split("sender")
            .nth(1)
            .and_then(|s| s.split('-').next())
            .and_then(|s| s.parse().ok())
            .expect("a number");
        let user = if sender.is_multiple_of(2) { alice } else { bob };
        let again = user
            .sends_as(
                &rooms[sender % rooms.len()],
                "m.room.message",
                txn,
                &json!({"msgtype": "m.text", "body": "again"}),
            )
            .await;
        assert_eq!(again.ok().event_id, *event, "{txn}");
    }
}

/// No position is used twice, over all tables that have them, and none is beyond the counter.
async fn check_positions(server: &TestServer) {
    let (database, data) = server.data();
    let db = database.open(&data).await;
    let all = "SELECT position FROM events WHERE position IS NOT NULL \
               UNION ALL SELECT position FROM receipts UNION ALL SELECT position FROM account_data";
    let twice = format!(
        "SELECT COUNT(*) FROM (SELECT position FROM ({all}) AS a GROUP BY position HAVING COUNT(*) > 1) AS b"
    );
    assert_eq!(
        number(&db, &twice).await,
        0,
        "positions that are used twice"
    );
    let events = number(
        &db,
        "SELECT COUNT(DISTINCT event_id) - COUNT(*) FROM events",
    )
    .await;
    assert_eq!(events, 0, "events that are stored twice");
    db.close().await.expect("the database closes");
}

fn ids(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| event["event_id"].as_str().expect("an ID").to_owned())
        .collect()
}

#[tokio::test]
async fn what_else_was_acknowledged_is_kept_too() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice
        .creates_room()
        .option("name", json!("kept"))
        .with([&bob])
        .await;
    let message = alice.says(&room, "hello").await;
    let data = v3(&["user", &alice.id, "account_data", "org.example.kept"]);
    let alias = format!("#kept:{}", alice.server_name());
    alice.put(data.clone(), &json!({"a": 1})).await.ok();
    alice
        .put(
            v3(&["profile", &alice.id, "displayname"]),
            &json!({"displayname": "Kept"}),
        )
        .await
        .ok();
    alice
        .put(
            v3(&["directory", "room", &alias]),
            &json!({"room_id": room.id}),
        )
        .await
        .ok();
    bob.reads(&room, "m.read", &message).await.ok();
    let tablet = alice.logs_in_again().await;
    bob.post("/_matrix/client/v3/logout", &json!({})).await.ok();
    server.kill();
    let begun = Instant::now();
    server.restart().await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it took {:?} to come back",
        begun.elapsed()
    );

    assert_eq!(tablet.get(data).await.ok(), json!({"a": 1}));
    assert_eq!(
        server.get(v3(&["profile", &alice.id])).await.ok()["displayname"],
        "Kept"
    );
    assert_eq!(
        server.get(v3(&["directory", "room", &alias])).await.ok()["room_id"],
        room.id
    );
    bob.get("/_matrix/client/v3/account/whoami")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    let sync = alice.syncs().await;
    let receipts = sync
        .of_room(&room, "ephemeral", "m.receipt")
        .expect("the receipt");
    assert!(receipts[&message]["m.read"].get(&bob.id).is_some());
    assert_eq!(
        alice.state(&room, "m.room.name", "").await.ok()["name"],
        "kept"
    );
}
