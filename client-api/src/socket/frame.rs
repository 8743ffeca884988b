//! The frames of the WebSocket protocol as types: `spec/api/extensions/websocket.md`, "Frames".

use std::time::Duration;

use ruma::{OwnedEventId, OwnedRoomId, events::receipt::ReceiptThread, presence::PresenceState};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{error::ApiError, extract, sync::sliding};

/// The longest `id`, in characters.
const ID_CHARS_MAX: usize = 255;

/// One request of the client.
#[derive(Debug)]
pub(super) struct Frame {
    /// What the answer is to be called by; without one there is no answer.
    pub(super) id: Option<String>,
    /// What is asked.
    pub(super) ask: Ask,
}

/// What a client may ask for.
#[derive(Debug)]
pub(super) enum Ask {
    Send(Send),
    State(State),
    Redact(Redact),
    Typing(Typing),
    Receipt(Receipt),
    ReadMarkers(ReadMarkers),
    Presence(Presence),
    /// Boxed, since it is by far the largest.
    Sync(Box<sliding::Body>),
    Ack(Ack),
    Ping,
}

#[derive(Debug, Deserialize)]
pub(super) struct Send {
    pub(super) room_id: OwnedRoomId,
    pub(super) event_type: String,
    pub(super) content: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) room_id: OwnedRoomId,
    pub(super) event_type: String,
    #[serde(default)]
    pub(super) state_key: String,
    pub(super) content: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Redact {
    pub(super) room_id: OwnedRoomId,
    pub(super) event_id: OwnedEventId,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Typing {
    pub(super) room_id: OwnedRoomId,
    pub(super) typing: bool,
    /// In milliseconds.
    timeout: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Receipt {
    pub(super) room_id: OwnedRoomId,
    #[serde(default = "read")]
    pub(super) receipt_type: String,
    pub(super) event_id: OwnedEventId,
    #[serde(default)]
    pub(super) thread_id: ReceiptThread,
    /// MSC4446.
    #[serde(default, rename = "com.beeper.allow_backward")]
    pub(super) allow_backward: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadMarkers {
    pub(super) room_id: OwnedRoomId,
    #[serde(rename = "m.fully_read")]
    pub(super) fully_read: Option<OwnedEventId>,
    #[serde(rename = "m.read")]
    pub(super) read: Option<OwnedEventId>,
    #[serde(rename = "m.read.private")]
    pub(super) read_private: Option<OwnedEventId>,
    /// MSC4446.
    #[serde(default, rename = "com.beeper.allow_backward")]
    pub(super) allow_backward: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Presence {
    pub(super) presence: PresenceState,
    pub(super) status_msg: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ack {
    /// Of sliding sync, the `pos`.
    #[serde(alias = "pos")]
    pub(super) next_batch: String,
}

/// A frame that cannot be carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Its `id`, if it had one that could be read.
    pub(super) id: Option<String>,
    pub(super) error: ApiError,
}

impl Typing {
    /// For how long the user shows as typing; `None` if they stopped.
    pub(super) fn timeout(&self) -> Option<Duration> {
        // As in ruma's reading of the HTTP request.
        self.typing
            .then(|| Duration::from_millis(self.timeout.unwrap_or(30_000)))
    }
}

fn read() -> String {
    "m.read".to_owned()
}

/// Reads one text frame.
///
/// # Errors
/// Why it cannot be carried out, and how to call the answer.
pub(super) fn parse(text: &str) -> Result<Frame, Refusal> {
    let nameless = |error| Refusal { id: None, error };
    if text.is_empty() {
        return Err(nameless(ApiError::not_json("The frame is empty")));
    }
    extract::check_json(text.as_bytes()).map_err(nameless)?;
    let envelope: Map<String, Value> = typed(text).map_err(nameless)?;
    let id = match envelope.get("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id))
            if (1..=ID_CHARS_MAX).contains(&id.chars().count()) && !id.contains('\0') =>
        {
            Some(id.clone())
        }
        Some(_) => {
            let sentence = format!("\"id\" must be a string of 1 to {ID_CHARS_MAX} characters");
            return Err(nameless(ApiError::bad_json(sentence)));
        }
    };
    let refused = |error| Refusal {
        id: id.clone(),
        error,
    };
    let Some(Value::String(method)) = envelope.get("method") else {
        return Err(refused(ApiError::bad_json("\"method\" must be a string")));
    };
    let ask = ask(method, text).map_err(refused)?;
    if has_nul(&ask, text) {
        return Err(refused(extract::nul_in_body()));
    }
    if id.is_none() && matches!(ask, Ask::Send(_) | Ask::Redact(_)) {
        let sentence = format!("\"{method}\" needs an \"id\": it is the transaction ID");
        return Err(nameless(ApiError::bad_json(sentence)));
    }
    Ok(Frame { id, ask })
}

/// Whether there is a NUL in anything but content, which is kept as JSON.
fn has_nul(ask: &Ask, text: &str) -> bool {
    let (event_type, state_key) = match ask {
        Ask::Send(send) => (&*send.event_type, ""),
        Ask::State(state) => (&*state.event_type, &*state.state_key),
        _ => return extract::has_nul(text.as_bytes()),
    };
    event_type.contains('\0') || state_key.contains('\0')
}

fn ask(method: &str, text: &str) -> Result<Ask, ApiError> {
    #[derive(Deserialize)]
    struct Params<T> {
        params: T,
    }
    fn params<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
        typed::<Params<T>>(text).map(|envelope| envelope.params)
    }
    Ok(match method {
        "send" => Ask::Send(params(text)?),
        "state" => Ask::State(params(text)?),
        "redact" => Ask::Redact(params(text)?),
        "typing" => Ask::Typing(params(text)?),
        "receipt" => Ask::Receipt(params(text)?),
        "read_markers" => Ask::ReadMarkers(params(text)?),
        "presence" => Ask::Presence(params(text)?),
        "sync" => Ask::Sync(params(text)?),
        "ack" => Ask::Ack(params(text)?),
        "ping" => Ask::Ping,
        other => {
            let shown: String = other.chars().take(80).collect();
            return Err(ApiError::new(
                actix_web::http::StatusCode::NOT_FOUND,
                "M_UNRECOGNIZED",
                format!("There is no method \"{shown}\" here"),
            ));
        }
    })
}

fn typed<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text)
        .map_err(|error| ApiError::bad_json(extract::wrong_shape(text.as_bytes(), &error)))
}

/// The frame that answers a request.
pub(super) fn result(id: &str, result: &Value) -> String {
    json!({ "id": id, "result": result }).to_string()
}

/// The frame that pushes what is new on a connection of sliding sync. `json`: the answer.
pub(super) fn slide(conn_id: &str, json: &[u8]) -> String {
    let conn_id = json!(conn_id);
    let json = String::from_utf8_lossy(json);
    format!(r#"{{"method":"sync","conn_id":{conn_id},"data":{json}}}"#)
}

/// The frame that says that a connection of sliding sync cannot go on.
pub(super) fn slide_failure(conn_id: &str, error: &ApiError) -> String {
    json!({ "method": "sync", "conn_id": conn_id, "error": error.body() }).to_string()
}

/// The frame that refuses a request.
pub(super) fn failure(id: Option<&str>, error: &ApiError) -> String {
    json!({ "id": id, "error": error.body() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Ask, failure, parse};

    #[test]
    fn a_send_keeps_its_content_as_it_is() {
        let frame = parse(
            r#"{"id":"1","method":"send","params":{"room_id":"!a:b","event_type":"x","content":{"b":1.0, "a":[]}}}"#,
        )
        .unwrap();
        let Ask::Send(send) = frame.ask else {
            panic!("{:?}", frame.ask)
        };
        assert_eq!(send.content.get(), r#"{"b":1.0, "a":[]}"#);
        assert_eq!(frame.id.as_deref(), Some("1"));
    }

    #[test]
    fn what_cannot_be_carried_out_is_answered_by_its_id() {
        for (text, id, errcode) in [
            ("", None, "M_NOT_JSON"),
            ("{", None, "M_NOT_JSON"),
            ("[]", None, "M_BAD_JSON"),
            (r#"{"id":1,"method":"ping"}"#, None, "M_BAD_JSON"),
            (r#"{"id":"","method":"ping"}"#, None, "M_BAD_JSON"),
            (r#"{"id":"1"}"#, Some("1"), "M_BAD_JSON"),
            (r#"{"id":"1","method":"fly"}"#, Some("1"), "M_UNRECOGNIZED"),
            (r#"{"id":"1","method":"send"}"#, Some("1"), "M_BAD_JSON"),
            (
                r#"{"id":"1","method":"receipt","params":{"room_id":"!a:b","event_id":"$\u0000"}}"#,
                Some("1"),
                "M_BAD_JSON",
            ),
            (
                r#"{"id":"1","method":"ack","params":{"next_batch":1}}"#,
                Some("1"),
                "M_BAD_JSON",
            ),
            (
                r#"{"method":"redact","params":{"room_id":"!a:b","event_id":"$c"}}"#,
                None,
                "M_BAD_JSON",
            ),
        ] {
            let refusal = parse(text).unwrap_err();
            assert_eq!(
                (refusal.id.as_deref(), refusal.error.errcode()),
                (id, errcode),
                "{text}"
            );
            assert!(failure(refusal.id.as_deref(), &refusal.error).contains(errcode));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = r#"{"id":"1","method":"typing","params":{"room_id":"!a:b","typing":"yes"}}"#;
        let sentence = parse(text).unwrap_err().error.body()["error"].to_string();
        assert!(sentence.contains("params.typing"), "{sentence}");
    }
}
