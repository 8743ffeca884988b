//! Who is notified of what, and what is unread to whom.

use ruma::{
    OwnedEventId, OwnedRoomId,
    api::client::sync::sync_events::v3::Response,
    push::{Action, NewConditionalPushRule, NewPushRule, NewSimplePushRule, RuleKind},
};
use serde_json::json;
use spec::{json::Object, object};

use super::{
    backfill::scrolled,
    federation::{name, pairs},
    fixture::{House, Person, houses, target},
};
use crate::{
    CreateRoom, Direction, Error, NotificationsAsk, Preset, ReceiptThread, Redact, RulePlace, Send,
    SyncAsk, account_data::Place,
};

impl Person {
    async fn sends_content(&self, room: &OwnedRoomId, content: Object) -> OwnedEventId {
        let ask = Send {
            event_type: "m.room.message".to_owned(),
            content,
            txn_id: None,
        };
        let room = self.room(room).await;
        room.send(&self.requester, ask).await.expect("it is sent")
    }

    async fn reads(&self, room: &OwnedRoomId, event: &OwnedEventId, thread: ReceiptThread) {
        let room = self.room(room).await;
        let read = room.set_receipt(&self.requester, "m.read", event, thread);
        read.await.expect("it is read");
    }

    async fn syncs_threads(&self, since: Option<&str>) -> Response {
        let ask = SyncAsk {
            since: since.map(str::to_owned),
            filter: serde_json::from_value(
                json!({"room": {"timeline": {"unread_thread_notifications": true}}}),
            )
            .expect("a filter"),
            ..SyncAsk::default()
        };
        self.engine
            .sync(&self.requester, &ask)
            .await
            .expect("it is answered")
    }

    async fn mutes(&self, room: &OwnedRoomId) {
        let rule = NewPushRule::Room(NewSimplePushRule::new(room.clone(), Vec::new()));
        let accounts = self.engine.accounts();
        let put = accounts.put_push_rule(&self.requester, rule, RulePlace::default());
        put.await.expect("the rule is kept");
    }
}

/// The events on the first page of what has notified somebody.
pub(super) async fn listed(whom: &Person) -> Vec<OwnedEventId> {
    let ask = NotificationsAsk::default();
    let page = whom.engine.notifications(&whom.requester, &ask).await;
    let ids = page
        .expect("a page")
        .notifications
        .into_iter()
        .map(|found| {
            let id = found.event.get_field::<OwnedEventId>("event_id").unwrap();
            id.expect("an id")
        });
    ids.collect()
}

/// Notifications and highlights of a room in a response.
fn counts(response: &Response, room: &OwnedRoomId) -> Option<(u64, u64)> {
    let unread = &response.rooms.join.get(room)?.unread_notifications;
    Some((
        unread.notification_count?.into(),
        unread.highlight_count?.into(),
    ))
}

/// Alice, and a room of hers that bob is in.
async fn two(house: &House) -> (Person, Person, OwnedRoomId) {
    let (alice, bob) = (house.person("alice"), house.person("bob"));
    let room = alice.creates("12", Preset::Public).await;
    bob.joins(&room).await.unwrap();
    (alice, bob, room)
}

fn mention(text: &str, whom: &Person) -> Object {
    let users = spec::json::Value::Array(vec![whom.requester.user_id.as_str().into()]);
    object! { "body" => text, "msgtype" => "m.text", "m.mentions" => object! { "user_ids" => users } }
}

#[tokio::test]
async fn counts_come_with_the_event_and_go_with_what_is_read() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut since = bob.syncs(None).await;
        assert_eq!(counts(&since, &room), Some((0, 0)), "at first");
        let first = alice.says(&room, "one").await.unwrap();
        for (n, highlights) in [(1, 0), (2, 1), (3, 2)] {
            let sync = bob.syncs(Some(&since.next_batch)).await;
            assert_eq!(counts(&sync, &room), Some((n, highlights)), "after {n}");
            since = sync;
            if n < 3 {
                alice.sends_content(&room, mention("bob!", &bob)).await;
            }
        }
        let whole = bob.syncs(None).await;
        assert_eq!(counts(&whole, &room), Some((3, 2)), "in a first sync");
        assert_eq!(
            counts(&alice.syncs(None).await, &room),
            Some((0, 0)),
            "to who wrote it"
        );

        // Only a part: the rest stays.
        bob.reads(&room, &first, ReceiptThread::Unthreaded).await;
        let sync = bob.syncs(Some(&since.next_batch)).await;
        assert_eq!(counts(&sync, &room), Some((2, 2)), "after a receipt");
        // To write is to read.
        bob.says(&room, "two").await.unwrap();
        let sync = bob.syncs(Some(&sync.next_batch)).await;
        assert_eq!(counts(&sync, &room), Some((0, 0)), "after an own message");
        let last = alice.says(&room, "three").await.unwrap();
        bob.reads(&room, &last, ReceiptThread::Main).await;
        let sync = bob.syncs(Some(&sync.next_batch)).await;
        assert_eq!(counts(&sync, &room), Some((0, 0)), "all read");
        // Backwards is no way.
        bob.reads(&room, &first, ReceiptThread::Unthreaded).await;
        assert_eq!(counts(&bob.syncs(None).await, &room), Some((0, 0)));
    }
}

