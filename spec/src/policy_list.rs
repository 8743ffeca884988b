//! Moderation policy lists: rooms whose state says whom others had better do without. Client-server API, "Moderation policy
//! lists"; MSC4204 for takedowns.

use std::collections::BTreeSet;

use crate::{
    acl::Glob,
    json::{Object, Value},
};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Users, by their ids.
    User,
    /// Servers, by their names without port.
    Server,
    /// Rooms, by their ids or aliases.
    Room,
}

/// The types of events that are rules, those of before the specification had them as well.
pub const TYPES: [(&str, Subject); 9] = [
    ("m.policy.rule.user", Subject::User),
    ("m.policy.rule.server", Subject::Server),
    ("m.policy.rule.room", Subject::Room),
    ("m.room.rule.user", Subject::User),
    ("m.room.rule.server", Subject::Server),
    ("m.room.rule.room", Subject::Room),
    ("org.matrix.mjolnir.rule.user", Subject::User),
    ("org.matrix.mjolnir.rule.server", Subject::Server),
    ("org.matrix.mjolnir.rule.room", Subject::Room),
];

/// What shuts somebody out.
const RECOMMENDATIONS: [&str; 4] = [
    "m.ban",
    "org.matrix.mjolnir.ban",
    "m.takedown",
    "org.matrix.msc4204.takedown",
];

/// The longest entity that counts, in bytes, so that a glob is cheap: the longest identifier.
const ENTITY_BYTES_MAX: usize = 255;

/// What an event of this type is about, if it is a rule.
pub fn subject(event_type: &str) -> Option<Subject> {
    let mut types = TYPES.iter();
    let found = types.find(|(known, _)| *known == event_type);
    found.map(|(_, subject)| *subject)
}

/// A rule that shuts somebody out.
#[derive(Clone, Debug)]
pub struct Rule {
    subject: Subject,
    entity: String,
}

impl Rule {
    /// What a rule says; `None`: it was taken back, or recommends nothing that is known.
    pub fn of(subject: Subject, content: &Object) -> Option<Self> {
        let text = |key: &str| content.get(key).and_then(Value::as_str);
        let known = text("recommendation").is_some_and(|it| RECOMMENDATIONS.contains(&it));
        let entity = text("entity").filter(|_| known)?;
        let is_one = !entity.is_empty() && entity.len() <= ENTITY_BYTES_MAX;
        is_one.then(|| Self {
            subject,
            entity: entity.to_owned(),
        })
    }
}

/// Whom rules shut out. Case does not matter.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Without wildcards, which most are.
    exact: BTreeSet<(Subject, String)>,
    globs: Vec<(Subject, Glob)>,
}

impl Rules {
    /// Adds a rule.
    pub fn add(&mut self, Rule { subject, entity }: &Rule) {
        if entity.contains(['*', '?']) {
            self.globs.push((*subject, Glob::new(entity)));
        } else {
            self.exact.insert((*subject, entity.to_ascii_lowercase()));
        }
    }

    /// How many there are, and how many of them have wildcards.
    pub fn count(&self) -> (usize, usize) {
        (self.exact.len() + self.globs.len(), self.globs.len())
    }

    /// Whether something is shut out by its name.
    pub fn match_one(&self, subject: Subject, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let mut globs = self.globs.iter();
        let among_globs = globs.any(|(of, glob)| *of == subject && glob.matches(&name));
        among_globs || self.exact.contains(&(subject, name))
    }

    /// Whether a server is shut out. Its port does not matter.
    pub fn match_server(&self, server: &ruma::ServerName) -> bool {
        self.match_one(Subject::Server, server.host())
    }

    /// Whether a user is shut out, by themselves or with their server.
    pub fn match_user(&self, user: &ruma::UserId) -> bool {
        self.match_one(Subject::User, user.as_str()) || self.match_server(user.server_name())
    }
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, user_id};

    use super::*;
    use crate::object;

    fn rules(list: &[(Subject, &str, &str)]) -> Rules {
        let mut rules = Rules::default();
        for (subject, entity, recommendation) in list {
            let content = object! { "entity" => *entity, "recommendation" => *recommendation };
            if let Some(rule) = Rule::of(*subject, &content) {
                rules.add(&rule);
            }
        }
        rules
    }

    #[test]
    fn users_are_shut_out_by_name_glob_and_server() {
        let rules = rules(&[
            (Subject::User, "@spam:example.org", "m.ban"),
            (Subject::User, "@bot?:*", "org.matrix.msc4204.takedown"),
            (Subject::Server, "*.evil.example", "m.ban"),
            (Subject::User, "@joke:example.org", "org.example.laugh"),
            (Subject::Room, "@room:example.org", "m.ban"),
        ]);
        for (user, expected) in [
            (user_id!("@spam:example.org"), true),
            (user_id!("@SPAM:example.org"), true),
            (user_id!("@bot1:else.where"), true),
            (user_id!("@bot10:else.where"), false),
            (user_id!("@any:a.evil.example:8448"), true),
            (user_id!("@any:evil.example"), false),
            (user_id!("@joke:example.org"), false),
            (user_id!("@room:example.org"), false),
        ] {
            assert_eq!(rules.match_user(user), expected, "{user}");
        }
        assert!(rules.match_server(server_name!("a.evil.example:1")));
        assert!(rules.match_one(Subject::Room, "@room:example.org"));
    }

    #[test]
    fn what_is_no_rule_says_nothing() {
        let long = "x".repeat(300);
        for content in [
            object! {},
            object! { "entity" => "@a:b" },
            object! { "entity" => 1, "recommendation" => "m.ban" },
            object! { "entity" => "", "recommendation" => "m.ban" },
            object! { "entity" => long.as_str(), "recommendation" => "m.ban" },
        ] {
            assert!(Rule::of(Subject::User, &content).is_none(), "{content:?}");
        }
        assert_eq!(subject("m.policy.rule.user"), Some(Subject::User));
        assert_eq!(subject("m.room.name"), None);
    }
}
