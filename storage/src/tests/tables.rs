//! Accounts and what belongs to them: every table takes its rows and gives them back.

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, EntityTrait, QueryFilter,
};

use super::fixture::{on_each, user};
use crate::{
    Error, Plain, Store, Write,
    entity::{
        access_token, account, device, filter, profile, refresh_token, registration_token,
        server_key,
    },
};

fn account(name: &str) -> account::Model {
    account::Model {
        user_id: user(name).to_string(),
        localpart: name.to_owned(),
        password_hash: Some("hash".to_owned()),
        admin: false,
        guest: false,
        deactivated: false,
        erased: false,
        locked: false,
        suspended: false,
        created_ts: 1,
        appservice: None,
    }
}

fn device(name: &str, id: &str) -> device::Model {
    device::Model {
        user_id: user(name).to_string(),
        device_id: id.to_owned(),
        display_name: None,
        created_ts: 1,
        last_seen_ts: Some(2),
        last_seen_ip: Some("::1".to_owned()),
        last_seen_user_agent: None,
    }
}

fn access_token(name: &str, device_id: &str, hash: u8) -> access_token::Model {
    access_token::Model {
        hash: vec![hash; 32],
        user_id: user(name).to_string(),
        device_id: device_id.to_owned(),
        expires_ts: Some(3),
        refresh: None,
        used: false,
    }
}

async fn write(store: &Store, plain: Plain) {
    store.write(Write::plain(vec![plain])).await.unwrap();
}

#[tokio::test]
async fn a_name_is_taken_once() {
    on_each(async |store| {
        write(&store, Plain::Account(account("alice"))).await;
        let again = store
            .write(Write::plain(vec![Plain::Account(account("alice"))]))
            .await;
        assert!(matches!(again, Err(Error::Conflict(_))));
        let change = account::ActiveModel {
            user_id: Unchanged(user("alice").to_string()),
            admin: Set(true),
            password_hash: Set(None),
            ..Default::default()
        };
        write(&store, Plain::AccountUpdate(change)).await;
        let stored = account::Entity::find().all(store.reader()).await.unwrap();
        let expected = account::Model {
            admin: true,
            password_hash: None,
            ..account("alice")
        };
        assert_eq!(stored, [expected]);
        write(
            &store,
            Plain::AccountDelete {
                user_id: user("alice"),
            },
        )
        .await;
        write(&store, Plain::Account(account("alice"))).await;
    })
    .await;
}

#[tokio::test]
async fn devices_go_with_their_tokens() {
    on_each(async |store| {
        let mut plain = Vec::new();
        for (n, (name, id)) in [("alice", "A"), ("alice", "B"), ("alice", "C"), ("bob", "A")]
            .into_iter()
            .enumerate()
        {
            plain.push(Plain::Device(device(name, id)));
            plain.push(Plain::AccessToken(access_token(name, id, n as u8)));
            plain.push(Plain::RefreshToken(refresh_token::Model {
                id: store.ids().next_refresh_token(),
                hash: vec![n as u8; 32],
                user_id: user(name).to_string(),
                device_id: id.to_owned(),
                next: None,
                expires_ts: None,
            }));
        }
        store.write(Write::plain(plain)).await.unwrap();
        let left = || async {
            let db = store.reader();
            let devices = device::Entity::find().all(db).await.unwrap();
            let access = access_token::Entity::find().all(db).await.unwrap();
            let refresh = refresh_token::Entity::find().all(db).await.unwrap();
            assert_eq!(
                (access.len(), refresh.len()),
                (devices.len(), devices.len())
            );
            devices
                .into_iter()
                .map(|d| (d.user_id, d.device_id))
                .collect::<Vec<_>>()
        };
        let delete = Plain::DeviceDelete {
            user_id: user("alice"),
            device_id: "C".to_owned(),
        };
        write(&store, delete).await;
        assert_eq!(left().await.len(), 3);
        let again = Plain::AccessToken(access_token("alice", "C", 2));
        write(&store, again).await;
        let tokens = Plain::DeviceTokensDelete {
            user_id: user("alice"),
            device_id: "C".to_owned(),
        };
        write(&store, tokens).await;
        assert_eq!(left().await.len(), 3);
        let except = Some("B".to_owned());
        write(
            &store,
            Plain::DevicesDelete {
                user_id: user("alice"),
                except,
            },
        )
        .await;
        let alice_and_bob = [
            (user("alice").to_string(), "B".to_owned()),
            (user("bob").to_string(), "A".to_owned()),
        ];
        assert_eq!(left().await, alice_and_bob);
        write(
            &store,
            Plain::DevicesDelete {
                user_id: user("alice"),
                except: None,
            },
        )
        .await;
        assert_eq!(left().await, alice_and_bob[1..]);

        let change = device::ActiveModel {
            user_id: Unchanged(user("bob").to_string()),
            device_id: Unchanged("A".to_owned()),
            display_name: Set(Some("phone".to_owned())),
            ..Default::default()
        };
        write(&store, Plain::DeviceUpdate(change)).await;
        let change = access_token::ActiveModel {
            hash: Unchanged(vec![3; 32]),
            used: Set(true),
            ..Default::default()
        };
        write(&store, Plain::AccessTokenUpdate(change)).await;
        let stored = device::Entity::find()
            .one(store.reader())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.display_name.as_deref(), Some("phone"));
        let stored = access_token::Entity::find()
            .one(store.reader())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            stored,
            access_token::Model {
                used: true,
                ..access_token("bob", "A", 3)
            }
        );
        write(&store, Plain::AccessTokenDelete { hash: vec![3; 32] }).await;
        let stored = access_token::Entity::find()
            .one(store.reader())
            .await
            .unwrap();
        assert_eq!(stored, None);
    })
    .await;
}

