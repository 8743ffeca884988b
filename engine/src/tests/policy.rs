//! A room whose events a policy server signs before anybody sees them.

use ruma::{OwnedEventId, OwnedRoomId, owned_server_name};
use spec::{
    json::{Object, Value},
    object,
    room_version::RoomVersion,
    sign::ServerKey,
};
use storage::testing::open_each;

use super::{
    federation::{Pair, name, pairs, settled},
    fixture::{House, Person, bodies, target},
};
use crate::{Error, Redact, Result, Send, SetState, Upgrade};

const VERSION: &str = "11";

/// The key of the policy server, which is the second server of the pair.
fn key() -> ServerKey {
    key_of(9)
}

fn key_of(seed: u8) -> ServerKey {
    ServerKey::from_seed(owned_server_name!("there"), "policy_server", &[seed; 32])
}

fn signed(key: &ServerKey, event: &Object) -> Object {
    let version = RoomVersion::get(VERSION).unwrap();
    let mut signed = event.clone();
    signed.insert("signatures".to_owned(), Object::new().into());
    key.sign_event(version, &mut signed);
    signed["signatures"].as_object().unwrap().clone()
}

pub(super) type Answer = Option<std::result::Result<Object, (u16, &'static str)>>;

/// Signs all but what contains the word.
pub(super) fn no_spam(event: &Object) -> Answer {
    let spam = spec::json::encode_object(event).contains("spam");
    Some(if spam {
        Err((400, "M_FORBIDDEN"))
    } else {
        Ok(signed(&key(), event))
    })
}

impl Person {
    async fn puts(&self, room: &OwnedRoomId, kind: &str, content: Object) -> Result<OwnedEventId> {
        let ask = SetState {
            event_type: kind.to_owned(),
            state_key: String::new(),
            content,
        };
        self.room(room).await.set_state(&self.requester, ask).await
    }

    async fn chooses(&self, room: &OwnedRoomId, key: &ServerKey) -> OwnedEventId {
        let keys = object! { "ed25519" => key.public_key().to_base64() };
        let content = object! { "via" => "there", "public_keys" => keys };
        self.puts(room, "m.room.policy", content).await.unwrap()
    }
}

/// A room of two servers, the second of which is its policy server.
pub(super) async fn policed(pair: &Pair) -> (OwnedRoomId, Person, Person) {
    let (room, alice, bob) = pair.joined_room(VERSION).await;
    pair.script.plays_policy(no_spam);
    let chosen = alice.chooses(&room, &key()).await;
    pair.deliver(&pair.here, &pair.there, &[chosen]).await;
    assert_eq!(pair.script.count("sign"), 0, "this one is not its business");
    (room, alice, bob)
}

async fn event(house: &House, id: &OwnedEventId) -> Object {
    let other = if house.engine.server_name() == "here" {
        owned_server_name!("there")
    } else {
        owned_server_name!("here")
    };
    house.engine.inbound().event(&other, id).await.unwrap()
}

/// The same, where the other server may not have it any more.
async fn known(person: &Person, room: &OwnedRoomId, id: &OwnedEventId) -> Object {
    let (id, handle) = (id.clone(), person.room(room).await);
    let found = handle.run(move |room| {
        Box::pin(async move { Ok(room.find(&[&id]).await?[&id].event.object().clone()) })
    });
    found.await.unwrap()
}

/// Whether the event bears the signature of the policy server.
fn is_signed(event: &Object) -> bool {
    let expected = signed(&key(), event);
    let signature = |all: &Value| all.get("there")?.get("ed25519:policy_server").cloned();
    signature(&Value::Object(expected)) == event.get("signatures").and_then(signature)
}

#[tokio::test]
async fn every_local_event_is_signed() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        let dave = pair.here.person("dave");
        let handle = alice.room(&room).await;
        let said = alice.says(&room, "hello").await.unwrap();
        let named = object! { "name" => "a name" };
        let redact = Redact {
            event_id: said.clone(),
            content: Object::new(),
            txn_id: None,
        };
        let made = [
            alice.puts(&room, "m.room.name", named).await.unwrap(),
            alice.invites(&room, &dave).await.unwrap(),
            dave.joins(&room).await.unwrap(),
            handle.kick(&alice.requester, target(&dave)).await.unwrap(),
            handle.redact(&alice.requester, redact).await.unwrap(),
            said,
        ];
        for id in &made {
            assert!(is_signed(&event(&pair.here, id).await), "{id}");
        }
        assert_eq!(pair.script.count("sign"), made.len());
        pair.deliver(&pair.here, &pair.there, &made[..1]).await;
        let name = alice.puts(&room, "m.room.name", object! { "name" => "a name" });
        assert_eq!(
            name.await.unwrap(),
            made[0],
            "what is so already is not asked about"
        );
        assert_eq!(pair.script.count("sign"), made.len());
    }
}

