//! The devices of a user.

pub(crate) mod delete_device;
pub(crate) mod delete_devices;
pub(crate) mod get_device;
pub(crate) mod get_devices;
pub(crate) mod update_device;

use ruma::OwnedDeviceId;
use serde::Serialize;

/// A device as it is told to its user. ruma's type writes `null` for what is not known.
#[derive(Serialize)]
pub(crate) struct Device {
    device_id: OwnedDeviceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_ts: Option<i64>,
}

impl From<engine::account::Device> for Device {
    fn from(device: engine::account::Device) -> Self {
        Self {
            device_id: device.device_id,
            display_name: device.display_name,
            last_seen_ip: device.last_seen_ip,
            last_seen_ts: device.last_seen_ms,
        }
    }
}
