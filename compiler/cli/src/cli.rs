//! The command line of the `lostwax` program.

use crate::console::Console;
use crate::error::CliError;
use crate::registry;
use crate::report::Report;
use crate::verbs::{Verb, check};
use clap::Parser;
use lostwax_compiler::Registry;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Results go to stdout, progress to stderr.

Exit codes: 0 fine, 1 mismatch or failed check, 2 usage, 3 unsupported or refused model, 4 incompatible or damaged artifact,
5 device missing or lost, 6 limit exceeded.

Examples:
  lostwax check model.onnx
  lostwax compile model.onnx -o model.lwx
  lostwax run model.lwx -i x=@input.npy -o out.npz
  lostwax bench model.lwx --threads 1,2 --profile
  lostwax verify model.lwx model.onnx
  lostwax generate llm.lwx -p \"Why is the sky blue?\"
  lostwax serve llm.lwx";

/// Compiles a neural network once into one file that a thin runtime executes.
#[derive(Parser)]
#[command(name = "lostwax", version, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// Runs the program on the arguments of the process, with the registry that lostwax ships.
pub fn main() -> ExitCode {
    main_with(Registry::default())
}

/// Runs the program on the arguments of the process, with targets, passes, rules, operators, families and levels of `registry`.
///
/// ```no_run
/// use lostwax::{Registry, cli};
///
/// fn main() -> std::process::ExitCode {
///     let registry = Registry::default();
///     cli::main_with(registry)
/// }
/// ```
pub fn main_with(registry: Registry) -> ExitCode {
    registry::set(registry);
    let cli = Cli::parse();
    let console = Console::new(cli.json);
    let result = cli.verb.run(&console);
    console.clear();
    match result {
        Ok(report) => finish(&report, cli.json),
        Err(error) => fail(&error, cli.json),
    }
}

fn finish(report: &Report, json: bool) -> ExitCode {
    let text = if json { format!("{:#}", report.json) } else { report.text.trim_end().to_string() };
    print(&text);
    ExitCode::from(report.exit_code)
}

fn fail(error: &CliError, json: bool) -> ExitCode {
    let message = error.chain();
    eprintln!("error: {message}");
    if json {
        let report = error.unsupported().map(check::to_json);
        print(&format!("{:#}", json!({ "error": message, "exit_code": error.exit_code(), "report": report })));
    }
    ExitCode::from(error.exit_code())
}

/// Writes to stdout; a reader that has gone away is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
