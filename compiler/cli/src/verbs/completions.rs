//! `lostwax completions`.

use super::command;
use crate::console::Console;
use crate::error::CliError;
use crate::report::Report;
use clap_complete::{Shell, generate};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  lostwax completions bash > ~/.local/share/bash-completion/completions/lostwax
  lostwax completions zsh > ~/.zfunc/_lostwax
  lostwax completions fish > ~/.config/fish/completions/lostwax.fish";

/// Prints a script that completes verbs, flags and files in a shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let mut script = Vec::new();
        generate(self.shell, &mut command(), "lostwax", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        let json = json!({ "shell": self.shell.to_string(), "script": script });
        Ok(Report::new(script, json))
    }
}
