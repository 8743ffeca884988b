//! Time from the start of a send until clients that wait in `/sync` have the message in their hands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::person::{Names, Person};
use crate::samples::Samples;
use crate::sends::plural;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// 20 messages a second.
const SEND_EVERY: Duration = Duration::from_millis(50);
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);
/// The last message; whoever has it leaves.
pub(crate) const LAST: &str = "last";

/// For each number of waiting clients, all in one room: one more person sends steadily.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    for &waiting in &arguments.waiting {
        let mut arrivals = load(server, waiting, arguments.seconds).await?;
        let row = format!("send to arrival: {}", plural(waiting, "waiting client"));
        table.put(&row, arrivals.percentiles());
    }
    Ok(())
}

async fn load(server: &Server, waiting: usize, seconds: u64) -> Result<Samples> {
    let names = Names::new("arrival");
    let mut sender = Person::register(server, &names).await?;
    let room = sender.creates_room().await?;
    let mut people = Person::crowd(server, &names, waiting).await?;
    for person in &mut people {
        person.joins(&room).await?;
    }
    let base = Instant::now();
    let mut tasks = JoinSet::new();
    for mut person in people {
        let since = person.catches_up().await?;
        tasks.spawn(wait(person, since, base));
    }
    let lasting = Duration::from_secs(seconds);
    send_steadily(&mut sender, &room, SEND_EVERY, base, lasting).await?;
    let mut arrivals = Samples::default();
    while let Some(task) = tasks.join_next().await {
        arrivals.append(task??);
    }
    Ok(arrivals)
}

/// Each message says when its sending began, in nanoseconds after `base`.
pub(crate) async fn send_steadily(
    sender: &mut Person,
    room: &str,
    every: Duration,
    base: Instant,
    lasting: Duration,
) -> Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begin = Instant::now();
    while begin.elapsed() < lasting {
        ticks.tick().await;
        sender
            .says(room, &base.elapsed().as_nanos().to_string())
            .await?;
    }
    ticks.tick().await;
    sender.says(room, LAST).await
}

/// What this measure reads of a sync.
#[derive(Deserialize)]
struct Sync {
    next_batch: String,
    #[serde(default)]
    rooms: Rooms,
}

#[derive(Default, Deserialize)]
struct Rooms {
    #[serde(default)]
    join: BTreeMap<String, Joined>,
}

#[derive(Deserialize)]
struct Joined {
    #[serde(default)]
    timeline: Timeline,
}

#[derive(Default, Deserialize)]
struct Timeline {
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    body: Option<String>,
}

impl Sync {
    fn into_bodies(self) -> impl Iterator<Item = String> {
        let rooms = self.rooms.join.into_values();
        rooms
            .flat_map(|room| room.timeline.events)
            .filter_map(|event| event.content.body)
    }
}

/// How long after its sending began each message arrived, up to the last.
pub(crate) async fn wait(mut person: Person, mut since: String, base: Instant) -> Result<Samples> {
    let mut arrivals = Samples::default();
    loop {
        let answer = person.syncs(&since, SYNC_TIMEOUT).await?;
        let now = base.elapsed();
        let mut sync: Sync = serde_json::from_slice(&answer)?;
        since = std::mem::take(&mut sync.next_batch);
        for body in sync.into_bodies() {
            if body == LAST {
                return Ok(arrivals);
            }
            if let Ok(sent) = body.parse() {
                arrivals.push(now.saturating_sub(Duration::from_nanos(sent)));
            }
        }
    }
}
