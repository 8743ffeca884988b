//! `vectors/**.json`, case by case. Their shape is described in `vectors/README.md`.

mod auth;
mod events;
mod resolution;
mod texts;

use std::{fs, path::Path};

use serde::de::DeserializeOwned;
use spec::room_version::RoomVersion;

pub(crate) fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The versions that a range names: "7", or "1-9", or one that tries out a proposal.
pub(crate) fn versions(range: &str) -> Vec<&'static RoomVersion> {
    let unstable = RoomVersion::unstable().iter();
    let named: Vec<_> = unstable.filter(|version| version.id() == range).collect();
    if !named.is_empty() {
        return named;
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let place = |id: &str| {
        let found = RoomVersion::all()
            .iter()
            .position(|version| version.id() == id);
        found.unwrap_or_else(|| panic!("no version {id}"))
    };
    RoomVersion::all()[place(first)..=place(last)]
        .iter()
        .collect()
}