/// RCPT-02: a receipt may come before its event, and counts when that comes, also after a restart.
#[tokio::test]
async fn what_was_read_before_it_came_is_read() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("12").await;
        let handle = alice.room(&room).await;
        let unread = async || counts(&alice.syncs(None).await, &room).unwrap().0;
        let first = bob.says(&room, "one").await.unwrap();
        let second = bob.says(&room, "two").await.unwrap();
        // Neither is here, so that this server knows of nothing that is unread.
        for event in [&second, &first] {
            let read =
                handle.set_receipt(&alice.requester, "m.read", event, ReceiptThread::Unthreaded);
            read.await.unwrap();
        }
        assert_eq!(unread().await, 0);
        let both = [first, second];
        pair.deliver(&pair.there, &pair.here, &both).await;
        // The last word is that she has read the first one.
        assert_eq!(unread().await, 1);

        let third = bob.says(&room, "three").await.unwrap();
        let read = handle.set_receipt(&alice.requester, "m.read", &third, ReceiptThread::Main);
        read.await.unwrap();
        // What notifies is written down, and with it that the receipt was followed.
        let carol = pair.here.person("carol");
        let invited = carol.creates("12", Preset::Private).await;
        let invite = carol.invites(&invited, &alice).await.unwrap();
        assert_eq!(listed(&alice).await[0], invite);
        let again = House::named(pair.here.engine.context.store.clone(), name(&pair.here));
        pair.connect(&again);
        pair.deliver(&pair.there, &again, &[third]).await;
        let alice = again.person("alice");
        assert_eq!(counts(&alice.syncs(None).await, &room), Some((0, 0)));
    }
}

#[tokio::test]
async fn threads_are_counted_and_read_by_themselves() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let root = alice.says(&room, "root").await.unwrap();
        let in_thread = |text: &str| {
            let relation = object! { "rel_type" => "m.thread", "event_id" => root.as_str() };
            object! { "body" => text, "msgtype" => "m.text", "m.relates_to" => relation }
        };
        let reply = alice.sends_content(&room, in_thread("reply")).await;
        let at = |response: &Response| {
            let joined = &response.rooms.join[&room];
            let thread = joined.unread_thread_notifications.get(&root);
            let thread = thread.and_then(|count| count.notification_count);
            (
                counts(response, &room).map(|(n, _)| n),
                thread.map(u64::from),
            )
        };
        let sync = bob.syncs_threads(None).await;
        assert_eq!(at(&sync), (Some(1), Some(1)));
        assert_eq!(
            counts(&bob.syncs(None).await, &room),
            Some((2, 0)),
            "in one sum"
        );
        // What belongs elsewhere cannot be read there.
        let handle = bob.room(&room).await;
        let other = alice
            .sends_content(&room, mention("elsewhere", &alice))
            .await;
        for (event, thread) in [
            (&reply, ReceiptThread::Main),
            (&reply, ReceiptThread::Thread(other.clone())),
            (&other, ReceiptThread::Thread(root.clone())),
        ] {
            let read = handle.set_receipt(&bob.requester, "m.read", event, thread.clone());
            let refused = read.await;
            assert!(
                matches!(refused, Err(Error::InvalidParam(_))),
                "{event} {thread:?}: {refused:?}"
            );
        }
        bob.reads(&room, &other, ReceiptThread::Main).await;
        let sync = bob.syncs_threads(Some(&sync.next_batch)).await;
        assert_eq!(at(&sync), (Some(0), Some(1)), "main is read");
        bob.reads(&room, &reply, ReceiptThread::Thread(root.clone()))
            .await;
        let sync = bob.syncs_threads(Some(&sync.next_batch)).await;
        assert_eq!(at(&sync), (Some(0), None), "the thread is read");
        alice.sends_content(&room, in_thread("more")).await;
        let last = alice.says(&room, "more").await.unwrap();
        bob.reads(&room, &last, ReceiptThread::Unthreaded).await;
        let sync = bob.syncs_threads(None).await;
        assert_eq!(at(&sync), (Some(0), None), "all is read at once");
    }
}

