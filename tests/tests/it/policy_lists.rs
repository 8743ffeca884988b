//! A moderation policy list of somebody else, which the operator follows: MOD-04.

use serde_json::json;
use tests::{eventually::eventually, federation::Neighbourhood};

#[tokio::test]
async fn whom_a_list_bans_is_not_let_in_as_long_as_it_does() {
    let machine = Neighbourhood::new();
    let (moderators, others) = (machine.peer().await, machine.peer().await);
    let carol = moderators.user("carol");
    let list = moderators.creates_room(&carol, "11", "public");
    let spammer = others.user("spammer");
    let rule = |content| {
        let kind = "m.policy.rule.user";
        moderators.event(&list, &carol, kind, Some("rule:spammer"), &content)
    };
    rule(json!({"entity": &spammer, "recommendation": "m.ban", "reason": "spam"}));
    let settings = format!("[policy_lists]\nrooms = [{:?}]\n", list.id);
    let Some(server) = machine.server_configured(&settings).await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().public().version("11").await;
    // The list is unknown as long as nobody of the server is in its room.
    let asks = || others.makes(&server, "join", &room, &spammer).attempt();
    assert_eq!(asks().await.unwrap().status, 200);
    alice.joins_via(&list, moderators.name()).await.ok();
    eventually("the list counts", async || {
        let answer = asks().await.unwrap();
        (answer.errcode().as_deref() == Some("M_FORBIDDEN")).then_some(())
    })
    .await;
    // Nobody else is kept out, and nobody for ever.
    others.joins(&server, &room, &others.user("friend")).await;
    let taken_back = rule(json!({}));
    let answer = moderators.sends(&server, &[taken_back]).await;
    answer.ok();
    others.joins(&server, &room, &spammer).await;
}
