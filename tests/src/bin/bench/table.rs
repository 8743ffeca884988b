//! The table: a row a measure, a column a server.

use std::fmt;

/// Values by row and column; rows in the order in which they were first filled.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    /// Begins the column that the following values belong to.
    pub(crate) fn column(&mut self, name: &str) {
        self.columns.push(name.to_owned());
    }

    /// Fills one cell of the current column, and shows it while the run goes on.
    pub(crate) fn put(&mut self, row: &str, value: impl Into<String>) {
        let value = value.into();
        eprintln!("  {row}: {value}");
        let rank = self
            .rows
            .iter()
            .position(|(label, _)| label == row)
            .unwrap_or_else(|| {
                self.rows.push((row.to_owned(), Vec::new()));
                self.rows.len() - 1
            });
        let cells = &mut self.rows[rank].1;
        cells.resize(self.columns.len() - 1, "–".to_owned());
        cells.push(value);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| latencies: p50 / p95 / p99 | {} |",
            self.columns.join(" | ")
        )?;
        writeln!(formatter, "|---|{}", "---:|".repeat(self.columns.len()))?;
        for (row, cells) in &self.rows {
            let missing = " – |".repeat(self.columns.len() - cells.len());
            writeln!(formatter, "| {row} | {} |{missing}", cells.join(" | "))?;
        }
        Ok(())
    }
}
