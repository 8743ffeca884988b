//! The rules that everybody starts with: client-server API, "Predefined Rules".

use ruma::{
    UserId,
    push::{
        Action, ConditionalPushRule, ConditionalPushRuleInit, EventPropertyIsConditionData,
        PushCondition, RoomMemberCountConditionData, RoomMemberCountIs, Ruleset, SoundTweakValue,
        Tweak,
    },
};

/// The default rules of `user`, those for polls among them under their unstable ids (MSC3930).
pub(crate) fn of(user: &UserId) -> Ruleset {
    let mut rules = Ruleset::server_default(user);
    rules.postcontent.clear();
    rules
        .override_
        .insert(poll("poll_response", "response", None, Vec::new()));
    for what in ["start", "end"] {
        let two = RoomMemberCountConditionData::new(RoomMemberCountIs::from(ruma::uint!(2)));
        let loud = vec![
            Action::Notify,
            Action::SetTweak(Tweak::Sound(SoundTweakValue::Default)),
        ];
        let name = format!("poll_{what}_one_to_one");
        rules.underride.insert(poll(&name, what, Some(two), loud));
        let name = format!("poll_{what}");
        let quiet = vec![Action::Notify];
        rules.underride.insert(poll(&name, what, None, quiet));
    }
    rules
}

/// The default rules that tell threads that the user follows from others (MSC4306). They are those of users who have ever followed
/// one: nobody else has a client with which to follow those that they want to hear of.
pub(crate) fn for_threads() -> [ConditionalPushRule; 2] {
    [
        ConditionalPushRule::unsubscribed_thread(),
        ConditionalPushRule::subscribed_thread(),
    ]
}

fn poll(
    name: &str,
    what: &str,
    members: Option<RoomMemberCountConditionData>,
    actions: Vec<Action>,
) -> ConditionalPushRule {
    let event_type = format!("org.matrix.msc3381.poll.{what}");
    let is_poll = EventPropertyIsConditionData::new("type".to_owned(), event_type.into());
    let conditions = members
        .map(PushCondition::from)
        .into_iter()
        .chain([is_poll.into()]);
    ConditionalPushRuleInit {
        actions,
        default: true,
        enabled: true,
        rule_id: format!(".org.matrix.msc3930.rule.{name}"),
        conditions: conditions.collect(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    /// Client-server API, "Predefined Rules", with MSC3930.
    #[test]
    fn the_defaults_come_in_the_order_of_the_specification() {
        let rules = of(user_id!("@alice:here"));
        let named = |rules: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            rules
                .map(|id| id.rsplit("rule.").next().unwrap_or_default().to_owned())
                .collect()
        };
        let overrides = named(&mut rules.override_.iter().map(|rule| rule.rule_id.as_str()));
        assert_eq!(
            overrides,
            [
                "master",
                "suppress_notices",
                "invite_for_me",
                "member_event",
                "is_user_mention",
                "is_room_mention",
                "tombstone",
                "reaction",
                "room.server_acl",
                "suppress_edits",
                "poll_response"
            ]
            .map(|name| name.rsplit("rule.").next().unwrap().to_owned())
        );
        let underrides = named(&mut rules.underride.iter().map(|rule| rule.rule_id.as_str()));
        assert_eq!(
            underrides,
            [
                "call",
                "encrypted_room_one_to_one",
                "room_one_to_one",
                "message",
                "encrypted",
                "poll_start_one_to_one",
                "poll_start",
                "poll_end_one_to_one",
                "poll_end"
            ]
        );
        assert!(rules.content.is_empty() && rules.room.is_empty() && rules.sender.is_empty());
    }
}
