//! `lostwax generate`.

use super::console::Console;
use super::error::CliError;
use super::report::Report;
use super::settings::DeviceArgs;
use super::source;
use lostwax_runtime::llm::{DecoderOptions, Flow, Generator, Language, Message, Request, Sampling, open_decoder};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax generate model.lwx -p \"Why is the sky blue?\" -n 100
  lostwax generate model.lwx -p \"Once upon a time\" --raw --temp 0";

/// Generates text from a prompt
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An artifact.
    file: PathBuf,
    /// The prompt.
    #[arg(short, long)]
    prompt: String,
    /// The most tokens to generate.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 128)]
    max_tokens: usize,
    /// What logits are divided by; 0 takes the most likely token.
    #[arg(long, value_name = "T")]
    temp: Option<f32>,
    /// Where chance starts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A string that ends the text; repeatable.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Continue the prompt as it is, without the chat template.
    #[arg(long)]
    raw: bool,
    /// The most tokens of the prompt in one run.
    #[arg(long, default_value_t = 512)]
    chunk: usize,
    /// The number of threads; 0 lets the device decide.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    device: DeviceArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let model = source::open_artifact(&self.file)?;
        let language = Language::open(&model)?;
        let prompt = self.tokens(&language)?;
        let mut options = DecoderOptions { chunk: self.chunk, ..DecoderOptions::new(self.device.device()?) };
        options.session.threads = self.threads;
        let mut generator = Generator::new(open_decoder(&model, options)?);
        let sampling = Sampling { temperature: self.temp.unwrap_or(language.sampling().temperature), ..language.sampling() };
        let sampling = Sampling { seed: self.seed, ..sampling };
        let request = Request { max_tokens: self.max_tokens, stop: &self.stop, sampling, ..Request::new(&language, &prompt) };
        console.stage("generating");
        let made = generator.generate(&language, &request, &mut |_| Flow::Continue)?;
        let (prefill, decode, first) =
            (made.timings.prompt_rate(), made.timings.decode_rate(), made.timings.first_token.as_secs_f64() * 1e3);
        console.note(&format!("prompt {prefill:.1} tokens/s, decode {decode:.1} tokens/s, first token {first:.0} ms"));
        let json = json!({
            "text": made.text, "ids": made.tokens, "prefill_tps": prefill, "decode_tps": decode, "first_token_ms": first,
        });
        Ok(Report::new(made.text, json))
    }

    fn tokens(&self, language: &Language) -> Result<Vec<u32>, CliError> {
        if self.raw || language.template().is_none() {
            return Ok(language.encode_prompt(&self.prompt)?);
        }
        Ok(language.encode_chat(&[Message::new("user", &self.prompt)])?)
    }
}
