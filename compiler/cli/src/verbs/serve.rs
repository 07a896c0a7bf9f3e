//! `lostwax serve`.

use crate::console::Console;
use crate::error::CliError;
use crate::language::{self, LoadedLanguageModel};
use crate::report::Report;
use crate::settings::DeviceArgs;
use lostwax_serve::ServeArgs;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax serve llm.lwx
  lostwax serve llm.lwx --host 0.0.0.0 --port 8000 --slots 2 --api-key secret
  curl http://127.0.0.1:8080/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"stream\": true}'

The program lostwax-serve does the same for artifacts, without the compiler.";

/// Serves a language model over HTTP, with OpenAI's API
///
/// Paths: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /health, /metrics. Each slot generates one completion at
/// a time; other requests wait. Ctrl-C stops the server once running requests are complete.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A language model.
    file: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let LoadedLanguageModel { model, language, .. } = language::open(&self.file, console)?;
        let name = self.serve.alias.clone().unwrap_or_else(|| model.name().to_string());
        self.serve.serve(&model, language, &self.device.device(&model)?, &|line| console.note(line))?;
        Ok(Report::new("", json!({ "model": name })))
    }
}
