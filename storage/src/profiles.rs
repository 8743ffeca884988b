//! Profiles: fields with JSON values.

use std::collections::BTreeMap;

use ruma::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use crate::{
    entity::{
        profile::{Column, Entity},
        unspread_profile,
    },
    error::Result,
};

/// All fields of a user's profile, each with its JSON text. Empty for a user that is not there.
pub async fn all(db: &impl ConnectionTrait, user_id: &UserId) -> Result<BTreeMap<String, String>> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id.as_str()))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.field, row.value)).collect())
}

/// The users whose rooms may not know their newest name and picture, each with the change.
pub async fn unspread(db: &impl ConnectionTrait) -> Result<Vec<unspread_profile::Model>> {
    Ok(unspread_profile::Entity::find().all(db).await?)
}

/// By which change the rooms of a user may not know their newest name and picture; `None`: they know them.
pub async fn unspread_of(db: &impl ConnectionTrait, user_id: &UserId) -> Result<Option<String>> {
    let row = unspread_profile::Entity::find_by_id(user_id.to_string());
    Ok(row.one(db).await?.map(|row| row.change))
}

/// The JSON text of one field.
pub async fn field(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    field: &str,
) -> Result<Option<String>> {
    let row = Entity::find_by_id((user_id.to_string(), field.to_owned()))
        .one(db)
        .await?;
    Ok(row.map(|row| row.value))
}
