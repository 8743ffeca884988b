//! Memory of clients that wait, in `/sync` or on a WebSocket, while nothing happens.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::arrival;
use crate::person::{Names, Person};
use crate::server::Server;
use crate::socket::Socket;
use crate::startup::mebibytes;
use crate::table::Table;
use crate::{Arguments, Result};

/// As long as a server lets a client wait, and longer than it takes for all of them to wait.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for the server to come to rest before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// Clients that come at the same time.
const OPENED_MAX: usize = 16;

/// What the waiting clients cost in all: a server that can be restarted is, so that nothing that it did before counts.
pub(crate) async fn measure(
    server: &mut Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let sockets = match server.source().binary() {
        Some(_) => arguments.idle_sockets,
        None => 0,
    };
    let names = Names::new("idle");
    let people = Person::crowd(server, &names, arguments.idle.max(sockets)).await?;
    let people = people
        .into_iter()
        .map(|person| person.card())
        .collect::<Vec<_>>();
    for (what, count) in [("sync", arguments.idle), ("WebSocket", sockets)] {
        if count == 0 {
            continue;
        }
        server.restart().await?;
        sleep(SETTLE).await;
        let Some(before) = server.memory() else {
            eprintln!("  the process is not known, so neither is its memory: name it with --pid");
            return Ok(());
        };
        // Dropping the set ends the waiting.
        let mut waiting = JoinSet::<Result<()>>::new();
        {
            let server: &Server = server;
            let mut clients = stream::iter(&people[..count])
                .map(|card| async move {
                    let mut person = card.connects(server).await?;
                    let since = person.catches_up().await?;
                    let socket = match what {
                        "sync" => None,
                        _ => Some(Socket::open(server, &person, &since).await?),
                    };
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>((person, since, socket))
                })
                .buffer_unordered(OPENED_MAX);
            while let Some((mut person, mut since, socket)) = clients.try_next().await? {
                match socket {
                    None => waiting.spawn(async move {
                        loop {
                            let answer = person.syncs(&since, SYNC_TIMEOUT).await?;
                            let sync: arrival::Sync = serde_json::from_slice(&answer)?;
                            since = sync.next_batch;
                        }
                    }),
                    Some(mut socket) => waiting.spawn(async move {
                        // The first push says that nothing is new; later ones, that people have become idle.
                        loop {
                            let push: arrival::Sync = serde_json::from_str(&socket.push().await?)?;
                            socket.acknowledge(&push.next_batch).await?;
                        }
                    }),
                };
            }
        }
        sleep(SETTLE).await;
        if let Some(ended) = waiting.try_join_next() {
            return ended?;
        }
        let during = server.memory().ok_or("the server ended")?;
        let each = during.saturating_sub(before) / count as u64;
        table.put(
            &format!("memory with {count} idle {what}s, after a restart"),
            mebibytes(during),
        );
        table.put(
            &format!("memory per idle {what}"),
            format!("{:.1} KiB", each as f64 / 1024.0),
        );
    }
    Ok(())
}
