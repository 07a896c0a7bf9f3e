//! Suggestions for names that do not exist.

/// The known name that is nearest to a misspelt one, if any is near: at most a third of the letters differ.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &'a str| (strsim::damerau_levenshtein(name, candidate), candidate);
    let (distance, nearest) = known.into_iter().map(distance).min_by_key(|(distance, _)| *distance)?;
    (3 * distance <= name.chars().count().max(nearest.chars().count())).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_have_a_neighbour() {
        let known = ["canonicalize", "fold_constants", "optimize"];
        assert_eq!(nearest("canonicalise", known), Some("canonicalize"));
        assert_eq!(nearest("fold-constnats", known), Some("fold_constants"));
        assert_eq!(nearest("vectorize_all", known), None);
        assert_eq!(nearest("x", known), None);
    }
}
