//! What two servers of ours do together on this machine, over TLS: messages from one to the other, and joins of rooms
//! of many members.

use std::fmt;
use std::time::{Duration, Instant};

use tests::federation::Neighbourhood;
use tokio::task::JoinSet;

use crate::arrival::{LAST, send_steadily, wait};
use crate::person::{Names, Person};
use crate::samples::{Millis, per_second};
use crate::sends::plural;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result, transaction};

/// Who sends at the same time where the most is asked for.
const SENDERS: usize = 16;
/// 50 messages a second.
const SEND_EVERY: Duration = Duration::from_millis(20);

/// Two servers, and the name of the first.
struct Pair {
    here: Server,
    there: Server,
    name: String,
    // Its files are needed for as long as the servers run.
    _machine: Neighbourhood,
}

/// Starts two servers like the measured one; a server that is not ours is left out.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let Some(mut pair) = Pair::start(server).await? else {
        return Ok(());
    };
    if let Some(binary) = server.source().binary() {
        transaction::measure(binary, table).await?;
    }
    let lasting = Duration::from_secs(arguments.seconds);
    flood(&pair, lasting, table).await?;
    trickle(&pair, lasting, table).await?;
    let mut people = Vec::new();
    for &members in &arguments.members {
        join(&pair, members, &mut people, table).await?;
    }
    pair.here.stop().await?;
    pair.there.stop().await
}

impl Pair {
    async fn start(like: &Server) -> Result<Option<Self>> {
        let machine = Neighbourhood::new();
        let (here, there) = (Neighbourhood::free_name(), Neighbourhood::free_name());
        let source = |name: &String| like.source().federated(name.clone(), machine.flags(name));
        let (Some(first), Some(second)) = (source(&here), source(&there)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            here: Server::start(first, None).await?,
            there: Server::start(second, None).await?,
            name: here,
            _machine: machine,
        }))
    }

    /// A room of `creator`, and somebody of the other server in it, with a token from which to go on.
    async fn room(&self, creator: &mut Person) -> Result<(String, Person, String)> {
        let room = creator.creates_room().await?;
        let mut reader = Person::register(&self.there, &Names::new("reader")).await?;
        reader.joins_via(&room, &self.name).await?;
        let since = reader.catches_up().await?;
        Ok((room, reader, since))
    }
}

/// As many messages as one server takes; the clock stops when the last one has arrived at the other.
async fn flood(pair: &Pair, lasting: Duration, table: &mut Table) -> Result<()> {
    let mut people = Person::crowd(&pair.here, &Names::new("flood"), SENDERS).await?;
    let (room, reader, since) = pair.room(&mut people[0]).await?;
    for person in &mut people[1..] {
        person.joins(&room).await?;
    }
    let begin = Instant::now();
    let reading = tokio::spawn(wait(reader, since, begin));
    let mut tasks = JoinSet::new();
    for mut person in people {
        let room = room.clone();
        tasks.spawn(async move {
            let mut sent = 0_usize;
            while begin.elapsed() < lasting {
                person
                    .says(&room, &begin.elapsed().as_nanos().to_string())
                    .await?;
                sent += 1;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((person, sent))
        });
    }
    let (mut sent, mut last) = (0, None);
    while let Some(task) = tasks.join_next().await {
        let (person, count) = task??;
        (sent, last) = (sent + count, Some(person));
    }
    let mut last = last.ok_or("nobody was there to send")?;
    last.says(&room, LAST).await?;
    reading.await??;
    let row = format!("to another server: {}, flat out", plural(SENDERS, "sender"));
    table.put(&row, per_second(sent, begin.elapsed()));
    Ok(())
}

/// A steady flow, and how long each message takes to the client of the other server.
async fn trickle(pair: &Pair, lasting: Duration, table: &mut Table) -> Result<()> {
    let mut sender = Person::register(&pair.here, &Names::new("trickle")).await?;
    let (room, reader, since) = pair.room(&mut sender).await?;
    let base = Instant::now();
    let reading = tokio::spawn(wait(reader, since, base));
    send_steadily(&mut sender, &room, SEND_EVERY, base, lasting).await?;
    let mut arrivals = reading.await??;
    table.put(
        "to another server: 50 messages/s, send to arrival",
        arrivals.percentiles(),
    );
    Ok(())
}

/// The join of a room with so many members, all of one server; `people` are reused by the next, larger room.
async fn join(
    pair: &Pair,
    members: usize,
    people: &mut Vec<Person>,
    table: &mut Table,
) -> Result<()> {
    let missing = members.saturating_sub(people.len());
    people.extend(Person::crowd(&pair.here, &Names::new("member"), missing).await?);
    let [creator, others @ ..] = &mut people[..members] else {
        return Ok(());
    };
    let room = creator.creates_room().await?;
    Person::all_join(others, &room).await?;
    let mut joiner = Person::register(&pair.there, &Names::new("joiner")).await?;
    let before = Steps::of(&pair.there).await?;
    let begin = Instant::now();
    joiner.joins_via(&room, &pair.name).await?;
    let whole = Millis(begin.elapsed());
    let row = format!("join of a room of {members} members at another server");
    let steps = Steps::of(&pair.there).await?.since(&before);
    table.put(&row, format!("{whole} ms ({steps})"));
    Ok(())
}

/// What the steps of joins have taken so far, in seconds: from the metrics of the server that joins.
struct Steps([(&'static str, f64); 3]);

impl Steps {
    async fn of(server: &Server) -> Result<Self> {
        let metrics = server.connect().await?.text("/metrics").await?;
        let sum = |step| {
            let name = format!("rookery_federation_join_seconds_sum{{step=\"{step}\"}} ");
            let sum = metrics.lines().find_map(|line| line.strip_prefix(&name));
            (step, sum.and_then(|sum| sum.parse().ok()).unwrap_or(0.0))
        };
        Ok(Self(["answer", "signatures", "store"].map(sum)))
    }

    fn since(mut self, before: &Self) -> Self {
        for ((_, now), (_, before)) in self.0.iter_mut().zip(before.0) {
            *now -= before;
        }
        self
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.0.map(|(step, seconds)| {
            format!(
                "{step} {}",
                Millis(Duration::from_secs_f64(seconds.max(0.0)))
            )
        });
        formatter.write_str(&steps.join(", "))
    }
}
