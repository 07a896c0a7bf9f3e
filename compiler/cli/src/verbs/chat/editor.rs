//! Lines that a person types.

use crate::console::Console;
use crate::error::CliError;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};
use std::path::PathBuf;

/// The lines that the history keeps.
const REMEMBERED: usize = 1000;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A message.
    Text(String),
    Reset,
    System(String),
    Save(PathBuf),
    Load(PathBuf),
    /// A command that lacks the file it is for.
    NoFile(String),
    Help,
    Exit,
    /// A command that does not exist.
    Unknown(String),
    /// Ctrl-C.
    Interrupt,
    Nothing,
}

/// All commands.
pub const COMMANDS: [&str; 8] = ["/reset", "/system", "/save", "/load", "/help", "/exit", "/quit", "/bye"];

impl Line {
    fn parse(line: &str) -> Self {
        let line = line.trim();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "" => Self::Nothing,
            "/reset" => Self::Reset,
            "/system" => Self::System(rest.trim().to_string()),
            "/save" | "/load" if rest.trim().is_empty() => Self::NoFile(command.to_string()),
            "/save" => Self::Save(rest.trim().into()),
            "/load" => Self::Load(rest.trim().into()),
            "/help" => Self::Help,
            "/exit" | "/quit" | "/bye" => Self::Exit,
            _ if command.starts_with('/') => Self::Unknown(command.to_string()),
            _ => Self::Text(line.to_string()),
        }
    }
}

/// Reads lines, with a history that outlives the program where it can be kept.
pub struct Editor {
    editor: DefaultEditor,
    history: Option<PathBuf>,
}

impl Editor {
    /// An editor with the history of the user, which is optional.
    pub fn open(console: &Console) -> Result<Self, CliError> {
        let config = Config::builder().max_history_size(REMEMBERED).map_err(failed)?.auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(failed)?;
        let history = history_path();
        match history.as_ref().map(|path| editor.load_history(path)) {
            Some(Err(ReadlineError::Io(error))) if error.kind() == std::io::ErrorKind::NotFound => {}
            Some(Err(error)) => console.note(&format!("the history cannot be read: {error}")),
            Some(Ok(())) | None => {}
        }
        Ok(Self { editor, history })
    }

    /// The next line; none at the end of the input.
    pub fn read(&mut self) -> Result<Option<Line>, CliError> {
        match self.editor.readline("> ") {
            Ok(line) => {
                self.save();
                Ok(Some(Line::parse(&line)))
            }
            Err(ReadlineError::Interrupted) => Ok(Some(Line::Interrupt)),
            Err(ReadlineError::Eof) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Saves the history; a folder that cannot be written is not a reason to stop.
    fn save(&mut self) {
        if let Some(path) = &self.history {
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = self.editor.append_history(path);
        }
    }
}

fn history_path() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?;
    Some(folder.join("lostwax").join("chat_history"))
}

fn failed(error: ReadlineError) -> CliError {
    CliError::usage(format!("the terminal cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_messages() {
        assert_eq!(Line::parse("  "), Line::Nothing);
        assert_eq!(Line::parse(" /reset "), Line::Reset);
        assert_eq!(Line::parse("/system  be brief "), Line::System("be brief".into()));
        assert_eq!(Line::parse("/save  my talk "), Line::Save("my talk".into()));
        assert_eq!(Line::parse("/load "), Line::NoFile("/load".into()));
        assert_eq!(Line::parse("/load talk"), Line::Load("talk".into()));
        assert_eq!(["/exit", "/quit", " /bye "].map(Line::parse), [Line::Exit, Line::Exit, Line::Exit]);
        assert_eq!(Line::parse("/systems x"), Line::Unknown("/systems".into()));
        assert_eq!(Line::parse("what is 1/2? "), Line::Text("what is 1/2?".into()));
    }
}
