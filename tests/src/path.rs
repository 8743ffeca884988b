//! Paths of requests from their segments, with everything escaped that needs it.

/// `/_matrix/client/v3/` and the segments.
#[must_use]
pub fn v3(segments: &[&str]) -> String {
    join("/_matrix/client/v3", segments)
}

/// `/_matrix/client/v1/` and the segments.
#[must_use]
pub fn v1(segments: &[&str]) -> String {
    join("/_matrix/client/v1", segments)
}

/// `prefix`, and each segment escaped after a slash. An empty segment leaves its slash.
#[must_use]
pub fn join(prefix: &str, segments: &[&str]) -> String {
    segments.iter().fold(prefix.to_owned(), |path, segment| {
        path + "/" + &escape(segment)
    })
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
///
/// `.` and `..` alone are escaped too: URL parsers would resolve them.
#[must_use]
pub fn escape(segment: &str) -> String {
    let dots = matches!(segment, "." | "..");
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || (b"-_~".contains(&byte)) || (byte == b'.' && !dots) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_escaped_and_words_are_not() {
        assert_eq!(
            v3(&["rooms", "!a:b", "state", "m.room.name", ""]),
            "/_matrix/client/v3/rooms/%21a%3Ab/state/m.room.name/"
        );
        assert_eq!(escape("ü/+"), "%C3%BC%2F%2B");
    }
}