/// MSC4306.
#[tokio::test]
async fn who_follows_a_thread_hears_of_no_other() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let carol = house.person("carol");
        carol.joins(&room).await.unwrap();
        let followed = alice.says(&room, "followed").await.unwrap();
        let other = alice.says(&room, "other").await.unwrap();
        let reply = async |root: &OwnedEventId, mut content: Object| {
            let relation = object! { "rel_type" => "m.thread", "event_id" => root.as_str() };
            content.insert("m.relates_to".to_owned(), relation.into());
            alice.sends_content(&room, content).await
        };
        let text = || object! { "body" => "reply", "msgtype" => "m.text" };
        let follow = house
            .engine
            .subscribe_thread(&bob.requester, &room, &followed, None);
        follow.await.unwrap();
        let mut heard = Vec::new();
        let unread = async |whom: &Person| counts(&whom.syncs(None).await, &room).unwrap();
        let reads_all = async |event: &OwnedEventId| {
            bob.reads(&room, event, ReceiptThread::Unthreaded).await;
        };
        reads_all(&other).await;
        // Before anything else is looked at, so that nothing is counted of an other time.
        for (root, content) in [
            (&followed, text()),
            (&other, text()),
            (&other, mention("bob!", &bob)),
        ] {
            let event = reply(root, content).await;
            heard.push(unread(&bob).await);
            reads_all(&event).await;
        }
        assert_eq!(heard, [(1, 0), (0, 0), (1, 1)]);
        assert_eq!(unread(&carol).await.0, 5, "as ever");
        // What is said outside of threads is as ever, and a muted room does not mute the thread.
        let event = alice.says(&room, "hello").await.unwrap();
        assert_eq!(unread(&bob).await, (1, 0));
        reads_all(&event).await;
        bob.mutes(&room).await;
        let event = reply(&followed, text()).await;
        assert_eq!(unread(&bob).await, (1, 0));
        reads_all(&event).await;
        let accounts = house.engine.accounts();
        let (kind, rule) = (
            RuleKind::from("postcontent"),
            ".io.element.msc4306.rule.subscribed_thread",
        );
        let disabled = accounts.set_push_rule_enabled(&bob.requester, kind.clone(), rule, false);
        disabled.await.unwrap();
        let event = reply(&followed, text()).await;
        assert_eq!(unread(&bob).await, (0, 0), "neither rule");
        reads_all(&event).await;
        let enabled = accounts.set_push_rule_enabled(&bob.requester, kind.clone(), rule, true);
        enabled.await.unwrap();
        let stop = house
            .engine
            .unsubscribe_thread(&bob.requester, &room, &followed);
        stop.await.unwrap();
        reply(&followed, text()).await;
        assert_eq!(unread(&bob).await, (0, 0), "no more");
        // Only who follows threads has the rules.
        assert!(
            accounts
                .push_rule(&bob.requester, kind.clone(), rule)
                .await
                .is_ok()
        );
        let none = accounts.push_rule(&carol.requester, kind, rule).await;
        assert!(matches!(none, Err(Error::NotFound(_))), "{none:?}");
    }
}

