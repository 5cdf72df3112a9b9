//! «did you mean»: the known word that is nearest to an unknown one.

/// The nearest of `options` at a distance below three; nothing if `word` is one of them.
pub(crate) fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    let mut least = 3;
    for option in options {
        let distance = distance(word, option);
        if distance == 0 {
            return None;
        }
        if distance < least {
            (best, least) = (Some(option), distance);
        }
    }
    best
}

/// The advice about an unknown word, if there is a nearer one.
pub(crate) fn did_you_mean<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, options).map(|option| format!("did you mean `{option}`?"))
}

/// How many characters have to be put in, taken out or exchanged (Levenshtein).
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (index, char) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&two) {
            let above = *cell;
            left = (diagonal + usize::from(char != *other)).min(left + 1).min(above + 1);
            (*cell, diagonal) = (left, above);
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("RUM", "RUN"), 1);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn only_near_words_are_offered() {
        assert_eq!(nearest("RUM", ["ENV", "RUN"]), Some("RUN"));
        assert_eq!(nearest("RUN", ["ENV", "RUN"]), None);
        assert_eq!(nearest("apt-get", ["ADD", "ENV"]), None);
    }
}
