//! When e-mails about missed messages are sent, by a mailer on a script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::Map;
use tokio::sync::mpsc;

use super::fixture::{House, Person, houses, with_account};
use crate::{
    Clock as _, Error, Mail, MailFailure, MailSettings, Mailer, Preset, Pusher, PusherKind,
    ReceiptThread,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

const MINUTE: i64 = 60_000;

/// Answers as it is told, and says what it was given.
struct Script {
    answers: Mutex<VecDeque<MailFailure>>,
    given: mpsc::UnboundedSender<Mail>,
}

impl Mailer for Script {
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), MailFailure>> {
        self.given.send(mail).expect("the test listens");
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.map_or(Ok(()), Err) })
    }
}

/// A house that sends e-mails.
struct Post {
    given: mpsc::UnboundedReceiver<Mail>,
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
        let (given, listening) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            answers: Mutex::default(),
            given,
        });
        let settings = MailSettings {
            public_url: "https://here".to_owned(),
            room_url: "https://matrix.to/#/".to_owned(),
            delay_ms: 10 * MINUTE,
        };
        house.engine.connect_mailer(script.clone(), settings);
        let engine = house.engine.clone();
        let delivering = tokio::spawn(async move {
            tokio::join!(engine.run_push(), engine.run_pushers());
        });
        Self {
            given: listening,
            script,
            delivering,
        }
    }

    async fn next(&mut self) -> Mail {
        let given = tokio::time::timeout(PATIENCE, self.given.recv()).await;
        given.expect("an e-mail comes").expect("the script lives")
    }

    fn is_empty(&self) -> bool {
        self.given.is_empty()
    }
}

fn pusher(address: &str) -> Pusher {
    Pusher {
        kind: PusherKind::Email,
        app_id: "m.email".to_owned(),
        pushkey: address.to_owned(),
        app_display_name: "E-mail".to_owned(),
        device_display_name: address.to_owned(),
        profile_tag: None,
        lang: "en".to_owned(),
        data: Map::new(),
    }
}

/// Somebody with an address who wants e-mails.
async fn reader(house: &House) -> Person {
    let bob = with_account(house, "bob").await;
    let user = &bob.requester.user_id;
    let accounts = bob.engine.accounts();
    accounts.add_email(user, "bob@example.org").await.unwrap();
    let set = bob
        .engine
        .set_pusher(&bob.requester, pusher("Bob@example.org"), false);
    set.await.expect("the address is bob's");
    bob
}

async fn reads(whom: &Person, room: &ruma::OwnedRoomId, event: &ruma::OwnedEventId) {
    let handle = whom.room(room).await;
    let read = handle.set_receipt(&whom.requester, "m.read", event, ReceiptThread::Unthreaded);
    read.await.unwrap();
}

/// Time passes, and it is looked whom there is something to tell.
fn passes(house: &House, ms: i64, bob: &Person) {
    house.clock.advance(ms);
    let user = bob.requester.user_id.clone();
    house.engine.context.deliveries.wake([user]);
}

