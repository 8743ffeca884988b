//! Which other servers this server talks to at all: the operator decides.

use ruma::ServerName;
use spec::{acl::ServerAcl, json::Value, object};

/// The servers that this server talks to. Names are compared without port and case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers(ServerAcl);

impl Servers {
    /// Those that match one of `allow` and none of `deny`. `*` stands for any text, `?` for any character.
    #[must_use]
    pub fn new(allow: &[String], deny: &[String]) -> Self {
        let list = |globs: &[String]| {
            let globs = globs.iter().map(|glob| Value::from(glob.as_str()));
            Value::Array(globs.collect())
        };
        let content = object! { "allow" => list(allow), "deny" => list(deny) };
        Self(ServerAcl::parse(&content))
    }

    /// Whether this server talks to `server`.
    #[must_use]
    pub fn allow(&self, server: &ServerName) -> bool {
        self.0.allows(server.as_str())
    }
}

impl Default for Servers {
    /// All of them.
    fn default() -> Self {
        Self::new(&["*".to_owned()], &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_must_be_allowed_and_not_denied() {
        let texts = |all: &[&str]| {
            all.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let some = Servers::new(&texts(&["*.example", "a.b"]), &texts(&["bad.example"]));
        for (server, allowed) in [
            ("good.example", true),
            ("GOOD.example:8448", true),
            ("bad.example", false),
            ("bad.example:1", false),
            ("a.b", true),
            ("c.d", false),
        ] {
            let name = <&ServerName>::try_from(server).unwrap();
            assert_eq!(some.allow(name), allowed, "{server}");
            assert!(Servers::default().allow(name), "{server}");
        }
    }
}
