//! The load generator: drives Matrix servers by base URL and prints one table, a column a server.
//!
//! Servers are measured one after the other, never at the same time, so that they can be compared.
//! It speaks plain HTTP/1.1 over one kept-alive connection per simulated person, because on a small
//! machine the generator takes its processor time from the server that it measures.
//!
//! Nothing here asserts: a request that fails ends the run with the server's own words.

mod arrival;
mod connection;
mod creation;
mod federation;
mod idle;
mod paging;
mod person;
mod presence;
mod rooms;
mod samples;
mod search;
mod sends;
mod server;
mod socket;
mod startup;
mod sync;
mod table;
mod transaction;

use std::error::Error;

use clap::{Parser, ValueEnum};

use self::server::{Server, Source};
use self::table::Table;

/// Anything that stops a run; printed once, at the end of `main`.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measures Matrix homeservers under load and prints one Markdown table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Start this homeserver binary of ours on a fresh data directory and measure it.
    #[arg(long, value_name = "BINARY")]
    spawn: Vec<String>,
    /// PostgreSQL URL of an empty database that the spawned server uses in place of SQLite.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Measure a server that is already running, `NAME=URL` or `URL`.
    #[arg(long, value_name = "NAME=URL")]
    server: Vec<String>,
    /// Process of the `--server` of the same rank, for its memory.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Start another server with a shell command that stays in the foreground, and measure it:
    /// `NAME=URL=COMMAND`.
    #[arg(long, value_name = "NAME=URL=COMMAND")]
    command: Vec<String>,
    /// Secret of `/_synapse/admin/v1/register`, for servers without open registration.
    #[arg(long, value_name = "SECRET")]
    shared_secret: Option<String>,
    /// Take only these measures.
    #[arg(long, value_enum)]
    only: Vec<Measure>,
    /// How long each step that counts things per second lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Numbers of senders of the `sends` measure.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1, 16, 64])]
    senders: Vec<usize>,
    /// Numbers of rooms of the `sends` measure.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1, 50])]
    send_rooms: Vec<usize>,
    /// Numbers of waiting clients of the `arrival` measure.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [10, 100])]
    waiting: Vec<usize>,
    /// Numbers of rooms of the `sync` measure, rising.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [10, 100, 1_000])]
    sync_rooms: Vec<usize>,
    /// Messages that the `paging` measure goes back through, and the `search` measure searches.
    #[arg(long, value_name = "COUNT", default_value_t = 5_000)]
    history: usize,
    /// Numbers of members of the rooms that the `federation` measure joins; the first one is that of the `rooms` and
    /// `presence` measures,
    /// the largest one that of the `crowd` measure.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1_000, 10_000])]
    members: Vec<usize>,
    /// Rooms in the directory of the `rooms` measure.
    #[arg(long, value_name = "COUNT", default_value_t = 2_000)]
    listed: usize,
    /// Clients of the `idle` measure that wait in long-polling requests.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    idle: usize,
    /// Clients of the `idle` measure that wait on WebSockets.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    idle_sockets: usize,
}

/// What can be measured; the order is the order of the run and of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Time until the first answer, and memory after it.
    Startup,
    /// Messages accepted per second, and how long each took.
    Sends,
    /// Time from the start of a send until waiting clients have the message.
    Arrival,
    /// Sending into a room of the largest number of members.
    Crowd,
    /// What changes of presence cost.
    Presence,
    /// Rooms created per second.
    Creation,
    /// A room of many members: joining it, and who is in it; a page of a directory of many rooms.
    Rooms,
    /// Initial, incremental and sliding sync of a user of many rooms.
    Sync,
    /// Scrolling back through a long room.
    Paging,
    /// Searching a long room.
    Search,
    /// Two servers of ours: messages from one to the other, and joins of large rooms.
    Federation,
    /// Memory of clients that wait for nothing.
    Idle,
}

impl Measure {
    const ALL: [Self; 12] = [
        Self::Startup,
        Self::Sends,
        Self::Arrival,
        Self::Crowd,
        Self::Presence,
        Self::Creation,
        Self::Rooms,
        Self::Sync,
        Self::Paging,
        Self::Search,
        Self::Federation,
        Self::Idle,
    ];
}

impl Arguments {
    fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for binary in &self.spawn {
            sources.push(Source::ours(binary, self.database.clone()));
        }
        for (rank, server) in self.server.iter().enumerate() {
            sources.push(Source::running(server, self.pid.get(rank).copied()));
        }
        for command in &self.command {
            sources.push(Source::command(command)?);
        }
        if sources.is_empty() {
            return Err("name a server: --spawn BINARY, --server URL or --command".into());
        }
        Ok(sources)
    }

    fn takes(&self, measure: Measure) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut table = Table::default();
    for source in arguments.sources()? {
        table.column(source.name());
        measure(&arguments, source, &mut table).await?;
    }
    println!("{table}");
    Ok(())
}

/// Takes the chosen measures of one server, which is stopped at the end if it was started here.
async fn measure(arguments: &Arguments, source: Source, table: &mut Table) -> Result<()> {
    let mut server = Server::start(source, arguments.shared_secret.clone()).await?;
    for measure in Measure::ALL
        .into_iter()
        .filter(|measure| arguments.takes(*measure))
    {
        eprintln!("{}: {measure:?}", server.name());
        match measure {
            Measure::Startup => startup::measure(&mut server, table).await?,
            Measure::Sends => sends::measure(&server, arguments, table).await?,
            Measure::Arrival => arrival::measure(&server, arguments, table).await?,
            Measure::Crowd => arrival::measure_among_many(&server, arguments, table).await?,
            Measure::Presence => presence::measure(&server, arguments, table).await?,
            Measure::Creation => creation::measure(&server, arguments, table).await?,
            Measure::Rooms => rooms::measure(&server, arguments, table).await?,
            Measure::Sync => sync::measure(&server, arguments, table).await?,
            Measure::Paging => paging::measure(&server, arguments, table).await?,
            Measure::Search => search::measure(&server, arguments, table).await?,
            Measure::Federation => federation::measure(&server, arguments, table).await?,
            Measure::Idle => idle::measure(&mut server, arguments, table).await?,
        }
    }
    server.stop().await
}
