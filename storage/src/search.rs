//! Texts by what stands in them.
//!
//! Here the two databases need words of their own: SQLite has an index beside the table (FTS5), PostgreSQL one on it
//! (pg_trgm). Both know every three characters in a row; shorter terms are looked for by reading texts.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, FromQueryResult, QueryResult, TransactionTrait,
};
use spec::search::Key;

use crate::{
    entity::searchable,
    error::Result,
    id::{EventRow, RoomRow},
    page::Limit,
    sql::Sql,
};

/// The fewest characters that the index can find.
const INDEXED_CHARS_MIN: usize = 3;
/// How many texts are read for terms of which none can be found by the index: the newest.
const READ_MAX: i64 = if cfg!(test) { 20 } else { 20_000 };

/// In how many rooms SQLite's index looks for itself; beyond, their matches are picked from those of all rooms, as it would have
/// to look at each room for each match.
const ROOMS_INDEXED_MAX: usize = 16;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Matching<'a> {
    /// In which rooms; not empty.
    pub rooms: &'a [RoomRow],
    /// What must stand in the text, all of it; in lower case, without NUL, not empty.
    pub terms: &'a [String],
    /// Where the text has to stand; not empty.
    pub keys: &'a [Key],
    /// Whose text it has to be; `None`: anybody's.
    pub senders: Option<&'a [String]>,
}

/// A text in which everything stands.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Match {
    /// By which pages go on.
    pub moment: i64,
    /// The event.
    pub event: EventRow,
    /// Where the text comes from: the event itself, or its last edit.
    pub source: EventRow,
    /// Its room.
    pub room: RoomRow,
    /// The text, in lower case.
    pub text: String,
}

/// Some matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub matches: Vec<Match>,
    /// Before which moment there may be more.
    pub before: Option<i64>,
}

/// Matching texts from before a moment (exclusive), at most `limit`.
///
/// One query: with the index its cost grows with the matches, and, where more than a few rooms are asked for, with those in
/// other rooms. Where no term is long
/// enough for it, the newest [`READ_MAX`] texts of the rooms are read, which may be fewer matches than there are; and one more
/// query tells where to go on.
pub async fn page(
    db: &DatabaseConnection,
    matching: &Matching<'_>,
    before: i64,
    limit: Limit,
) -> Result<Page> {
    if is_hopeless(matching) {
        return Ok(Page::default());
    }
    let mut sql = Sql::new("SELECT s.moment, s.event, s.source, s.room, s.text FROM ");
    let moment = find(&mut sql, db.get_database_backend(), matching, before);
    sql.text(" ORDER BY ")
        .text(moment)
        .text(" DESC LIMIT ")
        .value(limit.get().cast_signed());
    let rows = planned(sql, db).await?;
    let matches = rows.iter().map(|row| Match::from_query_result(row, ""));
    let matches: Vec<Match> = matches.collect::<Result<_, _>>()?;
    let before = match matches.last() {
        Some(oldest) if matches.len() as u64 == limit.get() => Some(oldest.moment),
        _ if matching.terms.iter().any(|term| is_indexable(term)) => None,
        _ => read_until(db, matching.rooms, before).await?,
    };
    Ok(Page { matches, before })
}

/// The oldest of the texts that are read for terms that the index cannot find; `None` if there are no older ones.
async fn read_until(
    db: &impl ConnectionTrait,
    rooms: &[RoomRow],
    before: i64,
) -> Result<Option<i64>> {
    let mut sql = Sql::new("SELECT moment FROM searchable WHERE room IN ");
    sql.list(rooms)
        .text(" AND moment < ")
        .value(before)
        .text(" ORDER BY moment DESC LIMIT 1 OFFSET ")
        .value(READ_MAX - 1);
    let rows = sql.rows(db).await?;
    let row = rows.first();
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// How many texts match, but at most `limit`. Otherwise as [`page`].
pub async fn count(db: &DatabaseConnection, matching: &Matching<'_>, limit: Limit) -> Result<i64> {
    if is_hopeless(matching) {
        return Ok(0);
    }
    let mut sql = Sql::new("SELECT COUNT(*) FROM (SELECT 1 FROM ");
    find(&mut sql, db.get_database_backend(), matching, i64::MAX);
    sql.text(" LIMIT ")
        .value(limit.get().cast_signed())
        .text(") AS found");
    let rows = planned(sql, db).await?;
    Ok(match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    })
}

