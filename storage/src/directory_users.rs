//! Searching for people: who may be found is kept by the writer, in the transaction of each change.
//!
//! As for texts ([`crate::search`]), both databases know every three characters in a row; for shorter words a search looks
//! through those of everybody.

use ruma::UserId;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, JoinType,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, Func, LikeExpr},
};

use crate::{
    entity::{
        directory_user,
        membership::{self, Membership},
        summary,
    },
    error::Result,
    id::RoomRow,
    page::Limit,
};

/// Somebody who was found.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Found {
    /// Who.
    pub user_id: String,
    /// Their name.
    pub displayname: Option<String>,
    /// Their picture.
    pub avatar_url: Option<String>,
}

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// All of these, in lower case.
    pub words: Vec<String>,
    /// Or a user whose id begins so; empty for none.
    pub user_id: String,
    /// Whether the words must begin words of the user, and not stand anywhere.
    pub from_start: bool,
}

/// The words of a text, as they are searched for: in lower case, without punctuation.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let apart = |letter: char| letter.is_whitespace() || letter.is_ascii_punctuation();
    let words = text.split(apart).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// What a user is found by.
pub(crate) fn search_text(user_id: &str, displayname: Option<&str>) -> String {
    let localpart = user_id.trim_start_matches('@').split(':').next();
    let mut text = String::new();
    for word in words(localpart.unwrap_or_default())
        .into_iter()
        .chain(words(displayname.unwrap_or_default()))
    {
        text.push(' ');
        text.push_str(&word);
    }
    text
}

/// The fewest characters that the index can find.
const INDEXED_CHARS_MIN: usize = 3;

/// Users in rooms that everybody may join or read, by id. One query: with the index its cost grows with the matches; where no
/// word is long enough for it, it reads the table until it has found enough.
pub async fn in_public(
    db: &impl ConnectionTrait,
    wanted: &Wanted,
    limit: Limit,
) -> Result<Vec<Found>> {
    use directory_user::Column;
    let found = directory_user::Entity::find()
        .filter(Column::Public.eq(true))
        .filter(matches(db.get_database_backend(), wanted))
        .order_by_asc(Column::UserId)
        .limit(limit.get());
    Ok(found.into_model().all(db).await?)
}

/// Users who share a room with `searcher` that is not open to everybody, by id; `own` is the name of this
/// server. The names of its users are those of their profiles; those of others that in a shared room, as nothing else is known.
///
/// One query, which reads the members of these rooms.
pub async fn sharing_with(
    db: &impl ConnectionTrait,
    searcher: &UserId,
    own: &str,
    wanted: &Wanted,
    limit: Limit,
) -> Result<Vec<Found>> {
    use directory_user::Column as Known;
    use membership::Column as Member;
    let ours = Condition::all()
        .add(Member::Server.eq(own))
        .add(matches(DbBackend::Postgres, wanted));
    let theirs = Condition::all()
        .add(Member::Server.ne(own))
        .add(matches_member(wanted));
    let name = |known: Known, member: Member| -> Expr {
        let known = Expr::col((directory_user::Entity, known));
        let case = Expr::case(Member::Server.eq(own), known);
        case.finally(Expr::col((membership::Entity, member))).into()
    };
    let found = membership::Entity::find()
        .select_only()
        .column(Member::UserId)
        .column_as(
            name(Known::Displayname, Member::Displayname).max(),
            "displayname",
        )
        .column_as(
            name(Known::AvatarUrl, Member::AvatarUrl).max(),
            "avatar_url",
        )
        .join(
            JoinType::LeftJoin,
            membership::Entity::belongs_to(directory_user::Entity)
                .from(Member::UserId)
                .to(Known::UserId)
                .into(),
        )
        .filter(Member::Room.in_subquery(closed_rooms_of(searcher).into_query()))
        .filter(Member::Membership.eq(Membership::Join))
        .filter(Member::UserId.ne(searcher.as_str()))
        .filter(Condition::any().add(ours).add(theirs))
        .group_by(Member::UserId)
        .order_by_asc(Member::UserId)
        .limit(limit.get());
    Ok(found.into_model().all(db).await?)
}

/// The rooms that a user is joined to, without those that are open to everybody.
fn closed_rooms_of(user: &UserId) -> Select<membership::Entity> {
    membership::Entity::find()
        .select_only()
        .column(membership::Column::Room)
        .join(
            JoinType::InnerJoin,
            membership::Entity::belongs_to(summary::Entity)
                .from(membership::Column::Room)
                .to(summary::Column::Room)
                .into(),
        )
        .filter(membership::Column::UserId.eq(user.as_str()))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .filter(open().not())
}

