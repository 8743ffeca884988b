//! Whom a search for people may find, kept up to date with accounts, profiles, members and rooms.
//!
//! What a batch may have changed is read anew from what it has written, so that it is right whichever way it came. It costs
//! a handful of queries for each batch in which somebody comes or goes, and nothing else does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect};

use spec::json::{Strictness, Value, parse};

use super::{
    prepared::Prepared,
    rows::{Existing, delete, insert, values},
    summaries::Before,
};
use crate::{
    directory_users::{members_after, open, search_text},
    entity::{
        account, directory_user,
        membership::{self, Membership},
        profile, summary,
    },
    error::Result,
    padded::padded,
    write::Plain,
};

/// How many members of a room that opens or closes are looked at in one go.
const MEMBERS_PAGE: u64 = 256;

/// To be called when all else of the batch is written; `before` is from before its memberships were.
pub(super) async fn apply(
    db: &impl ConnectionTrait,
    writes: &[&mut Prepared],
    before: &Before,
) -> Result<()> {
    let mut users = Users::default();
    for plain in writes.iter().flat_map(|write| &write.ordered) {
        users.changed.extend(of_account(plain));
    }
    for (_, row) in writes.iter().flat_map(|write| &write.memberships) {
        let was = before.joined.contains(&(row.room, row.user_id.clone()));
        match (was, row.membership == Membership::Join) {
            (true, true) => drop(users.renamed.insert(row.user_id.clone())),
            (false, false) => {}
            _ => drop(users.changed.insert(row.user_id.clone())),
        }
    }
    for plain in writes.iter().flat_map(|write| &write.afterwards) {
        if let Plain::MemberBlanked { user_id, .. } = plain {
            users.renamed.insert(user_id.to_string());
        }
    }
    users.refresh(db).await?;
    for room in &before.turned {
        let mut after = String::new();
        loop {
            let members = members_after(db, *room, &after, MEMBERS_PAGE).await?;
            let Some(last) = members.last() else { break };
            after.clone_from(last);
            let users = Users {
                changed: members.into_iter().collect(),
                ..Users::default()
            };
            users.refresh(db).await?;
        }
    }
    Ok(())
}

/// The user whose account or profile this changes.
fn of_account(plain: &Plain) -> Option<String> {
    match plain {
        Plain::Account(model) => Some(model.user_id.clone()),
        Plain::AccountUpdate(model) => model.user_id.try_as_ref().cloned(),
        Plain::AccountDelete { user_id } => Some(user_id.to_string()),
        Plain::ProfileField(model) if shown(&model.field) => Some(model.user_id.clone()),
        Plain::ProfileFieldDelete { user_id, field } if shown(field) => Some(user_id.to_string()),
        _ => None,
    }
}

fn shown(field: &str) -> bool {
    matches!(field, "displayname" | "avatar_url")
}

/// Users whose rows may be out of date.
#[derive(Default)]
struct Users {
    /// Anything of them has changed.
    changed: BTreeSet<String>,
    /// They may have another name in a room, which matters for users of other servers.
    renamed: BTreeSet<String>,
}

impl Users {
    async fn refresh(self, db: &impl ConnectionTrait) -> Result<()> {
        let all: Vec<String> = self.changed.union(&self.renamed).cloned().collect();
        let mut accounts = HashMap::new();
        for chunk in padded(&all) {
            let these = account::Column::UserId.is_in(chunk);
            for found in account::Entity::find().filter(these).all(db).await? {
                accounts.insert(found.user_id.clone(), found);
            }
        }
        let due = |user: &&String| self.changed.contains(*user) || !accounts.contains_key(*user);
        let due: Vec<String> = all.iter().filter(due).cloned().collect();
        for chunk in due.chunks(256) {
            refresh(db, chunk, &accounts).await?;
        }
        Ok(())
    }
}

