//! The parser: linear in its input, bounded in its depth, and never more lenient than asked to.
//!
//! Both modes refuse duplicate keys, unpaired surrogates and invalid UTF-8, since two readers of such a
//! text may see two different events. They differ in numbers only.

use std::fmt;

use super::{MAX_DEPTH, MAX_INTEGER, Object, Value};

/// Which numbers a text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Integers within ±(2^53-1), written without exponent, fraction or negative zero: room versions 6
    /// and later, and all that clients send.
    Strict,
    /// Every JSON number: events of room versions 1 to 5, and bodies that mix events of several rooms.
    Lenient,
}

/// Why a text is not the JSON that was asked for, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (at byte {offset})")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// The byte of the text, counted from 0, at which it was noticed.
    pub offset: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// Not UTF-8.
    Encoding,
    /// Not JSON.
    Syntax,
    /// More than [`MAX_DEPTH`] arrays and objects inside each other.
    TooDeep,
    /// A key stands twice in one object.
    DuplicateKey,
    /// An escaped surrogate without its other half.
    UnpairedSurrogate,
    /// An integer outside ±(2^53-1).
    IntegerOutOfRange,
    /// A number with a fraction or an exponent, or negative zero.
    NotAnInteger,
    /// A number that is not even a finite float.
    NumberOutOfRange,
    /// JSON, but not an object.
    NotAnObject,
}

impl JsonErrorKind {
    /// Whether the text is JSON, but not JSON that Matrix accepts: the difference between the error codes
    /// `M_BAD_JSON` and `M_NOT_JSON`.
    pub fn is_json(self) -> bool {
        !matches!(self, Self::Encoding | Self::Syntax)
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "the text is not valid UTF-8",
            Self::Syntax => "the text is not valid JSON",
            Self::TooDeep => "arrays and objects are nested too deeply",
            Self::DuplicateKey => "a key stands twice in one object",
            Self::UnpairedSurrogate => "a string holds half of a surrogate pair",
            Self::IntegerOutOfRange => "an integer lies outside -(2^53)+1 to (2^53)-1",
            Self::NotAnInteger => "a number is not an integer in plain digits",
            Self::NumberOutOfRange => "a number is too large to be read",
            Self::NotAnObject => "the text is not a JSON object",
        })
    }
}

/// The value that `text` holds, with white space around it allowed.
///
/// # Errors
/// The first thing that is wrong, see [`JsonErrorKind`].
pub fn parse(text: &[u8], strictness: Strictness) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(text).map_err(|error| JsonError {
        kind: JsonErrorKind::Encoding,
        offset: error.valid_up_to(),
    })?;
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
        strictness,
    };
    let value = parser.value()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.error(JsonErrorKind::Syntax));
    }
    Ok(value)
}

/// The object that `text` holds.
///
/// # Errors
/// As [`parse`], and [`JsonErrorKind::NotAnObject`].
pub fn parse_object(text: &[u8], strictness: Strictness) -> Result<Object, JsonError> {
    match parse(text, strictness)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError {
            kind: JsonErrorKind::NotAnObject,
            offset: 0,
        }),
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    strictness: Strictness,
}

