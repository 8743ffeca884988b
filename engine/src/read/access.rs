//! What a user may read of a room as a whole: client-server API, "Room history visibility" and the room state endpoints.

use ruma::UserId;
use storage::{
    EventRow, Position, events,
    members::{self, Member, Membership},
};

use crate::{Error, Requester, Result, events::KnownEvent, rooms::RoomHandle, states::StateMap};

/// How a user stands to a room that they may read something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// They are in it.
    Joined,
    /// They were in it, and see it as it was when they left. What became of them since (a ban, an invite that they
    /// rejected) shows them no more of it.
    Departed {
        /// The event by which they left the last time, or their join, if a resolution of forks has undone that.
        event: EventRow,
        /// Where that is.
        position: Position,
    },
    /// Its history is open to the world.
    Peeking,
}

impl Access {
    /// The last position that the user may see anything of.
    pub(crate) fn horizon(self) -> Position {
        match self {
            Self::Departed { position, .. } => position,
            Self::Joined | Self::Peeking => Position::MAX,
        }
    }
}

impl RoomHandle {
    /// How the user stands to the room.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: they may read nothing of it.
    pub(crate) async fn access(&self, by: &Requester) -> Result<Access> {
        let member = members::one(self.context.store.reader(), self.meta.row, &by.user_id).await?;
        let member = member.filter(|member| !member.forgotten);
        let is_gone = match &member {
            Some(member) if member.membership == Membership::Join => return Ok(Access::Joined),
            Some(member) => matches!(member.membership, Membership::Leave | Membership::Ban),
            None => false,
        };
        let departed = match &member {
            Some(member) => self.departure(member).await?,
            None => None,
        };
        // Who is invited anew is a guest as any other where the room is open to all.
        if !(is_gone && departed.is_some()) && self.is_world_readable().await? {
            return Ok(Access::Peeking);
        }
        departed.ok_or_else(|| Error::Forbidden("You are not in this room".to_owned()))
    }

    /// The same, for those only who are in the room now.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: they are not.
    pub(crate) async fn require_joined(&self, by: &Requester) -> Result<()> {
        let member = members::one(self.context.store.reader(), self.meta.row, &by.user_id).await?;
        match member {
            Some(member) if member.membership == Membership::Join => Ok(()),
            _ => Err(Error::Forbidden("You are not in this room".to_owned())),
        }
    }

    /// The room's current state.
    pub(crate) async fn current_state(&self) -> Result<StateMap> {
        let stored = storage::rooms::by_row(self.context.store.reader(), self.meta.row).await?;
        self.context
            .states
            .get(stored.and_then(|stored| stored.snapshot))
            .await
    }

    /// The state that the user may see: the current one, or that at their departure.
    pub(crate) async fn visible_state(&self, access: Access) -> Result<StateMap> {
        match access {
            Access::Departed { event, position } => {
                let departure = self.context.events.get(&self.context.metas, event).await?;
                if is_join(&departure) {
                    return self.state_at(position).await;
                }
                self.state_after(&departure).await
            }
            Access::Joined | Access::Peeking => self.current_state().await,
        }
    }

    /// The state that results from `event`.
    pub(crate) async fn state_after(&self, known: &KnownEvent) -> Result<StateMap> {
        let before = self.context.states.get(known.snapshot).await?;
        let Some(state_key) = known.event.state_key() else {
            return Ok(before);
        };
        let key = self.state_key(known.event.event_type(), state_key).await?;
        Ok(match key {
            Some(key) => before.update(key, known.row),
            None => before,
        })
    }

    /// The row of a type and state key; `None` if no event ever had it.
    pub(crate) async fn state_key(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<storage::StateKeyRow>> {
        let found = self
            .context
            .store
            .state_keys()
            .find(&[(event_type, state_key)])
            .await?;
        Ok(found.into_iter().next().flatten())
    }

    /// The departure after the last time that the user was joined. `None` if they never were: an invite that was rejected,
    /// or a ban of a stranger, opens nothing.
    async fn departure(&self, member: &Member) -> Result<Option<Access>> {
        /// Bans, unbans, kicks, invites and knocks in a row that are looked through.
        const STEPS_MAX: usize = 32;
        let context = &self.context;
        let mut known = context.events.get(&context.metas, member.event).await?;
        if is_join(&known) {
            return Ok(Some(Access::Departed {
                event: member.event,
                position: member.position,
            }));
        }
        for _ in 0..STEPS_MAX {
            let Some(replaced) = known.replaces else {
                return Ok(None);
            };
            let before = context.events.get(&context.metas, replaced).await?;
            if is_join(&before) {
                let position = match known.row == member.event {
                    true => Some(member.position),
                    false => self.last_position_up_to(known.row).await?,
                };
                let event = known.row;
                return Ok(position.map(|position| Access::Departed { event, position }));
            }
            known = before;
        }
        Ok(None)
    }

    /// The last position of news that does not lie behind an event; `None` for one without a place in the timeline.
    async fn last_position_up_to(&self, event: EventRow) -> Result<Option<Position>> {
        let stored = events::by_row(self.context.store.reader(), event).await?;
        let spot = stored.and_then(|stored| stored.spot());
        Ok(spot.map(|spot| match spot.is_history() {
            true => Position(spot.anchor.get().saturating_sub(1)),
            false => spot.position,
        }))
    }

    async fn is_world_readable(&self) -> Result<bool> {
        let Some(key) = self.state_key("m.room.history_visibility", "").await? else {
            return Ok(false);
        };
        let state = self.current_state().await?;
        let Some(row) = state.get(&key) else {
            return Ok(false);
        };
        let known = self.context.events.get(&self.context.metas, *row).await?;
        let value = known
            .event
            .content()
            .get("history_visibility")
            .and_then(|value| value.as_str());
        Ok(value == Some("world_readable"))
    }

    /// Whether `user` is joined now.
    pub(crate) async fn is_joined(&self, user: &UserId) -> Result<bool> {
        let member = members::one(self.context.store.reader(), self.meta.row, user).await?;
        Ok(member.is_some_and(|member| member.membership == Membership::Join))
    }
}

/// What a member event makes of its user.
fn membership(known: &KnownEvent) -> Option<&str> {
    let content = known.event.content();
    content.get("membership").and_then(|value| value.as_str())
}

/// Whether somebody joins by an event, or changes their profile.
pub(crate) fn is_join(known: &KnownEvent) -> bool {
    membership(known) == Some("join")
}
