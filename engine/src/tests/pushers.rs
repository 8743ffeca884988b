//! What push gateways are told, by one on a script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ruma::OwnedRoomId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    federation::pairs,
    fixture::{House, Person, houses, with_account},
};
use crate::{
    CreateRoom, Error, GatewayFailure, Gateways, Preset, PushService, Pusher, PusherKind,
    ReceiptThread, WebPush,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers to events as it is told, and says what it heard.
struct Script {
    answers: Mutex<VecDeque<Result<Value, ()>>>,
    heard: mpsc::UnboundedSender<(String, Value)>,
}

impl Gateways for Script {
    fn notify(&self, url: String, body: String) -> BoxFuture<'_, Result<Vec<u8>, GatewayFailure>> {
        if url.starts_with("https://tarpit.") {
            return Box::pin(std::future::pending());
        }
        let body: Value = serde_json::from_str(&body).expect("JSON");
        // A count may come before an event, or not.
        let is_event = body["notification"]["event_id"].is_string();
        self.heard.send((url, body)).expect("the test listens");
        let mut answers = self.answers.lock().unwrap();
        let answer = is_event.then(|| answers.pop_front()).flatten();
        drop(answers);
        Box::pin(async move {
            match answer.unwrap_or_else(|| Ok(json!({ "rejected": [] }))) {
                Ok(answer) => Ok(answer.to_string().into_bytes()),
                Err(()) => Err(GatewayFailure("it is down".to_owned())),
            }
        })
    }

    fn push_to_browser(
        &self,
        _push: WebPush,
    ) -> BoxFuture<'_, Result<PushService, GatewayFailure>> {
        Box::pin(async { Ok(PushService::Taken) })
    }
}

/// A house whose gateways are on a script, and delivers.
struct Post {
    heard: mpsc::UnboundedReceiver<(String, Value)>,
    script: Arc<Script>,
    delivering: tokio::task::JoinHandle<()>,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.delivering.abort();
    }
}

impl Post {
    fn of(house: &House) -> Self {
        let (heard, listening) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            answers: Mutex::default(),
            heard,
        });
        house.engine.connect_gateways(script.clone());
        let engine = house.engine.clone();
        let delivering = tokio::spawn(async move {
            tokio::join!(engine.run_push(), engine.run_pushers());
        });
        Self {
            heard: listening,
            script,
            delivering,
        }
    }

    /// The next notification.
    async fn hears(&mut self) -> Value {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        let (url, body) = heard.expect("something comes").expect("the script lives");
        assert_eq!(url, "https://push.example/_matrix/push/v1/notify");
        body["notification"].clone()
    }

    /// The next one of an event.
    async fn hears_of_event(&mut self) -> Value {
        loop {
            let heard = self.hears().await;
            if heard["event_id"].is_string() {
                return heard;
            }
        }
    }

    fn answers(&self, answer: Result<Value, ()>) {
        self.script.answers.lock().unwrap().push_back(answer);
    }
}

fn pusher(pushkey: &str, data: &Value) -> Pusher {
    let mut whole = json!({"url": "https://push.example/_matrix/push/v1/notify"});
    for (key, value) in data.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    Pusher {
        kind: PusherKind::Http,
        app_id: "org.example.app".to_owned(),
        pushkey: pushkey.to_owned(),
        app_display_name: "App".to_owned(),
        device_display_name: "Phone".to_owned(),
        profile_tag: None,
        lang: "en".to_owned(),
        data: whole.as_object().expect("an object").clone(),
    }
}

async fn sets(whom: &Person, pusher: Pusher) {
    let set = whom.engine.set_pusher(&whom.requester, pusher, false);
    set.await.expect("the pusher is kept");
}

async fn two(house: &House) -> (Person, Person, OwnedRoomId) {
    let (alice, bob) = (house.person("alice"), house.person("bob"));
    let room = alice.creates("12", Preset::Public).await;
    bob.joins(&room).await.unwrap();
    (alice, bob, room)
}

