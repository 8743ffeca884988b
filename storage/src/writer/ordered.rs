//! What is rare enough to be written one by one: accounts and what belongs to them, aliases.

use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};

use super::rows::{Existing, delete, insert, update, values};
use super::{purge, remote_keys, sliding};
use crate::{
    entity::{
        access_token, account, alias, counter, delayed_event, destination, device, email_address,
        filter, notification, openid_token, pending_redaction, presence, profile,
        purge as purge_entity, pusher, reading, refresh_token, registration_token, report, room,
        server_key, sliding_connection, staged_event, summary, unspread_profile,
    },
    error::{Error, Result},
    id::RoomRow,
    notifications,
    outbox::FLOOR,
    padded::padded,
    write::Plain,
};

/// Gives a room the aliases of the one that it replaces, and the place in the directory that this had.
async fn succeed(db: &impl ConnectionTrait, from: RoomRow, to: RoomRow) -> Result<()> {
    alias::Entity::update_many()
        .col_expr(alias::Column::Room, Expr::value(to))
        .filter(alias::Column::Room.eq(from))
        .exec(db)
        .await?;
    let given_up = summary::Entity::update_many()
        .col_expr(summary::Column::ListedBefore, Expr::value(false))
        .filter(summary::Column::Room.eq(from))
        .filter(summary::Column::ListedBefore.eq(true))
        .exec(db)
        .await?;
    if given_up.rows_affected == 0 {
        return Ok(());
    }
    let listed = summary::ActiveModel {
        room: Unchanged(to),
        published: Set(true),
        ..Default::default()
    };
    update(db, listed).await.map(drop)
}

