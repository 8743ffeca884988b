//! Time from the start of a send until clients that wait, in `/sync` or on a WebSocket, have the message in their hands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::person::{Names, Person};
use crate::samples::Samples;
use crate::sends::plural;
use crate::server::Server;
use crate::socket::Socket;
use crate::table::Table;
use crate::{Arguments, Result};

/// 20 messages a second.
pub(crate) const SEND_EVERY: Duration = Duration::from_millis(50);
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);
/// Clients that wait in the room of many.
const WAITING_AMONG_MANY: usize = 100;
/// The last message; whoever has it leaves.
pub(crate) const LAST: &str = "last";

/// For each number of waiting clients, all in one room: one more person sends steadily.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    for &waiting in &arguments.waiting {
        for &over in Transport::of(server) {
            let (_, mut arrivals) = load(server, waiting, 0, over, arguments.seconds).await?;
            let clients = plural(waiting, "waiting client");
            table.put(
                &format!("send to arrival: {clients}{}", over.label()),
                arrivals.percentiles(),
            );
        }
    }
    Ok(())
}

/// A room of as many members as are asked for, of whom few wait: what a send and its arrival take there.
pub(crate) async fn measure_among_many(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let members = arguments.members.iter().copied().max().unwrap_or(1);
    let silent = members.saturating_sub(WAITING_AMONG_MANY + 1);
    let (mut sends, mut arrivals) = load(
        server,
        WAITING_AMONG_MANY,
        silent,
        Transport::Sync,
        arguments.seconds,
    )
    .await?;
    let room = format!("a room of {members} members, {WAITING_AMONG_MANY} of them waiting");
    table.put(&format!("{room}: send"), sends.percentiles());
    table.put(&format!("{room}: arrival"), arrivals.percentiles());
    Ok(())
}

/// How clients wait.
#[derive(Debug, Clone, Copy)]
enum Transport {
    /// In long-polling requests.
    Sync,
    /// On our WebSocket.
    Socket,
}

impl Transport {
    /// Those that the server has.
    fn of(server: &Server) -> &'static [Self] {
        match server.source().binary() {
            Some(_) => &[Self::Sync, Self::Socket],
            None => &[Self::Sync],
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Sync => "",
            Self::Socket => ", WebSocket",
        }
    }
}

/// Somebody sends steadily into a room of people who wait and people who do not: how long the sends took, and the arrivals.
async fn load(
    server: &Server,
    waiting: usize,
    silent: usize,
    over: Transport,
    seconds: u64,
) -> Result<(Samples, Samples)> {
    let names = Names::new("arrival");
    let mut sender = Person::register(server, &names).await?;
    let room = sender.creates_room().await?;
    let mut crowd = Person::crowd(server, &names, silent).await?;
    Person::all_join(&mut crowd, &room).await?;
    drop(crowd);
    let mut people = Person::crowd(server, &names, waiting).await?;
    Person::all_join(&mut people, &room).await?;
    let base = Instant::now();
    let mut tasks = JoinSet::new();
    for mut person in people {
        let since = person.catches_up().await?;
        match over {
            Transport::Sync => tasks.spawn(wait(person, since, base)),
            Transport::Socket => {
                let socket = Socket::open(server, &person, &since).await?;
                tasks.spawn(wait_on_socket(socket, base))
            }
        };
    }
    let lasting = Duration::from_secs(seconds);
    let sends = send_steadily(&mut sender, &room, SEND_EVERY, base, lasting).await?;
    let mut arrivals = Samples::default();
    while let Some(task) = tasks.join_next().await {
        arrivals.append(task??);
    }
    Ok((sends, arrivals))
}

/// Each message says when its sending began, in nanoseconds after `base`. Returns how long each was under way.
pub(crate) async fn send_steadily(
    sender: &mut Person,
    room: &str,
    every: Duration,
    base: Instant,
    lasting: Duration,
) -> Result<Samples> {
    let mut sends = Samples::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begin = Instant::now();
    while begin.elapsed() < lasting {
        ticks.tick().await;
        let sent = base.elapsed();
        sender.says(room, &sent.as_nanos().to_string()).await?;
        sends.push(base.elapsed().saturating_sub(sent));
    }
    ticks.tick().await;
    sender.says(room, LAST).await?;
    Ok(sends)
}

/// What this measure reads of a sync.
#[derive(Deserialize)]
pub(crate) struct Sync {
    pub(crate) next_batch: String,
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
        if note(sync, now, &mut arrivals) {
            return Ok(arrivals);
        }
    }
}

/// The same on a WebSocket.
async fn wait_on_socket(mut socket: Socket, base: Instant) -> Result<Samples> {
    let mut arrivals = Samples::default();
    loop {
        let push = socket.push().await?;
        let now = base.elapsed();
        let sync: Sync = serde_json::from_str(&push)?;
        socket.acknowledge(&sync.next_batch).await?;
        if note(sync, now, &mut arrivals) {
            return Ok(arrivals);
        }
    }
}

/// Notes the messages of a sync that came `now`; whether the last one is among them.
fn note(sync: Sync, now: Duration, arrivals: &mut Samples) -> bool {
    for body in sync.into_bodies() {
        if body == LAST {
            return true;
        }
        if let Ok(sent) = body.parse() {
            arrivals.push(now.saturating_sub(Duration::from_nanos(sent)));
        }
    }
    false
}
