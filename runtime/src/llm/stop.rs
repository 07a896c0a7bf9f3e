/// Ends text at the first stop string, even if it is split across pieces, and never emits a part of a stop string.
#[derive(Clone, Debug, Default)]
pub struct StopFilter {
    stops: Vec<String>,
    held: String,
}

impl StopFilter {
    /// A filter for these strings; empty ones never match.
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Returns the text that can be emitted now, and the stop string if one was found; nothing may be pushed after that.
    pub fn push(&mut self, text: &str) -> (String, Option<String>) {
        self.held.push_str(text);
        if let Some((position, stop)) = self.first() {
            let found = stop.to_owned();
            self.held.truncate(position);
            return (std::mem::take(&mut self.held), Some(found));
        }
        let rest = self.held.split_off(self.held.len() - self.possible());
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// What was held back.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the first string begins; of several, the longest.
    fn first(&self) -> Option<(usize, &str)> {
        let found = self.stops.iter().filter_map(|stop| Some((self.held.find(stop)?, stop.as_str())));
        found.min_by_key(|(position, stop)| (*position, usize::MAX - stop.len()))
    }

    /// The number of trailing bytes that may begin a stop string.
    fn possible(&self) -> usize {
        let longest = |stop: &String| {
            let ends = stop.char_indices().map(|(end, _)| end).rev();
            ends.filter_map(|end| stop.get(..end)).find(|start| self.held.ends_with(start)).map_or(0, str::len)
        };
        self.stops.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let mut filter = StopFilter::new(&stops.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut text = String::new();
        for piece in pieces {
            let (out, stop) = filter.push(piece);
            text += &out;
            if stop.is_some() {
                return (text, stop);
            }
        }
        (text + &filter.flush(), None)
    }

    #[test]
    fn strings_are_found_across_pieces() {
        assert_eq!(filtered(&["END"], &["a E", "N", "D b"]), ("a ".into(), Some("END".into())));
        assert_eq!(filtered(&["aab"], &["a", "a", "a", "b", "c"]), ("a".into(), Some("aab".into())));
        assert_eq!(filtered(&["\u{e9}!"], &["caf\u{e9}", "?"]), ("caf\u{e9}?".into(), None));
        assert_eq!(filtered(&["b", "abc"], &["x", "a", "bc"]), ("x".into(), Some("abc".into())));
        assert_eq!(filtered(&["", "zz"], &["z"]), ("z".into(), None));
        assert_eq!(filtered(&["ab", "abc"], &["abc"]), (String::new(), Some("abc".into())));
    }
}
