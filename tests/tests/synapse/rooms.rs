//! The life of a public room: joined by alias and by ID, talked in, changed, redacted, policed, left.

use serde_json::json;
use tests::{Room, path::v3};

use crate::{
    person::Person,
    world::{World, agree, name},
};

#[tokio::test]
async fn a_room_of_version_1() {
    both_ways("1").await;
}

#[tokio::test]
async fn a_room_of_version_6() {
    both_ways("6").await;
}

#[tokio::test]
async fn a_room_of_version_10() {
    both_ways("10").await;
}

#[tokio::test]
async fn a_room_of_version_11() {
    both_ways("11").await;
}

#[tokio::test]
async fn a_room_of_version_12() {
    both_ways("12").await;
}

/// Lets a room live on our server, and one on Synapse.
async fn both_ways(version: &str) {
    let Some(world) = World::new().await else {
        return;
    };
    let (ours, theirs) = tokio::join!(world.couple(), world.couple());
    tokio::join!(
        lives(ours.0, ours.1, version),
        lives(theirs.1, theirs.0, version)
    );
}

async fn lives(mut host: Person, mut guest: Person, version: &str) {
    let alias = name("place");
    let room = host.creates_room().public().version(version);
    let room = room.option("room_alias_name", json!(alias)).await;
    let alias = format!("#{alias}:{}", host.server_name());
    host.says(&room, "before the guest").await;
    guest.post(v3(&["join", &alias]), &json!({})).await.ok();
    host.sees_membership(&room, &guest.id, "join").await;

    talk(&mut host, &mut guest, &room).await;
    change(&mut host, &mut guest, &room).await;
    redact(&mut host, &mut guest, &room).await;
    agree(&host, &guest, &room).await;
    police(&mut host, &mut guest, &room).await;
    agree(&host, &guest, &room).await;
}

/// Messages arrive both ways, also many at once, in order.
async fn talk(host: &mut Person, guest: &mut Person, room: &Room) {
    let said = host.says(room, "welcome").await;
    assert_eq!(
        guest.sees_event(room, &said).await["content"]["body"],
        "welcome"
    );
    let said = guest.says(room, "thank you").await;
    let seen = host.sees_event(room, &said).await;
    assert_eq!(seen["content"]["body"], "thank you");
    assert_eq!(seen["sender"], json!(guest.id));
    for (from, to) in [(&*host, &mut *guest)] {
        let mut last = String::new();
        for body in ["one", "two", "three", "ü – 中"] {
            last = from.says(room, body).await;
        }
        assert_eq!(
            to.sees_event(room, &last).await["content"]["body"],
            "ü – 中"
        );
    }
}

/// State that the host sets, rights that the guest gets, state that the guest sets then.
async fn change(host: &mut Person, guest: &mut Person, room: &Room) {
    let topic = host
        .sets(room, "m.room.topic", &json!({"topic": "ours"}))
        .await;
    guest.sees_event(room, &topic).await;
    let refused = guest.sets_state(room, "m.room.name", "", &json!({"name": "theirs"}));
    refused.await.refused(403, "M_FORBIDDEN");
    let mut levels = host.state(room, "m.room.power_levels", "").await.ok();
    levels["users"][&guest.id] = json!(50);
    let levels = host.sets(room, "m.room.power_levels", &levels).await;
    guest.sees_event(room, &levels).await;
    let name = guest
        .sets(room, "m.room.name", &json!({"name": "theirs"}))
        .await;
    assert_eq!(
        host.sees_event(room, &name).await["content"]["name"],
        "theirs"
    );
}

/// Everybody redacts what they said themselves, and those with rights what others said.
async fn redact(host: &mut Person, guest: &mut Person, room: &Room) {
    for of_guest in [true, false] {
        let (speaker, other) = if of_guest {
            (&mut *guest, &mut *host)
        } else {
            (&mut *host, &mut *guest)
        };
        let regretted = speaker.says(room, "regretted").await;
        let objected = speaker.says(room, "objected to").await;
        other.sees_event(room, &objected).await;
        let own = speaker.redacts(room, &regretted).await.ok().event_id;
        other.sees_event(room, &own).await;
        // The guest has the rights of a moderator.
        let foreign = other.redacts(room, &objected).await.ok().event_id;
        speaker.sees_event(room, &foreign).await;
        for person in [&*speaker, &*other] {
            for event in [&regretted, &objected] {
                let seen = person.event(room, event).await.ok();
                assert_eq!(seen["content"], json!({}), "{} sees {seen}", person.id);
            }
        }
    }
}

/// The guest is kicked, comes back, is banned, may not come back, may again, and leaves of their own will.
async fn police(host: &mut Person, guest: &mut Person, room: &Room) {
    guest.forgets_the_past().await;
    host.kicks(room, guest).await.ok();
    guest
        .sees("the kick", |sync| sync.left(room).cloned())
        .await;
    guest.joins_via(room, host).await;

    guest.forgets_the_past().await;
    host.bans(room, guest).await.ok();
    guest.sees("the ban", |sync| sync.left(room).cloned()).await;
    let refused = guest.tries_to_join(room, host).await;
    refused.refused(403, "M_FORBIDDEN");
    host.unbans(room, guest).await.ok();
    guest.joins_via(room, host).await;

    host.forgets_the_past().await;
    guest.leaves(room).await.ok();
    host.sees_membership(room, &guest.id, "leave").await;
    // Nothing that is said in between is lost on those who come back.
    host.says(room, "without the guest").await;
    guest.joins_via(room, host).await;
    host.sees_membership(room, &guest.id, "join").await;
    let said = guest.says(room, "back again").await;
    host.sees_event(room, &said).await;
    let said = host.says(room, "so you are").await;
    guest.sees_event(room, &said).await;
}
