//! What a server tells those of another who ask: aliases, profiles, public rooms.

use serde_json::json;
use tests::path::v3;

use crate::{
    person::Person,
    world::{World, name, patiently},
};

#[tokio::test]
async fn profiles_aliases_and_public_rooms_are_found() {
    let Some(world) = World::new().await else {
        return;
    };
    let (ours, theirs) = tokio::join!(world.couple(), world.couple());
    tokio::join!(finds(&ours.0, &ours.1), finds(&theirs.1, &theirs.0));
}

async fn finds(host: &Person, guest: &Person) {
    let path = v3(&["profile", &host.id, "displayname"]);
    host.put(path, &json!({"displayname": "The Host"}))
        .await
        .ok();
    let profile = guest.get(v3(&["profile", &host.id])).await.ok();
    assert_eq!(profile["displayname"], "The Host");
    let nobody = guest.get(v3(&[
        "profile",
        &format!("@{}:{}", name("nobody"), host.server_name()),
    ]));
    assert_eq!(nobody.await.status, 404);

    let alias = name("listed");
    let listed = host
        .creates_room()
        .public()
        .option("visibility", json!("public"));
    let listed = listed
        .option("name", json!(alias))
        .option("room_alias_name", json!(alias))
        .await;
    let alias = format!("#{alias}:{}", host.server_name());
    let found = guest.get(v3(&["directory", "room", &alias])).await.ok();
    assert_eq!(found["room_id"], json!(listed.id));
    assert_eq!(found["servers"], json!([host.server_name()]));
    let elsewhere = format!("#{}:{}", name("nowhere"), host.server_name());
    let nowhere = guest.get(v3(&["directory", "room", &elsewhere])).await;
    nowhere.refused(404, "M_NOT_FOUND");

    patiently(async || {
        let rooms = guest
            .get(v3(&["publicRooms"]))
            .query("server", host.server_name());
        let rooms = rooms.await.ok();
        let mut found = rooms["chunk"].as_array().into_iter().flatten();
        let found = found.find(|room| room["room_id"] == json!(listed.id));
        found
            .cloned()
            .ok_or_else(|| format!("no {} in {rooms}", listed.id))
    })
    .await;
    let search = json!({"filter": {"generic_search_term": listed_name(&alias)}});
    let rooms = guest
        .post(v3(&["publicRooms"]), &search)
        .query("server", host.server_name());
    let rooms = rooms.await.ok();
    assert_eq!(rooms["chunk"][0]["room_id"], json!(listed.id), "{rooms}");
}

/// `#name:server`: the name.
fn listed_name(alias: &str) -> &str {
    alias
        .trim_start_matches('#')
        .split(':')
        .next()
        .unwrap_or_default()
}
