//! The `lostwax-serve` program: serves the language model of an artifact over HTTP, without the compiler.

use clap::Parser;
use lostwax_runtime::llm::Language;
use lostwax_runtime::{Device, Model};
use lostwax_serve::{ServeArgs, ServeError};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Exit codes: 0 fine, 2 usage, 4 incompatible or damaged artifact, 5 device missing or lost, 6 limit exceeded.

Examples:
  lostwax-serve llm.lwx
  lostwax-serve llm.lwx --host 0.0.0.0 --port 8000 --slots 2 --api-key secret
  curl http://127.0.0.1:8080/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"stream\": true}'";

/// Serves a language model over HTTP with OpenAI's API.
///
/// Paths: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /health, /metrics.
#[derive(Parser)]
#[command(name = "lostwax-serve", version, after_help = EXAMPLES, max_term_width = 120)]
struct Program {
    /// The artifact; `lostwax compile` makes one.
    file: PathBuf,
    /// The device, as NAME or NAME:ADAPTER; by default the first that the artifact has code for.
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl Program {
    fn run(&self) -> Result<(), ServeError> {
        let model = Model::open(&self.file)?;
        let language = Language::open(&model)?;
        let device = Device::find(self.device.as_deref(), &model)?;
        self.serve.serve(&model, language, &device, &|line| eprintln!("{line}"))
    }
}

fn main() -> ExitCode {
    match Program::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
