//! The two servers, and what must be the same on both.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    Room, TestServer,
    federation::Neighbourhood,
    synapse::{PATIENCE, Synapse},
};
use tokio::sync::Mutex;

use crate::person::Person;

/// The room versions of the stories: the first, and those with which events, rights and IDs changed most.
pub(crate) const VERSIONS: [&str; 5] = ["1", "6", "10", "11", "12"];

/// Between two questions. Synapse takes long for an answer, and others wait for theirs.
const PAUSE: Duration = Duration::from_millis(100);

/// A Rookery of the test's own, beside a Synapse that the tests of this process share while they run.
pub(crate) struct World {
    pub(crate) ours: TestServer,
    pub(crate) theirs: TestServer,
    shared: Arc<Shared>,
}

struct Shared {
    synapse: Synapse,
    machine: Neighbourhood,
}

/// A state by type and state key: the IDs of its events.
type State = BTreeMap<(String, String), String>;

impl World {
    /// `None` where another server is under test, or where Synapse cannot be installed.
    pub(crate) async fn new() -> Option<Self> {
        let shared = shared().await?;
        Some(Self {
            ours: shared.machine.server().await?,
            theirs: shared.synapse.server(),
            shared,
        })
    }

    /// Somebody of ours and somebody of Synapse's.
    pub(crate) async fn couple(&self) -> (Person, Person) {
        let (here, there) = (name("alice"), name("bob"));
        let (here, there) = tokio::join!(self.ours.user(&here), self.theirs.user(&there));
        (Person::new(here), Person::new(there))
    }

    /// What Synapse says of it.
    pub(crate) fn synapse_log(&self) -> String {
        self.shared.synapse.log()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.synapse_log();
            let telling = |line: &&str| line.contains(" - WARNING") || line.contains(" - ERROR");
            let lines: Vec<_> = log.lines().filter(telling).collect();
            let end = &lines[lines.len().saturating_sub(30)..];
            eprintln!("Synapse's last warnings:\n{}", end.join("\n"));
        }
    }
}

/// The Synapse that runs, or a new one.
async fn shared() -> Option<Arc<Shared>> {
    static RUNNING: Mutex<(Weak<Shared>, Option<PathBuf>)> = Mutex::const_new((Weak::new(), None));
    if std::env::var_os("TEST_SERVER_URL").is_some() {
        return None;
    }
    let mut running = RUNNING.lock().await;
    if let Some(shared) = running.0.upgrade() {
        return Some(shared);
    }
    if running.1.is_none() {
        running.1 = Synapse::installed();
    }
    let machine = Neighbourhood::new();
    let synapse = Synapse::start(running.1.as_ref()?, &machine).await;
    let shared = Arc::new(Shared { synapse, machine });
    running.0 = Arc::downgrade(&shared);
    Some(shared)
}

/// A name that nobody has.
pub(crate) fn name(name: &str) -> String {
    format!("{name}-{:08x}", rand::random::<u32>())
}

/// Asks until the answer is there. A refusal says what is missing, for the message if it stays so.
pub(crate) async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(complaint) => assert!(since.elapsed() < PATIENCE, "in vain waited: {complaint}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until both see the same state of the room.
pub(crate) async fn agree(one: &Person, other: &Person, room: &Room) {
    patiently(async || {
        let (here, there) = tokio::join!(state(one, room), state(other, room));
        let alone = |one: &State, other: &State| -> State {
            let own = one.iter().filter(|(key, id)| other.get(*key) != Some(*id));
            own.map(|(key, id)| (key.clone(), id.clone())).collect()
        };
        let (here_alone, there_alone) = (alone(&here, &there), alone(&there, &here));
        if here_alone.is_empty() && there_alone.is_empty() {
            return Ok(());
        }
        let (one, other, room) = (&one.id, &other.id, &room.id);
        Err(format!(
            "in {room} {one} alone sees {here_alone:#?}, {other} alone {there_alone:#?}"
        ))
    })
    .await;
}

async fn state(person: &Person, room: &Room) -> State {
    let events = person
        .get(tests::path::v3(&["rooms", &room.id, "state"]))
        .await
        .ok();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = events.as_array().expect("a list of events");
    let entry = |event| {
        (
            (text(event, "type"), text(event, "state_key")),
            text(event, "event_id"),
        )
    };
    events.iter().map(entry).collect()
}
