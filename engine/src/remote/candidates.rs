//! The servers through which somebody may get into a room, and what they answered.

use std::collections::VecDeque;

use ruma::{OwnedServerName, RoomId, ServerName};
use spec::server_name;

use crate::{Error, Result, Subject, peers::Peers};

/// How many servers are asked for one join, knock or leave.
const SERVERS_MAX: usize = 10;

/// How many of those that are named are looked at.
const NAMED_MAX: usize = 100;

/// The servers to ask, in order, and why the last ones could not help.
pub(super) struct Candidates {
    servers: VecDeque<OwnedServerName>,
    /// Nobody named a server: the one that the room's id names is a guess.
    guessed: bool,
    refusal: Option<Error>,
}

impl Candidates {
    /// Those of `via` that are not this server, each once; last those that could not be reached lately. The server in the
    /// room's id may have left long ago, so that it is asked only where nobody else is named.
    pub(super) fn new(
        own: &ServerName,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        peers: &dyn Peers,
    ) -> Self {
        let mut named: Vec<OwnedServerName> = Vec::new();
        for server in via.into_iter().take(NAMED_MAX) {
            let is_name = server_name::parse(server.as_str()).is_some();
            if is_name && server != own && !named.contains(&server) {
                named.push(server);
            }
        }
        named.sort_by_key(|server| peers.is_resting(server));
        named.truncate(SERVERS_MAX);
        let mut servers = VecDeque::from(named);
        let guessed = servers.is_empty();
        if guessed {
            let creator = room.server_name().filter(|server| *server != own);
            servers.extend(creator.map(ToOwned::to_owned));
        }
        Self {
            servers,
            guessed,
            refusal: None,
        }
    }

    pub(super) fn next(&mut self) -> Option<OwnedServerName> {
        self.servers.pop_front()
    }

    /// Notes why a server could not help.
    ///
    /// # Errors
    /// The error itself, where no other server would answer otherwise.
    pub(super) fn failed(
        &mut self,
        room: &RoomId,
        server: &ServerName,
        error: Error,
    ) -> Result<()> {
        if !another_may_help(&error) {
            return Err(error);
        }
        let cause = &error as &dyn std::error::Error;
        tracing::info!(%room, %server, error = cause, "cannot get into the room there");
        let weight = self.refusal.as_ref().map(weight);
        if weight <= Some(self::weight(&error)) {
            self.refusal = Some(error);
        }
        Ok(())
    }

    /// Why none could help.
    pub(super) fn refusal(self) -> Error {
        match self.refusal {
            Some(Error::Unreachable(_)) if self.guessed => Error::NotFound(Subject::Room),
            Some(refusal) => refusal,
            None => Error::NotFound(Subject::Room),
        }
    }
}

/// How much an answer says: least that the room is unknown there, most a refusal.
fn weight(error: &Error) -> u8 {
    match error {
        Error::NotFound(_) => 0,
        Error::Unreachable(_) => 1,
        _ => 2,
    }
}

fn another_may_help(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound(_)
            | Error::Unreachable(_)
            | Error::Elsewhere { .. }
            | Error::Refused(_)
            | Error::UnableToAuthoriseJoin
            | Error::UnableToGrantJoin
            | Error::LimitExceeded { .. }
    )
}