#[tokio::test]
async fn rules_of_ones_own_decide_and_who_is_ignored_is_not_heard() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let carol = house.person("carol");
        carol.joins(&room).await.unwrap();
        bob.mutes(&room).await;
        let ignored = json!({"ignored_users": {alice.requester.user_id.as_str(): {}}});
        let place = Place {
            user_id: &carol.requester.user_id,
            room_id: None,
        };
        let content = serde_json::value::to_raw_value(&ignored).unwrap();
        let accounts = house.engine.accounts();
        let set =
            accounts.set_account_data(&carol.requester, place, "m.ignored_user_list", &content);
        set.await.unwrap();
        alice.says(&room, "hello").await.unwrap();
        alice.sends_content(&room, mention("carol!", &carol)).await;
        for (who, expected) in [(&bob, (0, 0)), (&carol, (0, 0))] {
            assert_eq!(
                counts(&who.syncs(None).await, &room),
                Some(expected),
                "{:?}",
                who.requester.user_id
            );
        }
        // A mention comes before the rule that mutes the room.
        alice.sends_content(&room, mention("bob!", &bob)).await;
        assert_eq!(counts(&bob.syncs(None).await, &room), Some((1, 1)));
        // Somebody new hears as usual, but not of what was before.
        let dave = house.person("dave");
        dave.joins(&room).await.unwrap();
        assert_eq!(counts(&dave.syncs(None).await, &room), Some((0, 0)));
        alice.says(&room, "hello dave").await.unwrap();
        assert_eq!(counts(&dave.syncs(None).await, &room), Some((1, 0)));
        dave.leaves(&room).await.unwrap();
        alice.says(&room, "is he gone?").await.unwrap();
        dave.joins(&room).await.unwrap();
        assert_eq!(
            counts(&dave.syncs(None).await, &room),
            Some((0, 0)),
            "after coming back"
        );
    }
}

#[tokio::test]
async fn only_those_who_may_notify_the_whole_room() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let everybody = || object! { "body" => "@room", "msgtype" => "m.text", "m.mentions" => object! { "room" => true } };
        bob.sends_content(&room, everybody()).await;
        assert_eq!(
            counts(&alice.syncs(None).await, &room),
            Some((1, 0)),
            "by bob"
        );
        alice.sends_content(&room, everybody()).await;
        assert_eq!(
            counts(&bob.syncs(None).await, &room),
            Some((1, 1)),
            "by the creator"
        );
    }
}

/// PUSH-04: a rule of one's own that asks what the sender may do, in words or for another kind of notification.
#[tokio::test]
async fn rules_of_ones_own_may_ask_what_the_sender_may_do() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let levels = object! { "notifications" => object! { "party" => 100_i64 } };
        let ask = CreateRoom {
            // Here alice has a level like others, which is 100.
            room_version: Some("11".to_owned()),
            preset: Some(Preset::Public),
            power_level_content_override: levels,
            ..CreateRoom::default()
        };
        let room = alice
            .engine
            .create_room(&alice.requester, ask)
            .await
            .unwrap();
        let carol = house.person("carol");
        for who in [&bob, &carol] {
            who.joins(&room).await.unwrap();
        }
        let rule = |key: &str| {
            let conditions = json!([
                {"kind": "event_match", "key": "content.body", "pattern": key},
                {"kind": "sender_notification_permission", "key": key},
            ]);
            let loud = json!(["notify", {"set_tweak": "highlight"}]);
            NewPushRule::Override(NewConditionalPushRule::new(
                key.to_owned(),
                serde_json::from_value(conditions).unwrap(),
                serde_json::from_value(loud).unwrap(),
            ))
        };
        let accounts = house.engine.accounts();
        for key in ["room", "party", "other"] {
            let put = accounts.put_push_rule(&carol.requester, rule(key), RulePlace::default());
            put.await.unwrap();
        }
        for (who, highlights) in [(&bob, 0), (&alice, 3)] {
            for key in ["room", "party", "other"] {
                who.says(&room, &format!("to the {key}")).await.unwrap();
            }
            let (_, found) = counts(&carol.syncs(None).await, &room).unwrap();
            assert_eq!(found, highlights, "{:?}", who.requester.user_id);
        }
    }
}

/// PUSH-14: an invite that its user wants to hear nothing of.
#[tokio::test]
async fn an_invite_that_is_ignored_notifies_nobody() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let place = Place {
            user_id: &bob.requester.user_id,
            room_id: None,
        };
        let ignored = json!({"ignored_users": [alice.requester.user_id.as_str()]});
        let content = serde_json::value::to_raw_value(&ignored).unwrap();
        let kind = spec::invite_permission::FILTER;
        let accounts = house.engine.accounts();
        let set = accounts.set_account_data(&bob.requester, place, kind, &content);
        set.await.unwrap();
        let room = alice.creates("12", Preset::Private).await;
        alice.invites(&room, &bob).await.unwrap();
        let wanted = house.person("carol").creates("12", Preset::Private).await;
        let invite = house.person("carol").invites(&wanted, &bob).await.unwrap();
        assert_eq!(listed(&bob).await, [invite]);
    }
}