/// Waits until this pusher was looked at since: the next thing that it is to be told will be looked at anew.
async fn waits_for(bob: &Person, is: impl Fn(i64) -> bool) {
    let look = async || {
        let db = bob.engine.context.store.reader();
        let stored = storage::pushers::of_user(db, &bob.requester.user_id).await;
        stored.unwrap().first().map_or(0, |pusher| pusher.retry_ts)
    };
    let since = std::time::Instant::now();
    while !is(look().await) {
        assert!(since.elapsed() < PATIENCE, "it is never looked at");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_read_in_time_is_not_mailed_and_what_is_missed_comes_together() {
    for house in houses().await {
        let mut post = Post::of(&house);
        let (alice, bob) = (house.person("alice"), reader(&house).await);
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let first = alice.says(&room, "seen at once").await.unwrap();
        waits_for(&bob, |ts| ts > 0).await;
        reads(&bob, &room, &first).await;
        passes(&house, 11 * MINUTE, &bob);
        // It is looked at, and there is nothing.
        waits_for(&bob, |ts| ts == 0).await;
        assert!(post.is_empty(), "it was read");

        alice.says(&room, "two").await.unwrap();
        waits_for(&bob, |ts| ts > 0).await;
        passes(&house, 4 * MINUTE, &bob);
        alice.says(&room, "three").await.unwrap();
        let den = alice.creates("12", Preset::Private).await;
        alice.invites(&den, &bob).await.unwrap();
        // All of it has been followed.
        bob.syncs(None).await;
        passes(&house, 7 * MINUTE, &bob);
        let mail = post.next().await;
        assert_eq!(mail.to, "Bob@example.org");
        for said in ["two", "three", "Invites you", "https://matrix.to/#/"] {
            assert!(mail.text.contains(said), "{said}: {}", mail.text);
        }
        assert!(!mail.text.contains("seen at once"), "{}", mail.text);
        assert_eq!(
            mail.subject,
            "3 missed messages in a chat with @alice:here and elsewhere"
        );

        // Of a room that goes on nothing comes for a while.
        waits_for(&bob, |ts| ts == 0).await;
        alice.says(&room, "four").await.unwrap();
        waits_for(&bob, |ts| ts > 0).await;
        passes(&house, 11 * MINUTE, &bob);
        assert!(post.next().await.text.contains("four"));
        waits_for(&bob, |ts| ts == 0).await;
        let now = house.clock.now_ms();
        alice.says(&room, "five").await.unwrap();
        waits_for(&bob, |ts| ts > now).await;
        passes(&house, 11 * MINUTE, &bob);
        let later = now + 12 * MINUTE;
        waits_for(&bob, |ts| ts > later).await;
        assert!(post.is_empty(), "a day has not passed");
    }
}

#[tokio::test]
async fn an_email_that_fails_is_sent_later_and_unsubscribing_ends_them() {
    for house in houses().await {
        let mut post = Post::of(&house);
        let (alice, bob) = (house.person("alice"), reader(&house).await);
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let later = MailFailure::Later("busy".to_owned());
        post.script.answers.lock().unwrap().push_back(later);
        alice.says(&room, "one").await.unwrap();
        waits_for(&bob, |ts| ts > 0).await;
        passes(&house, 10 * MINUTE, &bob);
        let first = post.next().await;
        passes(&house, MINUTE, &bob);
        assert_eq!(post.next().await.text, first.text, "once more");

        let (_, token) = first.unsubscribe.split_once("token=").expect("a token");
        assert!(first.unsubscribe.starts_with("https://here/_matrix/"));
        assert_eq!(
            bob.engine.subscription(token).await.unwrap(),
            "Bob@example.org"
        );
        let refused = bob.engine.unsubscribe("made up").await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
        bob.engine.unsubscribe(token).await.unwrap();
        assert!(bob.engine.pushers(&bob.requester).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn only_own_addresses_get_mail_and_only_where_there_is_a_mail_server() {
    for house in houses().await {
        let bob = with_account(&house, "bob").await;
        let set = async |address: &str| {
            let set = bob
                .engine
                .set_pusher(&bob.requester, pusher(address), false);
            set.await
        };
        let refused = set("bob@example.org").await;
        assert!(
            matches!(refused, Err(Error::InvalidParam(_))),
            "{refused:?}"
        );
        let _post = Post::of(&house);
        let refused = set("bob@example.org").await;
        assert!(matches!(refused, Err(Error::EmailNotFound)), "{refused:?}");
        let eve = with_account(&house, "eve").await;
        let accounts = bob.engine.accounts();
        let (bobs, eves) = (&bob.requester.user_id, &eve.requester.user_id);
        accounts.add_email(bobs, "bob@example.org").await.unwrap();
        let taken = accounts.add_email(eves, "Bob@example.org").await;
        assert!(matches!(taken, Err(Error::EmailInUse)), "{taken:?}");
        let emails = accounts.emails(bobs).await.unwrap();
        assert_eq!(emails[0].address, "bob@example.org");
        set("bob@example.org").await.unwrap();
    }
}
