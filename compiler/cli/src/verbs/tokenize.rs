//! `lostwax tokenize`.

use crate::console::Console;
use crate::error::CliError;
use crate::language;
use crate::report::Report;
use crate::table::Table;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax tokenize llm.lwx \"Hello world\"
  lostwax tokenize llm.lwx \"Hello world\" --ids
  lostwax tokenize llm.lwx \"Hello world\" --json";

/// Shows how a language model splits a text into tokens
///
/// The tokens are those of a prompt, with the special tokens that the model expects before and after every text.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A language model.
    file: PathBuf,
    /// The text.
    text: String,
    /// Print numbers only.
    #[arg(long)]
    ids: bool,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let language = language::open(&self.file, console)?.language;
        let ids = language.encode_prompt(&self.text)?;
        let tokens: Vec<String> = ids.iter().map(|id| language.tokenizer().token(*id).unwrap_or_default()).collect();
        let text = if self.ids { format!("{ids:?}") } else { table(&ids, &tokens) };
        Ok(Report::new(text, json!({ "ids": ids, "tokens": tokens })))
    }
}

fn table(ids: &[u32], tokens: &[String]) -> String {
    let mut table = Table::new(&["id", "token"]);
    for (id, token) in ids.iter().zip(tokens) {
        table.row([id.to_string(), format!("{token:?}")]);
    }
    table.to_string()
}
