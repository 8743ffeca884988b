//! What the rules of one user make of one event: client-server API, "Push Rules".

use ruma::push::{
    Action, AnyPushRuleRef, ConditionalPushRule, FlattenedJson, PushCondition,
    PushConditionRoomCtx, Ruleset,
};

use crate::{Error, Result};

/// What an event does for somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether it notifies.
    pub(super) notify: bool,
    /// Whether it stands out.
    pub(super) highlight: bool,
    /// All that the rule does, as a JSON list; empty where it does not notify.
    pub(super) actions: String,
}

/// Tries the rules in their order, up to the first that matches.
pub(super) async fn of(
    rules: &Ruleset,
    event: &FlattenedJson,
    context: &PushConditionRoomCtx,
) -> Result<Outcome> {
    let body = event.get_str("content.body").map(str::to_lowercase);
    for rule in rules {
        if !rule.enabled() || !may_match(rule, body.as_deref()) {
            continue;
        }
        if rule.applies(event, context).await {
            return outcome(rule.actions(), rule.triggers_highlight());
        }
    }
    Ok(Outcome::default())
}

fn outcome(actions: &[Action], highlight: bool) -> Result<Outcome> {
    if !actions.iter().any(Action::should_notify) {
        return Ok(Outcome::default());
    }
    let actions = serde_json::to_string(actions);
    Ok(Outcome {
        notify: true,
        highlight,
        actions: actions.map_err(|error| Error::Internal(format!("push actions: {error}")))?,
    })
}

/// Decides the conditions that ask what the sender may do: by their kind of notification.
pub(super) fn decide_power(rules: &mut Ruleset, may: impl Fn(&str) -> bool) {
    decide(rules, |condition| match condition {
        PushCondition::SenderNotificationPermission(asked) => Some(may(asked.key.as_ref())),
        _ => None,
    });
}

/// Decides the conditions that ask whether the user follows the thread of the event (MSC4306).
pub(super) fn decide_thread(rules: &mut Ruleset, follows: bool) {
    decide(rules, |condition| match condition {
        PushCondition::ThreadSubscription(asked) => Some(asked.subscribed == follows),
        _ => None,
    });
}

/// Takes out the conditions that hold, and the rules with those that do not, where it is known by anything else than the event.
fn decide(rules: &mut Ruleset, holds: impl Fn(&PushCondition) -> Option<bool>) {
    let decided = |mut rule: ConditionalPushRule| {
        rule.conditions.retain(|condition| match holds(condition) {
            Some(holds) => {
                rule.enabled &= holds;
                !holds
            }
            None => true,
        });
        rule
    };
    for list in [
        &mut rules.override_,
        &mut rules.postcontent,
        &mut rules.underride,
    ] {
        *list = std::mem::take(list).into_iter().map(decided).collect();
    }
}

/// Whether it is worth trying a rule: a word that the text does not even contain needs no search by word boundaries, which
/// costs far more.
fn may_match(rule: AnyPushRuleRef<'_>, body: Option<&str>) -> bool {
    let AnyPushRuleRef::Content(rule) = rule else {
        return true;
    };
    let Some(body) = body else {
        return false;
    };
    rule.pattern.contains(['*', '?']) || body.contains(&rule.pattern.to_lowercase())
}

#[cfg(test)]
mod tests {
    use ruma::{
        push::{NewConditionalPushRule, NewPatternedPushRule, NewPushRule, PushCondition},
        room_id,
        serde::Raw,
        user_id,
    };
    use serde_json::{Value, json};

    use super::{super::defaults, *};

    async fn tried(rules: &Ruleset, event: &Value, members: u32) -> Outcome {
        let flat = FlattenedJson::from_raw(&Raw::new(event).unwrap());
        let context = PushConditionRoomCtx::new(
            room_id!("!room:here").to_owned(),
            members.into(),
            user_id!("@alice:here").to_owned(),
            "Alice".to_owned(),
        );
        of(rules, &flat, &context).await.unwrap()
    }

    fn message(content: &Value) -> Value {
        json!({"type": "m.room.message", "sender": "@bob:here", "room_id": "!room:here", "content": content})
    }