#[tokio::test]
async fn what_is_sent_at_once_all_lands_and_repeated_requests_make_one_event() {
    for pair in pairs().await {
        let (room, alice, bob) = policed(&pair).await;
        let start = alice.syncs(None).await.next_batch;
        let (one, two, again, other) = tokio::join!(
            alice.sends(&room, "one", Some("1")),
            alice.sends(&room, "two", Some("2")),
            alice.sends(&room, "one", Some("1")),
            alice.puts(&room, "m.room.topic", object! { "topic" => "t" }),
        );
        assert_eq!(one.unwrap(), again.unwrap());
        two.unwrap();
        other.unwrap();
        let mut seen = bodies(&alice.syncs(Some(&start)).await, &room);
        seen.sort();
        assert_eq!(seen, ["one", "two"]);
        // What follows them is understood elsewhere, with all of them before it.
        let three = alice.says(&room, "three").await.unwrap();
        pair.deliver(&pair.here, &pair.there, &[three]).await;
        let mut there = bodies(&bob.syncs(None).await, &room);
        there.sort();
        assert_eq!(there, ["one", "three", "two"]);
    }
}

/// Both are checked before either is signed.
#[tokio::test]
async fn of_two_equal_reactions_at_once_one_lands() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        let said = alice.says(&room, "hello").await.unwrap();
        let react = async || {
            let relation = object! {
                "rel_type" => "m.annotation", "event_id" => said.as_str(), "key" => "👍",
            };
            let ask = Send {
                event_type: "m.reaction".to_owned(),
                content: object! { "m.relates_to" => relation },
                txn_id: None,
            };
            alice.room(&room).await.send(&alice.requester, ask).await
        };
        let (one, two, three) = tokio::join!(react(), react(), react());
        let all = [one, two, three];
        assert_eq!(all.iter().filter(|sent| sent.is_ok()).count(), 1, "{all:?}");
        let is_duplicate =
            |sent: &&Result<OwnedEventId>| matches!(sent, Err(Error::DuplicateAnnotation));
        assert_eq!(all.iter().filter(is_duplicate).count(), 2, "{all:?}");
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_client_and_nothing_is_sent() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        let start = alice.syncs(None).await.next_batch;
        let refused = alice.sends(&room, "spam", Some("t")).await;
        let Err(Error::Policy {
            status,
            errcode,
            error,
        }) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(
            (status, &*errcode, &*error),
            (400, "M_FORBIDDEN", "no spam")
        );
        let topic = alice.puts(&room, "m.room.topic", object! { "topic" => "spam" });
        assert!(matches!(topic.await, Err(Error::Policy { .. })));
        alice.says(&room, "ham").await.unwrap();
        assert_eq!(bodies(&alice.syncs(Some(&start)).await, &room), ["ham"]);
        for (given, status, errcode) in [
            ((401, "M_UNKNOWN_TOKEN"), 403, "M_FORBIDDEN"),
            ((403, "M_USER_LOCKED"), 403, "M_FORBIDDEN"),
            ((404, "M_NOT_FOUND"), 404, "M_NOT_FOUND"),
            ((400, "org.example.spam"), 400, "org.example.spam"),
        ] {
            pair.script.plays_policy(move |_| Some(Err(given)));
            let Err(Error::Policy {
                status: got,
                errcode: code,
                ..
            }) = alice.says(&room, "ham").await
            else {
                panic!("{given:?}")
            };
            assert_eq!((got, &*code), (status, errcode));
        }
    }
}