impl Parser<'_> {
    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError {
            kind,
            offset: self.at,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Consumes `byte` if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.error(JsonErrorKind::Syntax))
        }
    }

    fn value(&mut self) -> Result<Value, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.error(JsonErrorKind::Syntax)),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error(JsonErrorKind::Syntax));
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, JsonError>,
    ) -> Result<Value, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(JsonErrorKind::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let mut object = Object::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Value::Object(object));
        }
        loop {
            self.skip_space();
            let start = self.at;
            let key = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            let value = self.value()?;
            if object.insert(key, value).is_some() {
                return Err(JsonError {
                    kind: JsonErrorKind::DuplicateKey,
                    offset: start,
                });
            }
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Value::Object(object));
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect(b'"')?;
        let mut out = String::new();
        let mut copied = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[copied..self.at];
                    self.at += 1;
                    if out.is_empty() {
                        return Ok(rest.to_owned());
                    }
                    out.push_str(rest);
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    out.push(self.escape()?);
                    copied = self.at;
                }
                Some(0..=0x1F) | None => return Err(self.error(JsonErrorKind::Syntax)),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.peek().ok_or(self.error(JsonErrorKind::Syntax))?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => {
                self.at -= 1;
                return Err(self.error(JsonErrorKind::Syntax));
            }
        })
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let unpaired = JsonError {
            kind: JsonErrorKind::UnpairedSurrogate,
            offset: start,
        };
        let first = self.four_hex_digits()?;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first).ok_or(unpaired);
        }
        if first >= 0xDC00 || !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(unpaired);
        }
        self.at += 2;
        let second = self.four_hex_digits()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(unpaired);
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(unpaired)
    }

    fn four_hex_digits(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or(self.error(JsonErrorKind::Syntax))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let negative = self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return Err(self.error(JsonErrorKind::Syntax));
        }
        let integer_end = self.at;
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.error(JsonErrorKind::Syntax));
        }
        let fraction_end = self.at;
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            if self.digits() == 0 {
                return Err(self.error(JsonErrorKind::Syntax));
            }
        }
        let text = &self.text[start..self.at];
        let refuse = |kind| {
            Err(JsonError {
                kind,
                offset: start,
            })
        };
        let plain = self.at == integer_end;
        let strict = self.strictness == Strictness::Strict;
        if plain && !(negative && text == "-0") {
            return match text.parse::<i64>() {
                Ok(number) if !strict || number.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => {
                    Ok(Value::Integer(number))
                }
                _ if strict => refuse(JsonErrorKind::IntegerOutOfRange),
                _ => Ok(Value::Loose(text.into())),
            };
        }
        if strict {
            return refuse(JsonErrorKind::NotAnInteger);
        }
        if plain {
            return Ok(Value::Loose("0".into()));
        }
        let number: f64 = text.parse().expect("the grammar above is a part of Rust's");
        if !number.is_finite() {
            return refuse(JsonErrorKind::NumberOutOfRange);
        }
        // "1e10" is the integer 10000000000 in the appendix's own example; "1.0" stays a float, as it
        // does in Python, whose servers made the events that hold such numbers.
        if fraction_end == integer_end
            && number.fract() == 0.0
            && number.abs() <= MAX_INTEGER as f64
        {
            return Ok(Value::Loose((number as i64).to_string().into()));
        }
        Ok(Value::Float(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str, strictness: Strictness) -> Option<JsonErrorKind> {
        parse(text.as_bytes(), strictness)
            .err()
            .map(|error| error.kind)
    }

    #[test]
    fn both_modes_refuse_what_readers_may_read_differently() {
        for (text, expected) in [
            (r#"{"a":1,"a":2}"#, JsonErrorKind::DuplicateKey),
            (r#"{"a":1,"\u0061":2}"#, JsonErrorKind::DuplicateKey),
            (r#""\ud800""#, JsonErrorKind::UnpairedSurrogate),
            (r#""\ud800x""#, JsonErrorKind::UnpairedSurrogate),
            (r#""\ud800\u0041""#, JsonErrorKind::UnpairedSurrogate),
            (r#""\udc00\ud800""#, JsonErrorKind::UnpairedSurrogate),
            ("NaN", JsonErrorKind::Syntax),
            ("Infinity", JsonErrorKind::Syntax),
            ("-", JsonErrorKind::Syntax),
            ("01", JsonErrorKind::Syntax),
            ("1.", JsonErrorKind::Syntax),
            ("1e", JsonErrorKind::Syntax),
            ("+1", JsonErrorKind::Syntax),
            ("[1,]", JsonErrorKind::Syntax),
            ("{\"a\":1,}", JsonErrorKind::Syntax),
            ("{a:1}", JsonErrorKind::Syntax),
            ("\"\t\"", JsonErrorKind::Syntax),
            ("\"", JsonErrorKind::Syntax),
            ("\"\\x\"", JsonErrorKind::Syntax),
            ("\"\\u12\"", JsonErrorKind::Syntax),
            ("", JsonErrorKind::Syntax),
            ("{} {}", JsonErrorKind::Syntax),
            ("tru", JsonErrorKind::Syntax),
        ] {
            assert_eq!(
                kind(text, Strictness::Strict),
                Some(expected),
                "strict: {text}"
            );
            assert_eq!(
                kind(text, Strictness::Lenient),
                Some(expected),
                "lenient: {text}"
            );
        }
        let invalid = parse(b"\"\xff\"", Strictness::Lenient).map_err(|error| error.kind);
        assert_eq!(invalid, Err(JsonErrorKind::Encoding));
    }

    /// Appendices, "Canonical JSON"; room version 6, "Canonical JSON".
    #[test]
    fn only_the_lenient_mode_reads_numbers_outside_the_canonical_rules() {
        for (text, strict, lenient) in [
            ("9007199254740991", None, Value::Integer(MAX_INTEGER)),
            ("-9007199254740991", None, Value::Integer(-MAX_INTEGER)),
            (
                "9007199254740992",
                Some(JsonErrorKind::IntegerOutOfRange),
                Value::Integer(1 << 53),
            ),
            (
                "99999999999999999999",
                Some(JsonErrorKind::IntegerOutOfRange),
                Value::Loose("99999999999999999999".into()),
            ),
            (
                "-0",
                Some(JsonErrorKind::NotAnInteger),
                Value::Loose("0".into()),
            ),
            ("1.5", Some(JsonErrorKind::NotAnInteger), Value::Float(1.5)),
            ("1.0", Some(JsonErrorKind::NotAnInteger), Value::Float(1.0)),
            (
                "1e2",
                Some(JsonErrorKind::NotAnInteger),
                Value::Loose("100".into()),
            ),
            ("1E-1", Some(JsonErrorKind::NotAnInteger), Value::Float(0.1)),
        ] {
            assert_eq!(kind(text, Strictness::Strict), strict, "strict: {text}");
            assert_eq!(
                parse(text.as_bytes(), Strictness::Lenient),
                Ok(lenient),
                "lenient: {text}"
            );
        }
        assert_eq!(
            kind("1e400", Strictness::Lenient),
            Some(JsonErrorKind::NumberOutOfRange)
        );
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(kind(&nested(MAX_DEPTH), Strictness::Strict), None);
        assert_eq!(
            kind(&nested(MAX_DEPTH + 1), Strictness::Strict),
            Some(JsonErrorKind::TooDeep)
        );
        assert_eq!(
            kind(&"[".repeat(100_000), Strictness::Lenient),
            Some(JsonErrorKind::TooDeep)
        );
        assert_eq!(
            kind(&"{\"a\":".repeat(100_000), Strictness::Lenient),
            Some(JsonErrorKind::TooDeep)
        );
    }

    #[test]
    fn strings_are_read_with_all_their_escapes() {
        let text = r#" "\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00é" "#;
        let expected = Value::String("\"\\/\u{8}\u{C}\n\r\tA😀é".to_owned());
        assert_eq!(parse(text.as_bytes(), Strictness::Strict), Ok(expected));
    }
}
