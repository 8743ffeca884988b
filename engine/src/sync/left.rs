//! A room that the user is no longer in: `rooms.leave`.

use ruma::api::client::sync::sync_events::v3::{LeftRoom, State, StateEvents, Timeline};
use spec::auth::Membership;
use storage::Position;

use super::{
    Build,
    changes::{OwnMembership, was_joined_at},
    joined::Window,
};
use crate::{
    Result,
    events::Placed,
    read::{
        access::{Access, is_join},
        view::{Seen, View},
    },
    rooms::RoomHandle,
};

impl Build<'_> {
    /// The room up to the user's departure, which is always shown; `None` if the client knows all of that.
    ///
    /// Of a room that the user was only invited to, the departure is all there is to see.
    pub(super) async fn left_room(
        &self,
        room: &RoomHandle,
        member: &OwnMembership,
    ) -> Result<Option<LeftRoom>> {
        if member.position <= self.since() {
            return Ok(None);
        }
        let mut left = LeftRoom::new();
        match room.access(self.by).await {
            Ok(access @ Access::Departed { event, position }) => {
                let known_at = match self.from {
                    // The client has heard of the departure, and now of what became of the user since.
                    Some(from) if position <= from.position => Some(position),
                    Some(from) if was_joined_at(self, room, from.position).await? => {
                        Some(from.position)
                    }
                    // Who came and went since knows nothing of the room.
                    _ => None,
                };
                let window = self
                    .until_departure(
                        room,
                        access,
                        member,
                        position,
                        known_at.unwrap_or(Position::MIN),
                    )
                    .await?;
                // Nothing of what came after the departure but what the user has become since.
                let later = Some(member.event).filter(|own| *own != event);
                left.state = self
                    .state_until(room, known_at, &window, position, &[], later.as_slice())
                    .await?;
                let data = self.left_account_data(room, known_at).await?;
                left.account_data.events = self.room_account_data(room, data)?;
                left.timeline = self.timeline(room, window).await?;
            }
            Ok(_) | Err(crate::Error::Forbidden(_)) => {
                let window = departure_alone(room, member).await?;
                left.timeline = self.timeline(room, window).await?;
                if self.ask.use_state_after {
                    left.state = State::After(StateEvents::new());
                }
            }
            Err(error) => return Err(error),
        }
        if left.timeline.events.is_empty()
            && left.state.is_empty()
            && left.account_data.events.is_empty()
        {
            left.timeline = Timeline::new();
        }
        Ok(Some(left))
    }

    /// The newest events after `from` until the departure at `position`, that included.
    pub(super) async fn until_departure(
        &self,
        room: &RoomHandle,
        access: Access,
        member: &OwnMembership,
        position: Position,
        from: Position,
    ) -> Result<Window> {
        let mut window = self.newest(room, access, position, from).await?;
        let context = &room.context;
        let known = context.events.get(&context.metas, member.event).await?;
        // Of a join that was undone no event says so: the room is there, and ends.
        if !is_join(&known)
            && !window.seen.iter().any(|seen| seen.placed.row == known.row)
            && self.timeline_takes(&known)
        {
            let placed = Placed::news(member.position, known);
            let mut view = View::new(room, self.by, access).await?;
            window.seen.extend(view.filter(vec![placed]).await?);
        }
        Ok(window)
    }

    fn timeline_takes(&self, known: &crate::events::KnownEvent) -> bool {
        super::filter::allows_event(&self.ask.filter.room.timeline, &known.event)
            && self.ask.filter.room.timeline.limit != Some(0_u32.into())
    }
}

/// The departure of somebody who may see nothing else of the room. What lies before it they may see when they are in it.
pub(super) async fn departure_alone(room: &RoomHandle, member: &OwnMembership) -> Result<Window> {
    let context = &room.context;
    let known = context.events.get(&context.metas, member.event).await?;
    let replaced = match known.replaces {
        Some(row) => Some(context.events.get(&context.metas, row).await?),
        None => None,
    };
    let seen = Seen {
        placed: Placed::news(member.position, known),
        membership: Membership::parse(member.membership.as_str()),
        // Their own membership as well.
        replaced,
    };
    Ok(Window {
        access: Access::Peeking,
        seen: vec![seen],
        limited: true,
        start: Position(member.position.get() - 1),
        unseen: false,
    })
}
