//! Two people chat through a homeserver with matrix-sdk, both syncing all the while.
//!
//! Usage: `cargo run -- BASE_URL`

mod person;

use std::error::Error;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use matrix_sdk::RoomState;
use matrix_sdk::room::MessagesOptions;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request as CreateRoom, RoomPreset};
use matrix_sdk::ruma::events::receipt::ReceiptThread;
use matrix_sdk::ruma::events::room::message::RoomMessageEventContent;
use matrix_sdk::ruma::{OwnedRoomId, UInt};

use self::person::Person;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The steps that are done.
#[derive(Default)]
struct Story {
    passed: usize,
}

impl Story {
    /// Says that the step that ends here went well.
    fn step(&mut self, name: &str) {
        self.passed += 1;
        println!("ok      rust: {name}");
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(base_url) = std::env::args().nth(1) else {
        eprintln!("usage: cargo run -- BASE_URL");
        return ExitCode::from(2);
    };
    let mut story = Story::default();
    let told = tell(&mut story, &base_url).await;
    if let Err(error) = &told {
        println!("FAILED  rust: the next step: {error}");
    }
    println!(
        "rust: {} passed, {} failed",
        story.passed,
        u8::from(told.is_err())
    );
    if told.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn tell(story: &mut Story, base_url: &str) -> Result<()> {
    let stamp = UNIX_EPOCH.elapsed()?.as_millis();
    let mut alice = Person::arrives(base_url, &format!("rs-alice-{stamp}")).await?;
    let bob_name = format!("rs-bob-{stamp}");
    let mut bob = Person::arrives(base_url, &bob_name).await?;
    story.step("two people register, log in and sync");

    let room = meet(story, &mut alice, &mut bob).await?;
    talk(story, &mut alice, &mut bob, &room).await?;
    scroll_back(story, Person::logs_in(base_url, &bob_name).await?, &room).await?;
    part(story, &mut alice, &mut bob, &room).await
}

async fn meet(story: &mut Story, alice: &mut Person, bob: &mut Person) -> Result<OwnedRoomId> {
    let mut ask = CreateRoom::new();
    ask.name = Some("The rookery".to_owned());
    ask.preset = Some(RoomPreset::PrivateChat);
    let room = alice.client.create_room(ask).await?.room_id().to_owned();
    alice
        .until("room name", |client, _| client.get_room(&room)?.name())
        .await?;
    story.step("alice creates a room");

    alice.room(&room)?.invite_user_by_id(bob.id()).await?;
    let invited = bob.sees_room(&room, RoomState::Invited).await?;
    check(
        invited.name().as_deref() == Some("The rookery"),
        "he does not see its name",
    )?;
    story.step("alice invites bob, and his sync says so");

    bob.client.join_room_by_id(&room).await?;
    alice.sees_membership(bob.id(), "join").await?;
    bob.sees_room(&room, RoomState::Joined).await?;
    story.step("bob joins, and both see it");
    Ok(room)
}

async fn talk(
    story: &mut Story,
    alice: &mut Person,
    bob: &mut Person,
    room: &OwnedRoomId,
) -> Result<()> {
    for turn in 0..5 {
        alice.says(room, &format!("ping {turn}")).await?;
        bob.sees_text(alice.id(), &format!("ping {turn}")).await?;
        bob.says(room, &format!("pong {turn}")).await?;
        alice.sees_text(bob.id(), &format!("pong {turn}")).await?;
    }
    story.step("messages go both ways while both sync");

    alice.room(room)?.typing_notice(true).await?;
    let id = alice.id().as_str();
    bob.sees("typing", |event| {
        let typing = event["content"]["user_ids"].as_array();
        event["type"] == "m.typing" && typing.is_some_and(|users| users.iter().any(|u| u == id))
    })
    .await?;
    alice.room(room)?.typing_notice(false).await?;
    story.step("typing shows");

    let message = alice.says(room, "read me").await?;
    bob.sees_text(alice.id(), "read me").await?;
    let own = bob.room(room)?;
    own.send_single_receipt(
        ReceiptType::Read,
        ReceiptThread::Unthreaded,
        message.clone(),
    )
    .await?;
    let reader = bob.id().as_str();
    alice
        .sees("receipt", |event| {
            let read = &event["content"][message.as_str()]["m.read"][reader];
            event["type"] == "m.receipt" && read.is_object()
        })
        .await?;
    story.step("a read receipt reaches the author");

    let taken_back = alice.says(room, "I take this back").await?;
    bob.sees_text(alice.id(), "I take this back").await?;
    alice
        .room(room)?
        .redact(&taken_back, Some("second thoughts"), None)
        .await?;
    for person in [alice, &mut *bob] {
        person
            .sees("redaction", |event| {
                event["type"] == "m.room.redaction"
                    && event["content"]["redacts"] == taken_back.as_str()
            })
            .await?;
    }
    let served = bob.room(room)?.event(&taken_back, None).await?;
    let served: serde_json::Value = serde_json::from_str(served.raw().json().get())?;
    check(
        served["content"].get("body").is_none(),
        "the server still gives the text",
    )?;
    story.step("a redacted message loses its text for both");
    Ok(())
}

async fn scroll_back(story: &mut Story, again: Person, room: &OwnedRoomId) -> Result<()> {
    let mut types = Vec::new();
    let mut texts = Vec::new();
    let mut from = None;
    loop {
        let mut options = MessagesOptions::backward().from(from.as_deref());
        options.limit = UInt::from(10_u32);
        let page = again.room(room)?.messages(options).await?;
        for event in &page.chunk {
            let event: serde_json::Value = serde_json::from_str(event.raw().json().get())?;
            types.push(event["type"].as_str().unwrap_or_default().to_owned());
            texts.extend(event["content"]["body"].as_str().map(str::to_owned));
        }
        from = page.end;
        if from.is_none() || types.len() > 200 {
            break;
        }
    }
    check(
        types.last().is_some_and(|last| last == "m.room.create"),
        "it does not end with the creation",
    )?;
    let place = |text| texts.iter().position(|other| other == text);
    check(place("pong 4") < place("ping 0"), "the order is wrong")?;
    again.client.matrix_auth().logout().await?;
    check(
        again.client.whoami().await.is_err(),
        "its token works after the logout",
    )?;
    story.step("a new device scrolls back to the beginning, and logs out");
    Ok(())
}

async fn part(
    story: &mut Story,
    alice: &mut Person,
    bob: &mut Person,
    room: &OwnedRoomId,
) -> Result<()> {
    let left = bob.room(room)?;
    left.leave().await?;
    bob.sees_room(room, RoomState::Left).await?;
    alice.sees_membership(bob.id(), "leave").await?;
    let refusal = left
        .send(RoomMessageEventContent::text_plain("am I still here?"))
        .await;
    check(refusal.is_err(), "his next message was taken")?;
    story.step("bob leaves, and both see it");
    Ok(())
}

fn check(condition: bool, message: &str) -> Result<()> {
    if condition {
        Ok(())
    } else {
        Err(message.into())
    }
}
