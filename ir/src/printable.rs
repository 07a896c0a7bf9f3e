//! Text from files in messages and on terminals.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with all characters that a terminal may obey written as `\u001b`, which is how JSON writes them too. Line breaks and
/// tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |char| is_active(char) && !is_layout(char))
}

/// The same for what takes one line, such as a name: line breaks and tabs are written too.
pub fn printable_line(text: &str) -> Cow<'_, str> {
    escape(text, is_active)
}

/// A text that a model wrote, for a terminal: without the characters that a terminal may obey but line breaks and tabs.
pub fn without_controls(text: &str) -> String {
    text.chars().filter(|char| !is_active(*char) || is_layout(*char)).collect()
}

fn is_layout(char: char) -> bool {
    matches!(char, '\n' | '\t')
}

/// Control characters, and those that change where a terminal shows other characters.
fn is_active(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match is_escaped(char) {
            // Writing to a string cannot fail.
            true => drop(write!(escaped, "\\u{:04x}", u32::from(char))),
            false => escaped.push(char),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_obey_no_name() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{7f}\u{9b}1m\u{202e}c\u{0}"), r"a\u001b[2Jb\u000d\u007f\u009b1m\u202ec\u0000");
        assert_eq!(printable("naïve\n\t漢字 😀"), "naïve\n\t漢字 😀");
        assert_eq!(printable_line("a\nb\tc"), r"a\u000ab\u0009c");
        assert_eq!(without_controls("a\u{1b}[2J\u{7}b\n\tc"), "a[2Jb\n\tc");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "name": "a\u{9b}\u{1b}\n\u{202e}\u{7f}" });
        let printed = printable(&format!("{value:#}")).into_owned();
        assert!(!printed.chars().any(|char| is_active(char) && char != '\n'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }
}
