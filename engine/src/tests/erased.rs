//! Users who have what they wrote erased.

use ruma::{OwnedEventId, OwnedRoomId};
use spec::json::Object;
use storage::{Write, accounts};

use super::{
    federation::{name, pairs},
    fixture::{House, Person, bodies, with_account},
};
use crate::Preset;

/// What another server gets of a message.
async fn body(here: &House, there: &House, id: &OwnedEventId) -> Option<String> {
    let pdu = here.engine.inbound().event(&name(there), id).await.unwrap();
    let content = pdu["content"].as_object().unwrap();
    let body = content.get("body").and_then(|body| body.as_str());
    body.map(str::to_owned)
}

async fn enters(who: &Person, room: &OwnedRoomId, through: &House) {
    let via = vec![name(through)];
    let joined = who
        .engine
        .join(&who.requester, room, via, None, Object::new());
    joined.await.unwrap();
}

#[tokio::test]
async fn what_an_erased_user_wrote_is_seen_by_those_only_who_were_there() {
    for pair in pairs().await {
        let alice = with_account(&pair.here, "alice").await;
        let (bob, carol) = (pair.here.person("bob"), pair.here.person("carol"));
        let room = alice.creates("11", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let secret = alice.says(&room, "secret").await.unwrap();
        enters(&pair.there.person("dave"), &room, &pair.here).await;
        let known = alice.says(&room, "known").await.unwrap();
        carol.joins(&room).await.unwrap();
        bob.says(&room, "who is new?").await.unwrap();
        let all = ["secret", "known", "who is new?"];
        assert_eq!(bodies(&carol.syncs(None).await, &room), all);
        assert!(body(&pair.here, &pair.there, &secret).await.is_some());

        let store = pair.here.engine.context.store.clone();
        let erased = accounts::erased(&alice.requester.user_id);
        store.write(Write::plain(vec![erased])).await.unwrap();
        let again = House::named(store, name(&pair.here));
        let users = &pair.here.engine.context.erased;
        users.add(alice.requester.user_id.clone()).await.unwrap();
        for house in [&pair.here, &again] {
            let (bob, carol) = (house.person("bob"), house.person("carol"));
            assert_eq!(bodies(&bob.syncs(None).await, &room), all);
            assert_eq!(bodies(&carol.syncs(None).await, &room), ["who is new?"]);
            assert_eq!(body(house, &pair.there, &secret).await, None);
            assert_eq!(
                body(house, &pair.there, &known).await.as_deref(),
                Some("known")
            );
        }
    }
}
