//! Server access control lists, and the globs in them.
//!
//! Source: client-server API, `m.room.server_acl`; appendices, "Glob-style matching".

use crate::{
    json::{Object, Value},
    server_name::{self, Host},
};

/// The servers that a room lets take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Vec<Glob>,
    deny: Vec<Glob>,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Reads the content of an `m.room.server_acl` event. Entries that are no strings count as absent; without
    /// an `allow` list nobody is let in.
    pub fn parse(content: &Object) -> Self {
        let globs = |name| {
            let entries = content
                .get(name)
                .and_then(Value::as_array)
                .unwrap_or_default();
            entries
                .iter()
                .filter_map(Value::as_str)
                .map(Glob::new)
                .collect()
        };
        Self {
            allow: globs("allow"),
            deny: globs("deny"),
            allow_ip_literals: content.get("allow_ip_literals") != Some(&Value::Bool(false)),
        }
    }

    /// Whether `server` may take part. Its port does not matter, nor does the case of its letters; what is no
    /// server name may not.
    pub fn allows(&self, server: &str) -> bool {
        let Some(parts) = server_name::parse(server) else {
            return false;
        };
        if !self.allow_ip_literals && !matches!(parts.host, Host::Dns(_)) {
            return false;
        }
        let host = match parts.port {
            Some(_) => server.rsplit_once(':').map_or(server, |(host, _)| host),
            None => server,
        };
        let host = host.to_ascii_lowercase();
        let matches = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(&host));
        !matches(&self.deny) && matches(&self.allow)
    }
}

/// A pattern in which `*` stands for any text, also none, and `?` for one character. Case is ignored.
/// A pattern with `*` for any number of characters and `?` for one; letters of ASCII match in both cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<char>);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut chars: Vec<char> = pattern.to_ascii_lowercase().chars().collect();
        chars.dedup_by(|a, b| *a == '*' && *b == '*');
        Self(chars)
    }

    /// Whether `text`, in lower case, matches as a whole. The cost is bounded by the product of the lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut in_pattern) = (0, 0);
        // Where the last star stands, and up to where it reaches: on a mismatch it takes one more.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(in_pattern) {
                Some('*') => {
                    star = Some((in_pattern, at));
                    in_pattern += 1;
                }
                Some(wanted) if *wanted == '?' || *wanted == text[at] => {
                    at += 1;
                    in_pattern += 1;
                }
                _ => {
                    let Some((star_at, reach)) = star else {
                        return false;
                    };
                    star = Some((star_at, reach + 1));
                    in_pattern = star_at + 1;
                    at = reach + 1;
                }
            }
        }
        self.0[in_pattern..].iter().all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "anything", true),
            ("*.evil.example", "a.evil.example", true),
            ("*.evil.example", "evil.example", false),
            ("evil.example", "evil.example.org", false),
            ("e?il", "evil", true),
            ("e?il", "eil", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("**a**", "bab", true),
            ("", "", true),
            ("", "a", false),
            ("EVIL.*", "evil.example", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                matches,
                "{pattern} on {text}"
            );
        }
        // Bounded, where a naive matcher would not end in our lifetime.
        assert!(!Glob::new(&"*a".repeat(50)).matches(&("a".repeat(49) + &"b".repeat(200))));
    }

    /// Client-server API, `m.room.server_acl`.
    #[test]
    fn lists_decide_by_deny_then_allow() {
        let names = |names: &[&str]| Value::from(names.to_vec());
        let open = object! { "allow" => names(&["*"]), "deny" => names(&["*.evil.example", "Bad.example"]) };
        let strict = object! { "allow" => names(&["*"]), "allow_ip_literals" => false };
        for (content, server, allowed) in [
            (&open, "good.example", true),
            (&open, "a.evil.example", false),
            (&open, "a.EVIL.example:8448", false),
            (&open, "bad.example:1", false),
            (&open, "1.2.3.4", true),
            (&open, "not a name", false),
            (&strict, "1.2.3.4:80", false),
            (&strict, "[::1]", false),
            (&strict, "good.example", true),
            (&object! {}, "good.example", false),
            (
                &object! { "allow" => names(&["[::1]"]) },
                "[::1]:8448",
                true,
            ),
            (
                &object! { "allow" => names(&["*"]), "allow_ip_literals" => "no" },
                "1.2.3.4",
                true,
            ),
        ] {
            assert_eq!(
                ServerAcl::parse(content).allows(server),
                allowed,
                "{server} by {content:?}"
            );
        }
    }
}
