//! Where other servers are: [`spec::discovery`] with a network under it.

mod lifetime;
mod well_known;

pub(crate) use self::well_known::{anywhere, target};

use std::{convert::Infallible, sync::Arc};

use engine::chance::Chance;
use quick_cache::sync::Cache;
use ruma::ServerName;
use spec::discovery::{Next, Resolution, Srv, Target};
use tokio::sync::Mutex;

use self::lifetime::Known;
use crate::{Clock, transport::Transport};

/// How many hosts' well-known files are remembered.
const HOSTS_MAX: usize = 20_000;

/// Finds servers.
pub(crate) struct Discovery {
    transport: Arc<Transport>,
    clock: Clock,
    chance: Arc<Chance>,
    /// By host. The lock is held while a file is fetched, so that it is fetched once.
    well_known: Cache<String, Arc<Mutex<Option<Known>>>>,
}

/// What was learned on the way, for those who want to follow it.
#[derive(Debug)]
pub enum Step {
    /// A well-known file was asked for.
    WellKnown {
        /// Of this host.
        host: String,
        /// The server that it names, or why there is none.
        answer: Result<String, String>,
    },
    /// SRV records were looked up.
    Services {
        /// Under this name.
        name: String,
        /// What was found, or why the name servers failed.
        answer: Result<Vec<Srv>, String>,
    },
}

impl Discovery {
    pub(crate) fn new(transport: Arc<Transport>, clock: Clock, chance: Arc<Chance>) -> Self {
        Self {
            transport,
            clock,
            chance,
            well_known: Cache::new(HOSTS_MAX),
        }
    }

    /// Where `server` is. `tell` hears of each step that needed the network or a memory of it.
    ///
    /// Name servers that fail count as if they had no SRV records: the certificate proves who answers,
    /// wherever that leads. `None` for what is no server name, as in rooms of old versions.
    pub(crate) async fn find(
        &self,
        server: &ServerName,
        mut tell: impl FnMut(Step),
    ) -> Option<Target> {
        let mut way = Resolution::of(server.as_str())?;
        loop {
            way = match way.next() {
                Next::Found(target) => return Some(target),
                Next::WellKnown { host } => {
                    let answer = self.well_known(&host).await;
                    let way = way.well_known(answer.as_deref().ok());
                    tell(Step::WellKnown { host, answer });
                    way
                }
                Next::Services { name } => {
                    let answer = self.transport.dns().services(&name).await;
                    let records = answer.as_ref().cloned().unwrap_or_default();
                    let answer = answer.map_err(|error| error.to_string());
                    tell(Step::Services { name, answer });
                    way.services(records, |max| self.random(max))
                }
            }
        }
    }

    /// The server that the host's file names, from memory while it may be kept.
    async fn well_known(&self, host: &str) -> Result<String, String> {
        let Ok(slot) = self
            .well_known
            .get_or_insert_with(host, || Ok::<_, Infallible>(Arc::default()));
        let mut known = slot.lock().await;
        if let Some(known) = known.as_ref().filter(|k| k.is_fresh(self.clock.now_ms())) {
            return known.answer();
        }
        let fetched = well_known::fetch(&self.transport, host).await;
        let news = Known::after(known.as_ref(), fetched, self.clock.now_ms());
        known.insert(news).answer()
    }

    /// A number from 0 to `max`.
    fn random(&self, max: u64) -> u64 {
        u64::from_le_bytes(self.chance.bytes()) % max.saturating_add(1)
    }
}
