//! How many durable sends per second the writer takes: many tasks, each with one message at a time.
//!
//! `cargo run --release -p storage --example sends -- [URL] [SENDERS] [ROOMS] [SECONDS]`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ruma::{OwnedEventId, OwnedRoomId};
use spec::{event::Event, room_version::RoomVersion};
use storage::{
    Logged, Plain, RoomRow, Settings, Store, Write,
    write::{NewEvent, NewRoom, Outcome, Place, RoomHead, Txn},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .unwrap_or_else(|| "sqlite:target/sends/sends.db".to_owned());
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |n| n.parse());
    let (senders, rooms, seconds) = (number(64)?, number(1)?, number(5)?);

    let store = Store::open(Settings::new(url)).await?;
    let mut rows = Vec::new();
    for _ in 0..rows_wanted(rooms, senders) {
        rows.push(room(&store).await?);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..senders)
        .map(|sender| {
            let (row, room_id) = rows[sender as usize % rows.len()].clone();
            tokio::spawn(send_until(end, store.clone(), row, room_id, sender))
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    let line = format!(
        "{} sends/s with {senders} senders in {} rooms; p50 {:?}, p95 {:?}, p99 {:?}, max {:?}\n",
        latencies.len() as u64 / seconds,
        rows.len(),
        at(50),
        at(95),
        at(99),
        at(100),
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())?;
    store.close().await;
    Ok(())
}

fn rows_wanted(rooms: u64, senders: u64) -> u64 {
    rooms.clamp(1, senders)
}

async fn room(store: &Store) -> Result<(RoomRow, OwnedRoomId), Failure> {
    let row = store.ids().next_room();
    let room_id: OwnedRoomId = format!("!room{row}:bench").try_into()?;
    let room = NewRoom {
        row,
        room_id: room_id.clone(),
        version: "11".to_owned(),
        creator: "@bench:bench".try_into()?,
        published: false,
    };
    store.write(Write::plain(vec![Plain::Room(room)])).await?;
    Ok((row, room_id))
}

/// Returns how long each send took.
async fn send_until(
    end: Instant,
    store: Store,
    room: RoomRow,
    room_id: OwnedRoomId,
    sender: u64,
) -> Result<Vec<Duration>, Failure> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        let event = message(&store, room, &room_id, sender)?;
        let head = RoomHead {
            room,
            extremities: vec![event.row],
            snapshot: None,
        };
        let write = Write {
            plain: vec![Plain::RoomHead(head)],
            ..Write::logged(Logged::Event(event))
        };
        store.write(write).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

fn message(
    store: &Store,
    room: RoomRow,
    room_id: &OwnedRoomId,
    sender: u64,
) -> Result<NewEvent, Failure> {
    let row = store.ids().next_event();
    // As scattered as hashes are.
    let scattered = (row.get() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let event_id: OwnedEventId = format!("${scattered:016x}{:027}", 0).try_into()?;
    let hash = "x".repeat(86);
    let json = format!(
        r#"{{"auth_events":["${hash}"],"content":{{"body":"message {row}","msgtype":"m.text"}},"depth":{row},"hashes":{{"sha256":"{hash}"}},"origin_server_ts":1,"prev_events":["${hash}"],"room_id":"{room_id}","sender":"@user{sender}:bench","signatures":{{"bench":{{"ed25519:1":"{hash}"}}}},"type":"m.room.message"}}"#,
    );
    let version = RoomVersion::get("11").ok_or("no room version 11")?;
    Ok(NewEvent {
        row,
        room,
        event: Arc::new(Event::from_stored(version, event_id, &json)?),
        outcome: Outcome::Accepted,
        state_key: None,
        snapshot: None,
        current: None,
        replaces: None,
        promoted: false,
        outgoing: false,
        place: Place::New,
        txn: Some(Txn {
            device: format!("DEVICE{sender}"),
            scope: "send".to_owned(),
            id: row.to_string(),
        }),
        membership: None,
        gap: false,
        resettled: None,
    })
}
