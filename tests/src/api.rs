//! `spec/api`: which operation a request is, and whether an answer is as described.
//!
//! The files become one document, `{"client-server/sync": …, "components": …}`, with all references inside it, so
//! that any schema is a JSON pointer into it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

/// The name of the one document, for references into it. It is never fetched.
const DOCUMENT: &str = "urn:spec:api";
/// The keys of a path item that are operations.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// All descriptions, parsed once.
static API: LazyLock<Api> = LazyLock::new(|| Api::load(&directory()));

/// The described API.
pub struct Api {
    document: Value,
    registry: Registry<'static>,
    operations: Vec<Operation>,
    /// Compiled on first use, by JSON pointer.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One described operation.
#[derive(Debug)]
pub struct Operation {
    /// Its `operationId`, unique.
    pub id: String,
    /// In upper case.
    pub method: String,
    /// With `{placeholders}`.
    pub path: String,
    /// Whether it needs an access token.
    pub authenticated: bool,
    /// Whether it needs the signature of another server.
    pub signed: bool,
    /// JSON pointer of the operation in the document.
    pointer: String,
}

/// What is wrong with an answer.
pub type Complaint = String;

impl Api {
    /// The descriptions of this repository.
    #[must_use]
    pub fn get() -> &'static Self {
        &API
    }

    /// Reads all files below a directory.
    ///
    /// # Panics
    /// If a file is no YAML, an operation has no ID, or two have the same.
    #[must_use]
    pub fn load(directory: &Path) -> Self {
        let mut files = Vec::new();
        collect(directory, directory, &mut files);
        let mut document = serde_json::Map::new();
        for (name, path) in files {
            let text = fs::read_to_string(&path).expect("a description is readable");
            let mut parsed: Value = serde_yaml_ng::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            localise(&mut parsed, &name);
            document.insert(name, parsed);
        }
        let document = Value::Object(document);
        let operations = operations(&document);
        let mut ids: Vec<_> = operations.iter().map(|o| &o.id).collect();
        ids.sort();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            panic!("two operations are called {}", twice[0]);
        }
        let registry = Registry::new()
            .add(DOCUMENT, document.clone())
            .and_then(|registry| registry.prepare())
            .unwrap_or_else(|error| panic!("spec/api: {error}"));
        Self {
            document,
            registry,
            operations,
            validators: Mutex::default(),
        }
    }

    /// All operations.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Which operation a request is. `path` as sent, with or without a query.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<&Operation> {
        let path = canonical(path);
        let segments: Vec<_> = path.split('/').collect();
        let mut found: Vec<_> = self
            .operations
            .iter()
            .filter(|o| o.method == method)
            .filter_map(|o| Some((matches(&o.path, &segments)?, o)))
            .collect();
        // A path with fewer placeholders is meant: `/profile/{userId}/displayname` before `/profile/{userId}/{key}`.
        found.sort_by_key(|(placeholders, _)| *placeholders);
        found.first().map(|(_, operation)| *operation)
    }

    /// Whether this answer of this operation is as described.
    ///
    /// # Errors
    /// What differs: the status or content type is not described, or the body does not fit its schema.
    pub fn check(
        &self,
        operation: &Operation,
        status: u16,
        content_type: &str,
        body: &[u8],
    ) -> Result<(), Complaint> {
        let exact = format!("{}/responses/{status}", operation.pointer);
        let class = format!("{}/responses/{}XX", operation.pointer, status / 100);
        let response = [exact, class]
            .into_iter()
            .find_map(|pointer| self.resolve(pointer))
            .ok_or_else(|| format!("{} is described without status {status}", operation.id))?;
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let schema = format!(
            "{response}/content/{}/schema",
            media_type.replace('~', "~0").replace('/', "~1")
        );
        if self.document.pointer(&schema).is_none() {
            return Err(format!(
                "{} is described without content type {content_type:?} for {status}",
                operation.id
            ));
        }
        if media_type != "application/json" {
            return std::str::from_utf8(body)
                .map(|_| ())
                .map_err(|error| error.to_string());
        }
        let body: Value =
            serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
        self.check_schema(&schema, &body)
    }

    /// Whether `body` is an error as all of Matrix has them.
    ///
    /// # Errors
    /// What differs.
    pub fn check_error(&self, body: &Value) -> Result<(), Complaint> {
        self.check_schema("/components/components/schemas/Error", body)
    }

    /// Whether `body` fits the schema at a JSON pointer of the document.
    fn check_schema(&self, pointer: &str, body: &Value) -> Result<(), Complaint> {
        let validator = self.validator(pointer);
        let complaints: Vec<_> = validator
            .iter_errors(body)
            .take(5)
            .map(|error| format!("{error} at {:?}", error.instance_path().to_string()))
            .collect();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints.join("\n  "))
        }
    }

    fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(pointer.to_owned()).or_insert_with(|| {
            let fragment: String = pointer.split('/').map(crate::path::escape).collect::<Vec<_>>().join("/");
            let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": format!("{DOCUMENT}#{fragment}")});
            jsonschema::options()
                .with_registry(&self.registry)
                .build(&schema)
                .map(Arc::new)
                .unwrap_or_else(|error| panic!("spec/api, {pointer}: {error}"))
        });
        Arc::clone(validator)
    }

    /// The pointer itself, or where the reference at it leads; `None` if there is nothing.
    fn resolve(&self, pointer: String) -> Option<String> {
        let at = self.document.pointer(&pointer)?;
        match at.get("$ref").and_then(Value::as_str) {
            None => Some(pointer),
            Some(reference) => self.resolve(
                reference
                    .strip_prefix(DOCUMENT)?
                    .strip_prefix('#')?
                    .to_owned(),
            ),
        }
    }
}

