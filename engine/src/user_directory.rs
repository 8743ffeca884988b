//! Searching for people: client-server API, "User Directory".
//!
//! Somebody finds those who are in a room that everybody may join or read, and those with whom they share another.

use std::collections::BTreeSet;

use ruma::UserId;
use spec::name::may_be_surfaced;
use storage::{
    Limit,
    directory_users::{self, Found, Wanted, words},
};

use crate::{Engine, Requester, Result};

/// How many people are told where the asker does not say: client-server API.
const LIMIT_DEFAULT: u64 = 10;
/// The most people of one answer, which is nothing to page through.
const LIMIT_MAX: u64 = 50;
/// The most words of a search: each is looked for in everybody.
const WORDS_MAX: usize = 8;
/// The longest text that is searched for, in bytes; that of a user id.
const TERM_BYTES_MAX: usize = 255;

/// People who were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// The best matches first.
    pub found: Vec<Found>,
    /// Whether there are more.
    pub limited: bool,
}

impl Engine {
    /// People by the words of their names and ids, or by the beginning of an id; those of whom words begin so come first.
    ///
    /// A few queries; see [`directory_users`] for what they cost.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn search_users(
        &self,
        by: &Requester,
        term: &str,
        limit: Option<u64>,
    ) -> Result<People> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
        let Some(mut wanted) = wanted(term) else {
            return Ok(People::default());
        };
        let mut people = People::default();
        let mut seen = BTreeSet::new();
        for from_start in [true, false] {
            wanted.from_start = from_start;
            for found in self.find_users(by, &wanted, limit + 1).await? {
                if seen.insert(found.user_id.clone()) {
                    people.found.push(found);
                }
            }
            if people.found.len() as u64 > limit {
                break;
            }
        }
        people.limited = people.found.len() as u64 > limit;
        people
            .found
            .truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(people)
    }

    async fn find_users(&self, by: &Requester, wanted: &Wanted, limit: u64) -> Result<Vec<Found>> {
        let db = self.context.store.reader();
        let own = self.context.server_name.as_str();
        let limit = Limit::new(limit);
        // Those whom the asker knows come first.
        let mut found = directory_users::sharing_with(db, &by.user_id, own, wanted, limit).await?;
        found.sort_by(|a, b| a.user_id.cmp(&b.user_id));
        found.extend(directory_users::in_public(db, wanted, limit).await?);
        found
            .retain(|found| UserId::parse(&found.user_id).is_ok_and(|user| may_be_surfaced(&user)));
        Ok(found)
    }
}

/// What a text asks for; `None`: for nobody.
fn wanted(term: &str) -> Option<Wanted> {
    let mut end = term.len().min(TERM_BYTES_MAX);
    while !term.is_char_boundary(end) {
        end -= 1;
    }
    let term = term[..end].trim();
    let mut words = words(term);
    words.truncate(WORDS_MAX);
    let is_id = term.starts_with('@') && term.len() > 1;
    (!words.is_empty() || is_id).then(|| Wanted {
        words,
        user_id: if is_id {
            term.to_lowercase()
        } else {
            String::new()
        },
        from_start: true,
    })
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn a_search_for_nothing_finds_nobody() {
        for term in ["", "  ", "@", "-", ".."] {
            assert_eq!(wanted(term), None, "{term}");
        }
        let id = wanted(" @Ann:here").expect("an id");
        assert_eq!((&*id.user_id, id.words.len()), ("@ann:here", 2));
        let words = wanted("Ann Lee").expect("words");
        assert_eq!(
            (&*words.user_id, words.words),
            ("", vec!["ann".to_owned(), "lee".to_owned()])
        );
        assert!(wanted(&"ä ".repeat(1000)).is_some_and(|wanted| wanted.words.len() == 8));
    }
}
