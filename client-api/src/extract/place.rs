//! Which field of a body an error is about: serde says a line and a column, people want a name.

/// One level of nesting on the way to the current token.
enum Level {
    /// In an object: the key that was read last, raw between its quotes.
    Object(Option<String>),
    /// In an array: how many elements came before.
    Array(usize),
}

/// The path (`invite[2]`, `room.timeline.limit`) of the value that ends at or encloses a place in valid JSON.
///
/// Lines and columns count from 1, columns in bytes, as serde_json counts them. `None` for the outermost value, or if
/// there is no such place.
pub(super) fn path_at(json: &[u8], line: usize, column: usize) -> Option<String> {
    let line_start = json
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.checked_sub(1)?);
    let end = line_start.map(<[u8]>::len).sum::<usize>() + column;
    let json = json.get(..end.min(json.len()))?;
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'{' => levels.push(Level::Object(None)),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Array(before)) => *before += 1,
                Some(Level::Object(key)) => *key = None,
                None => {}
            },
            b'"' => {
                let text = string(&json[at..]);
                at += text.len() + 1;
                if let Some(Level::Object(key @ None)) = levels.last_mut() {
                    *key = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            _ => {}
        }
    }
    render(&levels)
}

/// The bytes of a string up to its closing quote, which is not among them.
fn string(json: &[u8]) -> &[u8] {
    let mut escaped = false;
    let end = json.iter().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    &json[..end.unwrap_or(json.len())]
}

fn render(levels: &[Level]) -> Option<String> {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Level::Array(before) => path.push_str(&format!("[{before}]")),
            Level::Object(None) => {}
        }
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::path_at;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(rename = "name")]
        _name: Option<String>,
        #[serde(default, rename = "invite")]
        _invite: Vec<String>,
        #[serde(default, rename = "map")]
        _map: BTreeMap<String, Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(rename = "limit")]
        _limit: u32,
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        for (json, expected) in [
            (r#"{"name":5}"#, Some("name")),
            (r#"{"x":{"y":[1,2]},"name":{}}"#, Some("name")),
            (
                r#"{"invite":["a", "b",
                3]}"#,
                Some("invite[2]"),
            ),
            (
                r#"{"map":{"a\"b":{"limit":"x"}}}"#,
                Some(r#"map.a\"b.limit"#),
            ),
            (
                r#"{"map":{"a":{"limit":1},"b":{"other":[]}}}"#,
                Some("map.b"),
            ),
            (r#"{"map":{"a":{"limit":-1}}}"#, Some("map.a.limit")),
            (r#"[1]"#, Some("[0]")),
        ] {
            let error = serde_json::from_str::<Body>(json).unwrap_err();
            let path = path_at(json.as_bytes(), error.line(), error.column());
            assert_eq!(path.as_deref(), expected, "{json}: {error}");
        }
    }
}