/// One change, by itself.
pub(super) async fn apply(db: &impl ConnectionTrait, plain: &Plain) -> Result<()> {
    match plain {
        Plain::RoomPublished { room, published } => {
            let change = summary::ActiveModel {
                room: Unchanged(*room),
                published: Set(*published),
                listed_before: Set(false),
                ..Default::default()
            };
            update(db, change).await.map(drop)
        }
        Plain::RoomReplaced { room } => {
            summary::Entity::update_many()
                .col_expr(summary::Column::ListedBefore, Expr::value(true))
                .col_expr(summary::Column::Published, Expr::value(false))
                .filter(summary::Column::Room.eq(*room))
                .filter(summary::Column::Published.eq(true))
                .exec(db)
                .await?;
            Ok(())
        }
        Plain::RoomVersion { room, version } => {
            let change = room::ActiveModel {
                id: Unchanged(*room),
                version: Set(version.clone()),
                ..Default::default()
            };
            update(db, change).await.map(drop)
        }
        Plain::PendingRedaction(model) => {
            put(db, model, &[pending_redaction::Column::Redaction]).await
        }
        Plain::RedactionApplied { redaction } => {
            let it = pending_redaction::Column::Redaction.eq(*redaction);
            delete::<pending_redaction::Entity>(db, it).await
        }
        Plain::PurgePlanned(model) => put(db, model, &[purge_entity::Column::Room]).await,
        Plain::PurgeDropped { room } => {
            delete::<purge_entity::Entity>(db, purge_entity::Column::Room.eq(*room)).await
        }
        Plain::RoomGoing { room, server } => purge::begin(db, *room, server).await,
        Plain::RoomStep { room } => purge::step(db, *room).await,
        Plain::Alias {
            alias,
            room,
            creator,
        } => {
            let (alias, creator) = (alias.to_string(), creator.to_string());
            add(
                db,
                &alias::Model {
                    alias,
                    room: *room,
                    creator,
                },
            )
            .await
        }
        Plain::AliasDelete { alias } => {
            delete::<alias::Entity>(db, alias::Column::Alias.eq(alias.as_str())).await
        }
        Plain::RoomSucceeded { from, to } => succeed(db, *from, *to).await,
        Plain::DelayedEvent(model) => put(db, &**model, &[delayed_event::Column::DelayId]).await,
        Plain::DelayedEventsForgotten { finished_before_ts } => {
            let old = delayed_event::Column::FinishedTs.lt(*finished_before_ts);
            delete::<delayed_event::Entity>(db, old).await
        }
        Plain::UnspreadProfile(model) => put(db, model, &[unspread_profile::Column::UserId]).await,
        Plain::ProfileSpread { user_id, change } => {
            let it = unspread_profile::Column::UserId.eq(user_id.as_str());
            let it = it.and(unspread_profile::Column::Change.eq(change));
            delete::<unspread_profile::Entity>(db, it).await
        }
        Plain::Report(model) => {
            let new = report::ActiveModel {
                id: NotSet,
                ..report::ActiveModel::from(report::Model::clone(model))
            };
            report::Entity::insert(new).exec(db).await?;
            Ok(())
        }
        Plain::ReportDelete { id } => {
            delete::<report::Entity>(db, report::Column::Id.eq(*id)).await
        }
        Plain::Account(model) => add(db, model).await,
        Plain::AccountUpdate(change) => update(db, change.clone()).await.map(drop),
        Plain::AccountDelete { user_id } => account_delete(db, user_id.as_str()).await,
        Plain::Device(model) => {
            put(
                db,
                model,
                &[device::Column::UserId, device::Column::DeviceId],
            )
            .await
        }
        Plain::DeviceUpdate(change) => update(db, change.clone()).await.map(drop),
        Plain::DeviceDelete { user_id, device_id } => {
            devices_delete(db, user_id.as_str(), &Which::Only(device_id)).await
        }
        Plain::DevicesDelete { user_id, except } => {
            let which = except.as_deref().map_or(Which::All, Which::AllBut);
            devices_delete(db, user_id.as_str(), &which).await
        }
        Plain::DeviceTokensDelete { user_id, device_id } => {
            tokens_delete(db, user_id.as_str(), &Which::Only(device_id)).await
        }
        Plain::AccessToken(model) => add(db, model).await,
        Plain::AccessTokenUpdate(change) => update(db, change.clone()).await.map(drop),
        Plain::AccessTokenDelete { hash } => {
            let it = access_token::Column::Hash.eq(hash.clone());
            delete::<access_token::Entity>(db, it).await
        }
        Plain::RefreshToken(model) => add(db, model).await,
        Plain::RefreshTokenUpdate(change) => update(db, change.clone()).await.map(drop),
        Plain::RefreshTokenDelete { id } => {
            delete::<refresh_token::Entity>(db, refresh_token::Column::Id.eq(*id)).await
        }
        Plain::EmailAddress(model) => add(db, model).await,
        Plain::EmailAddressDelete { user_id, address } => {
            let it = email_address::Column::UserId.eq(user_id.as_str());
            let it = it.and(email_address::Column::Address.eq(address));
            delete::<email_address::Entity>(db, it).await
        }
        Plain::EmailAddressesDelete { user_id } => {
            email_addresses_delete(db, user_id.as_str()).await
        }
        Plain::OpenIdToken(model) => add(db, model).await,
        Plain::OpenIdTokensExpired { now_ts } => {
            let expired = openid_token::Column::ExpiresTs.lte(*now_ts);
            delete::<openid_token::Entity>(db, expired).await
        }
        Plain::ProfileField(model) => {
            put(
                db,
                model,
                &[profile::Column::UserId, profile::Column::Field],
            )
            .await
        }
        Plain::ProfileFieldDelete { user_id, field } => {
            let it = profile::Column::UserId.eq(user_id.as_str());
            delete::<profile::Entity>(db, it.and(profile::Column::Field.eq(field))).await
        }
        Plain::Filter(model) => put(db, model, &[filter::Column::UserId, filter::Column::Id]).await,
        Plain::SlidingConnection(answered) => sliding::answered(db, answered).await,
        Plain::SlidingConnectionDelete {
            user_id,
            device_id,
            conn_id,
        } => sliding::forget(db, sliding::named(user_id.as_str(), device_id, conn_id)).await,
        Plain::SlidingConnectionsExpired { before_ts } => {
            sliding::forget(db, sliding::idle(*before_ts)).await
        }
        Plain::Presence(model) => put(db, model, &[presence::Column::UserId]).await,
        Plain::PresenceDelete { user_id } => {
            delete::<presence::Entity>(db, presence::Column::UserId.eq(user_id.as_str())).await
        }
        Plain::RegistrationToken(model) => add(db, model).await,
        Plain::RegistrationTokenUpdate(change) => update(db, change.clone()).await.map(drop),
        Plain::RegistrationTokenUse { token } => registration_token_use(db, token).await,
        Plain::RegistrationTokenDelete { token } => {
            let it = registration_token::Column::Token.eq(token);
            delete::<registration_token::Entity>(db, it).await
        }
        Plain::Secret(model) => add(db, model).await,
        Plain::ServerKey(model) => put(db, model, &[server_key::Column::KeyId]).await,
        Plain::RemoteKeys(told) => remote_keys::put(db, told).await,
        Plain::Destination(model) => put(db, model, &[destination::Column::Server]).await,
        Plain::DestinationDelete { server } => {
            let it = destination::Column::Server.eq(server.as_str());
            delete::<destination::Entity>(db, it).await
        }
        Plain::Staged(models) => {
            let key = &[staged_event::Column::Room, staged_event::Column::EventId];
            let rows = models.iter().map(values).collect();
            insert::<staged_event::Entity>(db, Existing::Stays(key), rows).await
        }
        Plain::Unstaged { room, event_ids } => {
            for chunk in padded(event_ids) {
                let ids = chunk.iter().map(ToString::to_string);
                let these = staged_event::Column::Room
                    .eq(*room)
                    .and(staged_event::Column::EventId.is_in(ids));
                delete::<staged_event::Entity>(db, these).await?;
            }
            Ok(())
        }
        Plain::OutboxFloor(position) => {
            let floor = counter::Model {
                name: FLOOR.to_owned(),
                value: position.get(),
            };
            put(db, &floor, &[counter::Column::Name]).await
        }
        Plain::Notifications(models) => {
            use notification::Column::{Position, Room, UserId};
            let rows = models.iter().map(values).collect();
            let known = Existing::Stays(&[Room, UserId, Position]);
            insert::<notification::Entity>(db, known, rows).await
        }
        Plain::NotificationsWithdrawn { room, position } => {
            let it = notification::Column::Room.eq(*room);
            let it = it.and(notification::Column::Position.eq(*position));
            delete::<notification::Entity>(db, it).await
        }
        Plain::NotificationsPruned { room, before } => {
            let it = notification::Column::Room.eq(*room);
            let old = notification::Column::Position.lt(*before);
            delete::<notification::Entity>(db, it.and(old)).await
        }
        Plain::Readings(models) => {
            use reading::Column::{Position, Room, Thread, UserId};
            let rows = models.iter().map(values).collect();
            let advances = Existing::Advances {
                key: &[UserId, Room, Thread],
                to: Position,
            };
            insert::<reading::Entity>(db, advances, rows).await
        }
        Plain::ReadingBegins {
            user_id,
            room,
            position,
        } => {
            reading_ends(db, user_id.as_str(), *room).await?;
            let whole = reading::Model {
                user_id: user_id.to_string(),
                room: *room,
                thread: reading::WHOLE.to_owned(),
                position: *position,
                since: *position,
            };
            add(db, &whole).await
        }
        Plain::ReadingEnds { user_id, room } => reading_ends(db, user_id.as_str(), *room).await,
        Plain::NotificationsFloor(position) => {
            let floor = counter::Model {
                name: notifications::FLOOR.to_owned(),
                value: position.get(),
            };
            put(db, &floor, &[counter::Column::Name]).await
        }
        Plain::Pusher(model) => {
            use pusher::Column::{AppId, Pushkey, UserId};
            put(db, model.as_ref(), &[UserId, AppId, Pushkey]).await
        }
        Plain::PusherUpdate(change) => update(db, change.as_ref().clone()).await.map(drop),
        Plain::PusherDelete {
            user_id,
            app_id,
            pushkey,
        } => {
            let it = same_pusher(app_id, pushkey);
            let it = it.add(pusher::Column::UserId.eq(user_id.as_str()));
            delete::<pusher::Entity>(db, it).await
        }
        Plain::PushersTaken {
            app_id,
            pushkey,
            by,
        } => {
            let others = same_pusher(app_id, pushkey);
            let others = others.add(pusher::Column::UserId.ne(by.as_str()));
            delete::<pusher::Entity>(db, others).await
        }
        // These are merged with others of their kind.
        Plain::StateKey(_)
        | Plain::Room(_)
        | Plain::Summary(_)
        | Plain::RoomHead(_)
        | Plain::Snapshot(_)
        | Plain::Membership { .. }
        | Plain::Forgotten { .. }
        | Plain::Redacted { .. }
        | Plain::MemberBlanked { .. }
        | Plain::EventsDeleted { .. }
        | Plain::Gap { .. } => Ok(()),
    }
}

