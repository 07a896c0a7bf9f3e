//! Messages to text, with the template that the model was trained on.

use crate::RuntimeError;
use crate::llm::date::format_time;
use crate::llm::json::to_json;
use lostwax_format::FormatError;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use std::time::SystemTime;

/// The name of the template in its environment.
const NAME: &str = "chat template";

/// The name under which a template refuses messages.
const REFUSAL: &str = "raise_exception";

/// The name under which a template asks for the time.
const NOW: &str = "strftime_now";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The role: `system`, `user` or `assistant`, or whatever else the template knows.
    pub role: String,
    /// The text of the message.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    fn to_value(&self) -> Value {
        Value::from_pairs([("role", self.role.as_str()), ("content", self.content.as_str())])
    }
}

/// A Jinja template with the functions, methods and whitespace rules that chat templates expect.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Compiles a template. `bos` and `eos` are how the tokens that begin and end a text are written.
    ///
    /// # Errors
    /// [`RuntimeError::Artifact`] naming the line that is wrong.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, RuntimeError> {
        let mut environment = environment();
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| {
            let section = subject(&error);
            RuntimeError::from(FormatError::Invalid { section, problem: problem(&error) })
        })?;
        Ok(Self { environment, bos: bos.into(), eos: eos.into() })
    }

    /// The text of a conversation; with `add_generation_prompt` up to where the model answers.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] naming the line of the template that refuses the messages or fails.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, RuntimeError> {
        self.render_in(&self.environment, messages, add_generation_prompt)
    }

    /// The same with this as the current time.
    pub(crate) fn render_at(
        &self,
        time: SystemTime,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, RuntimeError> {
        let mut environment = self.environment.clone();
        environment.add_function(NOW, move |format: String| write_time(&format, time));
        self.render_in(&environment, messages, add_generation_prompt)
    }

    fn render_in(
        &self,
        environment: &Environment<'_>,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, RuntimeError> {
        let values = context! {
            messages => messages.iter().map(Message::to_value).collect::<Vec<Value>>(),
            add_generation_prompt => add_generation_prompt,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            tools => Value::from(()),
            documents => Value::from(()),
        };
        let rendered = environment.get_template(NAME).and_then(|template| template.render(values));
        rendered.map_err(|error| RuntimeError::input(subject(&error), problem(&error)))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = environment.syntax().to_builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(REFUSAL, refuse);
    environment.add_function(NOW, |format: String| write_time(&format, SystemTime::now()));
    environment.add_filter("tojson", tojson);
    environment
}

fn subject(error: &Error) -> String {
    error.line().map_or_else(|| NAME.to_owned(), |line| format!("{NAME}, line {line}"))
}

fn problem(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

fn refuse(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn write_time(format: &str, time: SystemTime) -> Result<String, Error> {
    let unknown = |problem| Error::new(ErrorKind::InvalidOperation, format!("{NOW} cannot write `{format}`: {problem}"));
    format_time(format, time).map_err(unknown)
}

fn tojson(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let text = to_json(&value, indent).map_err(|error| Error::new(ErrorKind::BadSerialization, error))?;
    Ok(Value::from_safe_string(text))
}
