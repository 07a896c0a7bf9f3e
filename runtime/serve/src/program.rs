//! What programs that serve a model share: their flags, and running a server until it is told to stop.

use crate::server::Server;
use crate::settings::{EmbedFn, Service, Settings};
use lostwax_runtime::llm::{DecoderOptions, Embedder, Language, batch_size, is_decoder, open_decoders};
use lostwax_runtime::{Device, Model, Options, RuntimeError, exit_code};
use std::io;
use std::process::exit;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;

/// Slots of a model that decodes one text at a time.
const DEFAULT_SLOTS: usize = 4;

/// The exit code of a program that was interrupted with Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Why a model cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The system refuses a thread, a socket or an address.
    #[error("{what}: {source}")]
    System {
        /// What was asked of it.
        what: String,
        /// Its answer.
        source: io::Error,
    },
}

impl ServeError {
    /// The exit code of a program that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(error) => error.exit_code(),
            Self::System { .. } => exit_code::USAGE,
        }
    }
}

/// The flags of a server.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The address to listen on; 127.0.0.1 is reachable from this machine only.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The number of requests that are processed at the same time; each slot has its own KV cache. By default the number that
    /// the model was compiled for with `compile --slots`, decoded as one batch, or else 4 slots that take turns.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub slots: Option<u16>,
    /// The number of requests that may wait for a slot.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub queue: usize,
    /// The longest time that a request may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// The API key that clients must send.
    #[arg(long, value_name = "KEY", env = "LOSTWAX_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// The name of the model in the API; by default the name in the artifact.
    #[arg(long, value_name = "NAME")]
    pub alias: Option<String>,
    /// The largest number of tokens of a prompt and its completion; by default the context length of the model.
    #[arg(short, long, value_name = "N")]
    pub context: Option<usize>,
    /// The number of threads; by default the device decides.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
    /// The maximum number of prompt tokens in one run.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub chunk: usize,
}

impl ServeArgs {
    /// Serves a model until Ctrl-C or a request to terminate. `note` receives lines for the user, such as the address.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is served then.
    pub fn serve(&self, model: &Model, language: Language, device: &Device, note: &dyn Fn(&str)) -> Result<(), ServeError> {
        let service = self.service(model, language, device)?;
        let server = Server::new(service, self.settings()).map_err(|source| system("no thread can be started", source))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| system("the server cannot be started", source))?;
        runtime.block_on(self.listen(server, note))
    }

    fn service(&self, model: &Model, language: Language, device: &Device) -> Result<Service, ServeError> {
        let embed = Embedder::is_encoder(model).then(|| self.embed(model, device)).transpose()?;
        let slots = if is_decoder(model) || embed.is_none() { self.slots(model) } else { 0 };
        let mut options = DecoderOptions::new(device.clone());
        options.session.threads = self.threads;
        (options.chunk, options.context_length) = (self.chunk, self.context);
        let decoders = open_decoders(model, &options, slots)?;
        let name = self.alias.clone().unwrap_or_else(|| model.name().to_string());
        Ok(Service { name, language, decoders, embed })
    }

    fn slots(&self, model: &Model) -> usize {
        let together = Some(batch_size(model)).filter(|size| *size > 1);
        self.slots.map(usize::from).or(together).unwrap_or(DEFAULT_SLOTS)
    }

    fn embed(&self, model: &Model, device: &Device) -> Result<EmbedFn, RuntimeError> {
        let mut embedder = Embedder::open(model, device.clone(), Options::new().with_threads(self.threads))?;
        Ok(Box::new(move |tokens| embedder.embed(tokens).map(<[f32]>::to_vec)))
    }

    fn settings(&self) -> Settings {
        let timeout = Duration::from_secs(self.timeout);
        Settings { api_key: self.api_key.clone(), queue_length: self.queue, timeout, ..Settings::default() }
    }

    async fn listen(&self, server: Server, note: &dyn Fn(&str)) -> Result<(), ServeError> {
        let failed = |source| system(&format!("cannot listen on {}:{}", self.host, self.port), source);
        let listener = TcpListener::bind((self.host.as_str(), self.port)).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        note(&format!("listening on http://{bound}; Ctrl-C stops"));
        server.run(listener, stopped(note)).await;
        Ok(())
    }
}

/// Waits until the program is asked to stop; the next Ctrl-C ends it at once.
async fn stopped(note: &dyn Fn(&str)) {
    interrupted().await;
    note("stopping once running requests are complete; press Ctrl-C again to stop now");
    tokio::spawn(async {
        interrupted().await;
        exit(INTERRUPTED);
    });
}

/// Waits for Ctrl-C or, on systems with signals, for SIGTERM.
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

fn system(what: &str, source: io::Error) -> ServeError {
    ServeError::System { what: what.to_string(), source }
}