/// Asks with a plan that is made for these very terms. PostgreSQL otherwise takes one for any terms after some repetitions, and
/// that reads all texts, from the newest on, for a word that stands in few.
pub(crate) async fn planned(sql: Sql, db: &DatabaseConnection) -> Result<Vec<QueryResult>> {
    if db.get_database_backend() != DbBackend::Postgres {
        return sql.rows(db).await;
    }
    let transaction = db.begin().await?;
    transaction
        .execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    let rows = sql.rows(&transaction).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// Whether PostgreSQL has the index: it lacks it where the extension pg_trgm was not to be had when the tables were made.
pub(crate) async fn is_indexed(db: &impl ConnectionTrait) -> Result<bool> {
    let sql = Sql::new(
        "SELECT 1 FROM pg_indexes
        WHERE schemaname = current_schema() AND indexname = 'searchable_text'",
    );
    Ok(!sql.rows(db).await?.is_empty())
}

fn is_hopeless(matching: &Matching<'_>) -> bool {
    matching.rooms.is_empty()
        || matching.terms.is_empty()
        || matching.keys.is_empty()
        || matching.senders.is_some_and(<[String]>::is_empty)
}

/// Whether the index can find a term.
fn is_indexable(term: &str) -> bool {
    term.chars().nth(INDEXED_CHARS_MIN - 1).is_some()
}

/// From where, and which of them. Returns what to call the moment where they are put in order: SQLite must be told that the
/// order is that of its index, or it would read all matches first.
fn find(sql: &mut Sql, backend: DbBackend, matching: &Matching<'_>, before: i64) -> &'static str {
    let (indexed, short): (Vec<&String>, Vec<&String>) =
        matching.terms.iter().partition(|term| is_indexable(term));
    let mut read = short;
    let moment = match (backend, indexed.is_empty()) {
        (DbBackend::Sqlite, false) => "search_index.rowid",
        _ => "s.moment",
    };
    match backend {
        _ if indexed.is_empty() => {
            sql.text("(SELECT * FROM searchable WHERE room IN ")
                .list(matching.rooms)
                .text(" AND moment < ")
                .value(before)
                .text(" ORDER BY moment DESC LIMIT ")
                .value(READ_MAX)
                .text(") AS s WHERE 1 = 1");
        }
        DbBackend::Sqlite => {
            // The index is in the order of moments: the newest matches come without the older ones.
            sql.text(
                "search_index CROSS JOIN searchable s ON s.moment = search_index.rowid
                WHERE search_index MATCH ",
            )
            .value(query(&indexed, matching.rooms))
            .text(" AND search_index.rowid < ")
            .value(before)
            .text(" AND s.room IN ")
            .list(matching.rooms);
        }
        _ => {
            sql.text("searchable s WHERE s.moment < ")
                .value(before)
                .text(" AND s.room IN ")
                .list(matching.rooms);
            read.extend(indexed);
        }
    }
    for term in read {
        sql.text(" AND s.text LIKE ")
            .value(pattern(term))
            .text(" ESCAPE '\\'");
    }
    if matching.keys.len() < Key::ALL.len() {
        let keys: Vec<i16> = matching
            .keys
            .iter()
            .map(|key| searchable::number(*key))
            .collect();
        sql.text(" AND s.key IN ").list(&keys);
    }
    if let Some(senders) = matching.senders {
        sql.text(" AND s.sender IN ").list(senders);
    }
    moment
}

/// All terms as FTS5 reads them: each as it is, whatever stands in it; and the rooms, if they are few.
fn query(terms: &[&String], rooms: &[RoomRow]) -> String {
    let quoted = terms
        .iter()
        .map(|term| format!("\"{}\"", term.replace('"', "\"\"")));
    let texts = quoted.collect::<Vec<_>>().join(" AND ");
    if rooms.len() > ROOMS_INDEXED_MAX {
        return format!("text : ({texts})");
    }
    let marks = rooms.iter().map(|room| format!("\"{}\"", room_mark(*room)));
    let marks = marks.collect::<Vec<_>>().join(" OR ");
    format!("room : ({marks}) AND text : ({texts})")
}

/// The mark of a room in SQLite's index, as its trigger writes it: 33 bits of its row, in three characters for private use.
fn room_mark(room: RoomRow) -> String {
    let part = |shift: u32| {
        let bits = u32::try_from((room.get() >> shift) & 2_047).unwrap_or(0);
        char::from_u32(57_344 + bits).unwrap_or_default()
    };
    [part(0), part(11), part(22)].iter().collect()
}

/// A term anywhere in a text, as `LIKE` reads it.
fn pattern(term: &str) -> String {
    let mut pattern = String::from("%");
    for c in term.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
