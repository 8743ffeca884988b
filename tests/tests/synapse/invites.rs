//! Invites across servers: accepted, rejected, taken back.

use tests::Room;

use crate::{
    person::Person,
    world::{VERSIONS, World, agree},
};

#[tokio::test]
async fn invites_are_accepted_rejected_and_taken_back() {
    let Some(world) = World::new().await else {
        return;
    };
    for version in VERSIONS {
        let (ours, theirs) = tokio::join!(world.couple(), world.couple());
        tokio::join!(
            invites(ours.0, ours.1, version),
            invites(theirs.1, theirs.0, version)
        );
    }
}

async fn invites(mut host: Person, mut guest: Person, version: &str) {
    let room = host.creates_room().version(version).await;
    guest.forgets_the_past().await;
    guest
        .tries_to_join(&room, &host)
        .await
        .refused(403, "M_FORBIDDEN");

    rejected(&mut host, &mut guest, &room).await;
    taken_back(&mut host, &mut guest, &room).await;

    guest.forgets_the_past().await;
    host.invites(&room, &guest).await.ok();
    guest.sees_invite(&room).await;
    // The invite says whose server to ask.
    guest.joins(&room).await.ok();
    host.sees_membership(&room, &guest.id, "join").await;
    let said = guest.says(&room, "here I am").await;
    host.sees_event(&room, &said).await;
    let said = host.says(&room, "welcome").await;
    guest.sees_event(&room, &said).await;
    agree(&host, &guest, &room).await;
}

async fn rejected(host: &mut Person, guest: &mut Person, room: &Room) {
    host.invites(room, guest).await.ok();
    guest.sees_invite(room).await;
    guest.leaves(room).await.ok();
    host.sees_membership(room, &guest.id, "leave").await;
    host.forgets_the_past().await;
}

async fn taken_back(host: &mut Person, guest: &mut Person, room: &Room) {
    guest.forgets_the_past().await;
    host.invites(room, guest).await.ok();
    guest.sees_invite(room).await;
    host.kicks(room, guest).await.ok();
    guest
        .sees("the end of the invite", |sync| sync.left(room).cloned())
        .await;
    guest
        .tries_to_join(room, host)
        .await
        .refused(403, "M_FORBIDDEN");
}
