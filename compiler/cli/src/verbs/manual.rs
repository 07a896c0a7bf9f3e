//! `lostwax manual`.

use super::command;
use crate::console::Console;
use crate::error::CliError;
use crate::output::OutputFile;
use crate::report::Report;
use clap::Command;
use clap_mangen::Man;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax manual ~/.local/share/man/man1 && man lostwax-compile";

/// Writes manual pages: one for the program and one for each verb
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder for the pages; it is made if it does not exist.
    folder: PathBuf,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        std::fs::create_dir_all(&self.folder).map_err(CliError::io(&self.folder))?;
        let mut program = command().disable_help_subcommand(true);
        program.build();
        let mut names = Vec::new();
        self.write(&program, &mut names)?;
        names.sort();
        let text = format!("wrote {} pages to {}", names.len(), self.folder.display());
        Ok(Report::new(text, json!({ "folder": self.folder, "pages": names })))
    }

    /// Writes the page of a command and those of its verbs, and adds their names.
    fn write(&self, command: &Command, names: &mut Vec<String>) -> Result<(), CliError> {
        let (man, mut page) = (Man::new(command.clone()), Vec::new());
        man.render(&mut page).map_err(CliError::io(&self.folder))?;
        OutputFile::write(&self.folder.join(man.get_filename()), &page)?;
        names.push(man.get_filename());
        let mut verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        verbs.try_for_each(|verb| self.write(verb, names))
    }
}
