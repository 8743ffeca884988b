//! Searching a long room.

use std::time::Instant;

use serde_json::{Value, json};

use crate::paging::fill;
use crate::person::{Names, Person};
use crate::samples::Samples;
use crate::server::Server;
use crate::table::Table;
use crate::{Arguments, Result};

/// People who fill the room.
const SENDERS: usize = 16;
/// How often each search is made.
const SEARCHES: usize = 20;

/// Fills a room and searches it for what many and for what few of its messages say.
pub(crate) async fn measure(
    server: &Server,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let mut people = Person::crowd(server, &Names::new("search"), SENDERS).await?;
    let room = people[0].creates_room().await?;
    for person in people.iter_mut().skip(1) {
        person.joins(&room).await?;
    }
    let mut reader = people[0].twin(server).await?;
    people[1].says(&room, "a rookery on the cliff").await?;
    fill(people, &room, arguments.history).await?;
    for (what, term) in [("a word of all", "message"), ("a word of one", "rookery")] {
        for order in ["rank", "recent"] {
            let criteria = json!({ "search_term": term, "order_by": order });
            let body = json!({ "search_categories": { "room_events": criteria } });
            let mut searches = Samples::default();
            for _ in 0..SEARCHES {
                let begin = Instant::now();
                let found: Value = reader.post("/_matrix/client/v3/search", &body).await?;
                searches.push(begin.elapsed());
                if found["search_categories"]["room_events"]["results"] == json!([]) {
                    return Err(format!("nothing found for {term}").into());
                }
            }
            let row = format!(
                "searching {} messages for {what}, by {order}",
                arguments.history
            );
            table.put(&row, searches.percentiles());
        }
    }
    Ok(())
}
