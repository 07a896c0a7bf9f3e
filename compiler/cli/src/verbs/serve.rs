//! `lostwax serve`.

use crate::console::Console;
use crate::error::CliError;
use crate::language::{self, DecoderArgs, Opened, is_decoder};
use crate::report::Report;
use lostwax_serve::{Embed, Server, Service, Settings};
use lostwax_runtime::llm::{Embedder, batch_size};
use lostwax_runtime::{Model, Options};
use serde_json::json;
use std::path::PathBuf;
use std::process::exit;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const EXAMPLES: &str = "\
Examples:
  lostwax serve llm.lwx
  lostwax serve llm.lwx --host 0.0.0.0 --port 8000 --slots 2 --api-key secret
  curl http://127.0.0.1:8080/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"stream\": true}'";

/// Slots of a model that decodes one text at a time.
const DEFAULT_SLOTS: usize = 4;

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Serves a language model over HTTP, with OpenAI's API
///
/// Paths: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /health, /metrics. Several texts are generated at the
/// same time, one in each slot; other requests wait. Ctrl-C lets texts under way end first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A language model.
    file: PathBuf,
    /// The address to listen on; only this machine reaches 127.0.0.1.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many texts are generated at the same time; each slot has a cache of its own. As many as the model was compiled for with
    /// `compile --slots`, which are decoded together, or 4 that take turns, unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    slots: Option<u16>,
    /// How many requests may wait for a slot.
    #[arg(long, value_name = "N", default_value_t = 64)]
    queue: usize,
    /// How long a request may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// A key that clients must send.
    #[arg(long, value_name = "KEY", env = "LOSTWAX_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The name of the model for clients; its own unless given.
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// The most tokens of a text with its prompt; as many as the model allows unless given.
    #[arg(short, long, value_name = "N")]
    context: Option<usize>,
    #[command(flatten)]
    decoder: DecoderArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let service = self.service(console)?;
        let name = service.name.clone();
        let server = Server::new(service, self.settings()).map_err(|error| failed("no thread can be started", &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed("the server cannot be started", &error))?;
        self.listen(&runtime, server, console)?;
        Ok(Report::new("", json!({ "model": name })))
    }

    fn service(&self, console: &Console) -> Result<Service, CliError> {
        let Opened { model, language, .. } = language::open(&self.file, console)?;
        let embed = Embedder::is_encoder(&model).then(|| self.embed(&model)).transpose()?;
        let slots = if is_decoder(&model) || embed.is_none() { self.slots(&model) } else { 0 };
        let decoders = self.decoder.open_all(&model, self.context, slots)?;
        let name = self.alias.clone().unwrap_or_else(|| model.name().to_string());
        Ok(Service { name, language, decoders, embed })
    }

    fn slots(&self, model: &Model) -> usize {
        let together = Some(batch_size(model)).filter(|size| *size > 1);
        self.slots.map(usize::from).or(together).unwrap_or(DEFAULT_SLOTS)
    }

    fn embed(&self, model: &Model) -> Result<Embed, CliError> {
        let options = Options::new().with_threads(self.decoder.threads);
        let mut embedder = Embedder::open(model, self.decoder.device.device(model)?, options)?;
        Ok(Box::new(move |tokens| embedder.embed(tokens).map(<[f32]>::to_vec)))
    }

    fn settings(&self) -> Settings {
        let timeout = Duration::from_secs(self.timeout.max(1));
        Settings { api_key: self.api_key.clone(), queue_length: self.queue, timeout, ..Settings::default() }
    }

    fn listen(&self, runtime: &Runtime, server: Server, console: &Console) -> Result<(), CliError> {
        let address = format!("{}:{}", self.host, self.port);
        runtime.block_on(async {
            let failed = |error| failed(&format!("cannot listen on {address}"), &error);
            let listener = TcpListener::bind((self.host.as_str(), self.port)).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            console.note(&format!("listening on http://{bound}; Ctrl-C stops"));
            server.run(listener, stopped(console)).await;
            Ok(())
        })
    }
}

/// Waits until the program shall end; the next Ctrl-C ends it at once.
async fn stopped(console: &Console) {
    interrupted().await;
    console.note("stopping when the texts under way are complete; Ctrl-C ends at once");
    tokio::spawn(async {
        interrupted().await;
        exit(INTERRUPTED);
    });
}

/// Waits for Ctrl-C or, where there are signals, for the one that asks programs to end.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn failed(what: &str, error: &std::io::Error) -> CliError {
    CliError::usage(format!("{what}: {error}"))
}
