//! What to say about a name that does not exist.

/// Lists of more names are left out.
const LISTED: usize = 16;

/// How alike a name must be to be suggested, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// A sentence about a name that is none of the known ones: these, if they are few, and the one that is most alike.
///
/// ```
/// let text = lostwax_ir::suggest::unknown("colour", "gren", ["red", "green"]);
/// assert_eq!(text, "there is no colour `gren` (known: red, green); did you mean `green`?");
/// ```
pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let list = match known.len() {
        1..=LISTED => format!(" (known: {})", known.join(", ")),
        _ => String::new(),
    };
    format!("there is no {kind} `{name}`{list}{}", question(name, known))
}

/// The end of a sentence about a name that is none of the known ones: a question about the one that is most alike; empty if none
/// is alike.
///
/// ```
/// assert_eq!(lostwax_ir::suggest::question("gren", ["red", "green"]), "; did you mean `green`?");
/// ```
pub fn question<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    similar(name, known).map(|similar| format!("; did you mean `{similar}`?")).unwrap_or_default()
}

/// The name that is most like `name`, if one is.
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rated = known.into_iter().map(|other| (likeness(&name, &other.to_lowercase()), other));
    let alike = rated.filter(|(likeness, _)| *likeness >= ALIKE);
    alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, other)| other)
}

/// Jaro-Winkler, by which short names with one slip are not alike.
fn likeness(name: &str, other: &str) -> f64 {
    let is_slip = name.len() > 2 && strsim::damerau_levenshtein(name, other) == 1;
    if is_slip { 1.0 } else { strsim::jaro_winkler(name, other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_suggested_where_one_is_alike() {
        let known = ["canonicalize", "optimize", "fold_constants"];
        assert_eq!(similar("optimise", known), Some("optimize"));
        assert_eq!(similar("Fold-constants", known), Some("fold_constants"));
        assert_eq!(similar("f23", ["f16", "f32", "i8"]), Some("f32"));
        assert_eq!(similar("frobnicate", known), None);
    }

    #[test]
    fn long_lists_are_left_out() {
        let names: Vec<String> = (0..100).map(|number| format!("rule_{number}")).collect();
        let text = unknown("rule", "rule_x", names.iter().map(String::as_str));
        assert!(!text.contains("known") && text.contains("did you mean `rule_"), "{text}");
        assert_eq!(unknown("rule", "x", []), "there is no rule `x`");
    }
}
