//! The arguments of the program. A verb is one file, which holds its `Args`, and one line in the list below.

use crate::console::{Console, Verbosity};
use crate::error::CliError;
use crate::report::Report;
use clap::{CommandFactory, Parser, Subcommand};

/// Lists the verbs: the file, which holds a type `Args` with a function `run`, and its name in [`Verb`].
macro_rules! verbs {
    ($($module:ident $variant:ident,)*) => {
        $(pub mod $module;)*

        /// A verb with its arguments.
        #[derive(Subcommand)]
        pub enum Verb { $($variant($module::Args),)* }

        impl Verb {
            /// Runs the verb.
            pub fn run(self, console: &Console) -> Result<Report, CliError> {
                match self { $(Verb::$variant(args) => args.run(console),)* }
            }
        }
    };
}

verbs! {
    check Check,
    compile Compile,
    run Run,
    bench Bench,
    verify Verify,
    inspect Inspect,
    generate Generate,
    chat Chat,
    tokenize Tokenize,
    perplexity Perplexity,
    embed Embed,
    serve Serve,
    opt Opt,
    bisect Bisect,
    targets Targets,
    devices Devices,
    ops Ops,
    rules Rules,
    passes Passes,
    completions Completions,
    manual Manual,
}

const EXAMPLES: &str = "\
Results go to stdout, progress and notes to stderr. With --json, stdout is one JSON value, even if the program fails:
error, exit_code and report.

Exit codes: 0 success, 1 mismatch or failed check, 2 usage error, 3 unsupported or refused model, 4 incompatible or damaged artifact,
5 device missing or lost, 6 limit exceeded.

Examples:
  lostwax check model.onnx
  lostwax compile model.onnx -o model.lwx
  lostwax run model.lwx -i x=@input.npy -o out.npz
  lostwax bench model.lwx --threads 1,2 --profile
  lostwax verify model.lwx model.onnx
  lostwax generate llm.lwx -p \"Why is the sky blue?\"
  lostwax serve llm.lwx
  lostwax completions bash > ~/.local/share/bash-completion/completions/lostwax";

/// Compiles a neural network once into one file that a thin runtime executes.
#[derive(Parser)]
#[command(name = "lostwax", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    /// What to do.
    pub verb: Verb,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Write only errors to stderr: no progress and no notes.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Also write a line for each stage to stderr, with the time that it took.
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Cli {
    /// How much goes to stderr.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }
}

/// The program's verbs and flags, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}
