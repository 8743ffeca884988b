//! The devices of a user.

pub(crate) mod delete_device;
pub(crate) mod delete_devices;
pub(crate) mod get_device;
pub(crate) mod get_devices;
pub(crate) mod update_device;

use engine::account::Device as Known;
use ruma::{MilliSecondsSinceUnixEpoch, UInt, api::client::device::Device};

/// A device as it is told to its user.
fn told(known: Known) -> Device {
    let mut device = Device::new(known.device_id);
    device.display_name = known.display_name;
    device.last_seen_ip = known.last_seen_ip;
    device.last_seen_ts = known
        .last_seen_ms
        .and_then(|ms| UInt::try_from(ms).ok())
        .map(MilliSecondsSinceUnixEpoch);
    device
}
