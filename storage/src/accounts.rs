//! Accounts: what is asked of them, and how they change.

use ruma::UserId;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::{
    entity::account::{ActiveModel, Column, Entity, Model},
    error::Result,
    page::Limit,
    write::Plain,
};

/// The account of `user_id`, deactivated ones included.
pub async fn find(db: &impl ConnectionTrait, user_id: &UserId) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(user_id.as_str()).one(db).await?)
}

/// Whether there is any account, deactivated ones included.
pub async fn any(db: &impl ConnectionTrait) -> Result<bool> {
    let one: Option<String> = Entity::find()
        .select_only()
        .column(Column::UserId)
        .into_tuple()
        .one(db)
        .await?;
    Ok(one.is_some())
}

/// The administrators whose accounts can be used, by id, at most `limit`. One query, which reads the table.
pub async fn admins(db: &impl ConnectionTrait, limit: Limit) -> Result<Vec<String>> {
    let admins = Entity::find()
        .select_only()
        .column(Column::UserId)
        .filter(Column::Admin.eq(true))
        .filter(Column::Deactivated.eq(false))
        .order_by_asc(Column::UserId)
        .limit(limit.get());
    Ok(admins.into_tuple().all(db).await?)
}

/// How many accounts can be used.
pub async fn count_active(db: &impl ConnectionTrait) -> Result<u64> {
    Ok(Entity::find()
        .filter(Column::Deactivated.eq(false))
        .count(db)
        .await?)
}

/// Gives the account a password, by its hash.
#[must_use]
pub fn password_set(user_id: &UserId, hash: String) -> Plain {
    Plain::AccountUpdate(ActiveModel {
        password_hash: Set(Some(hash)),
        ..of(user_id)
    })
}

/// Makes an account of a guest's, with a password, by its hash.
#[must_use]
pub fn guest_upgraded(user_id: &UserId, hash: String) -> Plain {
    Plain::AccountUpdate(ActiveModel {
        guest: Set(false),
        password_hash: Set(Some(hash)),
        ..of(user_id)
    })
}

/// Makes the account a server administrator, or no longer one.
#[must_use]
pub fn admin_set(user_id: &UserId, admin: bool) -> Plain {
    Plain::AccountUpdate(ActiveModel {
        admin: Set(admin),
        ..of(user_id)
    })
}

/// Closes the account for good. Its row keeps the name taken.
#[must_use]
pub fn deactivated(user_id: &UserId) -> Plain {
    Plain::AccountUpdate(ActiveModel {
        password_hash: Set(None),
        admin: Set(false),
        deactivated: Set(true),
        ..of(user_id)
    })
}

/// Hides what the user wrote from those who were not there.
#[must_use]
pub fn erased(user_id: &UserId) -> Plain {
    Plain::AccountUpdate(ActiveModel {
        erased: Set(true),
        ..of(user_id)
    })
}

/// The IDs of all whose content is hidden from those who were not there, in no order. One query, over all accounts.
pub async fn all_erased(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let erased = Entity::find()
        .select_only()
        .column(Column::UserId)
        .filter(Column::Erased.eq(true));
    Ok(erased.into_tuple().all(db).await?)
}

/// Locks the account, or unlocks it.
#[must_use]
pub fn locked_set(user_id: &UserId, locked: bool) -> Plain {
    Plain::AccountUpdate(ActiveModel {
        locked: Set(locked),
        ..of(user_id)
    })
}

fn of(user_id: &UserId) -> ActiveModel {
    ActiveModel {
        user_id: Unchanged(user_id.to_string()),
        ..ActiveModel::default()
    }
}
