//! The e-mail addresses of accounts. Whoever adds one here vouches for it.

use ruma::UserId;
use storage::{Plain, email_addresses};

use super::Accounts;
use crate::{Error, Result};

/// The longest address in bytes: RFC 5321, section 4.5.3.1.3, without the brackets.
const ADDRESS_BYTES_MAX: usize = 254;

/// The longest part before the @ in bytes: RFC 5321, section 4.5.3.1.1.
const LOCAL_BYTES_MAX: usize = 64;

/// How many addresses an account may have.
const ADDRESSES_MAX: usize = 20;

/// An address of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// In the form in which it is kept: in lower case.
    pub address: String,
    /// Since when, in ms.
    pub added_ts: i64,
}

impl Accounts {
    /// Gives an account an address, as the administrator knows it. Answers with the form in which it is kept.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it is no address. [`Error::EmailInUse`]: another account has it.
    /// [`Error::TooLarge`]: the account has too many.
    pub async fn add_email(&self, user_id: &UserId, address: &str) -> Result<String> {
        let address = canonical(address)
            .ok_or_else(|| Error::InvalidParam("This is no e-mail address".to_owned()))?;
        let _alone = self.alone(user_id).await;
        let db = self.store().reader();
        if let Some(taken) = email_addresses::find(db, &address).await? {
            return match taken.user_id == user_id.as_str() {
                true => Ok(address),
                false => Err(Error::EmailInUse),
            };
        }
        if email_addresses::of_user(db, user_id).await?.len() >= ADDRESSES_MAX {
            return Err(Error::TooLarge(format!(
                "An account may have {ADDRESSES_MAX} e-mail addresses"
            )));
        }
        let new = email_addresses::EmailAddress {
            address: address.clone(),
            user_id: user_id.to_string(),
            added_ts: self.now_ms(),
        };
        match self.write(vec![Plain::EmailAddress(new)]).await {
            Err(Error::Store(storage::Error::Conflict(_))) => Err(Error::EmailInUse),
            written => written.map(|()| address),
        }
    }

    /// Takes an address away from an account. It is not missed if it is not there.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn remove_email(&self, user_id: &UserId, address: &str) -> Result<()> {
        let delete = Plain::EmailAddressDelete {
            user_id: user_id.to_owned(),
            address: address.trim().to_lowercase(),
        };
        self.write(vec![delete]).await
    }

    /// The addresses of an account, in their order.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn emails(&self, user_id: &UserId) -> Result<Vec<Email>> {
        let found = email_addresses::of_user(self.store().reader(), user_id).await?;
        let email = |found: email_addresses::EmailAddress| Email {
            address: found.address,
            added_ts: found.added_ts,
        };
        Ok(found.into_iter().map(email).collect())
    }

    /// Whether an account has this address, in whatever case it is written.
    pub(crate) async fn has_email(&self, user_id: &UserId, address: &str) -> Result<bool> {
        let address = address.to_lowercase();
        let found = email_addresses::find(self.store().reader(), &address).await?;
        Ok(found.is_some_and(|email| email.user_id == user_id.as_str()))
    }
}

/// An address in the form in which it is kept; `None`: it is none.
fn canonical(address: &str) -> Option<String> {
    let address = address.trim();
    let (local, domain) = address.rsplit_once('@')?;
    let printable = |c: char| !c.is_control() && !c.is_whitespace();
    let plain = |c: char| printable(c) && !"<>()[]\\,;:\"@".contains(c);
    let dots = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let fits = address.len() <= ADDRESS_BYTES_MAX
        && (1..=LOCAL_BYTES_MAX).contains(&local.len())
        && !domain.is_empty()
        && local.chars().all(plain)
        && domain
            .chars()
            .all(|c| c.is_alphanumeric() || ".-".contains(c))
        && dots(local)
        && dots(domain);
    fits.then(|| address.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_what_is_none() {
        for (address, kept) in [
            ("Bob@Example.org", Some("bob@example.org")),
            (" b.o-b+x@a.example ", Some("b.o-b+x@a.example")),
            ("bob@localhost", Some("bob@localhost")),
            ("bob", None),
            ("@example.org", None),
            ("bob@", None),
            ("bob@a b", None),
            ("a@b@c", None),
            ("bob..x@example.org", None),
            ("bob@example.org\r\nBcc: x@example.org", None),
            ("Bob <bob@example.org>", None),
        ] {
            assert_eq!(canonical(address).as_deref(), kept, "{address}");
        }
    }
}
