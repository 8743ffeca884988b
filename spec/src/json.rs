//! JSON as Matrix hashes and signs it: a value, its strict and lenient parser, its canonical encoder.
//!
//! A [`Value`] never holds what JSON cannot say, and an [`Object`] is always in canonical order, since the
//! order of Rust's strings (by UTF-8 bytes) is the order by code point that the appendices ask for. What
//! breaks the canonical rules (floats, integers out of range) is kept, so that old rooms still hash as they
//! did; [`check_canonical`] finds it.
//!
//! Source: appendices, "Canonical JSON".

use std::collections::BTreeMap;

mod encode;
mod parse;
mod serde;

pub use self::{
    encode::{Writer, encode, encode_object},
    parse::{JsonError, JsonErrorKind, Strictness, parse, parse_object},
};

/// The largest integer that canonical JSON allows; the smallest is its negative.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// How many arrays and objects may stand inside each other in what is parsed.
///
/// The same bound as `serde_json`'s, so that both see the same texts as valid.
pub const MAX_DEPTH: usize = 128;

/// A JSON object in canonical order.
pub type Object = BTreeMap<String, Value>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// Canonical when it lies within ±[`MAX_INTEGER`]; others come from a lenient parse only.
    Integer(i64),
    /// A number with a fraction, or with an exponent that does not make it an integer. Never canonical.
    Float(f64),
    /// The digits of an integer that canonical JSON has no form for (beyond 64 bits, `-0`, or written
    /// with an exponent), brought to plain decimal digits. Never canonical, from a lenient parse only.
    Loose(Box<str>),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

impl Value {
    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Loose(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The object, if this is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The member `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }
}

/// Whether a value follows the canonical rules that room versions 6 and later enforce.
///
/// # Errors
/// What was found: a float, or an integer outside ±[`MAX_INTEGER`]. No offset, since there is no text.
pub fn check_canonical(object: &Object) -> Result<(), JsonErrorKind> {
    // An explicit stack: values that were built and not parsed have no bound on their depth.
    let mut open: Vec<&Value> = object.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Null | Value::Bool(_) | Value::String(_) => {}
            Value::Integer(number) if number.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => {}
            Value::Integer(_) => return Err(JsonErrorKind::IntegerOutOfRange),
            Value::Float(_) | Value::Loose(_) => return Err(JsonErrorKind::NotAnInteger),
            Value::Array(items) => open.extend(items),
            Value::Object(inner) => open.extend(inner.values()),
        }
    }
    Ok(())
}

/// How deeply arrays and objects are nested in `object`, itself counted.
pub fn depth(object: &Object) -> usize {
    let mut deepest = 1;
    let mut open: Vec<(usize, &Value)> = object.values().map(|value| (2, value)).collect();
    while let Some((depth, value)) = open.pop() {
        match value {
            Value::Array(items) => {
                deepest = deepest.max(depth);
                open.extend(items.iter().map(|item| (depth + 1, item)));
            }
            Value::Object(inner) => {
                deepest = deepest.max(depth);
                open.extend(inner.values().map(|item| (depth + 1, item)));
            }
            _ => {}
        }
    }
    deepest
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// An [`Object`] from keys and anything that becomes a [`Value`].
///
/// ```
/// let content = spec::object! { "msgtype" => "m.text", "body" => "hello" };
/// assert_eq!(spec::json::encode_object(&content), r#"{"body":"hello","msgtype":"m.text"}"#);
/// ```
#[macro_export]
macro_rules! object {
    ($($key:expr => $value:expr),* $(,)?) => {
        <$crate::json::Object as ::core::iter::FromIterator<(String, $crate::json::Value)>>::from_iter([
            $((::std::string::String::from($key), $crate::json::Value::from($value))),*
        ])
    };
}
