//! Tokenizer and chat template against what they gave when the model was compiled.

use crate::error::CliError;
use lostwax_runtime::Model;
use lostwax_runtime::llm::{Difference, Language};
use serde_json::{Value, json};

/// What was found; nothing of models without text.
pub struct LanguageCheck(Vec<Part>);

/// Something that turns text into other text or tokens.
struct Part {
    name: &'static str,
    /// What it was tried with.
    inputs: &'static str,
    count: usize,
    differences: Vec<Difference>,
}

impl LanguageCheck {
    /// Runs tokenizer and template, if the model has them.
    pub fn new(model: &Model) -> Result<Self, CliError> {
        if model.artifact().language_model().is_none() {
            return Ok(Self(Vec::new()));
        }
        let language = Language::open(model)?;
        let description = language.description();
        let (count, differences) = (description.vectors.len(), language.check_tokenizer());
        let tokenizer = Part { name: "tokenizer", inputs: "texts", count, differences };
        let template = language.template().map(|_| {
            let (count, differences) = (description.conversations.len(), language.check_template());
            Part { name: "template", inputs: "conversations", count, differences }
        });
        Ok(Self([tokenizer].into_iter().chain(template).collect()))
    }

    /// Whether everything is as it was.
    pub fn is_ok(&self) -> bool {
        self.0.iter().all(|part| part.differences.is_empty())
    }

    /// A line for each part, with the first difference.
    pub fn text(&self) -> String {
        self.0.iter().map(Part::line).collect()
    }

    /// Puts all differences of each part into an object.
    pub fn add_to(&self, json: &mut Value) {
        let Some(object) = json.as_object_mut() else { return };
        object.extend(self.0.iter().map(|part| (part.name.to_string(), part.json())));
    }
}

impl Part {
    fn line(&self) -> String {
        let Self { name, inputs, count, differences } = self;
        match differences.first() {
            None if *count == 0 => format!("{name} not checked: the artifact has no {inputs} for it\n"),
            None => format!("{name} ok ({count} {inputs})\n"),
            Some(Difference { input, expected, found }) => {
                let wrong = differences.len();
                format!("{name} NOT ok ({wrong} of {count} {inputs}): {input:?} gives {found}, not {expected}\n")
            }
        }
    }

    fn json(&self) -> Value {
        let difference =
            |Difference { input, expected, found }: &Difference| json!({ "input": input, "expected": expected, "found": found });
        let differences: Vec<Value> = self.differences.iter().map(difference).collect();
        json!({ "ok": differences.is_empty(), "checked": self.count, "differences": differences })
    }
}
