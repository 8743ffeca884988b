//! The push rules of a user: client-server API, "Push Rules".
//!
//! They are kept whole as account data of the type `m.push_rules`, the form in which sync shows them, once a user has
//! changed any. The defaults among them are brought up to date whenever they are read, so that a later version of this
//! server may have others.

use ruma::{
    UserId,
    push::{
        Action, AnyPushRule, InsertPushRuleError, NewPushRule, RemovePushRuleError, RuleKind,
        Ruleset,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use storage::account_data;

use super::defaults;
use crate::{Error, Requester, Result, Subject, account::Accounts};

/// The type of account data that holds the rules.
pub(crate) const PUSH_RULES: &str = "m.push_rules";

/// How many rules a user may add: more than any client makes, and all of them are tried for each event.
const RULES_MAX: usize = 1_000;

/// How long the id of a rule and a pattern may be, in bytes, as for other identifiers.
const TEXT_BYTES_MAX: usize = 512;

/// The kinds of rules. Clients get a list for each, also where there is no rule.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

/// The content of `m.push_rules`.
#[derive(Deserialize)]
struct Content {
    global: Ruleset,
}

/// Where a rule goes among the others of its kind.
#[derive(Clone, Debug, Default)]
pub struct RulePlace {
    /// Right before the rule with this id.
    pub before: Option<String>,
    /// Right after the rule with this id.
    pub after: Option<String>,
}

impl Accounts {
    /// All rules of `by` as clients see them, a list for each kind. One query.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn push_rules(&self, by: &Requester) -> Result<Map<String, Value>> {
        by_kind(&self.push_rules_of(&by.user_id).await?)
    }

    /// One rule.
    ///
    /// # Errors
    /// [`Error::NotFound`]: `by` has no such rule.
    pub async fn push_rule(
        &self,
        by: &Requester,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<AnyPushRule> {
        let rules = self.push_rules_of(&by.user_id).await?;
        let rule = rules.get(meant(kind), rule_id);
        let rule = rule.map(|rule| rule.to_owned());
        rule.ok_or(Error::NotFound(Subject::PushRule))
    }

    /// Adds a rule, or changes the one of the same kind and id. A new one goes before all others that the user has
    /// added, unless `place` says where; one that is there stays where it is unless `place` says so, and stays enabled
    /// or disabled.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: the id is not one for a rule of a user, or `place` is next to a default rule.
    /// [`Error::Refused`]: `place` is next to a rule that does not exist. [`Error::TooLarge`]: there are too many.
    pub async fn put_push_rule(
        &self,
        by: &Requester,
        rule: NewPushRule,
        place: RulePlace,
    ) -> Result<()> {
        self.change_push_rules(by, |rules| insert(rules, rule, &place))
            .await
    }

    /// Deletes a rule that the user has added.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none. [`Error::InvalidParam`]: it is a default rule.
    pub async fn delete_push_rule(
        &self,
        by: &Requester,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<()> {
        self.change_push_rules(by, |rules| {
            rules
                .remove(meant(kind), rule_id)
                .map_err(|error| match error {
                    RemovePushRuleError::ServerDefault => Error::InvalidParam(
                        "A default rule cannot be deleted: disable it, or change its actions"
                            .to_owned(),
                    ),
                    _ => Error::NotFound(Subject::PushRule),
                })
        })
        .await
    }

    /// Enables or disables a rule.
    ///
    /// # Errors
    /// [`Error::NotFound`]: `by` has no such rule.
    pub async fn set_push_rule_enabled(
        &self,
        by: &Requester,
        kind: RuleKind,
        rule_id: &str,
        enabled: bool,
    ) -> Result<()> {
        self.change_push_rules(by, |rules| {
            let set = rules.set_enabled(meant(kind), rule_id, enabled);
            set.map_err(|_| Error::NotFound(Subject::PushRule))
        })
        .await
    }

    /// Changes what a rule does.
    ///
    /// # Errors
    /// [`Error::NotFound`]: `by` has no such rule.
    pub async fn set_push_rule_actions(
        &self,
        by: &Requester,
        kind: RuleKind,
        rule_id: &str,
        actions: Vec<Action>,
    ) -> Result<()> {
        self.change_push_rules(by, |rules| {
            let set = rules.set_actions(meant(kind), rule_id, actions);
            set.map_err(|_| Error::NotFound(Subject::PushRule))
        })
        .await
    }

    /// All rules of a user. One query.
    pub(crate) async fn push_rules_of(&self, user: &UserId) -> Result<Ruleset> {
        let stored = account_data::find(self.store().reader(), user, None, PUSH_RULES).await?;
        parse(user, stored.as_deref())
    }

    /// Has the rules of a user tell threads that they follow from others, from now on. Nothing else may change the rules
    /// meanwhile: see [`Accounts::alone`].
    pub(crate) async fn tell_threads_apart(&self, user: &UserId) -> Result<()> {
        let mut rules = self.push_rules_of(user).await?;
        if tells_threads_apart(&rules) {
            return Ok(());
        }
        rules.postcontent.extend(defaults::for_threads());
        self.log_account_data(user, None, PUSH_RULES, &content(&rules)?)
            .await
    }

    /// Reads the rules, has `change` change them, and writes them if they have changed.
    async fn change_push_rules(
        &self,
        by: &Requester,
        change: impl FnOnce(&mut Ruleset) -> Result<()>,
    ) -> Result<()> {
        let _alone = self.alone(&by.user_id).await;
        let mut rules = self.push_rules_of(&by.user_id).await?;
        let before = content(&rules)?;
        change(&mut rules)?;
        let after = content(&rules)?;
        if before == after {
            return Ok(());
        }
        self.log_account_data(&by.user_id, None, PUSH_RULES, &after)
            .await
    }
}

/// The rules of a user from the content of their account data; `None`: they have none.
pub(crate) fn parse(user: &UserId, stored: Option<&str>) -> Result<Ruleset> {
    let defaults = defaults::of(user);
    let Some(stored) = stored else {
        return Ok(defaults);
    };
    let stored: Content = serde_json::from_str(stored)
        .map_err(|error| Error::Internal(format!("stored push rules: {error}")))?;
    let mut rules = stored.global;
    rules.update_with_server_default(defaults);
    if tells_threads_apart(&rules) {
        for mut rule in defaults::for_threads() {
            if let Some(earlier) = rules.postcontent.shift_take(rule.rule_id.as_str()) {
                (rule.enabled, rule.actions) = (earlier.enabled, earlier.actions);
            }
            rules.postcontent.insert(rule);
        }
    }
    Ok(rules)
}

/// Whether the default rules for threads are among these.
fn tells_threads_apart(rules: &Ruleset) -> bool {
    rules.postcontent.iter().any(|rule| rule.default)
}

/// The kind of rules that a client means: also by the name that one kind has where rules are listed.
fn meant(kind: RuleKind) -> RuleKind {
    match kind.as_str() {
        "postcontent" => RuleKind::PostContent,
        _ => kind,
    }
}

/// The content of `m.push_rules` with these rules.
pub(crate) fn content(rules: &Ruleset) -> Result<String> {
    Ok(json!({ "global": by_kind(rules)? }).to_string())
}

fn by_kind(rules: &Ruleset) -> Result<Map<String, Value>> {
    let written = serde_json::to_value(rules);
    let written = written.map_err(|error| Error::Internal(format!("push rules: {error}")))?;
    let mut kinds = match written {
        Value::Object(kinds) => kinds,
        _ => Map::new(),
    };
    for kind in KINDS {
        kinds.entry(kind).or_insert_with(|| json!([]));
    }
    Ok(kinds)
}

fn insert(rules: &mut Ruleset, rule: NewPushRule, place: &RulePlace) -> Result<()> {
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    check(&rule)?;
    let next_to = [&place.before, &place.after];
    if next_to.iter().any(|next| next.as_deref() == Some(&rule_id)) {
        return Err(refused(&InsertPushRuleError::UnknownRuleId));
    }
    let earlier = rules.get(kind.clone(), &rule_id);
    let enabled = earlier.is_none_or(|rule| rule.enabled());
    if earlier.is_none() && rules.iter().count() >= RULES_MAX {
        return Err(Error::TooLarge(format!(
            "There may be {RULES_MAX} push rules"
        )));
    }
    let moves = next_to.iter().any(|next| next.is_some());
    if earlier.is_some_and(|rule| !rule.is_server_default()) && moves {
        // What moves is taken out first, so that the places are counted without it.
        let _ = rules.remove(kind.clone(), &rule_id);
    }
    let (before, after) = (place.before.as_deref(), place.after.as_deref());
    rules
        .insert(rule, after, before)
        .map_err(|error| refused(&error))?;
    let set = rules.set_enabled(kind, &rule_id, enabled);
    set.map_err(|_| Error::NotFound(Subject::PushRule))
}

fn check(rule: &NewPushRule) -> Result<()> {
    let pattern = match rule {
        NewPushRule::Content(rule) => rule.pattern.as_str(),
        _ => "",
    };
    if rule.rule_id().is_empty() {
        return Err(Error::InvalidParam("A push rule needs an id".to_owned()));
    }
    if rule.rule_id().len().max(pattern.len()) > TEXT_BYTES_MAX {
        return Err(Error::InvalidParam(format!(
            "The id of a push rule and its pattern may have {TEXT_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

fn refused(error: &InsertPushRuleError) -> Error {
    let sentence = match error {
        InsertPushRuleError::ServerDefaultRuleId => {
            "The id of a push rule must not begin with a dot: those are the default rules"
        }
        InsertPushRuleError::InvalidRuleId => {
            "The id of a push rule must not contain a slash or a backslash"
        }
        InsertPushRuleError::RelativeToServerDefaultRule => {
            "A push rule cannot be put next to a default rule"
        }
        InsertPushRuleError::UnknownRuleId => {
            return Error::Refused("There is no rule with the id in before or after".to_owned());
        }
        _ => "The rule in before comes before the one in after",
    };
    Error::InvalidParam(sentence.to_owned())
}