#[tokio::test]
async fn without_an_answer_nothing_is_sent_but_the_policy_can_be_changed() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        pair.script.plays_policy(|_| None);
        let silence = alice.says(&room, "anybody?").await;
        assert!(matches!(&silence, Err(Error::Unreachable(why)) if why.contains("there")));
        assert_eq!(pair.script.count("sign"), 2, "it is tried again");
        for lie in [
            (|event: &Object| Some(Ok(signed(&key_of(8), event)))) as fn(&Object) -> Answer,
            |_| Some(Ok(signed(&key(), &object! { "type" => "another" }))),
            |_| Some(Ok(Object::new())),
            |_| {
                Some(Ok(
                    object! { "there" => object! { "ed25519:policy_server" => 7 } },
                ))
            },
        ] {
            pair.script.plays_policy(lie);
            assert!(matches!(
                alice.says(&room, "hm").await,
                Err(Error::Unreachable(_))
            ));
        }
        // Another key: taken up at once.
        pair.script
            .plays_policy(|event| Some(Ok(signed(&key_of(8), event))));
        alice.chooses(&room, &key_of(8)).await;
        alice.says(&room, "again").await.unwrap();
        // None: nobody is asked any more.
        pair.script.plays_policy(|_| None);
        alice
            .puts(&room, "m.room.policy", Object::new())
            .await
            .unwrap();
        let asked = pair.script.count("sign");
        alice.says(&room, "free").await.unwrap();
        assert_eq!(pair.script.count("sign"), asked);
    }
}

#[tokio::test]
async fn a_policy_server_that_is_not_in_the_room_is_none() {
    for pair in pairs().await {
        let (room, alice, bob) = policed(&pair).await;
        let handle = alice.room(&room).await;
        let left = handle.kick(&alice.requester, target(&bob)).await.unwrap();
        assert!(
            is_signed(&known(&alice, &room, &left).await),
            "it was in force until then"
        );
        let asked = pair.script.count("sign");
        pair.script.plays_policy(|_| None);
        alice.says(&room, "alone").await.unwrap();
        assert_eq!(pair.script.count("sign"), asked);
        let kick = known(&alice, &room, &left).await;
        let inbound = pair.there.engine.inbound();
        inbound.pdus(&name(&pair.here), vec![kick]).await.unwrap();
        settled(&pair.there).await;
        pair.script.plays_policy(no_spam);
        let via = vec![name(&pair.here)];
        let joining = bob
            .engine
            .join(&bob.requester, &room, via, None, Object::new());
        joining.await.unwrap();
        let said = alice.says(&room, "there again").await.unwrap();
        assert!(is_signed(&event(&pair.here, &said).await));
    }
}

