//! Checks the description of a language model.

use crate::{FormatError, LANGUAGE_MODEL, LanguageModel};

fn require(condition: bool, text: impl FnOnce() -> String) -> Result<(), FormatError> {
    if condition { Ok(()) } else { Err(FormatError::invalid(LANGUAGE_MODEL, text())) }
}

/// Checks that vocabulary and context are not empty, and that every token is in the vocabulary.
pub(crate) fn check_language_model(model: &LanguageModel) -> Result<(), FormatError> {
    let size = model.vocabulary_size;
    require(size >= 1 && i32::try_from(size).is_ok(), || format!("the vocabulary has {size} tokens"))?;
    require(model.context_length >= 1, || "the context length is 0".into())?;
    let window = model.window.is_none_or(|window| (1..=model.context_length).contains(&window));
    require(window, || format!("a window of {} tokens", model.window()))?;
    let special = model.bos.iter().chain(&model.eos).chain(&model.pad);
    let texts = model.vectors.iter().flat_map(|vector| &vector.ids);
    let all = special.chain(texts).chain(model.conversations.iter().flat_map(|vector| &vector.ids));
    let outside = all.copied().find(|id| *id >= size);
    require(outside.is_none(), || format!("token {} is not in the vocabulary of {size} tokens", outside.unwrap_or_default()))?;
    require(!model.add_bos || model.bos.is_some(), || "prompts start with `bos`, which is not given".into())
}
