//! `POST /logout` and `/logout/all`: client-server API, "Logout".

use storage::Plain;

use super::Accounts;
use crate::{Requester, Result};

impl Accounts {
    /// Ends the session of `by`: its device and all tokens of it are gone.
    pub async fn log_out(&self, by: &Requester) -> Result<()> {
        let Some(device_id) = &by.device_id else {
            return Ok(());
        };
        let (user_id, device) = (by.user_id.clone(), device_id.to_string());
        self.write(vec![Plain::DeviceDelete {
            user_id,
            device_id: device,
        }])
        .await?;
        self.forget_device(&by.user_id, device_id);
        Ok(())
    }

    /// Ends all sessions of the user.
    pub async fn log_out_everywhere(&self, by: &Requester) -> Result<()> {
        let user_id = by.user_id.clone();
        self.write(vec![Plain::DevicesDelete {
            user_id,
            except: None,
        }])
        .await?;
        self.inner.tokens.forget(&by.user_id, |_| true);
        Ok(())
    }
}
