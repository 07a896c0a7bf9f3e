//! `lostwax generate`.

use crate::console::Console;
use crate::error::CliError;
use crate::language::{self, DecoderArgs, LoadedLanguageModel, SamplingArgs};
use crate::report::Report;
use crate::state_file::{self, StateArgs};
use lostwax_runtime::llm::{Generator, Language, Message, Request};
use std::ops::ControlFlow;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax generate llm.lwx -p \"Why is the sky blue?\"
  lostwax generate llm.lwx -p \"Once upon a time\" --raw --temperature 0 --max-tokens 64
  lostwax generate llm.lwx -p \"Three colours:\" --stop . --json
A long system message is read once, and later prompts go on from there:
  lostwax generate llm.lwx --system \"$(cat manual.txt)\" -p \"\" --max-tokens 0 --save-state manual.state
  lostwax generate llm.lwx --system \"$(cat manual.txt)\" -p \"How do I reset it?\" --load-state manual.state";

/// Generates text from a prompt
///
/// If the model has a chat template, the prompt is formatted with it, as a user message. Text goes to stdout as it is generated,
/// timings go to stderr.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A language model.
    file: PathBuf,
    /// The prompt.
    #[arg(short, long)]
    prompt: String,
    /// The system prompt.
    #[arg(long, value_name = "TEXT", alias = "system-prompt", conflicts_with = "raw")]
    system: Option<String>,
    /// The maximum number of tokens to generate; by default as many as fit in the context.
    #[arg(short = 'n', long, value_name = "N", aliases = ["predict", "n-predict"])]
    max_tokens: Option<usize>,
    /// The maximum number of tokens of prompt and completion; by default as many as the model allows.
    #[arg(short, long, value_name = "N", alias = "ctx-size")]
    context: Option<usize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// A stop string: it ends the text and is not part of it; repeatable.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Continue the prompt as it is, without the chat template.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let LoadedLanguageModel { model, language, load } = language::open(&self.file, console)?;
        let prompt = self.tokens(&language)?;
        let mut generator = Generator::new(self.decoder.open(&model, self.context)?);
        let load_state = |path: &PathBuf| state_file::load(path, &mut generator, console);
        let loaded = self.state.load_state.as_ref().map(load_state).transpose()?;
        let request = Request {
            max_tokens: self.max_tokens.unwrap_or(usize::MAX),
            stop: &self.stop,
            sampling: self.sampling.sampling(&language),
            ..Request::new(&language, &prompt)
        };
        let mut written = Ok(());
        let generated = generator.generate(&language, &request, &mut |text| {
            written = console.write(text);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        console.note(&language::timing_line(&generated.timings));
        let save_state = |path: &PathBuf| state_file::save(path, &mut generator, &[], console);
        let saved = self.state.save_state.as_ref().map(save_state).transpose()?;
        written?;
        let mut json = language::generated_json(&generated, load);
        json["state"] = state_file::json(loaded.map(|loaded| loaded.tokens), saved);
        Ok(Report::new("", json))
    }

    fn tokens(&self, language: &Language) -> Result<Vec<u32>, CliError> {
        if self.raw || (language.template().is_none() && self.system.is_none()) {
            return Ok(language.encode_prompt(&self.prompt)?);
        }
        let system = self.system.iter().map(|text| Message::new("system", text));
        let messages: Vec<Message> = system.chain([Message::new("user", &self.prompt)]).collect();
        Ok(language.encode_chat(&messages)?)
    }
}
