//! How many messages a server takes per second, and how long each takes.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::person::{Names, Person};
use crate::samples::{Samples, per_second};
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// Messages sent before the clock starts, per sender.
const WARM_UP: usize = 3;

/// For each number of rooms and of senders: everyone sends as fast as the answers come.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    for &rooms in &arguments.send_rooms {
        for &senders in &arguments.senders {
            let (mut latencies, elapsed) = load(server, rooms, senders, arguments.seconds).await?;
            let rate = per_second(latencies.len(), elapsed);
            table.put(
                &format!(
                    "sends: {} into {}",
                    plural(senders, "sender"),
                    plural(rooms, "room")
                ),
                format!("{rate}, {}", latencies.percentiles()),
            );
        }
    }
    Ok(())
}

/// Latencies of all sends, and how long the whole took.
async fn load(
    server: &Server,
    rooms: usize,
    senders: usize,
    seconds: u64,
) -> Result<(Samples, Duration)> {
    let senders = cast(server, rooms, senders).await?;
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    for (person, rooms) in senders {
        tasks.spawn(send_until(person, rooms, end));
    }
    let mut latencies = Samples::default();
    while let Some(task) = tasks.join_next().await {
        latencies.append(task??);
    }
    Ok((latencies, begin.elapsed()))
}

/// Senders, each with the rooms that it sends to in turn: together they cover all rooms, and a room
/// has several senders where there are more senders than rooms.
async fn cast(server: &Server, rooms: usize, senders: usize) -> Result<Vec<(Person, Vec<String>)>> {
    let mut people = Person::crowd(server, &Names::new("sends"), senders).await?;
    let mut ids = Vec::new();
    for room in 0..rooms {
        ids.push(people[room % senders].creates_room().await?);
    }
    let mut cast = Vec::new();
    for (rank, mut person) in people.into_iter().enumerate() {
        let mut own: Vec<String> = ids.iter().skip(rank).step_by(senders).cloned().collect();
        if own.is_empty() {
            own.push(ids[rank % rooms].clone());
            person.joins(&own[0]).await?;
        }
        for _ in 0..WARM_UP {
            person.says(&own[0], "warm-up").await?;
        }
        cast.push((person, own));
    }
    Ok(cast)
}

async fn send_until(mut person: Person, rooms: Vec<String>, end: Instant) -> Result<Samples> {
    let mut latencies = Samples::default();
    for room in rooms.iter().cycle() {
        let begin = Instant::now();
        if begin >= end {
            break;
        }
        person
            .says(room, "The quick brown fox jumps over the lazy dog.")
            .await?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}

/// `1 room`, `50 rooms`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}
