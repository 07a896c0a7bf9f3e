//! Names from models in messages.

/// A text with names of a model, whose line breaks and other control characters are written out.
pub(crate) fn one_line(text: &str) -> String {
    let escaped = |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    text.chars().map(escaped).collect()
}
