//! Initial sync, and incremental sync with one change, of a user of more and more rooms.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::person::{Names, Person, escaped, next_batch};
use crate::samples::Samples;
use crate::sends::plural;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

const INITIAL_RUNS: usize = 5;
const INCREMENTAL_RUNS: usize = 50;

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
    }
    Ok(())
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
