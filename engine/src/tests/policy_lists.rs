//! Moderation policy lists that the operator follows: MOD-04.

use ruma::{OwnedRoomId, OwnedServerName};
use spec::{json::Object, object};

use super::{
    federation::{name, pairs},
    fixture::{House, Person, START_MS, houses, with_account},
};
use crate::{CreateRoom, Error, InitialState, Preset, Redact, Result, SetState, Settings};

impl Person {
    /// Writes a rule, and returns the id of its event.
    async fn rules(
        &self,
        list: &OwnedRoomId,
        kind: &str,
        entity: &str,
        recommendation: &str,
    ) -> ruma::OwnedEventId {
        let content = object! {
            "entity" => entity, "recommendation" => recommendation, "reason" => "spam",
        };
        self.writes_rule(list, kind, entity, content).await
    }

    async fn writes_rule(
        &self,
        list: &OwnedRoomId,
        kind: &str,
        entity: &str,
        content: Object,
    ) -> ruma::OwnedEventId {
        let ask = SetState {
            event_type: format!("m.policy.rule.{kind}"),
            state_key: format!("rule:{entity}"),
            content,
        };
        let room = self.room(list).await;
        room.set_state(&self.requester, ask).await.unwrap()
    }

    /// Creates a room in whose initial state somebody is invited.
    async fn creates_inviting(&self, whom: &Person) -> OwnedRoomId {
        let invite = InitialState {
            event_type: "m.room.member".to_owned(),
            state_key: whom.requester.user_id.to_string(),
            content: object! { "membership" => "invite" },
        };
        let create = CreateRoom {
            initial_state: vec![invite],
            ..CreateRoom::default()
        };
        let created = self.engine.create_room(&self.requester, create).await;
        created.unwrap()
    }

    /// Whether somebody has any membership of a room that this user is in.
    async fn has_member(&self, room: &OwnedRoomId, whom: &Person) -> bool {
        let user = whom.requester.user_id.as_str();
        let room = self.room(room).await;
        let member = room.state_event(&self.requester, "m.room.member", user);
        member.await.is_ok()
    }

    async fn enters(&self, room: &OwnedRoomId, via: OwnedServerName) -> Result<()> {
        let (engine, by) = (&self.engine, &self.requester);
        engine.join(by, room, vec![via], None, Object::new()).await
    }
}

/// The server after a restart, following a list.
fn following(house: &House, list: &OwnedRoomId) -> House {
    let mut settings = Settings::new(name(house));
    settings.policy_lists.push(list.clone());
    House::set_up_at(START_MS, house.engine.context.store.clone(), settings)
}

fn is_forbidden<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::Forbidden(_) | Error::Denied(_)))
}

#[tokio::test]
async fn whom_a_list_bans_neither_invites_nor_is_invited_nor_comes_in() {
    for mut pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        with_account(&pair.here, "alice").await;
        with_account(&pair.there, "bob").await;
        let list = alice.creates("12", Preset::Private).await;
        pair.here = following(&pair.here, &list);
        pair.connect(&pair.here);
        let alice = pair.here.person("alice");
        let open = alice.creates("12", Preset::Public).await;
        let theirs = bob.creates("12", Preset::Private).await;
        let (here, there) = (name(&pair.here), name(&pair.there));
        // By oneself, by a glob, or with the server.
        for (kind, entity, recommendation) in [
            ("user", "@bob:there", "m.ban"),
            ("user", "@b?b:*", "org.matrix.msc4204.takedown"),
            ("server", "th*", "m.ban"),
        ] {
            let rule = alice.rules(&list, kind, entity, recommendation).await;
            let entered = bob.enters(&open, here.clone()).await;
            assert!(is_forbidden(&entered), "{entity}: {entered:?}");
            let invited = alice.invites(&open, &bob).await;
            assert!(is_forbidden(&invited), "{entity}: {invited:?}");
            let new = alice.creates_inviting(&bob).await;
            assert!(!alice.has_member(&new, &bob).await, "{entity}");
            let invites = bob.invites(&theirs, &alice).await;
            assert!(is_forbidden(&invites), "{entity}: {invites:?}");
            let inbound = pair.here.engine.inbound();
            let heard = inbound.hears(&there).await.unwrap();
            assert_eq!(heard, kind != "server", "{entity}");
            let redact = Redact {
                event_id: rule,
                content: Object::new(),
                txn_id: None,
            };
            let room = alice.room(&list).await;
            room.redact(&alice.requester, redact).await.unwrap();
            assert!(inbound.hears(&there).await.unwrap(), "it is taken back");
        }
        // What recommends nothing that is known bans nobody.
        alice
            .rules(&list, "user", "@bob:there", "org.example.smile")
            .await;
        bob.invites(&theirs, &alice).await.unwrap();
        bob.enters(&open, here).await.unwrap();
        assert!(alice.syncs(None).await.rooms.invite.contains_key(&theirs));
    }
}

#[tokio::test]
async fn rooms_that_a_list_bans_are_not_entered_and_ones_own_users_are_not_matched() {
    for house in houses().await {
        let alice = house.person("alice");
        let list = alice.creates("12", Preset::Private).await;
        let bad = alice.creates("12", Preset::Public).await;
        // This one is there when the server starts.
        alice.rules(&list, "room", bad.as_str(), "m.ban").await;
        let house = following(&house, &list);
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let via = house.engine.server_name().to_owned();
        let entered = bob.enters(&bad, via).await;
        assert!(is_forbidden(&entered), "{entered:?}");
        alice.rules(&list, "user", "@*:*", "m.ban").await;
        alice.rules(&list, "server", "*", "m.ban").await;
        let own = house.engine.server_name().to_owned();
        let entered = bob.enters(&bad, own.clone()).await;
        assert!(is_forbidden(&entered), "{entered:?}");
        let invited = alice.invites(&bad, &bob).await;
        assert!(is_forbidden(&invited), "{invited:?}");
        let good = alice.creates("12", Preset::Public).await;
        alice.invites(&good, &bob).await.unwrap();
        bob.enters(&good, own.clone()).await.unwrap();
        assert!(house.engine.inbound().hears(&own).await.unwrap());
        // Taken back with an empty content, as moderation tools do it.
        let entity = bad.as_str();
        alice
            .writes_rule(&list, "room", entity, Object::new())
            .await;
        bob.enters(&bad, own).await.unwrap();
        // Not a list, so that nobody asks what it says.
        let other = bob.creates("12", Preset::Private).await;
        bob.rules(&other, "room", good.as_str(), "m.ban").await;
        let carol = house.person("carol");
        let own = house.engine.server_name().to_owned();
        carol.enters(&good, own).await.unwrap();
    }
}
