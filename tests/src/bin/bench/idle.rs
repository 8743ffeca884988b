//! Memory of clients that wait in `/sync` while nothing happens.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::person::{Names, Person};
use crate::server::Server;
use crate::startup::mebibytes;
use crate::table::Table;
use crate::{Arguments, Result};

/// Long enough that no sync ends before memory is read.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for the server to come to rest before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// What the waiting clients cost in all: a server that can be restarted is, so that nothing that it did before counts.
pub(crate) async fn measure(
    server: &mut Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let people = Person::crowd(server, &Names::new("idle"), arguments.idle).await?;
    server.restart().await?;
    sleep(SETTLE).await;
    let Some(before) = server.memory() else {
        eprintln!("  the process is not known, so neither is its memory: name it with --pid");
        return Ok(());
    };
    // Dropping the set at the end of this function ends the syncs.
    let mut syncs = JoinSet::new();
    for person in &people {
        let mut person = person.twin(server).await?;
        let since = person.catches_up().await?;
        syncs.spawn(async move { person.syncs(&since, SYNC_TIMEOUT).await.map(drop) });
    }
    sleep(SETTLE).await;
    if let Some(ended) = syncs.try_join_next() {
        ended??;
        return Err("a sync ended though nothing happened".into());
    }
    let during = server.memory().ok_or("the server ended")?;
    let each = during.saturating_sub(before) / arguments.idle as u64;
    table.put(
        &format!("memory with {} idle syncs", arguments.idle),
        mebibytes(during),
    );
    table.put(
        "memory per idle sync",
        format!("{:.1} KiB", each as f64 / 1024.0),
    );
    Ok(())
}
