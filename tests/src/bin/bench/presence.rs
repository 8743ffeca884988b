//! What it costs that people are seen to come and go: messages arrive meanwhile, and the processor has work.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::arrival::{SEND_EVERY, send_steadily, wait};
use crate::person::{Card, Names, Person, escaped};
use crate::samples::{Millis, Samples};
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// Clients that wait in the room, and see all of it.
const WAITING: usize = 100;
/// People whose presence changes, one after another.
const CHANGING: usize = 50;
/// 50 changes a second.
const CHANGE_EVERY: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(3);

/// A room of as many members as are asked for: the same load with and without changes of presence.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let names = Names::new("presence");
    let members = arguments.members.first().copied().unwrap_or(1);
    let mut sender = Person::register(server, &names).await?;
    let room = sender.creates_room().await?;
    let count = members.saturating_sub(1).max(WAITING + CHANGING);
    let mut people = Person::crowd(server, &names, count).await?;
    Person::all_join(&mut people, &room).await?;
    let mut changing = Vec::new();
    for mut person in people.split_off(count - CHANGING) {
        let user = escaped(&person.user_id().await?);
        changing.push((person, format!("/_matrix/client/v3/presence/{user}/status")));
    }
    people.truncate(WAITING);
    let waiting: Vec<Card> = people.iter().map(Person::card).collect();
    drop(people);

    let lasting = Duration::from_secs(arguments.seconds);
    let label = format!("a room of {members} members, {WAITING} of them waiting");
    let mut quiet = None;
    for changes in [false, true] {
        let base = Instant::now();
        let mut tasks = JoinSet::new();
        for card in &waiting {
            let mut person = card.connects(server).await?;
            let since = person.catches_up().await?;
            tasks.spawn(wait(person, since, base));
        }
        // That they have come is told by then.
        sleep(SETTLE).await;
        let before = server.processor_time();
        let sending = send_steadily(&mut sender, &room, SEND_EVERY, base, lasting);
        let changed = if changes {
            let (sent, changed) = tokio::join!(sending, change(&mut changing, lasting));
            sent?;
            changed?
        } else {
            sending.await?;
            0
        };
        let mut arrivals = Samples::default();
        while let Some(task) = tasks.join_next().await {
            arrivals.append(task??);
        }
        let took = before.and_then(|before| server.processor_time()?.checked_sub(before));
        match (quiet, took) {
            (Some(quiet), Some(took)) if changed > 0 => {
                let each = took.saturating_sub(quiet) / changed;
                table.put(
                    &format!("{label}: processor time of a change of presence"),
                    format!("{} ms", Millis(each)),
                );
            }
            _ => quiet = took,
        }
        if changes {
            let row = format!("{label}, 50 changes of presence a second: arrival");
            table.put(&row, arrivals.percentiles());
        }
    }
    Ok(())
}

/// Somebody says something else of themselves, steadily. Returns how often.
async fn change(people: &mut [(Person, String)], lasting: Duration) -> Result<u32> {
    let mut ticks = interval(CHANGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begin = Instant::now();
    let mut changed = 0;
    while begin.elapsed() < lasting {
        ticks.tick().await;
        let next = changed as usize % people.len();
        let (person, path) = &mut people[next];
        changed += 1;
        let body = json!({ "presence": "online", "status_msg": format!("change {changed}") });
        person.put(path, &body).await?;
    }
    Ok(changed)
}