fn same_pusher(app_id: &str, pushkey: &str) -> Condition {
    Condition::all()
        .add(pusher::Column::AppId.eq(app_id))
        .add(pusher::Column::Pushkey.eq(pushkey))
}

/// Forgets how far a user has read in a room.
async fn reading_ends(db: &impl ConnectionTrait, user_id: &str, room: RoomRow) -> Result<()> {
    let it = reading::Column::UserId.eq(user_id);
    delete::<reading::Entity>(db, it.and(reading::Column::Room.eq(room))).await
}

async fn add<M: ModelTrait>(db: &impl ConnectionTrait, model: &M) -> Result<()> {
    insert::<M::Entity>(db, Existing::Conflicts, vec![values(model)]).await
}

async fn put<M: ModelTrait>(
    db: &impl ConnectionTrait,
    model: &M,
    key: &'static [<M::Entity as EntityTrait>::Column],
) -> Result<()> {
    insert::<M::Entity>(db, Existing::IsReplaced(key), vec![values(model)]).await
}

async fn email_addresses_delete(db: &impl ConnectionTrait, user_id: &str) -> Result<()> {
    let of_user = email_address::Column::UserId.eq(user_id);
    delete::<email_address::Entity>(db, of_user).await
}

async fn account_delete(db: &impl ConnectionTrait, user_id: &str) -> Result<()> {
    email_addresses_delete(db, user_id).await?;
    devices_delete(db, user_id, &Which::All).await?;
    delete::<profile::Entity>(db, profile::Column::UserId.eq(user_id)).await?;
    delete::<filter::Entity>(db, filter::Column::UserId.eq(user_id)).await?;
    delete::<presence::Entity>(db, presence::Column::UserId.eq(user_id)).await?;
    delete::<account::Entity>(db, account::Column::UserId.eq(user_id)).await
}

