//! What a room was called, and by whom, when the user was last in it.

use spec::event::Event;

use super::{
    Slide,
    answer::{Hero, RoomAnswer},
};
use crate::{Result, rooms::RoomHandle, states::StateMap, sync::roster::HEROES_MAX};

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
        let members = room.members_in(state).await?;
        let are = |which: &'static str| {
            let events = members.iter().map(|known| known.event.as_ref());
            events.filter(move |event| text(event, "membership") == Some(which))
        };
        if facts.members {
            answer.joined_count = Some(are("join").count() as u64);
            answer.invited_count = Some(are("invite").count() as u64);
        }
        if is_unnamed {
            let own = self.build.by.user_id.as_str();
            let others =
                |which: &'static str| are(which).filter(|event| event.state_key() != Some(own));
            let present = others("join").chain(others("invite"));
            let mut heroes: Vec<Hero> = present.filter_map(hero).take(HEROES_MAX).collect();
            if heroes.is_empty() {
                let absent = others("leave").chain(others("ban"));
                heroes = absent.filter_map(hero).take(HEROES_MAX).collect();
            }
            answer.heroes = Some(heroes);
        }
        Ok(())
    }
}

fn text<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.content().get(key)?.as_str()
}

fn hero(member: &Event) -> Option<Hero> {
    Some(Hero {
        user_id: member.state_key()?.to_owned(),
        displayname: text(member, "displayname").map(str::to_owned),
        avatar_url: text(member, "avatar_url").map(str::to_owned),
    })
}
