//! The command line of the `lostwax` program.

use crate::console::Console;
use crate::error::{self, CliError};
use crate::registry;
use crate::report::Report;
use crate::stdout;
use crate::verbs::{Cli, check};
use clap::Parser;
use lostwax_compiler::Registry;
use lostwax_ir::printable::printable;
use serde_json::{Value, json};
use std::process::ExitCode;

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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let console = Console::new(cli.json).with_verbosity(cli.verbosity());
    let result = cli.verb.run(&console);
    console.clear();
    match result {
        Ok(report) => finish(&report, &console),
        Err(error) => fail(&error, &console),
    }
}

fn finish(report: &Report, console: &Console) -> ExitCode {
    let text = if console.is_json() { format!("{:#}", report.json) } else { report.text.trim_end().to_string() };
    if report.text_to_stderr {
        console.note(&text);
        return ExitCode::from(report.exit_code);
    }
    printed(&text, report.exit_code, console)
}

fn fail(error: &CliError, console: &Console) -> ExitCode {
    if error.is_closed_stdout() {
        return ExitCode::SUCCESS;
    }
    let (message, exit_code) = (error.chain(), error.exit_code());
    console.line(&format!("error: {message}"));
    if !console.is_json() || matches!(error, CliError::Stdout(_)) {
        return ExitCode::from(exit_code);
    }
    printed(&failure(&message, exit_code, error.unsupported().map(check::to_json)), exit_code, console)
}

/// Shows help, or what is wrong with the arguments; the latter also as JSON if one of them asks for it.
fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json") {
        let message = error.to_string();
        let text = failure(message.trim_start_matches("error: ").trim_end(), error::USAGE, None);
        return printed(&text, error::USAGE, &Console::new(true));
    }
    ExitCode::from(error::USAGE)
}

/// A failed run as JSON.
fn failure(message: &str, exit_code: u8, report: Option<Value>) -> String {
    format!("{:#}", json!({ "error": message, "exit_code": exit_code, "report": report }))
}

/// Writes a text to stdout and gives the exit code, which is another one if that fails.
fn printed(text: &str, exit_code: u8, console: &Console) -> ExitCode {
    match stdout::write(&format!("{}\n", printable(text))) {
        Err(error) if !error.is_closed_stdout() => fail(&error, console),
        Ok(()) | Err(_) => ExitCode::from(exit_code),
    }
}