/// PUSH-15: what others are notified of costs nothing, and pages are full.
#[tokio::test]
async fn notifications_are_found_among_those_of_others() {
    for store in storage::testing::open_each().await.unwrap() {
        let house = House::on(store.clone());
        let (alice, bob, room) = two(&house).await;
        let own = alice.sends_content(&room, mention("bob!", &bob)).await;
        let elsewhere = alice.creates("12", Preset::Public).await;
        let carol = house.person("carol");
        carol.joins(&elsewhere).await.unwrap();
        for n in 0..600 {
            alice.says(&elsewhere, &n.to_string()).await.unwrap();
        }
        listed(&carol).await;
        let before = store.reads();
        assert_eq!(listed(&bob).await, [own]);
        let reads = store.reads() - before;
        assert!(reads <= 20, "{reads} statements");
        assert_eq!(listed(&carol).await.len(), 30, "one page");
        // What bob has muted does not fill his pages either.
        bob.mutes(&room).await;
        for n in 0..600 {
            alice.says(&room, &n.to_string()).await.unwrap();
        }
        let before = store.reads();
        let ask = NotificationsAsk::default();
        let page = house.engine.notifications(&bob.requester, &ask).await;
        let page = page.unwrap();
        assert_eq!((page.notifications.len(), page.next), (1, None));
        let reads = store.reads() - before;
        assert!(reads <= 20, "{reads} statements");
    }
}

/// PUSH-15: with who the reader was, and without what they may not see any more.
#[tokio::test]
async fn listed_notifications_are_for_their_reader() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        alice.sends_content(&room, mention("hello", &bob)).await;
        let den = alice.creates("12", Preset::Private).await;
        alice.invites(&den, &bob).await.unwrap();
        let ask = NotificationsAsk::default();
        let page = house.engine.notifications(&bob.requester, &ask).await;
        let memberships = page.unwrap().notifications.into_iter().map(|found| {
            let event = found.event.deserialize_as_unchecked::<serde_json::Value>();
            event.unwrap()["unsigned"]["membership"].clone()
        });
        let memberships: Vec<_> = memberships.collect();
        assert_eq!(memberships, ["invite", "join"]);
    }
}

/// Each event read the rules of those one by one who have their own.
#[tokio::test]
async fn the_rules_of_many_are_read_together() {
    const MANY: usize = 300;
    for store in storage::testing::open_each().await.unwrap() {
        let house = House::on(store.clone());
        let (alice, bob, room) = two(&house).await;
        for n in 0..MANY {
            let user = house.person(&format!("user{n}"));
            user.joins(&room).await.unwrap();
            user.mutes(&room).await;
        }
        let context = &house.engine.context;
        context.scored(context.notifier.position()).await.unwrap();
        context.forget_personal();
        alice.says(&room, "hello").await.unwrap();
        let before = store.reads();
        context.scored(context.notifier.position()).await.unwrap();
        let reads = store.reads() - before;
        assert!(reads < 20, "{reads} statements");
        assert_eq!(counts(&bob.syncs(None).await, &room), Some((1, 0)));
        let last = house.person("user7");
        assert_eq!(counts(&last.syncs(None).await, &room), Some((0, 0)));
    }
}

#[tokio::test]
async fn what_was_not_followed_before_a_stop_is_followed_after_it() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let first = alice.says(&room, "one").await.unwrap();
        assert_eq!(counts(&bob.syncs(None).await, &room), Some((1, 0)));
        alice.says(&room, "two").await.unwrap();
        bob.reads(&room, &first, ReceiptThread::Unthreaded).await;
        alice.sends_content(&room, mention("bob!", &bob)).await;
        // Another engine on the same data, that has heard of nothing.
        let again = House::on(house.engine.context.store.clone());
        let bob = again.person("bob");
        assert_eq!(counts(&bob.syncs(None).await, &room), Some((2, 1)));
    }
}

