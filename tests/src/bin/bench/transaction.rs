//! What a transaction of another server takes: its messages are checked and stored before it is answered.

use std::path::Path;
use std::time::Instant;

use tests::federation::Neighbourhood;
use tests::peer::Pdu;
use tests::server::Settings;
use tests::{Peer, Room, TestServer};

use crate::Result;
use crate::samples::Samples;
use crate::table::Table;

/// How many events go into one: the most that may.
const EVENTS: usize = 50;
/// How many transactions are sent, one after the other.
const TRANSACTIONS: usize = 40;
/// How many are sent before, for caches and connections.
const WARM_UP: usize = 3;

/// A server of ours and one on a script, which sends it messages.
pub(crate) async fn measure(binary: &str, table: &mut Table) -> Result<()> {
    let machine = Neighbourhood::new();
    let name = Neighbourhood::free_name();
    let mut settings = Settings::open_of(Path::new(binary)).await;
    settings.flags.extend(machine.flags(&name));
    settings.name = name;
    let Some(server) = TestServer::start_with(settings).await else {
        return Ok(());
    };
    let peer = machine.peer().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().public().await;
    let carol = peer.user("carol");
    peer.joins(&server, &room, &carol).await;
    let mut times = Samples::default();
    for turn in 0..WARM_UP + TRANSACTIONS {
        let took = transaction(&peer, &server, &room, &carol, turn).await?;
        if turn >= WARM_UP {
            times.push(took);
        }
    }
    let row = format!("a transaction of {EVENTS} messages from another server");
    table.put(&row, times.percentiles());
    Ok(())
}

/// One of them: from the request to the answer.
async fn transaction(
    peer: &Peer,
    server: &TestServer,
    room: &Room,
    sender: &str,
    turn: usize,
) -> Result<std::time::Duration> {
    let pdus: Vec<Pdu> = (0..EVENTS)
        .map(|n| peer.says(room, sender, &format!("{turn} {n}")))
        .collect();
    let call = peer.sends(server, &pdus);
    let begin = Instant::now();
    let answer = call.await;
    let took = begin.elapsed();
    match pdus.iter().all(|pdu| answer.of_pdu(pdu) == Some(None)) {
        true => Ok(took),
        false => Err(format!("a transaction was not taken: {}", answer.summary()).into()),
    }
}
