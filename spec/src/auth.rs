//! Whether a state of a room allows an event.
//!
//! An event is checked several times, against different states: [`check_auth_events`] looks at the events
//! that it names as its permission, [`check`] asks one state. The rules read a [`View`], a state with
//! its deciding events parsed: [`Head`] is one to keep and update, [`check`] makes one from any [`State`].
//! Signatures are not looked at here, see [`crate::sign::verify_event`].
//!
//! Source: each room version's "Authorization rules"; server-server API, "Auth events selection".

mod create;
mod denied;
mod head;
mod member;
mod power_levels;
mod third_party;

pub(crate) use self::power_levels::level;
pub use self::{
    create::Create,
    denied::Denied,
    head::{Head, Members},
    member::{JoinRule, Membership, allowed_rooms},
    power_levels::{Power, PowerLevels, check_new_levels},
    third_party::{ThirdPartyKey, third_party_signers},
};
use ruma::UserId;

use crate::{
    event::Event,
    json::{Object, Value},
    room_version::RoomVersion,
};

/// A state of a room: at most one event for a type and state key.
pub trait State {
    /// The state event of this type and state key, `None` if there is none.
    ///
    /// The rules ask only for what [`needed`] lists, and for the create event in every room version.
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Event>;
}

/// What the rules read of a state, parsed.
pub trait View {
    /// The create event; without one, nothing but a create event is allowed.
    fn create(&self) -> Option<&Create>;
    /// The power levels in force, with all defaults.
    fn power_levels(&self) -> &PowerLevels;
    /// The rule in force; [`JoinRule::Invite`] without such an event.
    fn join_rule(&self) -> JoinRule;
    /// The user's membership; [`Membership::Leave`] for those who never had one.
    fn membership(&self, user: &str) -> Membership;
    /// The `m.room.third_party_invite` event with this state key.
    fn third_party_invite(&self, token: &str) -> Option<&Event>;
}