/// Makes the rows of at most 256 users what they should be.
async fn refresh(
    db: &impl ConnectionTrait,
    users: &[String],
    accounts: &HashMap<String, account::Model>,
) -> Result<()> {
    let public = in_public(db, users).await?;
    let local: Vec<&String> = users
        .iter()
        .filter(|user| accounts.contains_key(*user))
        .collect();
    let profiles = profiles(db, &local).await?;
    let mut wanted = BTreeMap::new();
    for user in users {
        let in_room = public.get(user);
        let shown = match accounts.get(user) {
            Some(account) if may_be_found(account) => {
                profiles.get(user).cloned().unwrap_or_default()
            }
            None if in_room.is_some() => in_room.cloned().unwrap_or_default(),
            _ => continue,
        };
        let row = directory_user::Model {
            user_id: user.clone(),
            public: in_room.is_some(),
            search: search_text(user, shown.displayname.as_deref()),
            displayname: shown.displayname,
            avatar_url: shown.avatar_url,
        };
        wanted.insert(user.clone(), row);
    }
    for chunk in padded(users) {
        let these = directory_user::Column::UserId.is_in(chunk);
        for stored in directory_user::Entity::find().filter(these).all(db).await? {
            match wanted.get(&stored.user_id) {
                Some(row) if *row == stored => drop(wanted.remove(&stored.user_id)),
                Some(_) => {}
                None => {
                    let it = directory_user::Column::UserId.eq(&stored.user_id);
                    delete::<directory_user::Entity>(db, it).await?;
                }
            }
        }
    }
    let rows = wanted.values().map(values).collect();
    let key = &[directory_user::Column::UserId];
    insert::<directory_user::Entity>(db, Existing::IsReplaced(key), rows).await
}

fn may_be_found(account: &account::Model) -> bool {
    !(account.deactivated || account.locked || account.guest)
}

#[derive(Clone, Default)]
struct Shown {
    displayname: Option<String>,
    avatar_url: Option<String>,
}

/// Those of these users who are in an open room, with what they are called in the one that they came to last.
async fn in_public(db: &impl ConnectionTrait, users: &[String]) -> Result<HashMap<String, Shown>> {
    let mut found: HashMap<String, (crate::Position, Shown)> = HashMap::new();
    for chunk in padded(users) {
        let members = membership::Entity::find()
            .join(
                JoinType::InnerJoin,
                membership::Entity::belongs_to(summary::Entity)
                    .from(membership::Column::Room)
                    .to(summary::Column::Room)
                    .into(),
            )
            .filter(membership::Column::UserId.is_in(chunk))
            .filter(membership::Column::Membership.eq(Membership::Join))
            .filter(open());
        for member in members.all(db).await? {
            let shown = Shown {
                displayname: member.displayname,
                avatar_url: member.avatar_url,
            };
            let newest = found.get(&member.user_id).map(|(position, _)| *position);
            if newest.is_none_or(|newest| member.position > newest) {
                found.insert(member.user_id, (member.position, shown));
            }
        }
    }
    let found = found.into_iter();
    Ok(found.map(|(user, (_, shown))| (user, shown)).collect())
}

async fn profiles(db: &impl ConnectionTrait, users: &[&String]) -> Result<HashMap<String, Shown>> {
    let mut found: HashMap<String, Shown> = HashMap::new();
    for chunk in padded(users) {
        let fields = profile::Entity::find()
            .filter(profile::Column::UserId.is_in(chunk.into_iter().cloned()))
            .filter(profile::Column::Field.is_in(["displayname", "avatar_url"]));
        for row in fields.all(db).await? {
            let shown = found.entry(row.user_id).or_default();
            // PostgreSQL cannot keep a NUL as text; nobody misses it.
            let value = parse(row.value.as_bytes(), Strictness::Lenient).ok();
            let text = value.as_ref().and_then(Value::as_str);
            let text = text.map(|text| text.replace('\0', ""));
            match &*row.field {
                "displayname" => shown.displayname = text,
                _ => shown.avatar_url = text,
            }
        }
    }
    Ok(found)
}
