//! How much of a list is wanted.

/// How many rows a list may have at most; between one and [`Limit::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit(u32);

impl Limit {
    /// The longest page that any query returns: bounds the memory that one request can take.
    pub const MAX: Self = Self(1_000);

    /// `rows`, but at least one and at most [`Limit::MAX`].
    #[must_use]
    pub fn new(rows: u64) -> Self {
        let rows = rows.clamp(1, u64::from(Self::MAX.0));
        Self(u32::try_from(rows).unwrap_or(Self::MAX.0))
    }

    /// The number of rows.
    #[must_use]
    pub fn get(self) -> u64 {
        u64::from(self.0)
    }
}

impl From<usize> for Limit {
    fn from(rows: usize) -> Self {
        Self::new(rows as u64)
    }
}