/// Some devices of a user.
enum Which<'a> {
    All,
    AllBut(&'a str),
    Only(&'a str),
}

impl Which<'_> {
    fn condition<C: ColumnTrait>(&self, user: C, user_id: &str, device: C) -> Condition {
        let whose = Condition::all().add(user.eq(user_id));
        match self {
            Self::All => whose,
            Self::AllBut(device_id) => whose.add(device.ne(*device_id)),
            Self::Only(device_id) => whose.add(device.eq(*device_id)),
        }
    }
}

/// Deletes devices with their tokens and what their clients have been sent.
async fn devices_delete(db: &impl ConnectionTrait, user_id: &str, which: &Which<'_>) -> Result<()> {
    use device::{Column, Entity};
    use sliding_connection::Column as Sliding;
    tokens_delete(db, user_id, which).await?;
    let these = which.condition(Sliding::UserId, user_id, Sliding::DeviceId);
    sliding::forget(db, these).await?;
    delete::<Entity>(
        db,
        which.condition(Column::UserId, user_id, Column::DeviceId),
    )
    .await
}

/// Deletes the tokens of devices, and the pushers that were made with them.
async fn tokens_delete(db: &impl ConnectionTrait, user_id: &str, which: &Which<'_>) -> Result<()> {
    use access_token::Column as Access;
    use pusher::Column as Pusher;
    use refresh_token::Column as Refresh;
    let these = which.condition(Pusher::UserId, user_id, Pusher::DeviceId);
    delete::<pusher::Entity>(db, these).await?;
    let these = which.condition(Access::UserId, user_id, Access::DeviceId);
    delete::<access_token::Entity>(db, these).await?;
    let these = which.condition(Refresh::UserId, user_id, Refresh::DeviceId);
    delete::<refresh_token::Entity>(db, these).await
}

async fn registration_token_use(db: &impl ConnectionTrait, token: &str) -> Result<()> {
    use registration_token::{Column, Entity};
    let usable = Condition::any()
        .add(Column::UsesAllowed.is_null())
        .add(Expr::col(Column::Completed).lt(Expr::col(Column::UsesAllowed)));
    let updated = Entity::update_many()
        .col_expr(Column::Completed, Expr::col(Column::Completed).add(1_i64))
        .filter(Column::Token.eq(token))
        .filter(usable)
        .exec(db)
        .await?;
    if updated.rows_affected == 0 {
        Err(Error::Conflict(None))
    } else {
        Ok(())
    }
}
