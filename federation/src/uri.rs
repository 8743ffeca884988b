//! Paths with variables and queries, escaped.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Path and query of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri {
    text: String,
    has_query: bool,
}

impl Uri {
    /// A path that needs no escaping, without the last slash.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            text: path.to_owned(),
            has_query: false,
        }
    }

    /// One segment more. Before any query.
    #[must_use]
    pub(crate) fn segment(mut self, value: impl AsRef<str>) -> Self {
        self.text.push('/');
        self.push(value.as_ref());
        self
    }

    /// One pair more; a name may come several times.
    #[must_use]
    pub(crate) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.push(name);
        self.text.push('=');
        self.push(value.as_ref());
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn push(&mut self, value: &str) {
        self.text.extend(utf8_percent_encode(value, ESCAPED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_cannot_leave_their_place() {
        let uri = Uri::new("/make_join").segment("!a/b:c?d").segment("@é");
        let uri = uri.query("ver", "1&2").query("ver", "a b");
        assert_eq!(
            uri.as_str(),
            "/make_join/%21a%2Fb%3Ac%3Fd/%40%C3%A9?ver=1%262&ver=a%20b"
        );
    }
}