    /// Client-server API, "Predefined Rules".
    #[tokio::test]
    async fn the_default_rules_tell_apart_what_rings_and_what_does_not() {
        let rules = defaults::of(user_id!("@alice:here"));
        let member = |membership: &str, user: &str| json!({"type": "m.room.member", "sender": "@bob:here", "state_key": user, "content": {"membership": membership}});
        let poll = |what: &str| json!({"type": format!("org.matrix.msc3381.poll.{what}"), "sender": "@bob:here", "content": {}});
        for (event, members, notify, highlight) in [
            (
                message(&json!({"msgtype": "m.text", "body": "hello"})),
                3,
                true,
                false,
            ),
            (
                message(&json!({"msgtype": "m.notice", "body": "hello"})),
                3,
                false,
                false,
            ),
            (
                message(&json!({"body": "hi", "m.mentions": {"user_ids": ["@alice:here"]}})),
                3,
                true,
                true,
            ),
            (
                message(&json!({"body": "hi", "m.mentions": {"user_ids": ["@carol:here"]}})),
                3,
                true,
                false,
            ),
            (
                message(&json!({"body": "alice", "m.mentions": {}})),
                3,
                true,
                false,
            ),
            (
                message(&json!({"body": "* hi", "m.relates_to": {"rel_type": "m.replace"}})),
                3,
                false,
                false,
            ),
            (member("invite", "@alice:here"), 3, true, false),
            (member("invite", "@carol:here"), 3, false, false),
            (member("join", "@carol:here"), 3, false, false),
            (
                json!({"type": "m.reaction", "sender": "@bob:here", "content": {}}),
                2,
                false,
                false,
            ),
            (
                json!({"type": "m.room.tombstone", "sender": "@bob:here", "state_key": "", "content": {}}),
                3,
                true,
                true,
            ),
            (
                json!({"type": "m.room.topic", "sender": "@bob:here", "state_key": "", "content": {}}),
                3,
                false,
                false,
            ),
            (
                json!({"type": "m.room.encrypted", "sender": "@bob:here", "content": {}}),
                3,
                true,
                false,
            ),
            (poll("start"), 3, true, false),
            (poll("response"), 3, false, false),
            (poll("end"), 2, true, false),
        ] {
            let outcome = tried(&rules, &event, members).await;
            assert_eq!(
                (outcome.notify, outcome.highlight),
                (notify, highlight),
                "{event}"
            );
        }
        let loud = tried(&rules, &message(&json!({"body": "hello"})), 2).await;
        assert!(loud.actions.contains("sound"), "between two: {loud:?}");
    }

    #[tokio::test]
    async fn the_first_match_decides_and_what_is_unknown_never_matches() {
        let mut rules = defaults::of(user_id!("@alice:here"));
        let word = NewPatternedPushRule::new(
            "word".to_owned(),
            "Apple".to_owned(),
            serde_json::from_value(json!(["notify", {"set_tweak": "highlight"}])).unwrap(),
        );
        rules
            .insert(NewPushRule::Content(word), None, None)
            .unwrap();
        for (body, highlight) in [
            ("an apple a day", true),
            ("APPLE!", true),
            ("pineapple", false),
            ("apples", false),
        ] {
            let outcome = tried(&rules, &message(&json!({"body": body})), 3).await;
            assert_eq!(outcome.highlight, highlight, "{body}");
        }
        let odd: PushCondition =
            serde_json::from_value(json!({"kind": "org.example.odd"})).unwrap();
        let odd = NewConditionalPushRule::new("odd".to_owned(), vec![odd], Vec::new());
        rules
            .insert(NewPushRule::Override(odd), None, None)
            .unwrap();
        let hello = message(&json!({"body": "hello"}));
        assert!(
            tried(&rules, &hello, 3).await.notify,
            "an unknown condition"
        );
        let silent: Vec<Action> = serde_json::from_value(json!(["dont_notify"])).unwrap();
        let all = NewConditionalPushRule::new("all".to_owned(), Vec::new(), silent);
        rules
            .insert(NewPushRule::Override(all), None, None)
            .unwrap();
        assert_eq!(tried(&rules, &hello, 3).await, Outcome::default());
    }
}
