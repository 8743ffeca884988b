//! The devices of a user: client-server API, "Device management".

use ruma::{DeviceId, OwnedDeviceId};
use storage::{Plain, devices, entity::device};

use super::{Accounts, grant::check_display_name, uia::Attempt};
use crate::{Error, Requester, Result, Subject};

/// A device as its user may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// What its user calls it.
    pub display_name: Option<String>,
    /// When it was last used, in milliseconds since the epoch.
    pub last_seen_ms: Option<i64>,
    /// From which address.
    pub last_seen_ip: Option<String>,
}

impl From<device::Model> for Device {
    fn from(row: device::Model) -> Self {
        Self {
            device_id: row.device_id.into(),
            display_name: row.display_name,
            last_seen_ms: row.last_seen_ts,
            last_seen_ip: row.last_seen_ip,
        }
    }
}

impl Accounts {
    /// All devices of `by`, by id.
    pub async fn devices(&self, by: &Requester) -> Result<Vec<Device>> {
        let rows = devices::of_user(self.inner.store.reader(), &by.user_id).await?;
        Ok(rows.into_iter().map(Device::from).collect())
    }

    /// One device of `by`.
    ///
    /// # Errors
    /// [`Error::NotFound`]: `by` has no such device.
    pub async fn device(&self, by: &Requester, device_id: &DeviceId) -> Result<Device> {
        let found = devices::find(self.inner.store.reader(), &by.user_id, device_id).await?;
        found
            .map(Device::from)
            .ok_or(Error::NotFound(Subject::Device))
    }

    /// Renames a device. `None` leaves the name as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]: `by` has no such device. [`Error::InvalidParam`]: an overlong name.
    pub async fn rename_device(
        &self,
        by: &Requester,
        device_id: &DeviceId,
        display_name: Option<String>,
    ) -> Result<()> {
        self.device(by, device_id).await?;
        let Some(display_name) = display_name else {
            return Ok(());
        };
        check_display_name(&display_name)?;
        self.write(vec![devices::renamed(&by.user_id, device_id, display_name)])
            .await
    }

    /// Deletes devices of `by` with their tokens. What is not there is not missed.
    ///
    /// # Errors
    /// Those of [`confirm`](Self::confirm).
    pub async fn delete_devices(
        &self,
        by: &Requester,
        mut device_ids: Vec<OwnedDeviceId>,
        attempt: Option<Attempt>,
    ) -> Result<()> {
        device_ids.sort_unstable();
        device_ids.dedup();
        let names: Vec<&str> = device_ids
            .iter()
            .map(|device_id| device_id.as_str())
            .collect();
        self.confirm(by, "deleteDevices", &names.join("\0"), attempt)
            .await?;
        let delete = |device_id: &OwnedDeviceId| Plain::DeviceDelete {
            user_id: by.user_id.clone(),
            device_id: device_id.to_string(),
        };
        self.write(device_ids.iter().map(delete).collect()).await?;
        self.inner.tokens.forget(&by.user_id, |known| {
            known
                .requester
                .device_id
                .as_ref()
                .is_some_and(|id| device_ids.contains(id))
        });
        Ok(())
    }
}