#[tokio::test]
async fn gateways_hear_of_events_and_of_what_is_read() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut post = Post::of(&house);
        sets(&bob, pusher("key", &json!({"brand": "x"}))).await;
        let event = alice.says(&room, "hello").await.unwrap();
        let heard = post.hears_of_event().await;
        assert_eq!(heard["event_id"], event.as_str(), "{heard}");
        assert_eq!(
            (
                &heard["type"],
                &heard["content"]["body"],
                &heard["counts"]["unread"],
                &heard["prio"]
            ),
            (
                &json!("m.room.message"),
                &json!("hello"),
                &json!(1),
                &json!("high")
            ),
            "{heard}"
        );
        let device = &heard["devices"][0];
        assert_eq!(
            (&device["pushkey"], &device["data"]),
            (&json!("key"), &json!({"brand": "x"}))
        );
        assert_eq!(
            device["tweaks"]["sound"], "default",
            "between two: {device}"
        );
        let handle = bob.room(&room).await;
        let read = handle.set_receipt(&bob.requester, "m.read", &event, ReceiptThread::Unthreaded);
        read.await.unwrap();
        let heard = post.hears().await;
        assert_eq!(
            (&heard["counts"]["unread"], heard.get("event_id")),
            (&json!(0), None)
        );
        // What bob says himself tells him nothing; what is invited to does, with the least there is to say.
        sets(&bob, pusher("key", &json!({"format": "event_id_only"}))).await;
        bob.says(&room, "mine").await.unwrap();
        let den = alice.creates("12", Preset::Private).await;
        let invite = alice.invites(&den, &bob).await.unwrap();
        let heard = post.hears_of_event().await;
        assert_eq!(heard["event_id"], invite.as_str(), "{heard}");
        assert!(
            heard.get("content").is_none() && heard.get("sender").is_none(),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn a_gateway_that_is_down_hears_of_it_later_and_one_that_refuses_never_again() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut post = Post::of(&house);
        sets(&bob, pusher("key", &json!({}))).await;
        post.answers(Err(()));
        let first = alice.says(&room, "one").await.unwrap();
        assert_eq!(post.hears_of_event().await["event_id"], first.as_str());
        let second = alice.says(&room, "two").await.unwrap();
        // Both wait, in their order, until the time has come.
        house.clock.advance(60_000);
        for event in [&first, &second] {
            assert_eq!(post.hears_of_event().await["event_id"], event.as_str());
        }
        post.answers(Ok(json!({ "rejected": ["key"] })));
        alice.says(&room, "three").await.unwrap();
        while !bob.engine.pushers(&bob.requester).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn pushers_end_with_their_session_and_move_with_their_device() {
    for house in houses().await {
        let (_, bob, _) = two(&house).await;
        let carol = house.person("carol");
        let count = async |whom: &Person| {
            let pushers = whom.engine.pushers(&whom.requester).await;
            pushers.unwrap().len()
        };
        sets(&bob, pusher("key", &json!({}))).await;
        sets(&bob, pusher("other", &json!({}))).await;
        assert_eq!(count(&bob).await, 2);
        sets(&carol, pusher("key", &json!({}))).await;
        assert_eq!((count(&bob).await, count(&carol).await), (1, 1));
        let accounts = house.engine.accounts();
        accounts.log_out(&bob.requester).await.unwrap();
        assert_eq!((count(&bob).await, count(&carol).await), (0, 1));
        let delete = carol
            .engine
            .delete_pusher(&carol.requester, "org.example.app", "key");
        delete.await.unwrap();
        assert_eq!(count(&carol).await, 0);
        for url in [
            "http://push.example/_matrix/push/v1/notify",
            "https://push.example/elsewhere",
            "nonsense",
        ] {
            let refused = carol.engine.set_pusher(
                &carol.requester,
                pusher("key", &json!({ "url": url })),
                false,
            );
            assert!(
                matches!(refused.await, Err(Error::InvalidParam(_))),
                "{url}"
            );
        }
    }
}

/// PUSH-11, PUSH-12: all that a gateway is told of an event and of a count.
#[tokio::test]
async fn gateways_hear_who_and_where() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut post = Post::of(&house);
        sets(&bob, pusher("key", &json!({}))).await;
        let handle = alice.room(&room).await;
        let name = crate::SetState {
            event_type: "m.room.name".to_owned(),
            state_key: String::new(),
            content: spec::object! { "name" => "The Attic" },
        };
        handle.set_state(&alice.requester, name).await.unwrap();
        let event = alice.says(&room, "hello").await.unwrap();
        let heard = post.hears_of_event().await;
        assert_eq!(heard["event_id"], event.as_str());
        assert_eq!(heard["room_id"], room.as_str());
        assert_eq!(heard["room_name"], "The Attic");
        assert_eq!(heard["sender"], "@alice:here");
        assert_eq!(heard["user_is_target"], false);
        let since = heard["devices"][0]["pushkey_ts"].as_i64();
        assert_eq!(since, Some(1_700_000_000), "in seconds: {heard}");
        let read = handle.set_receipt(&bob.requester, "m.read", &event, ReceiptThread::Unthreaded);
        read.await.unwrap();
        let count = post.hears().await;
        assert_eq!(
            (&count["prio"], &count["counts"]["unread"]),
            (&json!("low"), &json!(0))
        );
        let den = alice.creates("12", Preset::Private).await;
        alice.invites(&den, &bob).await.unwrap();
        let heard = post.hears_of_event().await;
        assert_eq!(
            (&heard["user_is_target"], &heard["room_id"]),
            (&json!(true), &json!(den))
        );
    }
}

