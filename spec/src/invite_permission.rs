//! Who may invite a user, by what the user has set: client-server API, "Invite permission"; MSC4155 for finer rules.

use crate::{
    acl::Glob,
    json::{Object, Value},
};

/// The account data of the specification.
pub const CONFIG: &str = "m.invite_permission_config";
/// The account data of MSC4155.
pub const FILTER: &str = "org.matrix.msc4155.invite_permission_config";

/// The most globs of one list that count, so that an invite stays cheap to judge.
const GLOBS_MAX: usize = 1_000;

/// What becomes of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The user gets it.
    Allow,
    /// Nobody is told that the user does not see it.
    Ignore,
    /// It is refused.
    Block,
}

/// Globs and what becomes of invites that match one, in the order in which they count.
type Lists = [(Verdict, Vec<Glob>); 3];

/// What a user has set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvitePermission {
    block_all: bool,
    /// Users before servers.
    filter: Option<[Lists; 2]>,
}

impl InvitePermission {
    /// By the contents of [`CONFIG`] and [`FILTER`], where the user has set them. What is malformed there does not count.
    pub fn of(config: Option<&Object>, filter: Option<&Object>) -> Self {
        let action = config.and_then(|config| config.get("default_action")?.as_str());
        let on = |filter: &&Object| filter.get("enabled").and_then(Value::as_bool) != Some(false);
        let lists = |filter: &Object, whose: &str| {
            let list = |verdict, name: &str| (verdict, globs(filter, &format!("{name}_{whose}")));
            [
                list(Verdict::Allow, "allowed"),
                list(Verdict::Ignore, "ignored"),
                list(Verdict::Block, "blocked"),
            ]
        };
        Self {
            block_all: action == Some("block"),
            filter: filter
                .filter(on)
                .map(|filter| [lists(filter, "users"), lists(filter, "servers")]),
        }
    }

    /// What becomes of an invite by this user.
    pub fn verdict(&self, inviter: &ruma::UserId) -> Verdict {
        if self.block_all {
            return Verdict::Block;
        }
        let user = inviter.as_str().to_ascii_lowercase();
        let server = inviter.server_name().host().to_ascii_lowercase();
        let Some([users, servers]) = &self.filter else {
            return Verdict::Allow;
        };
        let users = users.iter().map(|list| (list, &user));
        let servers = servers.iter().map(|list| (list, &server));
        let found = users
            .chain(servers)
            .find(|((_, globs), text)| globs.iter().any(|glob| glob.matches(text)));
        found.map_or(Verdict::Allow, |((verdict, _), _)| *verdict)
    }
}

fn globs(filter: &Object, name: &str) -> Vec<Glob> {
    let list = filter.get(name).and_then(Value::as_array);
    let globs = list.unwrap_or_default().iter().filter_map(Value::as_str);
    globs.take(GLOBS_MAX).map(Glob::new).collect()
}

#[cfg(test)]
mod tests {
    use super::{InvitePermission, Verdict};
    use crate::{
        json::{Object, Value},
        object,
    };

    fn verdict(config: Option<&Object>, filter: Option<&Object>, inviter: &str) -> Verdict {
        let inviter = ruma::UserId::parse(inviter).expect("a user id");
        InvitePermission::of(config, filter).verdict(&inviter)
    }

    #[test]
    fn nothing_set_or_nonsense_lets_everybody_invite() {
        let odd = object! { "default_action" => 1, "blocked_users" => "@a:a", "ignored_servers" => Value::Null };
        for content in [None, Some(&Object::new()), Some(&odd)] {
            assert_eq!(
                verdict(content, content, "@a:a"),
                Verdict::Allow,
                "{content:?}"
            );
        }
        let block = object! { "default_action" => "block" };
        assert_eq!(verdict(Some(&block), None, "@a:a"), Verdict::Block);
    }

    /// ACCD-05: users before servers, and of each allow before ignore before block.
    #[test]
    fn the_nearest_and_the_mildest_rule_counts() {
        let list = |globs: &[&str]| {
            let null = [Value::Null];
            let globs = globs.iter().map(|glob| Value::from(*glob));
            Value::Array(null.into_iter().chain(globs).collect())
        };
        let filter = object! {
            "allowed_users" => list(&["@friend:evil.example"]),
            "ignored_users" => list(&["@friend:*", "@bore:*"]),
            "blocked_users" => list(&["@bore:*", "@spam*:*"]),
            "allowed_servers" => list(&["*.good.example"]),
            "ignored_servers" => list(&["dull.example"]),
            "blocked_servers" => list(&["dull.example", "EVIL.example", "*.good.example"]),
        };
        for (inviter, expected) in [
            ("@friend:evil.example", Verdict::Allow),
            ("@friend:a.good.example", Verdict::Ignore),
            ("@bore:a.good.example", Verdict::Ignore),
            ("@spammer:a.good.example", Verdict::Block),
            ("@ann:a.good.example", Verdict::Allow),
            ("@ann:dull.example", Verdict::Ignore),
            ("@ann:evil.example:8448", Verdict::Block),
            ("@ann:else.example", Verdict::Allow),
        ] {
            assert_eq!(verdict(None, Some(&filter), inviter), expected, "{inviter}");
        }
        let mut off = filter;
        off.insert("enabled".to_owned(), Value::from(false));
        assert_eq!(
            verdict(None, Some(&off), "@spammer:evil.example"),
            Verdict::Allow
        );
    }
}