#[tokio::test]
async fn what_comes_in_is_asked_about_once() {
    for pair in pairs().await {
        let (room, alice, bob) = policed(&pair).await;
        let start = alice.syncs(None).await.next_batch;
        // Their own server asks nobody: it is the policy server by name.
        let said = bob.says(&room, "ham").await.unwrap();
        pair.deliver(&pair.there, &pair.here, std::slice::from_ref(&said))
            .await;
        assert_eq!(pair.script.count("sign"), 1);
        let kept = event(&pair.here, &said).await;
        assert!(is_signed(&kept));
        let all = kept["signatures"].get("there").and_then(Value::as_object);
        assert_eq!(all.unwrap().len(), 2, "the signature of its server stays");
        let spam = bob.says(&room, "spam").await.unwrap();
        pair.deliver(&pair.there, &pair.here, std::slice::from_ref(&spam))
            .await;
        assert_eq!(pair.script.count("sign"), 2);
        pair.script.plays_policy(|_| None);
        let unheard = bob.says(&room, "unheard").await.unwrap();
        let unheard_too = bob.says(&room, "unheard too").await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[unheard, unheard_too])
            .await;
        assert_eq!(
            pair.script.count("sign"),
            3,
            "its silence counts for a while"
        );
        pair.here.clock.advance(60_000);
        pair.script.plays_policy(no_spam);
        let last = bob.says(&room, "ham again").await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[last]).await;
        let seen = bodies(&alice.syncs(Some(&start)).await, &room);
        assert_eq!(seen, ["ham", "ham again"]);
    }
}

/// The policy event itself comes in with what must be signed by the one that it names.
#[tokio::test]
async fn a_policy_server_counts_from_its_event_on() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room(VERSION).await;
        pair.script.plays_policy(no_spam);
        let levels = object! { "users" => object! { "@alice:here" => 100, "@bob:there" => 100 } };
        let promoted = alice
            .puts(&room, "m.room.power_levels", levels)
            .await
            .unwrap();
        pair.deliver(&pair.here, &pair.there, &[promoted]).await;
        let before = bob.says(&room, "spam before").await.unwrap();
        let chosen = bob.chooses(&room, &key()).await;
        let spam = bob.says(&room, "spam after").await.unwrap();
        let ham = bob.says(&room, "ham").await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[before, chosen, spam, ham])
            .await;
        let seen = bodies(&alice.syncs(None).await, &room);
        assert_eq!(seen, ["welcome", "spam before", "ham"]);
    }
}

#[tokio::test]
async fn a_join_of_a_third_server_is_signed_or_refused() {
    for (pair, store) in pairs().await.into_iter().zip(open_each().await.unwrap()) {
        let (room, alice, _bob) = policed(&pair).await;
        let house = House::named(store, owned_server_name!("elsewhere"));
        pair.connect(&house);
        let carol = house.person("carol");
        let via = || vec![name(&pair.here)];
        let mut reason = Some("spam".to_owned());
        let join = |reason| {
            let joining = carol
                .engine
                .join(&carol.requester, &room, via(), reason, Object::new());
            Box::pin(joining)
        };
        assert!(matches!(
            join(reason.take()).await,
            Err(Error::Forbidden(_))
        ));
        join(None).await.unwrap();
        settled(&pair.here).await;
        let id = alice
            .room(&room)
            .await
            .state_id("m.room.member", "@carol:elsewhere")
            .await;
        assert!(is_signed(&event(&pair.here, &id).await));
        let said = carol.says(&room, "hello").await.unwrap();
        assert!(is_signed(&event(&house, &said).await), "it asks by itself");
    }
}

/// UPG-01: the tombstone is signed first, and what else the old room says is, too.
#[tokio::test]
async fn a_room_with_a_policy_server_is_replaced_once_that_has_signed() {
    for to in ["11", "12"] {
        for pair in pairs().await {
            let (room, alice, _bob) = policed(&pair).await;
            let handle = alice.room(&room).await;
            let upgrade = async || {
                let ask = Upgrade {
                    version: to.to_owned(),
                    additional_creators: std::collections::BTreeSet::new(),
                };
                let engine = &alice.engine;
                engine.upgrade_room(&alice.requester, &room, ask).await
            };
            pair.script
                .plays_policy(|_| Some(Err((400, "org.example.stay"))));
            let refused = upgrade().await;
            assert!(matches!(refused, Err(Error::Policy { .. })), "{refused:?}");
            let key = handle.state_key("m.room.tombstone", "").await.unwrap();
            let state = handle.current_state().await.unwrap();
            assert!(key.is_none_or(|key| !state.contains_key(&key)), "{to}");

            pair.script.plays_policy(no_spam);
            let new = upgrade().await.expect("it is signed");
            let tombstone = handle.state_id("m.room.tombstone", "").await;
            let levels = handle.state_id("m.room.power_levels", "").await;
            let tombstone = event(&pair.here, &tombstone).await;
            let content = tombstone["content"].as_object().unwrap();
            assert_eq!(content["replacement_room"], Value::from(new.as_str()));
            assert!(is_signed(&tombstone), "{to}");
            let levels = event(&pair.here, &levels).await;
            assert_eq!(
                levels["content"].as_object().unwrap()["invite"],
                Value::from(50)
            );
            assert!(is_signed(&levels), "{to}");
            assert_eq!(upgrade().await.unwrap(), new, "the same wish again");
            alice.says(&new, "here we are").await.unwrap();
        }
    }
}

