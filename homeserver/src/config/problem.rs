//! What is wrong with a configuration, said so that the reader can mend it.

use std::fmt;

use super::source::Origin;

/// One thing that is wrong: which key, what about it, and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// The full key (`limits.max_body`), or empty for what concerns the whole file.
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) origin: Option<Origin>,
}

impl Problem {
    /// A problem of a key that is not written anywhere in particular.
    pub(crate) fn of(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            message: message.into(),
            origin: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("config: ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// All that is wrong with a configuration, a line each: never just the first of five.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}
