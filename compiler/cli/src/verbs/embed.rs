//! `lostwax embed`.

use crate::console::Console;
use crate::error::CliError;
use crate::language::{self, LoadedLanguageModel};
use crate::report::Report;
use crate::settings::DeviceArgs;
use crate::table::Table;
use lostwax_runtime::Options;
use lostwax_runtime::llm::{Embedder, cosine_similarity};
use serde_json::{Value, json};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax embed encoder.lwx \"A cat sits on the mat\" \"There is a cat\" \"Stocks fell\"
  lostwax embed encoder.lwx \"A cat sits on the mat\" --json";

/// The characters of a text that a table shows.
const SHOWN: usize = 48;

/// Computes the embeddings of texts and compares them
///
/// Prints the cosine similarity of every pair of texts: 1 for the same meaning, 0 for nothing in common. `--json`
/// gives the vectors too.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An encoder, such as all-MiniLM-L6-v2.
    file: PathBuf,
    /// The texts.
    #[arg(required = true)]
    texts: Vec<String>,
    /// The number of threads; 0 lets the device decide.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    device: DeviceArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let LoadedLanguageModel { model, language, .. } = language::open(&self.file, console)?;
        let mut embedder = Embedder::open(&model, self.device.device(&model)?, Options::new().with_threads(self.threads))?;
        let mut vectors = Vec::new();
        for text in &self.texts {
            vectors.push(embedder.embed(&language.encode_prompt(text)?)?.to_vec());
        }
        Ok(report(&self.texts, &vectors))
    }
}

fn report(texts: &[String], vectors: &[Vec<f32>]) -> Report {
    let similarities: Vec<Vec<f32>> = vectors.iter().map(|a| vectors.iter().map(|b| cosine_similarity(a, b)).collect()).collect();
    let embeddings: Vec<Value> =
        texts.iter().zip(vectors).map(|(text, vector)| json!({ "text": text, "embedding": vector })).collect();
    Report::new(table(texts, &similarities), json!({ "embeddings": embeddings, "similarities": similarities }))
}

fn table(texts: &[String], similarities: &[Vec<f32>]) -> String {
    let numbers: Vec<String> = (1..=texts.len()).map(|number| number.to_string()).collect();
    let header: Vec<&str> = ["", "text"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    let mut table = Table::new(&header);
    for ((number, text), row) in numbers.iter().zip(texts).zip(similarities) {
        let values = row.iter().map(|value| format!("{value:.3}"));
        table.row([number.clone(), shorten(text)].into_iter().chain(values));
    }
    table.to_string()
}

fn shorten(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    if line.chars().count() <= SHOWN { line } else { line.chars().take(SHOWN - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_compared_with_each() {
        let report = report(&["a".into(), "b\n".repeat(40)], &[vec![1.0, 0.0], vec![0.6, 0.8]]);
        assert_eq!(report.json["similarities"], json!([[1.0, 0.6f32], [0.6f32, 1.0]]));
        assert!(report.text.contains("0.600") && report.text.lines().count() == 3 && report.text.contains('…'));
    }
}
