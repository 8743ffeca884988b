//! "Did you mean …?" for keys that do not exist.

/// How many letters may differ for a key to be taken for a slip of another.
const SLIPS_MAX: usize = 3;

/// What to say about `written`, which is none of `known`.
pub(crate) fn unknown<'a>(known: impl Iterator<Item = &'a str>, written: &str) -> String {
    let mut nearest: Option<(usize, &str)> = None;
    for candidate in known {
        let distance = if last(candidate) == last(written) && candidate.contains('.') {
            1 // the right name in the wrong section
        } else {
            distance(candidate, written)
        };
        if distance <= SLIPS_MAX && nearest.is_none_or(|(least, _)| distance < least) {
            nearest = Some((distance, candidate));
        }
    }
    match nearest {
        Some((_, candidate)) => format!("there is no such key; did you mean {candidate}?"),
        None => "there is no such key; `homeserver config example` lists all".to_owned(),
    }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ours) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, theirs) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ours != *theirs);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_gets_the_key_that_was_meant() {
        let known = ["limits.max_body", "log.filter", "database.url"];
        for (written, meant) in [
            ("limits.max_bdy", "limits.max_body"),
            ("limit.max_body", "limits.max_body"),
            ("server.filter", "log.filter"),
        ] {
            let said = unknown(known.into_iter(), written);
            assert!(said.contains(meant), "{written}: {said}");
        }
        assert!(unknown(known.into_iter(), "bananas").contains("config example"));
    }
}
