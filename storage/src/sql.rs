//! Queries as text, for what the builder of sea-orm has no words for. The text is the same for both databases.

use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};

use crate::{error::Result, padded::padded_one, timeline::Spot};

/// A query that is being written. Values never become part of its text.
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// A query that begins like this.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value.
    pub(crate) fn value(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Adds a list of values in parentheses, which must not be empty. It is filled up, so that the texts repeat.
    pub(crate) fn list<T: Clone + Into<Value>>(&mut self, values: &[T]) -> &mut Self {
        self.text.push('(');
        for (index, value) in padded_one(values).into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            self.value(value);
        }
        self.text(")")
    }

    /// Adds a spot, to be compared with (anchor, rank, position).
    pub(crate) fn spot(&mut self, spot: Spot) -> &mut Self {
        self.text("(")
            .value(spot.anchor)
            .text(", ")
            .value(spot.rank)
            .text(", ")
            .value(spot.position)
            .text(")")
    }

    /// Asks it.
    pub(crate) async fn rows(self, db: &impl ConnectionTrait) -> Result<Vec<QueryResult>> {
        let backend = db.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, self.text, self.values);
        Ok(db.query_all_raw(statement).await?)
    }
}
