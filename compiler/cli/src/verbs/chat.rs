//! `lostwax chat`.

mod conversation;
mod editor;

use crate::console::Console;
use crate::error::CliError;
use crate::language::{self, DecoderArgs, LoadedLanguageModel, SamplingArgs};
use crate::report::Report;
use crate::signals;
use crate::state_file::{self, StateArgs};
use conversation::Conversation;
use editor::{Editor, Line};
use lostwax_ir::suggest::unknown;
use lostwax_runtime::RuntimeError;
use lostwax_runtime::llm::Generator;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLES: &str = "\
Examples:
  lostwax chat llm.lwx
  lostwax chat llm.lwx --system \"Answer in one sentence.\" --temperature 0.7
  lostwax chat llm.lwx --load-state talk.state --save-state talk.state
  echo \"Why is the sky blue?\" | lostwax chat llm.lwx --json";

const COMMANDS: &str = "\
/reset         starts a new conversation
/system TEXT   sets what the model is told before the conversation; without TEXT nothing
/save FILE     saves the conversation with the cache of the model
/load FILE     goes on with a saved conversation
/exit          leaves, as /quit, /bye and Ctrl-D do
/help          shows this
Ctrl-C stops an answer; a second time it ends the program.";

/// Chats with a language model
///
/// Answers go to stdout as they are generated, timings to stderr. The conversation stays in the KV cache, so that only new text
/// is computed. `/help` lists the commands. A saved state holds the conversation and the KV cache, so that it can be resumed
/// later without delay.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A language model with a chat template.
    file: PathBuf,
    /// The system prompt.
    #[arg(long, value_name = "TEXT", alias = "system-prompt")]
    system: Option<String>,
    /// The maximum number of tokens in an answer; by default as many as fit in the context.
    #[arg(short = 'n', long, value_name = "N", aliases = ["predict", "n-predict"])]
    max_tokens: Option<usize>,
    /// The maximum number of tokens in the conversation; by default as many as the model allows.
    #[arg(short, long, value_name = "N", alias = "ctx-size")]
    context: Option<usize>,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let LoadedLanguageModel { model, language, .. } = language::open(&self.file, console)?;
        if language.template().is_none() {
            return Err(CliError::usage("the model has no chat template; `lostwax generate` continues plain text"));
        }
        let generator = Generator::new(self.decoder.open(&model, self.context)?);
        let mut conversation = Conversation::new(&language, generator, self.sampling.sampling(&language));
        conversation.max_tokens = self.max_tokens.unwrap_or(usize::MAX);
        let loaded = self.state.load_state.as_ref().map(|path| conversation.load(path, console)).transpose()?;
        if let Some(system) = &self.system {
            conversation.set_system(system);
        }
        console.note(&format!("{}: {} tokens of context; /help lists the commands", model.name(), conversation.context_length()));
        talk(&mut conversation, console)?;
        let saved = self.state.save_state.as_ref().map(|path| conversation.save(path, console)).transpose()?;
        let mut json = conversation.json();
        json["state"] = state_file::json(loaded, saved);
        Ok(Report::new("", json))
    }
}

/// Reads lines and does what they ask for, until the end.
fn talk(conversation: &mut Conversation<'_>, console: &Console) -> Result<(), CliError> {
    let mut editor = Editor::open(console)?;
    let stop = stop_on_interrupt()?;
    while let Some(line) = editor.read()? {
        if obey(line, conversation, &stop, console)?.is_break() {
            break;
        }
    }
    Ok(())
}

type Break = std::ops::ControlFlow<()>;

/// Does what a line asks for.
fn obey(line: Line, conversation: &mut Conversation<'_>, stop: &AtomicBool, console: &Console) -> Result<Break, CliError> {
    match line {
        Line::Exit => return Ok(Break::Break(())),
        Line::Nothing => {}
        Line::Interrupt => console.note("press Ctrl-D or type /exit to leave"),
        Line::Help => console.note(COMMANDS),
        Line::Unknown(command) => console.note(&format!("{}; /help lists them", unknown("command", &command, editor::COMMANDS))),
        Line::Reset => conversation.reset(),
        Line::System(text) => conversation.set_system(&text),
        Line::NoFile(command) => console.note(&format!("{command} takes a file; /help lists the commands")),
        Line::Save(path) => complain(conversation.save(&path, console), console),
        Line::Load(path) => complain(conversation.load(&path, console), console),
        Line::Text(text) => answer(text, conversation, stop, console)?,
    }
    Ok(Break::Continue(()))
}

/// A file that cannot be read or written is not a reason to leave.
fn complain(result: Result<usize, CliError>, console: &Console) {
    if let Err(error) = result {
        console.note(&error.chain());
    }
}

fn answer(text: String, conversation: &mut Conversation<'_>, stop: &AtomicBool, console: &Console) -> Result<(), CliError> {
    stop.store(false, Ordering::Relaxed);
    let written = RefCell::new(Ok(()));
    let mut receive = |piece: &str| {
        if written.borrow().is_ok() {
            drop(written.replace(console.write(piece)));
        }
    };
    let answered = conversation.answer(text, &mut receive, &|| stop.load(Ordering::Relaxed) || written.borrow().is_err());
    written.into_inner()?;
    match answered {
        Ok(timings) => {
            console.write("\n")?;
            console.note(&language::timing_line(&timings));
        }
        Err(error @ (RuntimeError::ContextFull { .. } | RuntimeError::InvalidInput { .. })) => {
            console.note(&format!("{error}\nthe message was not added; /reset starts a new conversation"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A flag that Ctrl-C sets. If it is still set, nobody has stopped since, and the program ends.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, CliError> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    signals::on_interrupt(Box::new(move || !raised.swap(true, Ordering::Relaxed)))?;
    Ok(flag)
}
