//! What stands around a result.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedUserId, events::AnyTimelineEvent, serde::Raw};
use spec::event::Event;
use storage::{
    Limit,
    timeline::{self, Spot},
};

use crate::{
    Result,
    read::view::{Seen, View},
    render::Shape,
    sync::token::PageToken,
};

/// How many events on one side of a result an answer may hold.
const SIDE_MAX: u16 = 50;

/// How much of what stands around results is wanted.
#[derive(Clone, Copy, Debug)]
pub struct SearchContext {
    /// How many events before each.
    pub before: u16,
    /// How many events after each.
    pub after: u16,
    /// Whether the names and pictures of those who sent them are wanted, as they were then.
    pub profiles: bool,
}

/// What stands around a result.
#[derive(Clone, Debug)]
pub struct HitContext {
    /// What came before, newest first.
    pub before: Vec<Raw<AnyTimelineEvent>>,
    /// What came after, oldest first.
    pub after: Vec<Raw<AnyTimelineEvent>>,
    /// A token for paging back from the oldest.
    pub start: String,
    /// A token for paging on from the newest.
    pub end: String,
    /// The names and pictures of those who sent them.
    pub profiles: BTreeMap<OwnedUserId, HitProfile>,
}

/// What somebody was called, and how they looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HitProfile {
    /// The name.
    pub displayname: Option<String>,
    /// The picture.
    pub avatar_url: Option<String>,
}

/// What stands around `seen`.
pub(super) async fn of(
    view: &mut View<'_>,
    seen: &Seen,
    wanted: SearchContext,
) -> Result<HitContext> {
    let at = seen.placed.spot;
    let before = side(view, at, Side::Before, wanted.before).await?;
    let after = side(view, at, Side::After, wanted.after).await?;
    let oldest = before.last().map_or(at, |seen| seen.placed.spot);
    let newest = after.last().map_or(at, |seen| seen.placed.spot);
    let bundles = view
        .bundles(before.iter().chain(&after), Shape::Whole)
        .await?;
    let profiles = if wanted.profiles {
        let senders = before.iter().chain(&after).chain([seen]);
        let senders = senders.map(|seen| seen.placed.event.sender().to_owned());
        profiles(view, seen, senders.collect()).await?
    } else {
        BTreeMap::new()
    };
    Ok(HitContext {
        before: view
            .render_all_with(&before, &bundles, Shape::Whole)
            .await?,
        after: view.render_all_with(&after, &bundles, Shape::Whole).await?,
        start: PageToken::before(oldest).to_string(),
        end: PageToken::behind(newest).to_string(),
        profiles,
    })
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

async fn side(view: &mut View<'_>, at: Spot, side: Side, count: u16) -> Result<Vec<Seen>> {
    let count = usize::from(count.min(SIDE_MAX));
    if count == 0 {
        return Ok(Vec::new());
    }
    let context = &view.room.context;
    let (db, room) = (context.store.reader(), view.room.meta.row);
    let limit = Limit::from(count);
    let stored = match side {
        Side::Before => timeline::back(db, room, at.just_before(), Spot::MIN, limit).await?,
        Side::After => timeline::forward(db, room, at, Spot::MAX, limit).await?,
    };
    let mut placed = context.events.place(&context.metas, stored).await?;
    let horizon = view.access.horizon();
    placed.retain(|placed| placed.spot.anchor <= horizon);
    view.filter(placed).await
}

/// The profiles of `senders` in the state after an event.
async fn profiles(
    view: &View<'_>,
    at: &Seen,
    senders: BTreeSet<OwnedUserId>,
) -> Result<BTreeMap<OwnedUserId, HitProfile>> {
    let room = view.room;
    let state = room.state_after(&at.placed).await?;
    let rows = room.member_rows(&state, &senders).await?;
    let members = room
        .context
        .events
        .get_many(&room.context.metas, &rows)
        .await?;
    let mut profiles: BTreeMap<OwnedUserId, HitProfile> = senders
        .into_iter()
        .map(|sender| (sender, HitProfile::default()))
        .collect();
    for member in members {
        let profile = member.event.state_key().and_then(|user| {
            let user = <&ruma::UserId>::try_from(user).ok()?;
            profiles.get_mut(user)
        });
        if let Some(profile) = profile {
            profile.displayname = text(&member.event, "displayname");
            profile.avatar_url = text(&member.event, "avatar_url");
        }
    }
    Ok(profiles)
}

fn text(event: &Event, key: &str) -> Option<String> {
    event.content().get(key)?.as_str().map(str::to_owned)
}
