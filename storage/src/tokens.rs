//! Access and refresh tokens, by their hashes: what is asked of them, and how they change.

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};

use crate::{
    entity::{access_token, openid_token, refresh_token},
    error::Result,
    write::Plain,
};

/// The access token with this hash, expired ones included.
pub async fn access(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<access_token::Model>> {
    Ok(access_token::Entity::find_by_id(hash.to_vec())
        .one(db)
        .await?)
}

/// The access tokens that were given out together with the refresh token `refresh`: mostly one.
pub async fn given_with(
    db: &impl ConnectionTrait,
    refresh: i64,
) -> Result<Vec<access_token::Model>> {
    let given_with = access_token::Column::Refresh.eq(refresh);
    Ok(access_token::Entity::find()
        .filter(given_with)
        .all(db)
        .await?)
}

/// The OpenID token with this hash, expired ones included.
pub async fn openid(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<openid_token::Model>> {
    Ok(openid_token::Entity::find_by_id(hash.to_vec())
        .one(db)
        .await?)
}

/// The refresh token with this hash, expired ones included.
pub async fn refresh(
    db: &impl ConnectionTrait,
    hash: &[u8],
) -> Result<Option<refresh_token::Model>> {
    let with_hash = refresh_token::Column::Hash.eq(hash.to_vec());
    Ok(refresh_token::Entity::find()
        .filter(with_hash)
        .one(db)
        .await?)
}

/// The refresh tokens that were exchanged for the refresh token `id`: mostly none or one.
pub async fn exchanged_for(
    db: &impl ConnectionTrait,
    id: i64,
) -> Result<Vec<refresh_token::Model>> {
    let exchanged_for = refresh_token::Column::Next.eq(id);
    Ok(refresh_token::Entity::find()
        .filter(exchanged_for)
        .all(db)
        .await?)
}

/// Notes that an access token was used.
#[must_use]
pub fn used(hash: Vec<u8>) -> Plain {
    Plain::AccessTokenUpdate(access_token::ActiveModel {
        hash: Unchanged(hash),
        used: Set(true),
        ..Default::default()
    })
}

/// Notes that the refresh token `id` was exchanged for the refresh token `next`.
#[must_use]
pub fn exchanged(id: i64, next: i64) -> Plain {
    Plain::RefreshTokenUpdate(refresh_token::ActiveModel {
        id: Unchanged(id),
        next: Set(Some(next)),
        ..Default::default()
    })
}
