//! What passes: typing, receipts and presence.

use serde_json::{Value, json};
use tests::{path::v3, sync::Sync};

use crate::{person::Person, world::World};

#[tokio::test]
async fn typing_and_receipts_arrive() {
    let Some(world) = World::new().await else {
        return;
    };
    let (ours, theirs) = tokio::join!(world.couple(), world.couple());
    tokio::join!(passes(ours.0, ours.1), passes(theirs.1, theirs.0));
}

async fn passes(mut host: Person, mut guest: Person) {
    let room = host.creates_room().public().await;
    guest.joins_via(&room, &host).await;
    host.sees_membership(&room, &guest.id, "join").await;
    let said = host.says(&room, "read this").await;
    guest.sees_event(&room, &said).await;
    for turn in 0..2 {
        let (one, other) = if turn == 0 {
            (&mut host, &mut guest)
        } else {
            (&mut guest, &mut host)
        };
        one.types(&room, true).await.ok();
        let types = |list: &Value| list["user_ids"] == json!([one.id]);
        let typing = |sync: &Sync| {
            sync.of_room(&room, "ephemeral", "m.typing")
                .filter(|t| types(t))
                .cloned()
        };
        other.sees("typing", typing).await;
        one.types(&room, false).await.ok();
        one.reads(&room, "m.read", &said).await.ok();
        let read = |sync: &Sync| {
            let receipts = sync.of_room(&room, "ephemeral", "m.receipt")?;
            receipts[&said]["m.read"].get(&one.id).cloned()
        };
        other.sees("the receipt", read).await;
        let status = json!({"presence": "online", "status_msg": format!("turn {turn}")});
        one.put(v3(&["presence", &one.id, "status"]), &status)
            .await
            .ok();
        let here = |sync: &Sync| {
            let mut events = sync.0["presence"]["events"].as_array()?.iter();
            let of_one = |event: &&Value| {
                event["sender"] == json!(one.id)
                    && event["content"]["status_msg"] == status["status_msg"]
            };
            events.find(of_one).cloned()
        };
        other.sees("the presence", here).await;
    }
}
