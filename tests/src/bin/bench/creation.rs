//! Rooms created per second.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::person::{Names, Person};
use crate::samples::{Samples, per_second};
use crate::sends::plural;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// People who create rooms at the same time.
const CREATORS: [usize; 3] = [1, 8, 16];

/// Everyone creates rooms as fast as the answers come.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    for creators in CREATORS {
        let people = Person::crowd(server, &Names::new("creation"), creators).await?;
        let mut tasks = JoinSet::new();
        let begin = Instant::now();
        let end = begin + Duration::from_secs(arguments.seconds);
        for person in people {
            tasks.spawn(create_until(person, end));
        }
        let mut latencies = Samples::default();
        while let Some(task) = tasks.join_next().await {
            latencies.append(task??);
        }
        let row = format!("rooms created: {}", plural(creators, "creator"));
        table.put(&row, per_second(latencies.len(), begin.elapsed()));
    }
    Ok(())
}

async fn create_until(mut person: Person, end: Instant) -> Result<Samples> {
    let mut latencies = Samples::default();
    while Instant::now() < end {
        let begin = Instant::now();
        person.creates_room().await?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}
