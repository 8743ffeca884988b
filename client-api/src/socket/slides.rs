//! The connections of sliding sync that a socket carries: `spec/api/extensions/websocket.md`, "Sliding sync".

use std::collections::BTreeMap;

use engine::sync::sliding::SlidingAsk;
use futures_util::future::{LocalBoxFuture, select_all};

use crate::{error::ApiError, sync::sliding::Found};

/// How many connections of sliding sync a socket carries.
const SLIDES_MAX: usize = 4;

/// A look for what is new on a connection.
pub(super) type Look = LocalBoxFuture<'static, Result<Found, ApiError>>;

/// What is asked, by the names of the connections.
#[derive(Default)]
pub(super) struct Slides(BTreeMap<String, Slide>);

struct Slide {
    ask: SlidingAsk,
    /// Whether the client has had an answer to what it asks.
    answered: bool,
    look: Option<Look>,
}

impl Slides {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what a client asks; it replaces what it asked before on that connection, and goes on where that stood.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM`: too many connections.
    pub(super) fn ask(&mut self, mut ask: SlidingAsk) -> Result<(), ApiError> {
        let known = self.0.get(&ask.conn_id);
        if known.is_none() && self.0.len() >= SLIDES_MAX {
            return Err(ApiError::invalid_param(format!(
                "A socket carries at most {SLIDES_MAX} connections of sliding sync"
            )));
        }
        if let Some(known) = known
            && ask.pos.is_none()
        {
            ask.pos.clone_from(&known.ask.pos);
        }
        let slide = Slide {
            ask,
            answered: false,
            look: None,
        };
        self.0.insert(slide.ask.conn_id.clone(), slide);
        Ok(())
    }

    /// Has all connections look for news that do not, but for those whose last push the client has not acknowledged: by
    /// looking on from there the server would take it for known, and a client that has lost it could not come back. The first
    /// look at something new does not wait.
    pub(super) fn start(
        &mut self,
        is_unacknowledged: impl Fn(&str) -> bool,
        look: impl Fn(SlidingAsk, bool) -> Look,
    ) {
        for slide in self.0.values_mut() {
            let pos = slide.ask.pos.as_deref();
            if slide.look.is_none() && !pos.is_some_and(&is_unacknowledged) {
                slide.look = Some(look(slide.ask.clone(), slide.answered));
            }
        }
    }

    /// What the next look has found, and on which connection; never, if none looks.
    pub(super) async fn next(&mut self) -> (String, Result<Found, ApiError>) {
        let looks = self.0.iter_mut();
        let looks = looks.filter_map(|(name, slide)| Some((name, slide.look.as_mut()?)));
        let (names, looks): (Vec<&String>, Vec<&mut Look>) = looks.unzip();
        if looks.is_empty() {
            return std::future::pending().await;
        }
        let (found, index, _) = select_all(looks).await;
        (names[index].clone(), found)
    }

    /// Notes that a look has ended here. Answers whether the client is to hear of it.
    pub(super) fn found(&mut self, name: &str, found: &Found) -> bool {
        let Some(slide) = self.0.get_mut(name) else {
            return false;
        };
        slide.look = None;
        slide.ask.pos = Some(found.pos.clone());
        let is_first = !std::mem::replace(&mut slide.answered, true);
        is_first || found.has_news
    }

    /// Ends a connection that cannot go on.
    pub(super) fn end(&mut self, name: &str) {
        self.0.remove(name);
    }
}
