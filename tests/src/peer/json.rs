//! The two kinds of JSON: of the tests, and of the specification, which is hashed and signed.

use serde_json::Value;
use spec::json::{Object, Strictness, encode_object, parse_object};

/// An object to hash and to sign. Numbers may be what canonical JSON forbids.
///
/// # Panics
/// If it is no object.
#[must_use]
pub fn object(value: &Value) -> Object {
    parse_object(value.to_string().as_bytes(), Strictness::Lenient).expect("an object")
}

/// The same for tests.
///
/// # Panics
/// Never: both read the same JSON.
#[must_use]
pub fn value(object: &Object) -> Value {
    serde_json::from_str(&encode_object(object)).expect("JSON")
}
