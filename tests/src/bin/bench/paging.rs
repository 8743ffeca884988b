//! Scrolling back through a long room, a hundred messages at a time.

use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::person::{Names, Person, escaped};
use crate::samples::{Millis, Samples};
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// People who fill the room.
const SENDERS: usize = 16;
const PAGE: usize = 100;
/// Pages at either end that are shown on their own.
const END_PAGES: usize = 20;

#[derive(Deserialize)]
struct Page {
    chunk: Vec<Box<RawValue>>,
    end: Option<String>,
}

/// Fills a room and reads all of it, newest first.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let mut people = Person::crowd(server, &Names::new("paging"), SENDERS).await?;
    let room = people[0].creates_room().await?;
    for person in people.iter_mut().skip(1) {
        person.joins(&room).await?;
    }
    let mut reader = people[0].twin(server).await?;
    fill(people, &room, arguments.history).await?;

    let begin = Instant::now();
    let mut pages = Vec::new();
    let mut read = 0;
    let mut from = String::new();
    while read < arguments.history {
        let begin = Instant::now();
        let path = format!(
            "/_matrix/client/v3/rooms/{}/messages?dir=b&limit={PAGE}{from}",
            escaped(&room)
        );
        let page: Page = serde_json::from_slice(&reader.get(&path).await?)?;
        pages.push(begin.elapsed());
        read += page.chunk.len();
        let Some(end) = page.end else { break };
        from = format!("&from={}", escaped(&end));
    }
    let whole = begin.elapsed();
    if read < arguments.history {
        return Err(format!(
            "paging ended after {read} of {} messages",
            arguments.history
        )
        .into());
    }
    let row = format!("paging back through {} messages", arguments.history);
    let all = Samples::of(&pages).percentiles();
    table.put(&row, format!("{} ms, a page {all}", Millis(whole)));
    let end = pages.len().min(END_PAGES);
    for (what, pages) in [
        ("newest", &pages[..end]),
        ("oldest", &pages[pages.len() - end..]),
    ] {
        let row = format!("  the {what} pages of {} messages", arguments.history);
        table.put(&row, Samples::of(pages).percentiles());
    }
    Ok(())
}

/// Has `people` say that many messages together.
pub(crate) async fn fill(people: Vec<Person>, room: &str, messages: usize) -> Result<()> {
    let each = messages.div_ceil(people.len());
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for mut person in people {
        let room = room.to_owned();
        tasks.spawn(async move {
            for number in 0..each {
                person.says(&room, &format!("message {number}")).await?;
            }
            Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}
