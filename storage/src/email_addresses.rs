//! The e-mail addresses of accounts.

use ruma::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::{
    entity::email_address::{Column, Entity},
    error::Result,
};

pub use crate::entity::email_address::Model as EmailAddress;

/// The account's addresses, in their order. One query, on the index (user_id).
pub async fn of_user(db: &impl ConnectionTrait, user_id: &UserId) -> Result<Vec<EmailAddress>> {
    let of_user = Entity::find().filter(Column::UserId.eq(user_id.as_str()));
    Ok(of_user.order_by_asc(Column::Address).all(db).await?)
}

/// An address, in lower case, with the account that it belongs to. One query, on the primary key.
pub async fn find(db: &impl ConnectionTrait, address: &str) -> Result<Option<EmailAddress>> {
    Ok(Entity::find_by_id(address.to_owned()).one(db).await?)
}