#[tokio::test]
async fn a_registration_token_is_used_as_often_as_it_may_be() {
    on_each(async |store| {
        for (token, uses_allowed) in [("two", Some(2)), ("many", None)] {
            let model = registration_token::Model {
                token: token.to_owned(),
                uses_allowed,
                pending: 0,
                completed: 0,
                expires_ts: None,
            };
            write(&store, Plain::RegistrationToken(model.clone())).await;
            let again = store
                .write(Write::plain(vec![Plain::RegistrationToken(model)]))
                .await;
            assert!(matches!(again, Err(Error::Conflict(_))));
        }
        for (token, fine) in [
            ("two", true),
            ("two", true),
            ("two", false),
            ("many", true),
            ("none", false),
        ] {
            let using = Plain::RegistrationTokenUse {
                token: token.to_owned(),
            };
            assert_eq!(
                store.write(Write::plain(vec![using])).await.is_ok(),
                fine,
                "{token}"
            );
        }
        let change = registration_token::ActiveModel {
            token: Unchanged("two".to_owned()),
            uses_allowed: Set(Some(3)),
            ..Default::default()
        };
        write(&store, Plain::RegistrationTokenUpdate(change)).await;
        write(
            &store,
            Plain::RegistrationTokenDelete {
                token: "many".to_owned(),
            },
        )
        .await;
        let stored = registration_token::Entity::find()
            .all(store.reader())
            .await
            .unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!((stored[0].uses_allowed, stored[0].completed), (Some(3), 2));
    })
    .await;
}

#[tokio::test]
async fn profiles_filters_and_keys_are_replaced() {
    on_each(async |store| {
        for value in ["\"Alice\"", "\"Bob\""] {
            let (user_id, field) = (user("alice").to_string(), "displayname".to_owned());
            let value = value.to_owned();
            write(
                &store,
                Plain::ProfileField(profile::Model {
                    user_id,
                    field,
                    value,
                }),
            )
            .await;
            let (user_id, id) = (user("alice").to_string(), "1".to_owned());
            write(
                &store,
                Plain::Filter(filter::Model {
                    user_id,
                    id,
                    json: "{}".to_owned(),
                }),
            )
            .await;
            let model = server_key::Model {
                server_name: "example.org".to_owned(),
                key_id: "ed25519:a".to_owned(),
                seed: vec![7; 32],
                created_ts: 1,
                expired_ts: None,
            };
            write(&store, Plain::ServerKey(model)).await;
        }
        let db = store.reader();
        let stored = profile::Entity::find()
            .filter(profile::Column::UserId.eq(user("alice").as_str()))
            .all(db)
            .await
            .unwrap();
        assert_eq!(
            stored.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(),
            ["\"Bob\""]
        );
        assert_eq!(filter::Entity::find().all(db).await.unwrap().len(), 1);
        assert_eq!(
            server_key::Entity::find().all(db).await.unwrap()[0].seed,
            [7; 32]
        );
        let field = "displayname".to_owned();
        write(
            &store,
            Plain::ProfileFieldDelete {
                user_id: user("alice"),
                field,
            },
        )
        .await;
        assert_eq!(profile::Entity::find().all(db).await.unwrap(), []);
    })
    .await;
}