/// The types and state keys of the state events that an event needs as its permission.
///
/// Those that the state has become the event's `auth_events`; the order is the specification's. The
/// create event is among them up to room version 11. A create event itself needs none.
pub fn needed(
    version: &RoomVersion,
    sender: &str,
    event_type: &str,
    state_key: Option<&str>,
    content: &Object,
) -> Vec<(&'static str, String)> {
    let mut needed: Vec<(&'static str, String)> = Vec::with_capacity(6);
    if event_type == "m.room.create" {
        return needed;
    }
    if !version.auth.implied_create {
        needed.push(("m.room.create", String::new()));
    }
    needed.push(("m.room.power_levels", String::new()));
    needed.push(("m.room.member", sender.to_owned()));
    let Some(target) = state_key.filter(|_| event_type == "m.room.member") else {
        return needed;
    };
    if target != sender {
        needed.push(("m.room.member", target.to_owned()));
    }
    let membership = content.get("membership").and_then(Value::as_str);
    if matches!(membership, Some("join" | "invite" | "knock")) {
        needed.push(("m.room.join_rules", String::new()));
    }
    if membership == Some("invite")
        && let Some(token) = third_party::token(content)
    {
        needed.push(("m.room.third_party_invite", token.to_owned()));
    }
    if membership == Some("join")
        && version.auth.restricted
        && let Some(authoriser) = member::authoriser(content)
        && authoriser != sender
        && authoriser != target
    {
        needed.push(("m.room.member", authoriser.to_owned()));
    }
    needed
}

/// Checks what an event names as its `auth_events`: that they are the right ones, each accepted, all of
/// this room.
///
/// `auth` are these events, each with whether it was rejected. Whether they also allow the event is asked
/// with [`check`], taking them as the state.
///
/// # Errors
/// The event is to be rejected.
pub fn check_auth_events<'a>(
    version: &RoomVersion,
    event: &Event,
    auth: impl IntoIterator<Item = (&'a Event, bool)>,
) -> Result<(), Denied> {
    let mut allowed: Vec<(&'static str, String, bool)> = needed(
        version,
        event.sender().as_str(),
        event.event_type(),
        event.state_key(),
        event.content(),
    )
    .into_iter()
    .map(|(event_type, state_key)| (event_type, state_key, false))
    .collect();
    let mut has_create = false;
    for (auth_event, rejected) in auth {
        let slot = allowed
            .iter_mut()
            .find(|(event_type, key, _)| auth_event.is(event_type, key));
        let (_, _, taken) = slot.ok_or(Denied::AuthEventNotSelected)?;
        if std::mem::replace(taken, true) {
            return Err(Denied::AuthEventTwice);
        }
        if rejected {
            return Err(Denied::AuthEventRejected);
        }
        if auth_event.room_id() != event.room_id() {
            return Err(Denied::AuthEventOfAnotherRoom);
        }
        has_create |= auth_event.event_type() == "m.room.create";
    }
    let is_create = event.event_type() == "m.room.create";
    if !has_create && !is_create && !version.auth.implied_create {
        return Err(Denied::AuthEventsWithoutCreate);
    }
    Ok(())
}

/// The rule for state keys that begin with `@`: they are those of a user.
fn check_owner(
    owned_state: bool,
    key: &str,
    sender: &UserId,
    levels: &PowerLevels,
) -> Result<(), Denied> {
    if !key.starts_with('@') || key == sender.as_str() {
        return Ok(());
    }
    if !owned_state {
        return Err(Denied::StateKeyOfAnotherUser);
    }
    // The server's name has no `_`, so that the first one behind the colon ends the ID.
    let end = key
        .find(':')
        .and_then(|colon| Some(colon + key[colon..].find('_')?));
    let owner = &key[..end.unwrap_or(key.len())];
    let owner = UserId::parse(owner).map_err(|_| Denied::StateKeyMalformed)?;
    if owner == sender || levels.user(sender.as_str()) > levels.user(owner.as_str()) {
        Ok(())
    } else {
        Err(Denied::StateKeyOfAnotherUser)
    }
}

/// Whether `state` allows `event`.
///
/// # Errors
/// The rule that does not.
pub fn check(version: &RoomVersion, event: &Event, state: &impl State) -> Result<(), Denied> {
    check_view(version, event, &head::Parsed::new(version, state))
}

/// Whether a state allows `event`, with the deciding events parsed already: see [`Head::check`].
///
/// # Errors
/// The rule that does not.
pub fn check_view(version: &RoomVersion, event: &Event, view: &impl View) -> Result<(), Denied> {
    let rules = &version.auth;
    if event.event_type() == "m.room.create" {
        return create::check(version, event);
    }
    let create = view.create().ok_or(Denied::NoCreate)?;
    if rules.implied_create && create.room_id() != event.room_id() {
        return Err(Denied::NoCreate);
    }
    let sender = event.sender();
    if !create.federates() && sender.server_name() != create.sender().server_name() {
        return Err(Denied::NotFederated);
    }
    if rules.aliases_by_server && event.event_type() == "m.room.aliases" {
        let own = event.state_key() == Some(sender.server_name().as_str());
        return if own {
            Ok(())
        } else {
            Err(Denied::AliasesOfAnotherServer)
        };
    }
    if event.event_type() == "m.room.member" {
        return member::check(version, event, create, view);
    }
    if view.membership(sender.as_str()) != Membership::Join {
        return Err(Denied::SenderNotJoined);
    }
    let levels = view.power_levels();
    let power = levels.user(sender.as_str());
    if event.event_type() == "m.room.third_party_invite" {
        let enough = power >= Power::Level(levels.invite());
        return if enough {
            Ok(())
        } else {
            Err(Denied::InviteLevel)
        };
    }
    if power < Power::Level(levels.for_event(event.event_type(), event.is_state())) {
        return Err(Denied::EventLevel);
    }
    if let Some(key) = event.state_key() {
        check_owner(rules.owned_state, key, sender, levels)?;
    }
    if event.event_type() == "m.room.power_levels" {
        return power_levels::check(version, event, create, levels, power);
    }
    if rules.redactions_by_rule && event.event_type() == "m.room.redaction" {
        let same_server = event.redacts().is_some_and(|target| {
            target.server_name().is_some() && target.server_name() == event.id().server_name()
        });
        let allowed = same_server || power >= Power::Level(levels.redact());
        return if allowed {
            Ok(())
        } else {
            Err(Denied::RedactLevel)
        };
    }
    Ok(())
}
