//! Lists of values for `IN (…)`, of few lengths, so that the texts of the queries repeat and stay
//! prepared.

/// The longest list of one query.
const CHUNK_MAX: usize = 256;

/// `items` in chunks, each filled up to a power of two by repeating its last item.
pub(crate) fn padded<T: Clone>(items: &[T]) -> impl Iterator<Item = Vec<T>> {
    items.chunks(CHUNK_MAX).map(padded_one)
}

/// `items` as one list, however many they are, filled up in the same way.
pub(crate) fn padded_one<T: Clone>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    if let Some(last) = items.last().cloned() {
        items.resize(items.len().next_power_of_two(), last);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_filled_up_to_powers_of_two() {
        for (items, sizes) in [
            (0, vec![]),
            (1, vec![1]),
            (3, vec![4]),
            (256, vec![256]),
            (300, vec![256, 64]),
        ] {
            let items: Vec<i32> = (0..items).collect();
            let chunks: Vec<_> = padded(&items).collect();
            assert_eq!(
                chunks.iter().map(Vec::len).collect::<Vec<_>>(),
                sizes,
                "{}",
                items.len()
            );
            let mut all = chunks.concat();
            all.dedup();
            assert_eq!(all, items);
        }
    }
}
