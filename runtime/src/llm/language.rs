use crate::llm::decoder::no_language_model;
use crate::llm::{ChatTemplate, Message, Sampling, Tokenizer};
use crate::{Model, RuntimeError};
use lostwax_format::LanguageModel;

/// The text side of a language model: tokenizer, chat template and defaults.
pub struct Language {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    model: LanguageModel,
}

impl Language {
    /// Reads tokenizer and template of an artifact.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if it is not a language model, [`RuntimeError::Artifact`] if they are damaged.
    pub fn open(model: &Model) -> Result<Self, RuntimeError> {
        let artifact = model.artifact();
        let parts = artifact.language_model().zip(artifact.tokenizer().and_then(|range| model.file_bytes().get(range)));
        let (language, tokenizer) = parts.ok_or_else(|| no_language_model(model, "it has no tokenizer"))?;
        Self::new(language.clone(), tokenizer)
    }

    /// From a description and a `tokenizer.json`.
    ///
    /// # Errors
    /// As [`Language::open`].
    pub fn new(model: LanguageModel, tokenizer: &[u8]) -> Result<Self, RuntimeError> {
        let tokenizer = Tokenizer::from_json(tokenizer)?;
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        let (bos, eos) = (text(model.bos), text(model.eos.first().copied()));
        let template = match model.chat_template.as_str() {
            "" => None,
            source => Some(ChatTemplate::new(source, &bos, &eos)?),
        };
        Ok(Self { tokenizer, template, model })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokenizer, to change how it reads texts.
    pub fn tokenizer_mut(&mut self) -> &mut Tokenizer {
        &mut self.tokenizer
    }

    /// The chat template, if the model has one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// What the artifact holds.
    pub fn description(&self) -> &LanguageModel {
        &self.model
    }

    /// The tokens that end a text.
    pub fn eos(&self) -> &[u32] {
        &self.model.eos
    }

    /// The default sampling parameters of the model.
    pub fn sampling(&self) -> Sampling {
        Sampling::from_defaults(&self.model.sampling.unwrap_or_default())
    }

    /// The tokens of a prompt, with those that the model wants before a text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, RuntimeError> {
        Ok(self.with_bos(self.tokenizer.encode(text, true)?))
    }

    /// The tokens of a conversation, up to where the model answers.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no template or it refuses the messages.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, RuntimeError> {
        let text = self.needed_template()?.render(messages, true)?;
        self.encode_rendered(&text)
    }

    pub(crate) fn needed_template(&self) -> Result<&ChatTemplate, RuntimeError> {
        let missing =
            || RuntimeError::input("chat template", "the model has none; use plain text, as with `lostwax generate --raw`");
        self.template.as_ref().ok_or_else(missing)
    }

    /// The tokens of what the template gave.
    pub(crate) fn encode_rendered(&self, text: &str) -> Result<Vec<u32>, RuntimeError> {
        Ok(self.with_bos(self.tokenizer.encode(text, false)?))
    }

    fn with_bos(&self, mut ids: Vec<u32>) -> Vec<u32> {
        if let Some(bos) = self.model.bos.filter(|bos| self.model.add_bos && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        ids
    }
}
