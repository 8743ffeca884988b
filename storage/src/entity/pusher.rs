//! Where users want to be told of what happens: client-server API, "Push Notifications".

use sea_orm::entity::prelude::*;

use crate::id::Position;

/// A row of `pushers`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pushers")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// The app.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub app_id: String,
    /// How the gateway calls this device.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub pushkey: String,
    /// In which way it is told.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// The device whose session made it: it goes with that.
    #[sea_orm(column_type = "Text")]
    pub device_id: String,
    /// For people.
    #[sea_orm(column_type = "Text")]
    pub app_display_name: String,
    /// For people.
    #[sea_orm(column_type = "Text")]
    pub device_display_name: String,
    /// Which rules of the device it obeys.
    #[sea_orm(column_type = "Text", nullable)]
    pub profile_tag: Option<String>,
    /// The language of its user.
    #[sea_orm(column_type = "Text")]
    pub lang: String,
    /// The gateway, and what the client wants it to know: a JSON object.
    #[sea_orm(column_type = "Text")]
    pub data: String,
    /// Since when, in ms.
    pub created_ts: i64,
    /// Up to where in the log it has been told.
    pub done: Position,
    /// The last count that it was told.
    pub badge: i64,
    /// How often in a row the gateway did not answer.
    pub failures: i64,
    /// Since when, in ms.
    pub failing_ts: i64,
    /// Not to be looked at before this, in ms; 0: whenever there is something to tell.
    pub retry_ts: i64,
    /// Of an e-mail address: when it was told of which room, as JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub mailed: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
