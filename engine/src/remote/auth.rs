//! Fetching what permits an event: server-server API, "Retrieving events", `event_auth` and `event`.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use ruma::{EventId, OwnedEventId, OwnedServerName};
use spec::{event::Event, json::Object};

use super::gap::{Fetched, Lack};
use crate::{Result, peers::PeerError, rooms::RoomHandle};

/// The longest auth chain that is taken from one answer, in events.
const CHAIN_MAX: usize = 20_000;
/// How many auth events are fetched one by one for one event.
const SINGLE_MAX: usize = 500;
/// Through how many generations auth events are followed one by one. Real chains are long only where users changed
/// their profiles often, and then are given whole.
const GENERATIONS_MAX: usize = 100;
/// How many events are asked for at the same time.
const TOGETHER: usize = 8;

impl RoomHandle {
    /// Fetches the auth events of an event that are missing, with all that permits them, and stores them as outliers.
    ///
    /// The whole chain is asked for first; what is not in it, one by one. If one of them cannot be had, the event
    /// cannot be taken in.
    pub(super) async fn fetch_auth(
        &self,
        sources: &[OwnedServerName],
        event: &Event,
        missing: Vec<OwnedEventId>,
    ) -> Fetched<()> {
        let mut lack = Lack::Refused(format!("What permits {} cannot be had", event.id()));
        for server in sources {
            let answer = self.peers()?.event_auth(server, &self.meta.id, event.id());
            match answer.await {
                Ok(chain) if chain.len() <= CHAIN_MAX => {
                    self.keep_outliers(self.checked(chain).await).await?;
                    break;
                }
                Ok(chain) => {
                    tracing::info!(%server, events = chain.len(), "an auth chain is too long");
                }
                Err(error) => lack = error.into(),
            }
        }
        let missing = self.unknown(missing).await?;
        if missing.is_empty() {
            return Ok(Ok(()));
        }
        let mut fetched: BTreeMap<OwnedEventId, Event> = BTreeMap::new();
        let mut wanted = missing;
        for _ in 0..GENERATIONS_MAX {
            if wanted.is_empty() {
                self.keep_outliers(fetched.into_values().collect()).await?;
                return Ok(Ok(()));
            }
            if fetched.len() + wanted.len() > SINGLE_MAX {
                break;
            }
            let (events, why) = self.fetch_events(sources, &wanted).await?;
            if events.len() < wanted.len() {
                return Ok(Err(why.map_or(lack, Lack::from)));
            }
            let named = events.iter().flat_map(Event::auth_events);
            let named: BTreeSet<OwnedEventId> = named.cloned().collect();
            fetched.extend(
                events
                    .into_iter()
                    .map(|event| (event.id().to_owned(), event)),
            );
            let named = named.into_iter().filter(|id| !fetched.contains_key(id));
            wanted = self.unknown(named.collect()).await?;
        }
        Ok(Err(Lack::Refused(format!(
            "The auth chain of {} does not come to an end",
            event.id()
        ))))
    }

    /// Fetches single events, each from the first server that gives it. Also says why one could not be had.
    pub(super) async fn fetch_events(
        &self,
        sources: &[OwnedServerName],
        ids: &BTreeSet<OwnedEventId>,
    ) -> Result<(Vec<Event>, Option<PeerError>)> {
        let asks: Vec<_> = ids.iter().map(|id| self.fetch_event(sources, id)).collect();
        let mut answers = stream::iter(asks).buffer_unordered(TOGETHER);
        let mut objects = Vec::with_capacity(ids.len());
        let mut why = None;
        while let Some(answer) = answers.next().await {
            match answer? {
                Ok(object) => objects.push(object),
                Err(error) => why = error.or(why),
            }
        }
        let mut events = self.checked(objects).await;
        // An answer with another event is none.
        events.retain(|event| ids.contains(event.id()));
        Ok((events, why))
    }

    async fn fetch_event(
        &self,
        sources: &[OwnedServerName],
        id: &EventId,
    ) -> Result<std::result::Result<Object, Option<PeerError>>> {
        let mut why = None;
        for server in sources {
            match self.peers()?.event(server, id).await {
                Ok(event) => return Ok(Ok(event)),
                Err(error) => why = Some(error),
            }
        }
        Ok(Err(why))
    }
}
