//! `PUT /_matrix/federation/v1/send/{txnId}`: server-server API, "Transactions".

use std::{sync::Arc, time::Instant};

use actix_web::{HttpResponse, web};
use metrics::{counter, histogram};
use quick_cache::sync::Cache;
use ruma::OwnedServerName;
use spec::{
    json::{Object, Value, encode_object},
    object,
};

use super::{Room, body, json};
use crate::{ApiError, x_matrix::Signed};

/// Server-server API, "Transactions".
const PDUS_MAX: usize = 50;

/// Server-server API, "Transactions".
const EDUS_MAX: usize = 100;

/// How many answers are remembered. A server repeats only its last transaction.
const ANSWERS_MAX: usize = 10_000;

/// The answers to the last transactions: one that is repeated, even while it is still being worked on, gets
/// the same. It may be forgotten, since taking an event twice does nothing.
pub(crate) struct Answers(Cache<(OwnedServerName, String), Arc<str>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Cache::new(ANSWERS_MAX))
    }
}

/// Takes in events and ephemeral news. When this answers, the events are on disk: in their rooms, or staged until what they
/// build on is there.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    answers: web::Data<Answers>,
    txn_id: web::Path<String>,
    mut signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let mut body = body(&mut signed)?;
    let origin = signed.origin;
    let named = body.get("origin").and_then(Value::as_str);
    if named.is_some_and(|named| named != origin) {
        return Err(ApiError::invalid_param("origin is not who signed this"));
    }
    if !body.contains_key("pdus") {
        return Err(ApiError::missing_param("pdus is missing"));
    }
    let pdus = list(&mut body, "pdus", PDUS_MAX)?;
    let edus = list(&mut body, "edus", EDUS_MAX)?;
    counter!("rookery_federation_transactions_received_total").increment(1);
    counter!("rookery_federation_events_received_total").increment(pdus.len() as u64);
    let since = Instant::now();
    let answer = engine
        .ask(|inbound| async move {
            let key = (origin.clone(), txn_id.into_inner());
            let take = async {
                let taken = inbound.pdus(&origin, pdus).await?;
                inbound.edus(&origin, edus).await;
                let results = taken.into_iter().map(|(id, outcome)| {
                    let result = match outcome {
                        Ok(()) => Object::new(),
                        Err(error) => object! { "error" => error },
                    };
                    (id.to_string(), Value::Object(result))
                });
                let results: Object = results.collect();
                Ok(Arc::from(encode_object(&object! { "pdus" => results })))
            };
            answers.0.get_or_insert_async(&key, take).await
        })
        .await?;
    histogram!("rookery_federation_receive_seconds").record(since.elapsed());
    Ok(json(answer.to_string()))
}

/// The objects of a list; empty if it is missing. What else stands there is no event, and does not harm those beside it.
fn list(body: &mut Object, key: &str, count_max: usize) -> Result<Vec<Object>, ApiError> {
    let list = match body.remove(key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(ApiError::bad_json(format!("{key} is not a list"))),
    };
    if list.len() > count_max {
        let sentence = format!("{key} holds more than {count_max}");
        return Err(ApiError::invalid_param(sentence));
    }
    let objects = list.into_iter().filter_map(|one| match one {
        Value::Object(object) => Some(object),
        _ => None,
    });
    Ok(objects.collect())
}