#[tokio::test]
async fn notifications_are_listed_newest_first() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let den = alice.creates("12", Preset::Private).await;
        let first = alice.says(&room, "one").await.unwrap();
        let second = alice.sends_content(&room, mention("bob!", &bob)).await;
        bob.says(&room, "mine").await.unwrap();
        let invite = alice.invites(&den, &bob).await.unwrap();
        let last = alice.says(&room, "two").await.unwrap();
        let list = async |ask: NotificationsAsk| {
            let page = house
                .engine
                .notifications(&bob.requester, &ask)
                .await
                .unwrap();
            let ids = page.notifications.iter().map(|found| {
                let id = found.event.get_field::<OwnedEventId>("event_id").unwrap();
                (id.expect("an id"), found.read)
            });
            (ids.collect::<Vec<_>>(), page.next)
        };
        let (all, next) = list(NotificationsAsk::default()).await;
        let expected = [
            (last.clone(), false),
            (invite, false),
            (second.clone(), true),
            (first, true),
        ];
        assert_eq!((all.as_slice(), next), (expected.as_slice(), None));
        let (page, next) = list(NotificationsAsk {
            limit: Some(1),
            ..Default::default()
        })
        .await;
        assert_eq!(page, [(last, false)]);
        let rest = NotificationsAsk {
            from: next,
            only_highlights: true,
            ..Default::default()
        };
        assert_eq!(list(rest).await.0, [(second, true)]);
        let nonsense = NotificationsAsk {
            from: Some("here".to_owned()),
            ..Default::default()
        };
        assert!(
            house
                .engine
                .notifications(&bob.requester, &nonsense)
                .await
                .is_err()
        );
        assert!(
            alice
                .engine
                .notifications(&alice.requester, &NotificationsAsk::default())
                .await
                .unwrap()
                .notifications
                .len()
                == 1,
            "bob's message"
        );
    }
}

#[tokio::test]
async fn what_is_redacted_is_unread_no_more() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let since = bob.syncs(None).await.next_batch;
        let said = alice.sends_content(&room, mention("oh", &bob)).await;
        alice.says(&room, "well").await.unwrap();
        assert_eq!(counts(&bob.syncs(Some(&since)).await, &room), Some((2, 1)));
        let redaction = Redact {
            event_id: said,
            content: Object::new(),
            txn_id: None,
        };
        let handle = alice.room(&room).await;
        handle.redact(&alice.requester, redaction).await.unwrap();
        let sync = bob.syncs(Some(&since)).await;
        assert_eq!(counts(&sync, &room), Some((1, 0)), "from memory");
        assert_eq!(counts(&bob.syncs(None).await, &room), Some((1, 0)));
        let ask = NotificationsAsk::default();
        let listed = bob.engine.notifications(&bob.requester, &ask).await;
        assert_eq!(listed.unwrap().notifications.len(), 1);
    }
}

/// PUSH-05: neither what comes from before one was there, nor what a ban has made void.
#[tokio::test]
async fn history_and_what_is_soft_failed_notify_nobody() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        let early = alice.sends_content(&room, mention("before you came", &bob));
        let early = early.await;
        let via = vec![name(&pair.here)];
        let join = bob
            .engine
            .join(&bob.requester, &room, via, None, Object::new());
        join.await.unwrap();
        let mentions = alice.sends_content(&room, mention("now that you are here", &bob));
        let mentions = mentions.await;
        let since = bob.syncs(None).await.next_batch;
        let found = scrolled(&bob, &room, Direction::Backward).await;
        assert!(!found.contains(&mentions), "it was not brought yet");
        assert!(found.contains(&early), "history was fetched");
        assert!(listed(&bob).await.is_empty());
        pair.deliver(&pair.here, &pair.there, std::slice::from_ref(&mentions))
            .await;
        assert_eq!(listed(&bob).await, [mentions], "what is news notifies");
        assert_eq!(counts(&bob.syncs(Some(&since)).await, &room), Some((1, 1)));

        // Bob's server does not know yet that he is banned.
        let handle = alice.room(&room).await;
        handle.ban(&alice.requester, target(&bob)).await.unwrap();
        let late = bob.sends_content(&room, mention("hello?", &alice)).await;
        pair.deliver(&pair.there, &pair.here, &[late]).await;
        assert!(listed(&alice).await.is_empty());
        assert_eq!(counts(&alice.syncs(None).await, &room), Some((0, 0)));
    }
}

/// PUSH-16: a message between two is one though a third has come before anybody asks what it does.
#[tokio::test]
async fn rules_see_the_room_as_it_was_at_the_event() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        alice.says(&room, "between us").await.unwrap();
        house.person("carol").joins(&room).await.unwrap();
        alice.says(&room, "among us").await.unwrap();
        let ask = NotificationsAsk::default();
        let page = bob
            .engine
            .notifications(&bob.requester, &ask)
            .await
            .unwrap();
        let loud = page.notifications.iter().map(|found| {
            let sound = |action: &Action| action.sound().is_some();
            found.actions.iter().any(sound)
        });
        assert_eq!(loud.collect::<Vec<_>>(), [false, true], "newest first");
    }
}
