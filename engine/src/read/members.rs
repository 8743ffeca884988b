//! Members: client-server API, `GET /rooms/{roomId}/members` and `/joined_members`.

use ruma::{OwnedUserId, UserId, events::room::member::RoomMemberEvent, serde::Raw};
use storage::{
    EventRow, Limit, Position, events,
    members::{self, Membership},
    timeline::{self, Spot},
};

use crate::{
    Requester, Result, events::KnownEvent, read::access::Access, rooms::RoomHandle,
    states::StateMap, sync::token::PageToken,
};

/// Which members to list.
#[derive(Clone, Debug, Default)]
pub struct MembersAsk {
    /// A token: the members as they were there.
    pub at: Option<String>,
    /// Only this membership (with `not_membership`: or all but that one).
    pub membership: Option<String>,
    /// All but this membership.
    pub not_membership: Option<String>,
}

/// A member as `joined_members` lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Who.
    pub user_id: OwnedUserId,
    /// Their name in the room.
    pub displayname: Option<String>,
    /// Their picture in the room.
    pub avatar_url: Option<String>,
}

impl RoomHandle {
    /// The member events of the room, now or at a token; those at their departure for users who left.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`]: the user may read nothing of the room.
    pub async fn members(
        &self,
        by: &Requester,
        ask: MembersAsk,
    ) -> Result<Vec<Raw<RoomMemberEvent>>> {
        let access = self.access(by).await?;
        let state = match &ask.at {
            Some(token) => {
                let there = self
                    .state_at_token(token.parse()?, access.horizon())
                    .await?;
                match there.is_empty() {
                    true => self.first_state().await?,
                    false => there,
                }
            }
            None => self.visible_state(access).await?,
        };
        let rows: Vec<EventRow> = self
            .members_in(&state)
            .await?
            .into_iter()
            .filter(|known| wanted(&ask, known))
            .map(|known| known.row)
            .collect();
        self.render_state(by, access, &rows).await
    }

    /// Who is joined, with their names and pictures here. For those who are joined themselves.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`]: the user is not in the room.
    pub async fn joined_members(&self, by: &Requester) -> Result<Vec<JoinedMember>> {
        if self.access(by).await? == Access::Joined {
            let joined = [Membership::Join];
            let rows =
                members::of_room(self.context.store.reader(), self.meta.row, &joined).await?;
            let joined = |member: members::Member| {
                Some(JoinedMember {
                    user_id: UserId::parse(member.user_id).ok()?,
                    displayname: member.displayname,
                    avatar_url: member.avatar_url,
                })
            };
            return Ok(rows.into_iter().filter_map(joined).collect());
        }
        Err(crate::Error::Forbidden(
            "You are not in this room".to_owned(),
        ))
    }

    /// The state at a token, but not after `horizon`.
    async fn state_at_token(&self, token: PageToken, horizon: Position) -> Result<StateMap> {
        let spot = match token {
            PageToken::News(position) => return self.state_at(position.min(horizon)).await,
            PageToken::History(spot) if spot.anchor > horizon => {
                return self.state_at(horizon).await;
            }
            PageToken::History(spot) => spot,
        };
        let db = self.context.store.reader();
        let one = Limit::new(1);
        let last = timeline::back(db, self.meta.row, spot, Spot::MIN, one).await?;
        if let Some(last) = last.first() {
            let known = self.context.events.get(&self.context.metas, last.id);
            return self.state_after(&*known.await?).await;
        }
        let first = timeline::forward(db, self.meta.row, spot, Spot::MAX, one).await?;
        let before = first.first().and_then(|first| first.snapshot);
        self.context.states.get(before).await
    }

    /// The state with the room's maker in it: nobody was there before, and that is what one wants to know who asks for the
    /// members at the beginning.
    async fn first_state(&self) -> Result<StateMap> {
        let db = self.context.store.reader();
        let two = Limit::new(2);
        let first = timeline::forward(db, self.meta.row, Spot::MIN, Spot::MAX, two).await?;
        match first.last() {
            Some(join) => {
                let known = self.context.events.get(&self.context.metas, join.id);
                self.state_after(&*known.await?).await
            }
            None => Ok(StateMap::new()),
        }
    }

    /// The state at a position of the log. Before the first event that this server has of the room, the state that it
    /// was given when it came in.
    pub(crate) async fn state_at(&self, position: Position) -> Result<StateMap> {
        let notifier = &self.context.notifier;
        if let Some((_, current)) = notifier.current_at(self.meta.row, position) {
            return self.context.states.get(current).await;
        }
        let db = self.context.store.reader();
        if let Some(latest) = events::latest(db, self.meta.row, position).await? {
            if let Some(since) = latest.position {
                notifier.learn_current(self.meta.row, position, (since, latest.current));
            }
            return self.context.states.get(latest.current).await;
        }
        let first = Limit::from(1);
        let first = events::page_forward(db, self.meta.row, position, Position::MAX, first).await?;
        let before = first.first().and_then(|first| first.snapshot);
        self.context.states.get(before).await
    }

    /// The member events of a state, in the order of their rows.
    pub(crate) async fn members_in(
        &self,
        state: &StateMap,
    ) -> Result<Vec<std::sync::Arc<KnownEvent>>> {
        let keys: Vec<_> = state.keys().copied().collect();
        let names = self.context.store.state_keys().names(&keys).await?;
        let rows: Vec<EventRow> = names
            .iter()
            .zip(state.values())
            .filter(|((event_type, _), _)| event_type == "m.room.member")
            .map(|(_, row)| *row)
            .collect();
        self.context
            .events
            .get_many(&self.context.metas, &rows)
            .await
    }
}

/// Both filters together mean either: the specification's "combined with a logical OR".
fn wanted(ask: &MembersAsk, known: &KnownEvent) -> bool {
    let membership = known
        .event
        .content()
        .get("membership")
        .and_then(|value| value.as_str());
    let is = ask
        .membership
        .as_deref()
        .map(|wanted| membership == Some(wanted));
    let is_not = ask
        .not_membership
        .as_deref()
        .map(|unwanted| membership != Some(unwanted));
    match (is, is_not) {
        (None, None) => true,
        (is, is_not) => is.unwrap_or(false) || is_not.unwrap_or(false),
    }
}
