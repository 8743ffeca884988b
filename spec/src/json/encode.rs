//! The canonical encoder: the shortest text, keys by code point.

use super::{Object, Value};

/// The canonical JSON of `value`.
///
/// For values that break the canonical rules this is what the servers that made them hashed: integers by
/// their digits, floats as Python writes them (we follow Synapse, where the text says nothing).
pub fn encode(value: &Value) -> String {
    let mut writer = Writer::default();
    writer.value(value);
    writer.finish()
}

/// The canonical JSON of `object`.
pub fn encode_object(object: &Object) -> String {
    let mut writer = Writer::default();
    writer.object(object.iter().map(|(key, value)| (key.as_str(), value)));
    writer.finish()
}

/// Writes canonical JSON piece by piece, so that a part of an object can be encoded without copying it.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
}

impl Writer {
    /// An empty writer with room for about `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
        }
    }

    /// The text so far.
    pub fn finish(self) -> String {
        self.out
    }

    /// One value. Its depth is bounded by what the parser lets through.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Integer(number) => self.integer(*number),
            Value::Float(number) => self.out.push_str(&python_float(*number)),
            Value::Loose(digits) => self.out.push_str(digits),
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.value(item);
                }
                self.out.push(']');
            }
            Value::Object(object) => {
                self.object(object.iter().map(|(key, value)| (key.as_str(), value)));
            }
        }
    }

    /// An object of `members`, which must come in canonical order.
    pub fn object<'a>(&mut self, members: impl Iterator<Item = (&'a str, &'a Value)>) {
        self.open();
        for (key, value) in members {
            self.key(key);
            self.value(value);
        }
        self.close();
    }

    /// Begins an object.
    pub fn open(&mut self) {
        self.out.push('{');
    }

    /// The next key of the object that is open. Keys must come in canonical order.
    pub fn key(&mut self, key: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.string(key);
        self.out.push(':');
    }

    /// Ends the object that is open.
    pub fn close(&mut self) {
        self.out.push('}');
    }

    fn integer(&mut self, number: i64) {
        // By hand: the formatting machinery costs more than the digits do.
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = number.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            self.out.push('-');
        }
        self.out
            .extend(digits[at..].iter().map(|digit| char::from(*digit)));
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            // Bytes of longer UTF-8 sequences are all above 0x7F and pass as they are.
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.push_str(&text[written..at]);
            written = at + 1;
            match byte {
                b'"' => self.out.push_str("\\\""),
                b'\\' => self.out.push_str("\\\\"),
                0x08 => self.out.push_str("\\b"),
                b'\t' => self.out.push_str("\\t"),
                b'\n' => self.out.push_str("\\n"),
                0x0C => self.out.push_str("\\f"),
                b'\r' => self.out.push_str("\\r"),
                control => {
                    self.out.push_str("\\u00");
                    self.out.push(if control < 0x10 { '0' } else { '1' });
                    self.out
                        .push(char::from(b"0123456789abcdef"[usize::from(control & 0xF)]));
                }
            }
        }
        self.out.push_str(&text[written..]);
        self.out.push('"');
    }
}

/// A float as Python's `repr` writes it: the shortest digits that give the same number again.
fn python_float(number: f64) -> String {
    let text = format!("{number:?}");
    // Rust writes 1e16 and 1e-5, Python 1e+16 and 1e-05; both turn to exponents at the same sizes.
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (50.57, "50.57"),
            (-0.25, "-0.25"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(python_float(number), text);
        }
    }

    #[test]
    fn integers_are_written_with_all_their_digits() {
        for number in [0, 7, -1, 10, -1234567890, i64::MAX, i64::MIN] {
            assert_eq!(encode(&Value::Integer(number)), number.to_string());
        }
    }
}
