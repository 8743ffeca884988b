//! Sliding sync: MSC4186. Two dialects are spoken, the one that is to be in the specification and the one that clients
//! speak today. Each request is read into the engine's form, and each answer written in the words of its dialect.

mod current;
mod legacy;
mod write;

use std::{sync::Arc, time::Duration};

use actix_web::web;
use engine::{
    Engine, Requester,
    sync::sliding::{SlidingAnswer, SlidingAsk},
};

pub(crate) use self::{
    current::{Body, handle as handle_current, read},
    legacy::handle as handle_legacy,
};
use crate::{Shared, error::ApiError};

/// The most lists of a request, and the most subscriptions.
const RULES_MAX: usize = 100;
/// How many ranges a list may have: each costs what it shows.
const RANGES_MAX: usize = 20;

/// Looks for news on the connection, and waits for them as long as `ask` says.
async fn look(
    shared: &web::Data<Shared>,
    engine: &web::Data<Engine>,
    requester: &Requester,
    ask: SlidingAsk,
    write: fn(&SlidingAnswer) -> serde_json::Result<Vec<u8>>,
) -> Result<Found, ApiError> {
    let timeout_max = Duration::from_millis(shared.settings.sync_timeout_ms_max);
    let ask = Arc::new(SlidingAsk {
        timeout: ask.timeout.min(timeout_max),
        ..ask
    });
    tokio::select! {
        found = slide(shared, engine, requester, Arc::clone(&ask), write) => found,
        // A server that stops lets nobody wait: they come back to the next one.
        () = shared.sockets.stopping() => {
            let at_once = SlidingAsk {
                timeout: Duration::ZERO,
                ..Arc::unwrap_or_clone(ask)
            };
            slide(shared, engine, requester, Arc::new(at_once), write).await
        }
    }
}

/// Looks for news, in the dialect of MSC4186, and waits for them as long as `ask` says. For sockets, which carry that.
///
/// # Errors
/// 400 `M_UNKNOWN_POS`: the client has to begin anew.
pub(crate) async fn look_current(
    shared: &web::Data<Shared>,
    engine: &web::Data<Engine>,
    requester: &Requester,
    ask: SlidingAsk,
) -> Result<Found, ApiError> {
    slide(shared, engine, requester, Arc::new(ask), write::current).await
}

/// What a look found.
pub(crate) struct Found {
    /// The body.
    pub(crate) json: Vec<u8>,
    /// Where it ends.
    pub(crate) pos: String,
    /// Whether it brings anything.
    pub(crate) has_news: bool,
}

/// The same without a limit of the wait. The body is built and written on the main runtime.
async fn slide(
    shared: &Shared,
    engine: &web::Data<Engine>,
    requester: &Requester,
    ask: Arc<SlidingAsk>,
    write: fn(&SlidingAnswer) -> serde_json::Result<Vec<u8>>,
) -> Result<Found, ApiError> {
    let (engine, requester) = (engine.clone(), requester.clone());
    let looking = async move {
        let answer = engine.slide(&requester, &ask).await?;
        let json = write(&answer).map_err(|cause| ApiError::internal(&cause))?;
        Ok(Found {
            json,
            has_news: answer.has_news(),
            pos: answer.pos,
        })
    };
    shared.main.run(looking).await?
}

/// How a dialect has clients call their lists and connections.
struct Names {
    /// The longest in bytes.
    bytes_max: usize,
    /// Whether those of lists are opaque identifiers: specification, appendices.
    opaque: bool,
}

/// Refuses what no client needs and would cost too much.
fn check(ask: &SlidingAsk, names: &Names) -> Result<(), ApiError> {
    for (what, count) in [
        ("lists", ask.lists.len()),
        ("room_subscriptions", ask.subscriptions.len()),
    ] {
        if count > RULES_MAX {
            return Err(ApiError::invalid_param(format!(
                "There are {count} entries in \"{what}\", and {RULES_MAX} are allowed"
            )));
        }
    }
    let Names { bytes_max, opaque } = *names;
    for name in ask.lists.keys().chain([&ask.conn_id]) {
        if name.len() > bytes_max {
            return Err(ApiError::invalid_param(format!(
                "The name of a list or connection has more than {bytes_max} bytes"
            )));
        }
    }
    if opaque && let Some(name) = ask.lists.keys().find(|name| !is_opaque(name)) {
        return Err(ApiError::invalid_param(format!(
            "{name:?} is no name of a list: letters, digits and \"-._~\" make one"
        )));
    }
    for list in ask.lists.values() {
        let count = list.ranges.as_ref().map_or(0, Vec::len);
        if count > RANGES_MAX {
            return Err(ApiError::invalid_param(format!(
                "There are {count} ranges in a list, and {RANGES_MAX} are allowed"
            )));
        }
        let ranges = list.ranges.iter().flatten();
        if let Some((first, last)) = ranges.into_iter().find(|(first, last)| first > last) {
            return Err(ApiError::invalid_param(format!(
                "The range [{first}, {last}] ends before it begins"
            )));
        }
    }
    Ok(())
}

/// Specification, appendices, "Opaque Identifiers", but for the length.
fn is_opaque(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_allowed)
}
