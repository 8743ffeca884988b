//! What a room was called, and by whom, when the user was last in it.

use spec::event::Event;
use storage::{members::Membership, write::NewMembership};

use super::{
    Slide,
    answer::{Hero, RoomAnswer},
};
use crate::{
    Result, room::new_membership, rooms::RoomHandle, states::StateMap, sync::roster::HEROES_MAX,
};

/// Of how many state events at most the members are counted, all of which have to be read.
const STATE_MAX: usize = 2_000;

/// What of a room is to be told.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) name: bool,
    pub(super) avatar: bool,
    pub(super) members: bool,
}

impl Slide<'_> {
    /// Name, picture, counts and heroes by a state, as far as they are wanted. Members of larger states than [`STATE_MAX`]
    /// are left out.
    pub(super) async fn describe_past(
        &self,
        room: &RoomHandle,
        answer: &mut RoomAnswer,
        state: &StateMap,
        facts: Facts,
    ) -> Result<()> {
        if !(facts.name || facts.avatar || facts.members) {
            return Ok(());
        }
        let context = &room.context;
        let pairs = [("m.room.name", ""), ("m.room.avatar", "")];
        let events = context.events_in(state, &pairs).await?;
        let said = |index: usize, key: &str| {
            let event = &events[index].as_ref()?.event;
            let text = text(event, key).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        let (name, avatar) = (said(0, "name"), said(1, "url"));
        let is_unnamed = name.is_none();
        let shown = |said: Option<String>| (said.is_some() || !answer.initial).then_some(said);
        answer.name = facts.name.then(|| shown(name)).flatten();
        answer.avatar = facts.avatar.then(|| shown(avatar)).flatten();
        if state.len() > STATE_MAX {
            return Ok(());
        }
        let known = room.members_in(state).await?;
        let members: Vec<NewMembership> = known
            .iter()
            .filter_map(|known| new_membership(&known.event))
            .collect();
        let are = |which| {
            let members = members.iter();
            members.filter(move |member| member.membership == which)
        };
        if facts.members {
            answer.joined_count = Some(are(Membership::Join).count() as u64);
            answer.invited_count = Some(are(Membership::Invite).count() as u64);
        }
        if is_unnamed {
            let own = &self.build.by.user_id;
            let heroes = |which: [Membership; 2]| -> Vec<Hero> {
                let others = which.into_iter().flat_map(are);
                let others = others.filter(|member| member.user_id != *own);
                others.map(hero).take(HEROES_MAX).collect()
            };
            let mut present = heroes([Membership::Join, Membership::Invite]);
            if present.is_empty() {
                present = heroes([Membership::Leave, Membership::Ban]);
            }
            answer.heroes = Some(present);
        }
        Ok(())
    }
}

fn text<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.content().get(key)?.as_str()
}

fn hero(member: &NewMembership) -> Hero {
    Hero {
        user_id: member.user_id.to_string(),
        displayname: member.displayname.clone(),
        avatar_url: member.avatar_url.clone(),
    }
}
