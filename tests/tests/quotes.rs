//! Code that the docs quote is what the sources have.
//!
//! A comment `<!-- quote: FILE REGION -->` stands before a block of code. The region lies between the comments
//! `// region: REGION` and `// endregion: REGION` of the file. With `UPDATE_QUOTES` in the environment, blocks are written anew.

use std::fs;
use std::path::{Path, PathBuf};

const QUOTE: &str = "<!-- quote: ";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of a region, as far to the left as they go.
fn region(file: &str, name: &str) -> String {
    let text = fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let is = |line: &str, kind: &str| line.trim() == format!("// {kind}: {name}");
    let lines: Vec<&str> =
        text.lines().skip_while(|line| !is(line, "region")).skip(1).take_while(|line| !is(line, "endregion")).collect();
    assert!(!lines.is_empty(), "{file} has no region `{name}`");
    let indent = |line: &&&str| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|line| !line.is_empty()).map(|line| indent(&line)).min().unwrap_or(0);
    lines.iter().map(|line| format!("{}\n", line.get(least..).unwrap_or_default())).collect()
}

/// The document with each quoted block as the sources have it, and the number of quotes.
fn updated(document: &str) -> (String, usize) {
    let (mut text, mut count, mut lines) = (String::new(), 0, document.split_inclusive('\n'));
    while let Some(line) = lines.next() {
        text.push_str(line);
        let Some(quote) = line.strip_prefix(QUOTE) else { continue };
        let (file, name) = quote.trim_end().trim_end_matches(" -->").split_once(' ').expect("a quote names a file and a region");
        text.push_str(lines.next().filter(|fence| fence.starts_with("```")).expect("a quote stands before a block of code"));
        text.push_str(&region(file, name));
        text.extend(lines.by_ref().find(|line| line.trim_end() == "```"));
        count += 1;
    }
    (text, count)
}

#[test]
fn docs_quote_code_as_it_is() {
    let documents = fs::read_dir(checkout().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut quotes = 0;
    for path in documents.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let document = fs::read_to_string(&path).unwrap();
        let (text, count) = updated(&document);
        quotes += count;
        if std::env::var_os("UPDATE_QUOTES").is_some() {
            fs::write(&path, &text).unwrap();
        } else {
            assert!(text == document, "{} quotes code that has changed; run with UPDATE_QUOTES=1", path.display());
        }
    }
    assert!(quotes > 0, "the docs quote nothing");
}
