//! How well a text matches.

/// The rank of a text in which all of `terms` stand, above zero: a term counts the more the oftener it stands there, and
/// twice where it is a whole word; a long text counts less than a short one. Both in lower case.
pub(super) fn of(text: &str, terms: &[String]) -> f64 {
    let matched: f64 = terms.iter().map(|term| weight(text, term)).sum();
    let pages = text.len() as f64 / PAGE_BYTES;
    matched / (1.0 + pages.ln_1p())
}

/// What is short, in bytes: a line or two.
const PAGE_BYTES: f64 = 64.0;

/// How often one term is looked for in one text.
const OCCURRENCES_MAX: usize = 16;

fn weight(text: &str, term: &str) -> f64 {
    let mut weight = 0.0;
    for (at, found) in text.match_indices(term).take(OCCURRENCES_MAX) {
        let is_edge = |next: Option<char>| next.is_none_or(|c| !c.is_alphanumeric());
        let whole = is_edge(text[..at].chars().next_back())
            && is_edge(text[at + found.len()..].chars().next());
        weight += if whole { 2.0 } else { 1.0 };
    }
    f64::ln_1p(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_often_and_in_short_texts_come_first() {
        let terms = ["cat".to_owned()];
        let long = format!("cat {}", "dog ".repeat(100));
        let texts = ["cat cat", "cat", "catalogue", &long];
        let ranks = texts.map(|text| of(text, &terms));
        assert!(ranks.is_sorted_by(|one, other| one > other), "{ranks:?}");
        assert!(ranks[3] > 0.0);
    }
}
