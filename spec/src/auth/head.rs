//! The deciding events of a state, parsed.

use super::{Create, Denied, JoinRule, Membership, PowerLevels, State, View, check_view};
use crate::{event::Event, room_version::RoomVersion};

/// The part of a room's current state that decides about most events, parsed once and kept.
///
/// What depends on single users is asked of [`Members`], which the owner of the room's head answers from
/// its memory. So authorising a message parses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    create: Create,
    power_levels: PowerLevels,
    join_rule: JoinRule,
}

/// The part of a state that belongs to single users.
pub trait Members {
    /// The user's membership; [`Membership::Leave`] for those who never had one.
    fn membership(&self, user: &str) -> Membership;

    /// The `m.room.third_party_invite` event with this state key.
    fn third_party_invite(&self, token: &str) -> Option<&Event>;
}

impl Head {
    /// The head of a room with these events in its current state.
    pub fn new(
        version: &RoomVersion,
        create: &Event,
        power_levels: Option<&Event>,
        join_rules: Option<&Event>,
    ) -> Self {
        let create = Create::parse(version, create);
        Self {
            power_levels: PowerLevels::of(version, Some(&create), power_levels),
            join_rule: JoinRule::of(version, join_rules),
            create,
        }
    }

    /// Takes over a state event that has become current. Events that do not decide here change nothing.
    pub fn apply(&mut self, version: &RoomVersion, event: &Event) {
        if event.is("m.room.power_levels", "") {
            self.power_levels = PowerLevels::of(version, Some(&self.create), Some(event));
        } else if event.is("m.room.join_rules", "") {
            self.join_rule = JoinRule::of(version, Some(event));
        }
    }

    /// What the create event decides.
    pub fn create(&self) -> &Create {
        &self.create
    }

    /// The power levels in force.
    pub fn power_levels(&self) -> &PowerLevels {
        &self.power_levels
    }

    /// The join rule in force.
    pub fn join_rule(&self) -> JoinRule {
        self.join_rule
    }

    /// Whether the current state allows `event`.
    ///
    /// # Errors
    /// The rule that does not.
    pub fn check(
        &self,
        version: &RoomVersion,
        event: &Event,
        members: &impl Members,
    ) -> Result<(), Denied> {
        check_view(
            version,
            event,
            &WithMembers {
                head: self,
                members,
            },
        )
    }
}

struct WithMembers<'a, M> {
    head: &'a Head,
    members: &'a M,
}

impl<M: Members> View for WithMembers<'_, M> {
    fn create(&self) -> Option<&Create> {
        Some(&self.head.create)
    }

    fn power_levels(&self) -> &PowerLevels {
        &self.head.power_levels
    }

    fn join_rule(&self) -> JoinRule {
        self.head.join_rule
    }

    fn membership(&self, user: &str) -> Membership {
        self.members.membership(user)
    }

    fn third_party_invite(&self, token: &str) -> Option<&Event> {
        self.members.third_party_invite(token)
    }
}

/// Any state, with its deciding events parsed for one check.
pub(super) struct Parsed<'a, S> {
    create: Option<Create>,
    power_levels: PowerLevels,
    join_rule: JoinRule,
    state: &'a S,
}

impl<'a, S: State> Parsed<'a, S> {
    pub(super) fn new(version: &RoomVersion, state: &'a S) -> Self {
        let create = state
            .get("m.room.create", "")
            .map(|event| Create::parse(version, event));
        let power_levels = state.get("m.room.power_levels", "");
        Self {
            power_levels: PowerLevels::of(version, create.as_ref(), power_levels),
            join_rule: JoinRule::of(version, state.get("m.room.join_rules", "")),
            create,
            state,
        }
    }
}

impl<S: State> View for Parsed<'_, S> {
    fn create(&self) -> Option<&Create> {
        self.create.as_ref()
    }

    fn power_levels(&self) -> &PowerLevels {
        &self.power_levels
    }

    fn join_rule(&self) -> JoinRule {
        self.join_rule
    }

    fn membership(&self, user: &str) -> Membership {
        Membership::of(self.state.get("m.room.member", user))
    }

    fn third_party_invite(&self, token: &str) -> Option<&Event> {
        self.state.get("m.room.third_party_invite", token)
    }
}