/// Where the descriptions lie in the repository.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/api")
}

/// All YAML files below `directory`, each with its name (path from `root` without extension), sorted.
fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, PathBuf)>) {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a directory is readable").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let name = path.with_extension("");
            let name = name.strip_prefix(root).expect("it is below the root");
            files.push((name.to_string_lossy().into_owned(), path));
        }
    }
}

/// Makes all references point into the one document.
fn localise(value: &mut Value, file: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| localise(item, file)),
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        *reference = absolute(reference, file);
                    }
                    value => localise(value, file),
                }
            }
        }
        _ => {}
    }
}

/// The reference as one into the document.
fn absolute(reference: &str, file: &str) -> String {
    let (target, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let target = target
        .trim_start_matches("./")
        .trim_start_matches("../")
        .trim_end_matches(".yaml");
    let target = if target.is_empty() { file } else { target };
    format!("{DOCUMENT}#/{}{pointer}", target.replace('/', "~1"))
}

/// All operations of all files.
fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (file, description) in document.as_object().into_iter().flatten() {
        let public_by_default = description["security"]
            .as_array()
            .is_some_and(Vec::is_empty);
        for (path, item) in description["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                let Some(operation) = item.get(method) else {
                    continue;
                };
                let id = operation["operationId"].as_str();
                // No token is needed where nothing, or nothing at all as one choice, is asked for.
                let public =
                    operation["security"]
                        .as_array()
                        .map_or(public_by_default, |choices| {
                            choices.is_empty()
                                || choices.iter().any(|choice| {
                                    choice.as_object().is_some_and(serde_json::Map::is_empty)
                                })
                        });
                let scheme = |of: &Value| of[0].get("serverSignature").is_some();
                let signed = scheme(&description["security"]) && operation["security"].is_null();
                let pointer = ["", file, "paths", path, method]
                    .map(|part| part.replace('/', "~1"))
                    .join("/");
                all.push(Operation {
                    id: id
                        .unwrap_or_else(|| panic!("{method} {path} has no operationId"))
                        .to_owned(),
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                    authenticated: !public && !signed,
                    signed,
                    pointer,
                });
            }
        }
    }
    all
}

/// The path as the descriptions name it: without a query, `r0` as `v3`, a summary by its name in the specification, and an
/// empty trailing state key with its slash.
#[must_use]
pub fn canonical(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut path = path.replacen("/_matrix/client/r0/", "/_matrix/client/v3/", 1);
    let summary = path.strip_prefix("/_matrix/client/unstable/im.nheko.summary/");
    if let Some(named) = summary {
        let room = named
            .split('/')
            .find(|part| !["rooms", "summary"].contains(part));
        path = format!(
            "/_matrix/client/v1/room_summary/{}",
            room.unwrap_or_default()
        );
    }
    let segments: Vec<_> = path.split('/').collect();
    if segments.len() == 8 && segments[4] == "rooms" && segments[6] == "state" {
        path.push('/');
    }
    path
}

/// How many placeholders stand in the pattern, if these segments fit it.
fn matches(pattern: &str, segments: &[&str]) -> Option<usize> {
    let parts: Vec<_> = pattern.split('/').collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut placeholders = 0;
    for (part, segment) in parts.iter().zip(segments) {
        if part.starts_with('{') {
            placeholders += 1;
        } else if part != segment {
            return None;
        }
    }
    Some(placeholders)
}

/// How often each operation was answered well, and how often it was refused.
#[derive(Debug, Default)]
pub struct Coverage(Mutex<BTreeMap<String, (usize, usize)>>);

impl Coverage {
    /// Counts an answer.
    pub fn record(&self, operation: &Operation, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (well, refused) = counts.entry(operation.id.clone()).or_default();
        *if status < 400 { well } else { refused } += 1;
    }

    /// The counts (well, refused) of an operation.
    #[must_use]
    pub fn of(&self, operation: &Operation) -> (usize, usize) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&operation.id).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_described_answer_has_a_schema_that_compiles() {
        let api = Api::get();
        for operation in api.operations() {
            let responses = api
                .document
                .pointer(&format!("{}/responses", operation.pointer));
            for status in responses
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(status, _)| status)
            {
                let response = api
                    .resolve(format!("{}/responses/{status}", operation.pointer))
                    .unwrap_or_else(|| panic!("{} {status}: a dangling reference", operation.id));
                let content = api.document.pointer(&format!("{response}/content"));
                for media_type in content
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key)
                {
                    api.validator(&format!(
                        "{response}/content/{}/schema",
                        media_type.replace('/', "~1")
                    ));
                }
            }
        }
    }

    #[test]
    fn requests_find_their_operation() {
        let api = Api::get();
        for (method, path, id) in [
            ("GET", "/_matrix/client/v3/sync?timeout=0", "sync"),
            ("GET", "/_matrix/client/r0/sync", "sync"),
            (
                "PUT",
                "/_matrix/client/v3/rooms/%21a/state/m.room.name",
                "setRoomStateWithKey",
            ),
            (
                "PUT",
                "/_matrix/client/v3/rooms/%21a/state/m.room.name/",
                "setRoomStateWithKey",
            ),
            ("GET", "/_matrix/client/v3/rooms/%21a/state", "getRoomState"),
        ] {
            assert_eq!(
                api.find(method, path).map(|o| o.id.as_str()),
                Some(id),
                "{method} {path}"
            );
        }
        assert!(api.find("POST", "/_matrix/client/v3/sync").is_none());
    }
}
