//! What the verbs for language models share.

use crate::console::Console;
use crate::error::CliError;
use crate::settings::{CompileArgs, DeviceArgs, ImportArgs};
use crate::source;
use lostwax_runtime::Model;
use lostwax_runtime::llm::{Decoder, DecoderOptions, FinishReason, Generated, Language, Sampling, Timings, open_decoder};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A language model that is ready to read and write text.
pub struct LoadedLanguageModel {
    pub model: Model,
    pub language: Language,
    /// Opening the file, checking it and reading the tokenizer.
    pub load: Duration,
}

/// Opens a language model.
pub fn open(path: &Path, console: &Console) -> Result<LoadedLanguageModel, CliError> {
    let opened = source::open(path, &CompileArgs::default(), &ImportArgs::default(), console)?;
    console.stage("reading the tokenizer");
    let start = Instant::now();
    let language = Language::open(&opened.model)?;
    console.clear();
    Ok(LoadedLanguageModel { model: opened.model, language, load: opened.load + start.elapsed() })
}

/// How a decoder runs.
#[derive(Clone, Debug, clap::Args)]
pub struct DecoderArgs {
    /// The number of threads; 0 lets the device decide, which takes all cores of a CPU.
    #[arg(short, long, default_value_t = 0)]
    pub threads: usize,
    /// The maximum number of prompt tokens in one run.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub chunk: usize,
    #[command(flatten)]
    pub device: DeviceArgs,
}

impl DecoderArgs {
    /// A decoder with room for `context` tokens, or for as many as the model allows.
    pub fn open(&self, model: &Model, context: Option<usize>) -> Result<Box<dyn Decoder>, CliError> {
        Ok(open_decoder(model, self.options(model, context)?)?)
    }

    fn options(&self, model: &Model, context: Option<usize>) -> Result<DecoderOptions, CliError> {
        let mut options = DecoderOptions::new(self.device.device(model)?);
        options.session.threads = self.threads;
        (options.chunk, options.context_length) = (self.chunk, context);
        Ok(options)
    }
}

/// The sampling parameters; by default those of the model.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SamplingArgs {
    /// The temperature, by which logits are divided; 0 always takes the most likely token.
    #[arg(long, value_name = "T", visible_alias = "temp")]
    pub temperature: Option<f32>,
    /// Choose among this number of the most likely tokens; 0 among all.
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Sample from the most likely tokens whose probabilities add up to this.
    #[arg(long, value_name = "P")]
    pub top_p: Option<f32>,
    /// Sample from tokens with at least this probability, relative to the most likely one.
    #[arg(long, value_name = "P")]
    pub min_p: Option<f32>,
    /// The penalty by which the logits of recent tokens are divided; 1 for none.
    #[arg(long, value_name = "X", visible_alias = "repeat-penalty")]
    pub repetition_penalty: Option<f32>,
    /// The seed; the same seed gives the same text.
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl SamplingArgs {
    /// What the model wants, with what is given in its place.
    pub fn sampling(&self, language: &Language) -> Sampling {
        let own = language.sampling();
        Sampling {
            temperature: self.temperature.unwrap_or(own.temperature),
            top_k: self.top_k.unwrap_or(own.top_k),
            top_p: self.top_p.unwrap_or(own.top_p),
            min_p: self.min_p.unwrap_or(own.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(own.repetition_penalty),
            seed: self.seed,
            ..own
        }
    }
}

/// Counts and rates on one line.
pub fn timing_line(timings: &Timings) -> String {
    let Timings { prompt_tokens, cached_tokens, generated_tokens, .. } = timings;
    format!(
        "prompt {prompt_tokens} tokens (+{cached_tokens} cached), {:.1} tokens/s; first token after {:.0} ms; \
         {generated_tokens} tokens, {:.1} tokens/s",
        timings.prompt_rate(),
        milliseconds(timings.first_token),
        timings.decode_rate(),
    )
}

/// A text, why it ended and what it took, with the time that the model took to load.
pub fn generated_json(generated: &Generated, load: Duration) -> Value {
    json!({
        "load_ms": milliseconds(load),
        "text": generated.text,
        "tokens": generated.tokens,
        "finish_reason": reason_name(&generated.finish_reason),
        "timings": timings_json(&generated.timings),
    })
}

fn timings_json(timings: &Timings) -> Value {
    json!({
        "prompt_tokens": timings.prompt_tokens,
        "cached_tokens": timings.cached_tokens,
        "generated_tokens": timings.generated_tokens,
        "prompt_ms": milliseconds(timings.prompt),
        "first_token_ms": milliseconds(timings.first_token),
        "decode_ms": milliseconds(timings.decode),
        "prefill_tps": timings.prompt_rate(),
        "decode_tps": timings.decode_rate(),
    })
}

fn reason_name(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::EndOfText => "end_of_text",
        FinishReason::StopString(_) => "stop",
        FinishReason::Cancelled => "cancelled",
        FinishReason::ContextFull => "context_full",
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
