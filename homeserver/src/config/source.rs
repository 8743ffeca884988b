//! The layers a value can come from, laid over each other: flag over environment over file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::raw::Raw;
use super::section::{Key, Setting};
use super::suggest;

/// What every environment variable of ours begins with.
pub(crate) const ENVIRONMENT_PREFIX: &str = "ROOKERY_";

/// The one variable that is no key: it names the file, as `--config` does.
pub(crate) const ENVIRONMENT_FILE: &str = "ROOKERY_CONFIG";

/// Where a value was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Environment(String),
    File { path: PathBuf, line: usize },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "from {flag}"),
            Self::Environment(variable) => write!(f, "from the environment, {variable}"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
        }
    }
}

/// A value given on the command line: the key that it sets, the flag's own name, and the value.
pub(crate) type FlagValue = (&'static str, &'static str, Raw);

/// The environment variable that sets `key`: `limits.max_body` is `ROOKERY_LIMITS_MAX_BODY`.
pub(crate) fn variable(key: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}{}",
        key.replace('.', "_").to_uppercase()
    )
}

/// The values as written, the strongest layer of each key, and the problems found so far.
///
/// Reading never stops at a problem: a bad value is noted and the default stands in for it, so
/// that all problems are reported at once. Whoever reads must ask [`Source::problems`] at the end.
pub(crate) struct Source {
    values: BTreeMap<String, (Raw, Origin)>,
    problems: Vec<Problem>,
}

impl Source {
    /// Lays the layers over each other. A later call wins over an earlier one: file, environment,
    /// flags. `keys` is every key there is.
    pub(crate) fn new(
        keys: &[Key],
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Vec<FlagValue>,
    ) -> Self {
        let mut source = Self {
            values: BTreeMap::new(),
            problems: Vec::new(),
        };
        if let Some((path, text)) = file {
            source.add_file(keys, path, text);
        }
        source.add_environment(keys, environment);
        for (key, flag, raw) in flags {
            source
                .values
                .insert(key.to_owned(), (raw, Origin::Flag(flag)));
        }
        source
    }

    /// The value of a key that has a default.
    pub(crate) fn default<T: Setting>(&mut self, key: &str, default: Raw) -> T {
        self.read(key).unwrap_or_else(|| ours(key, &default))
    }

    /// The value of a key that may be left out. `example` is only for the example file.
    pub(crate) fn example<T: Setting>(&mut self, key: &str, _example: Raw) -> Option<T> {
        self.read(key)
    }

    /// The value of a key that must be given.
    pub(crate) fn required<T: Setting>(&mut self, key: &str, example: Raw) -> T {
        if !self.values.contains_key(key) {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            self.problems.push(Problem::of(
                key,
                format!(
                    "is missing, and has no default. Write `{name} = {example}` under [{section}] \
                     in the file, or set {}, or give --{}",
                    variable(key),
                    key.replace(['.', '_'], "-"),
                ),
            ));
        }
        self.read(key).unwrap_or_else(|| ours(key, &example))
    }

    /// Notes a problem that shows only when several keys are seen together.
    pub(crate) fn note(&mut self, mut problem: Problem) {
        problem.origin = self
            .values
            .get(&problem.key)
            .map(|(_, origin)| origin.clone());
        self.problems.push(problem);
    }

    /// All that was found wrong.
    pub(crate) fn problems(self) -> Vec<Problem> {
        self.problems
    }

    fn read<T: Setting>(&mut self, key: &str) -> Option<T> {
        let (raw, origin) = self.values.get(key)?;
        let value = T::read(raw);
        if value.is_none() {
            self.problems.push(Problem {
                key: key.to_owned(),
                message: format!("expected {}, got {}", T::EXPECTED, T::shown(raw)),
                origin: Some(origin.clone()),
            });
        }
        value
    }

    fn add_file(&mut self, keys: &[Key], path: &Path, text: &str) {
        match DeTable::parse(text) {
            Ok(table) => self.add_table(keys, &File { path, text }, "", table.get_ref()),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(text, span.start));
                self.problems.push(Problem {
                    key: String::new(),
                    message: format!("this is not TOML: {}", error.message().replace('\n', ", ")),
                    origin: Some(Origin::File {
                        path: path.to_owned(),
                        line,
                    }),
                });
            }
        }
    }

    fn add_table(&mut self, keys: &[Key], file: &File<'_>, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            let origin = file.at(name.span().start);
            if keys.iter().any(|known| known.name == key) {
                self.values.insert(key, (value.get_ref().into(), origin));
                continue;
            }
            match value.get_ref() {
                DeValue::Table(inner) if is_section(keys, &key) => {
                    self.add_table(keys, file, &key, inner);
                }
                _ => {
                    let message = suggest::unknown(keys.iter().map(|known| known.name), &key);
                    self.problems.push(Problem {
                        key,
                        message,
                        origin: Some(origin),
                    });
                }
            }
        }
    }

    fn add_environment(
        &mut self,
        keys: &[Key],
        environment: impl IntoIterator<Item = (String, String)>,
    ) {
        for (name, text) in environment {
            if !name.starts_with(ENVIRONMENT_PREFIX) || name == ENVIRONMENT_FILE {
                continue;
            }
            match keys.iter().find(|key| variable(key.name) == name) {
                Some(key) => {
                    let origin = Origin::Environment(name);
                    self.values
                        .insert(key.name.to_owned(), (Raw::Untyped(text), origin));
                }
                None => {
                    let variables: Vec<String> =
                        keys.iter().map(|key| variable(key.name)).collect();
                    let message = suggest::unknown(variables.iter().map(String::as_str), &name);
                    self.problems.push(Problem::of(&name, message));
                }
            }
        }
    }
}

/// The file being read, for telling where something stands.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn at(&self, offset: usize) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line: line_of(self.text, offset),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

fn is_section(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn ours<T: Setting>(key: &str, raw: &Raw) -> T {
    T::read(raw).unwrap_or_else(|| panic!("our own value for {key} is a valid one: {raw}"))
}
