//! `lostwax tokenize`.

use super::console::Console;
use super::error::CliError;
use super::report::Report;
use super::source;
use lostwax_runtime::llm::Language;
use serde_json::json;
use std::path::PathBuf;

/// Shows how a language model cuts a text into tokens
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax tokenize model.lwx \"Hello world\"\n  lostwax tokenize model.lwx \"Hello world\" --ids")]
pub struct Args {
    /// An artifact.
    file: PathBuf,
    /// The text.
    text: String,
    /// Print numbers only.
    #[arg(long)]
    ids: bool,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let language = Language::open(&source::open_artifact(&self.file)?)?;
        let ids = language.encode_prompt(&self.text)?;
        let tokens: Vec<String> = ids.iter().map(|id| language.tokenizer().token(*id).unwrap_or_default()).collect();
        let lines = ids.iter().zip(&tokens).map(|(id, token)| format!("{id:>7}  {token:?}\n"));
        let text = if self.ids { format!("{ids:?}") } else { lines.collect() };
        Ok(Report::new(text, json!({ "ids": ids, "tokens": tokens })))
    }
}
