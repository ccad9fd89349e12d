//! Which word a person may have meant.

/// The one of `known` that is nearest to `written`, if it is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&word| (distance(written, word), word))
        .filter(|&(distance, word)| distance <= 2 && distance < word.len())
        .min()
        .map(|(_, word)| word)
}

/// Levenshtein: how many letters must be added, removed or changed.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.chars().enumerate() {
        let mut left = row + 1;
        let mut costs = vec![left];
        for (wanted, pair) in to.iter().zip(above.windows(2)) {
            let &[diagonal, up] = pair else { continue };
            let change = diagonal + usize::from(letter != *wanted);
            left = change.min(up + 1).min(left + 1);
            costs.push(left);
        }
        above = costs;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        for (from, to, expect) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("max_windw", "max_window", 1),
            ("settel", "settle", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expect, "{from} -> {to}");
        }
    }

    #[test]
    fn nearest_is_near() {
        let known = ["schedule", "settle", "splay"];
        assert_eq!(nearest("shedule", &known), Some("schedule"));
        assert_eq!(nearest("settel", &known), Some("settle"));
        assert_eq!(nearest("polling", &known), None);
        assert_eq!(nearest("ab", &["cd"]), None);
    }
}
