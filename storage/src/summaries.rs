//! What rooms show of themselves, and the list of those that are published.
//!
//! The rows are kept up to date by the writer, in the transaction of each change, so that a page of the list is one
//! range of one index, however many rooms there are.

use std::collections::HashSet;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait, LikeExpr},
};

use crate::{entity::summary, error::Result, id::RoomRow, padded::padded, page::Limit};

/// A summary as stored.
pub type Summary = summary::Model;

/// The join rules under which a stranger may come in, or ask to.
const OPEN: [&str; 4] = ["public", "knock", "restricted", "knock_restricted"];

/// Which of the published rooms are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only those whose name, topic or main alias has this text, whatever the case.
    pub term: Option<String>,
    /// Only those of these types, where `None` is a room without type; empty means all.
    pub types: Vec<Option<String>>,
    /// Only those that users of other servers may be in.
    pub federated: bool,
}

/// A place in the list: many members before few, young rooms before old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many are joined.
    pub joined: i64,
    /// The room.
    pub room: RoomRow,
}

/// Which part of the list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first rooms.
    First,
    /// Those that follow this place.
    After(Place),
    /// Those that come before this place, the nearest ones.
    Before(Place),
}

/// What this room shows. One look-up by primary key.
pub async fn one(db: &impl ConnectionTrait, room: RoomRow) -> Result<Option<Summary>> {
    Ok(summary::Entity::find_by_id(room).one(db).await?)
}

/// What these rooms show, in no order; unknown ones are left out. Look-ups by primary key, 256 a query.
pub async fn by_rows(db: &impl ConnectionTrait, rooms: &[RoomRow]) -> Result<Vec<Summary>> {
    let mut found = Vec::with_capacity(rooms.len());
    for chunk in padded(rooms) {
        let these = summary::Entity::find().filter(summary::Column::Room.is_in(chunk));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// Those of these rooms that are encrypted. Look-ups by primary key, 256 a query.
pub async fn encrypted_among(
    db: &impl ConnectionTrait,
    rooms: &[RoomRow],
) -> Result<HashSet<RoomRow>> {
    let mut found = HashSet::new();
    for chunk in padded(rooms) {
        let these = summary::Entity::find()
            .select_only()
            .column(summary::Column::Room)
            .filter(summary::Column::Room.is_in(chunk))
            .filter(summary::Column::Encryption.is_not_null());
        found.extend(these.into_tuple::<RoomRow>().all(db).await?);
    }
    Ok(found)
}

/// One page of the published rooms that somebody is in and a stranger may join, knock at or read, in the order of
/// [`Place`].
///
/// At most `limit`; fewer mean that there are no more in that direction. One query, along the index
/// (published, joined, room); with a term or types it reads on until it has found enough.
pub async fn published(
    db: &impl ConnectionTrait,
    wanted: &Wanted,
    part: Part,
    limit: Limit,
) -> Result<Vec<Summary>> {
    use summary::Column::{Joined, Room};
    let list = summary::Entity::find()
        .filter(listed())
        .filter(matches(wanted));
    let here = || Expr::tuple([Expr::col(Joined), Expr::col(Room)]);
    let place = |place: Place| Expr::tuple([Expr::val(place.joined), Expr::val(place.room)]);
    let list = match part {
        Part::First => list,
        Part::After(last) => list.filter(here().lt(place(last))),
        Part::Before(first) => list.filter(here().gt(place(first))),
    };
    if let Part::Before(_) = part {
        let nearest = list.order_by_asc(Joined).order_by_asc(Room);
        let mut page = nearest.limit(limit.get()).all(db).await?;
        page.reverse();
        return Ok(page);
    }
    let list = list.order_by_desc(Joined).order_by_desc(Room);
    Ok(list.limit(limit.get()).all(db).await?)
}

/// About how many rooms [`published`] lists if nothing special is wanted: those that nobody can enter are counted, too, so
/// that the index alone tells.
pub async fn published_count(db: &impl ConnectionTrait) -> Result<u64> {
    Ok(summary::Entity::find().filter(peopled()).count(db).await?)
}

/// Published, and with somebody in it.
fn peopled() -> Condition {
    Condition::all()
        .add(summary::Column::Published.eq(true))
        .add(summary::Column::Joined.gt(0))
}

fn listed() -> Condition {
    let open = Condition::any()
        .add(summary::Column::JoinRule.is_in(OPEN))
        .add(summary::Column::WorldReadable.eq(true));
    peopled().add(open)
}

fn matches(wanted: &Wanted) -> Condition {
    let mut all = Condition::all();
    if wanted.federated {
        all = all.add(summary::Column::Federated.eq(true));
    }
    if let Some(term) = wanted.term.as_deref().filter(|term| !term.is_empty()) {
        all = all.add(Expr::col(summary::Column::Search).like(containing(term)));
    }
    if !wanted.types.is_empty() {
        let named: Vec<&str> = wanted.types.iter().flatten().map(String::as_str).collect();
        let mut types = Condition::any().add(summary::Column::RoomType.is_in(named));
        if wanted.types.contains(&None) {
            types = types.add(summary::Column::RoomType.is_null());
        }
        all = all.add(types);
    }
    all
}

/// The pattern for texts that have `term` in them, in lower case as what is searched.
fn containing(term: &str) -> LikeExpr {
    let mut pattern = "%".to_owned();
    for letter in term.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}