/// What somebody decides while the policy server looks at what follows an upgrade stays decided.
#[tokio::test]
async fn levels_that_change_while_an_upgrade_is_signed_stay_changed() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        let handle = alice.room(&room).await;
        let gate = pair.script.holds("m.room.power_levels");
        let levels = async || {
            let id = handle.state_id("m.room.power_levels", "").await;
            let event = event(&pair.here, &id).await;
            event["content"].as_object().unwrap().clone()
        };
        let upgrade = async {
            let ask = Upgrade {
                version: "12".to_owned(),
                additional_creators: std::collections::BTreeSet::new(),
            };
            let engine = &alice.engine;
            engine.upgrade_room(&alice.requester, &room, ask).await
        };
        let change = async {
            gate.entered.notified().await;
            let mut changed = levels().await;
            changed.insert("kick".to_owned(), Value::from(77));
            let put = alice.puts(&room, "m.room.power_levels", changed);
            put.await.unwrap();
            gate.opened.notify_one();
        };
        let (new, ()) = tokio::join!(upgrade, change);
        new.unwrap();
        let levels = levels().await;
        assert_eq!(levels["kick"], Value::from(77));
        assert_eq!(levels["invite"], Value::from(50), "and it is closed");
    }
}

/// A policy server whose event is redacted is none any more.
#[tokio::test]
async fn a_redacted_policy_is_over_at_once() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        let handle = alice.room(&room).await;
        let redact = Redact {
            event_id: handle.state_id("m.room.policy", "").await,
            content: Object::new(),
            txn_id: None,
        };
        handle.redact(&alice.requester, redact).await.unwrap();
        pair.script.plays_policy(|_| None);
        alice.says(&room, "free").await.unwrap();
    }
}

/// ALIAS-03: an alias is gone even where the policy server wants the room to go on naming it.
#[tokio::test]
async fn an_alias_is_deleted_whatever_the_policy_server_says() {
    for pair in pairs().await {
        let (room, alice, _bob) = policed(&pair).await;
        let alias = ruma::RoomAliasId::parse("#lounge:here").unwrap();
        let (engine, by) = (&alice.engine, &alice.requester);
        engine.create_alias(by, &alias, &room).await.unwrap();
        let named = object! { "alias" => alias.as_str() };
        alice
            .puts(&room, "m.room.canonical_alias", named)
            .await
            .unwrap();
        pair.script
            .plays_policy(|_| Some(Err((400, "M_FORBIDDEN"))));
        engine.delete_alias(by, &alias).await.unwrap();
        assert!(engine.resolve_alias(&alias).await.is_err());
    }
}

impl crate::RoomHandle {
    async fn state_id(&self, kind: &str, key: &str) -> OwnedEventId {
        let key = self.state_key(kind, key).await.unwrap().unwrap();
        let row = self.current_state().await.unwrap()[&key];
        let known = self.context.events.get(&self.context.metas, row).await;
        known.unwrap().event.id().to_owned()
    }
}
