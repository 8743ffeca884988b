//! `POST /_matrix/client/v3/search`: client-server API, "Server Side Search".

use actix_web::web;
use engine::{
    Engine, HitContext, RelationFilter, SearchAsk, SearchContext, SearchHit, SearchKey, SearchOrder,
};
use ruma::{
    UInt,
    api::client::search::search_events::v3::{Criteria, GroupingKey, OrderBy, Request, SearchKeys},
};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with what was found, best or newest first.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let Some(criteria) = body.search_categories.room_events else {
        return Ok(Json(json!({ "search_categories": {} })));
    };
    let groups = groupings(&criteria)?;
    let ask = ask(criteria, body.next_batch, &raw)?;
    let page = engine.search(&requester, ask).await?;
    let mut events = json!({
        "count": page.count,
        "highlights": page.highlights,
        "results": page.results.iter().map(result).collect::<Vec<_>>(),
    });
    if !groups.is_empty() {
        events["groups"] = grouped(&page.results, &groups);
    }
    if !page.state.is_empty() {
        events["state"] = json!(page.state);
    }
    if let Some(next) = page.next_batch {
        events["next_batch"] = next.into();
    }
    Ok(Json(
        json!({ "search_categories": { "room_events": events } }),
    ))
}

fn ask(criteria: Criteria, from: Option<String>, raw: &[u8]) -> Result<SearchAsk, ApiError> {
    let asked = Asked::read(raw)?;
    let keys = criteria.keys.unwrap_or_default().into_iter().map(key);
    let side = |limit: UInt| u16::try_from(limit).unwrap_or(u16::MAX);
    Ok(SearchAsk {
        term: criteria.search_term,
        keys: keys.collect::<Result<_, _>>()?,
        filter: criteria.filter,
        relations: asked.relations,
        order: match criteria.order_by {
            None | Some(OrderBy::Rank) => SearchOrder::Rank,
            Some(OrderBy::Recent) => SearchOrder::Recent,
            Some(_) => {
                return Err(ApiError::invalid_param(
                    "\"order_by\" is \"rank\" or \"recent\"",
                ));
            }
        },
        context: asked.has_context.then_some(SearchContext {
            before: side(criteria.event_context.before_limit),
            after: side(criteria.event_context.after_limit),
            profiles: criteria.event_context.include_profile,
        }),
        include_state: criteria.include_state.unwrap_or_default(),
        from,
    })
}

/// What ruma does not keep of the request.
struct Asked {
    relations: RelationFilter,
    has_context: bool,
}

impl Asked {
    fn read(raw: &[u8]) -> Result<Self, ApiError> {
        #[derive(serde::Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            search_categories: Categories<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Categories<'a> {
            #[serde(borrow)]
            room_events: Criteria<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Criteria<'a> {
            #[serde(borrow)]
            filter: Option<&'a RawValue>,
            #[serde(borrow)]
            event_context: Option<&'a RawValue>,
        }
        let Ok(body) = serde_json::from_slice::<Body<'_>>(raw) else {
            return Err(ApiError::bad_json("The body is no search"));
        };
        let criteria = body.search_categories.room_events;
        Ok(Self {
            relations: match criteria.filter {
                Some(filter) => RelationFilter::parse(filter.get())?,
                None => RelationFilter::default(),
            },
            has_context: criteria.event_context.is_some(),
        })
    }
}

fn key(key: SearchKeys) -> Result<SearchKey, ApiError> {
    match key {
        SearchKeys::ContentBody => Ok(SearchKey::Body),
        SearchKeys::ContentName => Ok(SearchKey::Name),
        SearchKeys::ContentTopic => Ok(SearchKey::Topic),
        _ => Err(ApiError::invalid_param(
            "\"keys\" are \"content.body\", \"content.name\" and \"content.topic\"",
        )),
    }
}

fn groupings(criteria: &Criteria) -> Result<Vec<GroupingKey>, ApiError> {
    let keys = criteria.groupings.group_by.iter();
    let keys: Vec<GroupingKey> = keys.filter_map(|group| group.key.clone()).collect();
    let known = |key: &GroupingKey| matches!(key, GroupingKey::RoomId | GroupingKey::Sender);
    if keys.iter().all(known) {
        Ok(keys)
    } else {
        Err(ApiError::invalid_param(
            "Results are grouped by \"room_id\" or \"sender\"",
        ))
    }
}

fn result(hit: &SearchHit) -> Value {
    let mut result = json!({ "rank": hit.rank, "result": hit.event });
    if let Some(context) = &hit.context {
        result["context"] = surroundings(context);
    }
    result
}

fn surroundings(context: &HitContext) -> Value {
    let mut json = json!({
        "events_before": context.before,
        "events_after": context.after,
        "start": context.start,
        "end": context.end,
    });
    if !context.profiles.is_empty() {
        let profiles = context.profiles.iter().map(|(user, profile)| {
            let mut shown = Map::new();
            for (name, value) in [
                ("displayname", &profile.displayname),
                ("avatar_url", &profile.avatar_url),
            ] {
                if let Some(value) = value {
                    shown.insert(name.to_owned(), value.clone().into());
                }
            }
            (user.to_string(), Value::Object(shown))
        });
        json["profile_info"] = Value::Object(profiles.collect());
    }
    json
}

/// The results by what they have in common, in the order in which each group has its first one.
fn grouped(hits: &[SearchHit], keys: &[GroupingKey]) -> Value {
    let mut groups = Map::new();
    for key in keys {
        let mut of_key: Map<String, Value> = Map::new();
        for hit in hits {
            let value = match key {
                GroupingKey::Sender => hit.sender.to_string(),
                _ => hit.room_id.to_string(),
            };
            let order = of_key.len() + 1;
            let group = of_key
                .entry(value)
                .or_insert_with(|| json!({ "order": order, "results": [] }));
            if let Some(results) = group["results"].as_array_mut() {
                results.push(hit.event_id.to_string().into());
            }
        }
        groups.insert(key.to_string(), Value::Object(of_key));
    }
    Value::Object(groups)
}
