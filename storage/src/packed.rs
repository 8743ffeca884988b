//! Integers packed into blobs, seven bits a byte, least significant first.

use crate::{
    error::{Error, Result},
    id::{EventRow, StateKeyRow},
};

/// A change of state: the event that now holds the key, or `None` where it has become empty.
pub type Change = (StateKeyRow, Option<EventRow>);

/// Packs events in the given order.
#[must_use]
pub fn pack_events(events: &[EventRow]) -> Vec<u8> {
    let mut out = Vec::with_capacity(events.len() * 4);
    for event in events {
        put(&mut out, event.0);
    }
    out
}

/// The events in the order in which they were packed.
///
/// # Errors
/// [`Error::Corrupt`]: this was not packed by [`pack_events`].
pub fn unpack_events(mut bytes: &[u8]) -> Result<Vec<EventRow>> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        events.push(EventRow(take(&mut bytes)?));
    }
    Ok(events)
}

/// Packs changes, which must be sorted by key and have each key once.
pub(crate) fn pack_changes(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::with_capacity(changes.len() * 5);
    let mut before = 0;
    for (key, event) in changes {
        // Keys ascend, so the steps are small; no event has the row 0, so it means "none".
        put(&mut out, key.0 - before);
        put(&mut out, event.map_or(0, EventRow::get));
        before = key.0;
    }
    out
}

/// The changes, sorted by key.
pub(crate) fn unpack_changes(mut bytes: &[u8]) -> Result<Vec<Change>> {
    let mut changes = Vec::with_capacity(bytes.len() / 3);
    let mut key = 0_i64;
    while !bytes.is_empty() {
        key = key.checked_add(take(&mut bytes)?).ok_or_else(damaged)?;
        let event = take(&mut bytes)?;
        changes.push((StateKeyRow(key), (event != 0).then_some(EventRow(event))));
    }
    Ok(changes)
}

fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = value.cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take(bytes: &mut &[u8]) -> Result<i64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(damaged)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value.cast_signed());
        }
    }
    Err(damaged())
}

fn damaged() -> Error {
    Error::Corrupt("a packed list of integers ends early".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_survive_packing(rows in prop::collection::vec(any::<i64>(), 0..50)) {
            let events: Vec<_> = rows.into_iter().map(EventRow).collect();
            prop_assert_eq!(unpack_events(&pack_events(&events)).unwrap(), events);
        }

        #[test]
        fn changes_survive_packing(
            changes in prop::collection::btree_map(1..i64::MAX, prop::option::of(1..i64::MAX), 0..50)
        ) {
            let changes: Vec<Change> = changes
                .into_iter()
                .map(|(key, event)| (StateKeyRow(key), event.map(EventRow)))
                .collect();
            prop_assert_eq!(unpack_changes(&pack_changes(&changes)).unwrap(), changes);
        }

        #[test]
        fn damage_is_an_error_or_other_numbers_but_no_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..50)
        ) {
            let _ = unpack_changes(&bytes);
            let _ = unpack_events(&bytes);
        }
    }
}
