//! Initial sync, incremental sync with one change, and sliding sync's first window, of a user of more and more rooms.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::person::{Names, Person, escaped, next_batch};
use crate::samples::Samples;
use crate::sends::plural;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

const INITIAL_RUNS: usize = 5;
const INCREMENTAL_RUNS: usize = 50;
const SLIDING_RUNS: usize = 20;
/// Rooms of sliding sync's first window.
const WINDOW: usize = 20;
/// The path of sliding sync that every server has which has it at all.
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";

/// One user, who goes from the smallest to the largest number of rooms.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let mut person = Person::register(server, &Names::new("sync")).await?;
    let mut rooms: Vec<String> = Vec::new();
    for &count in &arguments.sync_rooms {
        while rooms.len() < count {
            let room = person.creates_room().await?;
            person.says(&room, "first").await?;
            rooms.push(room);
        }
        let rooms_held = plural(count, "room");
        let mut initial = initial(&mut person, count).await?;
        table.put(
            &format!("initial sync: {rooms_held}"),
            initial.percentiles(),
        );
        let mut incremental = incremental(&mut person, &rooms).await?;
        table.put(
            &format!("incremental sync: {rooms_held}"),
            incremental.percentiles(),
        );
        let mut windows = windows(&mut person).await?;
        table.put(
            &format!("sliding sync, the first {WINDOW} rooms: {rooms_held}"),
            windows.percentiles(),
        );
    }
    Ok(())
}

/// The first answer of a connection: what a client shows when it is opened.
async fn windows(person: &mut Person) -> Result<Samples> {
    let mut samples = Samples::default();
    for run in 0..SLIDING_RUNS {
        let body = json!({
            "conn_id": format!("bench-{run}"),
            "lists": { "all": {
                "ranges": [[0, WINDOW - 1]],
                "timeline_limit": 1,
                "required_state": [["m.room.name", ""], ["m.room.avatar", ""], ["m.room.encryption", ""]],
            } },
            "extensions": { "account_data": { "enabled": true }, "receipts": { "enabled": true } },
        });
        let begin = Instant::now();
        let answer: Value = person.post(SLIDING, &body).await?;
        samples.push(begin.elapsed());
        if answer["rooms"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
        {
            return Err(format!("a window without rooms: {answer}").into());
        }
    }
    Ok(samples)
}

/// Each with a filter of its own that changes nothing: Synapse answers an equal request from a cache.
async fn initial(person: &mut Person, rooms: usize) -> Result<Samples> {
    let mut samples = Samples::default();
    for run in 0..INITIAL_RUNS {
        let limit = 100 + rooms * INITIAL_RUNS + run;
        let filter = json!({ "presence": { "limit": limit } }).to_string();
        let path = format!(
            "/_matrix/client/v3/sync?timeout=0&filter={}",
            escaped(&filter)
        );
        let begin = Instant::now();
        person.get(&path).await?;
        samples.push(begin.elapsed());
    }
    Ok(samples)
}

/// One message, then one sync that brings it.
async fn incremental(person: &mut Person, rooms: &[String]) -> Result<Samples> {
    let mut samples = Samples::default();
    let mut since = person.catches_up().await?;
    for room in rooms.iter().cycle().take(INCREMENTAL_RUNS) {
        person.says(room, "one change").await?;
        let begin = Instant::now();
        let answer = person.syncs(&since, Duration::ZERO).await?;
        samples.push(begin.elapsed());
        since = next_batch(&answer)?;
    }
    Ok(samples)
}
