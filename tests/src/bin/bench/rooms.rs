//! Rooms of many members, and a directory of many rooms.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::person::{Names, Person, escaped};
use crate::samples::Samples;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// How often each is asked for.
const TIMES: usize = 20;

/// People who create the rooms of the directory.
const CREATORS: usize = 8;

/// Joins a room of many and reads its members, then the first page of the directory.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let names = Names::new("rooms");
    let count = arguments.members.first().copied().unwrap_or(1);
    let mut members = Person::crowd(server, &names, count).await?;
    let room = members[0].creates_room().await?;
    Person::all_join(&mut members[1..], &room).await?;
    let mut joins = Samples::default();
    for mut newcomer in Person::crowd(server, &names, TIMES).await? {
        let begin = Instant::now();
        newcomer.joins(&room).await?;
        joins.push(begin.elapsed());
    }
    table.put(
        &format!("joining a room of {count} members"),
        joins.percentiles(),
    );
    let path = format!("/_matrix/client/v3/rooms/{}/members", escaped(&room));
    let mut reads = repeated(&mut members[0], &path).await?;
    table.put(&format!("/members of {count}"), reads.percentiles());

    let reader = members.swap_remove(0);
    drop(members);
    directory(server, arguments, reader, table).await
}

async fn directory(
    server: &Server,
    arguments: &Arguments,
    mut reader: Person,
    table: &mut Table,
) -> Result<()> {
    let each = arguments.listed.div_ceil(CREATORS);
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for mut creator in Person::crowd(server, &Names::new("listed"), CREATORS).await? {
        tasks.spawn(async move {
            for _ in 0..each {
                creator.lists_room().await?;
            }
            Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let mut pages = repeated(&mut reader, "/_matrix/client/v3/publicRooms?limit=100").await?;
    let row = format!("a page of a directory of {} rooms", each * CREATORS);
    table.put(&row, pages.percentiles());
    Ok(())
}

async fn repeated(reader: &mut Person, path: &str) -> Result<Samples> {
    let mut reads = Samples::default();
    for _ in 0..TIMES {
        let begin = Instant::now();
        reader.get(path).await?;
        reads.push(begin.elapsed());
    }
    Ok(reads)
}
