//! States: what is read is what was written, from few rows.

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree};

use super::fixture::on_each;
use crate::{
    EventRow, Plain, RoomRow, SnapshotRow, StateKeyRow, Write,
    snapshots::{Change, Lineage, lineage, load, lookup},
    write::NewSnapshot,
};

const ROOM: RoomRow = RoomRow(1);

type State = BTreeMap<StateKeyRow, EventRow>;

fn change(state: &mut State, changes: &[Change]) {
    for (key, event) in changes {
        match event {
            Some(event) => state.insert(*key, *event),
            None => state.remove(key),
        };
    }
}

fn pairs(state: &State) -> Vec<(StateKeyRow, EventRow)> {
    state.iter().map(|(key, event)| (*key, *event)).collect()
}

fn changes() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let change =
        prop::collection::btree_map(1..40_i64, prop::option::weighted(0.8, 1..99_i64), 0..12);
    let change = change.prop_map(|changes| {
        let rows = |(key, event): (i64, Option<i64>)| (StateKeyRow(key), event.map(EventRow));
        changes.into_iter().map(rows).collect()
    });
    prop::collection::vec(change, 1..40)
}

proptest! {
    #[test]
    fn every_state_is_the_sum_of_its_changes(steps in changes()) {
        let mut lineage = Lineage::empty();
        let mut state = State::new();
        for (n, step) in steps.iter().enumerate() {
            let row = SnapshotRow(n as i64 + 1);
            let new = lineage.push(ROOM, row, step).unwrap();
            change(&mut state, step);
            prop_assert_eq!(lineage.row(), Some(row));
            prop_assert_eq!(lineage.entries().unwrap(), pairs(&state));
            prop_assert!(new.chain <= 7, "{} lists for 40 keys", new.chain + 1);
            prop_assert_eq!(new.parent.is_none(), new.chain == 0);
        }
    }
}

#[tokio::test]
async fn states_survive_storing() {
    on_each(async |store| {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for _ in 0..5 {
            let steps = changes().new_tree(&mut runner).unwrap().current();
            let mut lists = Lineage::empty();
            let mut state = State::new();
            let mut expected = Vec::new();
            for step in &steps {
                let row = store.ids().next_snapshot();
                let new = lists.push(ROOM, row, step).unwrap();
                store
                    .write(Write::plain(vec![Plain::Snapshot(new)]))
                    .await
                    .unwrap();
                change(&mut state, step);
                expected.push((row, pairs(&state)));
            }
            let rows: Vec<_> = expected.iter().map(|(row, _)| *row).collect();
            let keys: Vec<_> = (0..41).map(StateKeyRow).collect();
            let found = lookup(store.reader(), &rows, &keys).await.unwrap();
            for (row, state) in expected {
                let held = keys.iter().zip(&found[&row]);
                let held = held.filter_map(|(key, event)| Some((*key, (*event)?)));
                assert_eq!(held.collect::<Vec<_>>(), state);
                assert_eq!(load(store.reader(), row).await.unwrap(), state);
            }
            // What was loaded can be built upon like what was made.
            let stored = lineage(store.reader(), lists.row().unwrap()).await.unwrap();
            let more = [(StateKeyRow(1), Some(EventRow(7)))];
            let build = |mut lists: Lineage| lists.push(ROOM, SnapshotRow(99), &more).unwrap();
            assert_eq!(build(stored), build(lists));
        }
        let missing = load(store.reader(), SnapshotRow(1_000_000)).await;
        assert!(matches!(missing, Err(crate::Error::Corrupt(_))));
        let missing = [SnapshotRow(1_000_000)];
        let missing = lookup(store.reader(), &missing, &[StateKeyRow(1)]).await;
        assert!(matches!(missing, Err(crate::Error::Corrupt(_))));
    })
    .await;
}

/// A room of N keys and M changes takes up space for N + M log N, and each state few rows.
#[test]
fn the_cost_grows_with_keys_and_changes_but_not_with_their_product() {
    let (keys, changes) = (20_000_i64, 20_000_i64);
    let mut lineage = Lineage::empty();
    let full: Vec<Change> = (1..=keys)
        .map(|key| (StateKeyRow(key), Some(EventRow(key))))
        .collect();
    let mut bytes = lineage
        .push(ROOM, SnapshotRow(1), &full)
        .unwrap()
        .entries
        .len();
    let mut chain_max = 0;
    for n in 1..=changes {
        let key = StateKeyRow(n * 7_919 % keys + 1);
        let change = [(key, Some(EventRow(keys + n)))];
        let NewSnapshot { entries, chain, .. } =
            lineage.push(ROOM, SnapshotRow(n + 1), &change).unwrap();
        bytes += entries.len();
        chain_max = chain_max.max(chain);
    }
    assert!(chain_max <= 15, "{chain_max}");
    let per_change = bytes as i64 / changes;
    assert!(per_change < 100, "{per_change} bytes a change");
}