/// Whether everybody may join a room or read it.
pub(crate) fn open() -> Condition {
    Condition::any()
        .add(summary::Column::JoinRule.eq("public"))
        .add(summary::Column::WorldReadable.eq(true))
}

/// The joined members of `room`, by id, after `after` (exclusive).
pub(crate) async fn members_after(
    db: &impl ConnectionTrait,
    room: RoomRow,
    after: &str,
    limit: u64,
) -> Result<Vec<String>> {
    let members = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::UserId.gt(after))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .order_by_asc(membership::Column::UserId)
        .limit(limit);
    Ok(members.into_tuple().all(db).await?)
}

/// By the words that are kept. SQLite must be told to use its index, PostgreSQL finds its own.
fn matches(backend: DbBackend, wanted: &Wanted) -> Condition {
    use directory_user::Column::{Search, UserId};
    let before = if wanted.from_start { "% " } else { "%" };
    let words = wanted.words.iter();
    let words = words.map(|word| Condition::all().add(column(Search).like(pattern(before, word))));
    if backend != DbBackend::Sqlite {
        let id = (!wanted.user_id.is_empty())
            .then(|| Condition::all().add(column(UserId).like(pattern("", &wanted.user_id))));
        return either(words, id);
    }
    let indexed = phrases(wanted).map(|phrases| {
        Condition::all().add(Expr::cust_with_values(
            "directory_users.id IN (SELECT rowid FROM directory_index WHERE directory_index MATCH ?)",
            [phrases],
        ))
    });
    // A range, unlike a pattern, is found by the index of ids.
    let id = (!wanted.user_id.is_empty()).then(|| {
        let end = format!("{}{}", wanted.user_id, char::MAX);
        Condition::all()
            .add(column(UserId).gte(wanted.user_id.as_str()))
            .add(column(UserId).lt(end))
    });
    either(indexed.into_iter().chain(words), id)
}

/// The words that the index can find, as FTS5 reads them; `None` if there are none.
fn phrases(wanted: &Wanted) -> Option<String> {
    let before = if wanted.from_start { " " } else { "" };
    let words = wanted.words.iter().map(|word| format!("{before}{word}"));
    let words = words.filter(|word| word.chars().nth(INDEXED_CHARS_MIN - 1).is_some());
    let quoted: Vec<String> = words
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

/// By the name in a room. Databases know the cases of few letters, so that other letters are looked for in both.
fn matches_member(wanted: &Wanted) -> Condition {
    use membership::Column::{Displayname, UserId};
    let words = wanted.words.iter().map(|word| {
        let name = || Expr::col((membership::Entity, Displayname));
        Condition::any()
            .add(Expr::expr(Func::lower(name())).like(pattern("%", word)))
            .add(name().like(pattern("%", &word.to_uppercase())))
            .add(name().like(pattern("%", &capitalised(word))))
            .add(Expr::col((membership::Entity, UserId)).like(pattern("@%", word)))
    });
    let id = Expr::col((membership::Entity, UserId));
    let id = (!wanted.user_id.is_empty())
        .then(|| Condition::all().add(id.like(pattern("", &wanted.user_id))));
    either(words, id)
}

fn column(column: directory_user::Column) -> Expr {
    Expr::col((directory_user::Entity, column))
}

/// All the words, or the beginning of the id.
fn either(words: impl Iterator<Item = Condition>, id: Option<Condition>) -> Condition {
    let mut all = Condition::all();
    for word in words {
        all = all.add(word);
    }
    match id {
        Some(id) => Condition::any().add(all).add(id),
        None => all,
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// The pattern for texts with `word` in them, after what `before` says.
fn pattern(before: &str, word: &str) -> LikeExpr {
    let mut pattern = before.to_owned();
    for letter in word.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}

#[cfg(test)]
mod tests {
    use super::{search_text, words};

    #[test]
    fn people_are_found_by_the_words_of_their_id_and_name() {
        assert_eq!(
            words("  Ann-Marie O'Ärger "),
            ["ann", "marie", "o", "ärger"]
        );
        assert_eq!(search_text("@ann.b:here", Some("Ann 安")), " ann b ann 安");
        assert_eq!(search_text("@ann:here", None), " ann");
    }
}