/// PUSH-10: on a device of two, both keep their pusher.
#[tokio::test]
async fn a_pusher_may_stand_beside_that_of_another_user() {
    for house in houses().await {
        let (_, bob, _) = two(&house).await;
        let carol = house.person("carol");
        sets(&bob, pusher("key", &json!({}))).await;
        let beside = carol
            .engine
            .set_pusher(&carol.requester, pusher("key", &json!({})), true);
        beside.await.unwrap();
        for who in [&bob, &carol] {
            assert_eq!(who.engine.pushers(&who.requester).await.unwrap().len(), 1);
        }
    }
}

/// PUSH-13: after a day nobody wants to hear of it any more.
#[tokio::test]
async fn what_could_not_be_told_for_a_day_is_given_up() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut post = Post::of(&house);
        sets(&bob, pusher("key", &json!({"events_only": true}))).await;
        post.answers(Err(()));
        let old = alice.says(&room, "one").await.unwrap();
        assert_eq!(post.hears().await["event_id"], old.as_str());
        post.answers(Err(()));
        house.clock.advance(25 * 3_600_000);
        assert_eq!(post.hears().await["event_id"], old.as_str());
        let new = alice.says(&room, "two").await.unwrap();
        assert_eq!(post.hears().await["event_id"], new.as_str());
    }
}

/// One gateway that takes its time held up all others of the same user.
#[tokio::test]
async fn a_gateway_that_says_nothing_holds_up_no_other() {
    for house in houses().await {
        let (alice, bob, room) = two(&house).await;
        let mut post = Post::of(&house);
        sets(&bob, pusher("key", &json!({"events_only": true}))).await;
        let stuck = json!({"url": "https://tarpit.example/_matrix/push/v1/notify"});
        let mut first = pusher("a", &stuck);
        first.app_id = "a".to_owned();
        sets(&bob, first).await;
        let event = alice.says(&room, "hello").await.unwrap();
        assert_eq!(post.hears().await["event_id"], event.as_str());
    }
}

/// PUSH-14: of a room that this server is not in, what came with the invite is all that there is to say.
#[tokio::test]
async fn gateways_hear_where_another_server_invites_to() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = with_account(&pair.there, "bob").await;
        let mut post = Post::of(&pair.there);
        sets(&bob, pusher("key", &json!({}))).await;
        let create = CreateRoom {
            preset: Some(Preset::Private),
            name: Some("The Attic".to_owned()),
            ..CreateRoom::default()
        };
        let room = alice.engine.create_room(&alice.requester, create).await;
        alice.invites(&room.unwrap(), &bob).await.unwrap();
        let heard = post.hears_of_event().await;
        assert_eq!(heard["room_name"], "The Attic");
        assert_eq!(heard["sender"], "@alice:here");
        assert_eq!(heard["user_is_target"], true);
        assert_eq!(heard["type"], "m.room.member");
    }
}
