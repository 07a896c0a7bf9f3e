#![forbid(unsafe_code)]
//! Finds the lines of a text that say most nearly what a question says.
//!
//! ```text
//! lostwax compile all-MiniLM-L6-v2 -o minilm.lwx
//! embeddings minilm.lwx notes.txt "How do I get my money back?"
//! ```

use lostwax_runtime::llm::{Embedder, Language, cosine_similarity};
use lostwax_runtime::{Device, Model, Options};
use std::error::Error;

/// The lines that are printed.
const SHOWN: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, question] = args.as_slice() else {
        return Err("usage: embeddings MODEL.lwx FILE QUESTION".into());
    };
    let model = Model::open(model)?;
    let language = Language::open(&model)?;
    let mut embedder = Embedder::open(&model, Device::cpu(), Options::new())?;
    let mut embed =
        |text: &str| -> Result<Vec<f32>, Box<dyn Error>> { Ok(embedder.embed(&language.encode_prompt(text)?)?.to_vec()) };
    let (wanted, text) = (embed(question)?, std::fs::read_to_string(file)?);
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        found.push((cosine_similarity(&embed(line)?, &wanted), line));
    }
    for (similarity, line) in best(found) {
        println!("{similarity:.3}  {line}");
    }
    Ok(())
}

/// The most similar lines, best first.
fn best(mut found: Vec<(f32, &str)>) -> Vec<(f32, &str)> {
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(SHOWN);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_lines_come_first() {
        let found = (0..9u8).map(|line| (f32::from(line * 7 % 9), "line")).collect();
        assert_eq!(best(found).iter().map(|(similarity, _)| *similarity).collect::<Vec<_>>(), [8.0, 7.0, 6.0, 5.0, 4.0]);
    }
}
