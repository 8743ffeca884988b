//! Connections of sliding sync.

use super::fixture::{on_each, user};
use crate::{
    Plain, Write,
    entity::{device, sliding_connection},
    sliding_connections,
    write::SlidingAnswered,
};

/// SSS-07. A client may use a connection for long without anything new to be kept of it.
#[tokio::test]
async fn a_connection_is_kept_as_long_as_it_is_written_or_its_device_is_seen() {
    on_each(async |store| {
        let user_id = user("alice");
        let connection = |device_id: &str, number: i64, written_ts: i64| {
            let connection = sliding_connection::Model {
                user_id: user_id.to_string(),
                device_id: device_id.to_owned(),
                conn_id: String::new(),
                number,
                used: 1,
                issued: None,
                configs: "[]".to_owned(),
                written_ts,
            };
            Plain::SlidingConnection(SlidingAnswered {
                connection,
                rooms: Vec::new(),
                whole: true,
            })
        };
        let device = |device_id: &str, last_seen_ts: Option<i64>| {
            Plain::Device(device::Model {
                user_id: user_id.to_string(),
                device_id: device_id.to_owned(),
                display_name: None,
                created_ts: 1,
                last_seen_ts,
                last_seen_ip: None,
                last_seen_user_agent: None,
            })
        };
        let plain = vec![
            device("USED", Some(50)),
            device("IDLE", Some(49)),
            device("NEVER", None),
            connection("USED", 1, 10),
            connection("IDLE", 2, 10),
            connection("NEVER", 3, 10),
            connection("GONE", 4, 10),
            connection("WRITTEN", 5, 50),
            Plain::SlidingConnectionsExpired { before_ts: 50 },
        ];
        store.write(Write::plain(plain)).await.unwrap();
        for (device_id, kept) in [
            ("USED", true),
            ("IDLE", false),
            ("NEVER", false),
            ("GONE", false),
            ("WRITTEN", true),
        ] {
            let found = sliding_connections::find(store.reader(), &user_id, device_id, "").await;
            assert_eq!(found.unwrap().is_some(), kept, "{device_id}");
        }
    })
    .await;
}
