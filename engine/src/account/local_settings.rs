//! What clients keep for one device alone: client-server API, "Notification Settings for a device" (MSC3890).

use storage::{Logged, Plain, account_data, write::NewAccountData};

use super::Accounts;
use crate::Result;

/// The types of account data, up to the device; the second as clients call it until it is specified.
const PREFIXES: [&str; 2] = [
    "m.local_notification_settings.",
    "org.matrix.msc3890.local_notification_settings.",
];

impl Accounts {
    /// The settings of devices that `plain` deletes, each emptied: they go with their device, and the user's other devices
    /// hear of it. One query for each deletion, none for a write without one.
    pub(super) async fn local_settings_of_deleted(&self, plain: &[Plain]) -> Result<Vec<Logged>> {
        let mut emptied = Vec::new();
        for plain in plain {
            // One device is gone, or all but one.
            let (user_id, gone, kept) = match plain {
                Plain::DeviceDelete { user_id, device_id } => (user_id, Some(&**device_id), None),
                Plain::DevicesDelete { user_id, except } => (user_id, None, except.as_deref()),
                _ => continue,
            };
            let is_gone =
                |device: &str| kept != Some(device) && gone.is_none_or(|gone| gone == device);
            let db = self.store().reader();
            let types = account_data::types_with_prefixes(db, user_id, &PREFIXES).await?;
            let device = |event_type: &String| {
                let mut prefixes = PREFIXES.iter();
                prefixes
                    .find_map(|prefix| event_type.strip_prefix(prefix))
                    .is_some_and(&is_gone)
            };
            let of_deleted = types.into_iter().filter(device);
            emptied.extend(of_deleted.map(|event_type| {
                Logged::AccountData(NewAccountData {
                    user_id: user_id.clone(),
                    room: None,
                    event_type,
                    content: "{}".to_owned(),
                })
            }));
        }
        Ok(emptied)
    }
}
