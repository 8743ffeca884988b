//! A value as it was written, before any key has judged it.

use std::fmt;

use toml::de::{DeTable, DeValue};

/// A value as it stands in the file, in the environment, on the command line, or in our own list
/// of defaults. `Display` writes it as TOML.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Raw>),
    /// From the environment or a flag, where everything is text: the key's type decides what it is.
    Untyped(String),
    /// Something that no key takes (a date, a float): kept so that the message can show it.
    Other(String),
}

impl Raw {
    /// The text of a text, wherever it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Raw {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Raw {
    fn from(answer: bool) -> Self {
        Self::Boolean(answer)
    }
}

impl<const N: usize> From<[&str; N]> for Raw {
    fn from(items: [&str; N]) -> Self {
        Self::List(items.into_iter().map(Self::from).collect())
    }
}

impl From<&DeValue<'_>> for Raw {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(answer) => Self::Boolean(*answer),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or_else(|_| Self::Other(digits.as_str().to_owned()), Self::Integer),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| item.get_ref().into()).collect())
            }
            DeValue::Float(float) => Self::Other(float.as_str().to_owned()),
            DeValue::Datetime(date) => Self::Other(date.to_string()),
            DeValue::Table(table) => Self::Other(outline(table)),
        }
    }
}

fn outline(table: &DeTable<'_>) -> String {
    let keys: Vec<&str> = table.keys().map(|key| key.get_ref().as_ref()).collect();
    format!("a table with {}", keys.join(", "))
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Untyped(text) => {
                write!(f, "{}", toml::Value::String(text.clone()))
            }
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(answer) => write!(f, "{answer}"),
            Self::Other(text) => write!(f, "{text}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}
