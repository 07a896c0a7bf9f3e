//! What a language model needs beside its graphs.

use super::settings::{Settings, Source};
use crate::gguf::{Gguf, Metadata, Vocabulary, VocabularyError};
use crate::safetensors::{Config, FromJson, HfFolder};
use crate::{ImportError, files};
use lostwax_format::{LanguageModel, MAX_TOKENIZER_BYTES, SamplingDefaults};
use lostwax_runtime::llm::{Language, Message, Tokenizer};
use serde_json::Value;

/// The largest chat template that is read from a file of its own.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// Tokens that end a turn or a text, by how vocabularies write them.
const ENDS: [&str; 10] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|user|>",
    "<|observation|>",
    "</s>",
];

/// Texts whose tokens are kept, to check that a tokenizer gives the same everywhere.
const TEXTS: [&str; 6] = [
    "Hello, world!",
    "The quick brown fox  jumps over\tthe lazy dog.\n\n",
    "def f(x):\n    return x ** 2 + 1\n",
    "1234567 + 8.9 = 1234575.9",
    "naïve café, Übergröße, привет, 漢字 🙂",
    "It's <b>HTML</b> & they'll say \"so\".",
];

/// Conversations whose texts are kept, of those that a template does not refuse: some know no system messages.
const CONVERSATIONS: [&[(&str, &str)]; 2] = [
    &[("user", "  Say \"<b>naïve</b>\" & 漢字.\n")],
    &[("system", "Be brief."), ("user", "What is 2 + 2?"), ("assistant", "4"), ("user", "And 3 + 3?")],
];

/// A template that a folder has in a file of its own.
const TEMPLATE: &str = "chat_template.jinja";

/// The description of a model and its `tokenizer.json`.
///
/// # Errors
/// [`ImportError`] naming the key or file.
pub fn describe(settings: &Settings, vocabulary: usize, context: usize) -> Result<(LanguageModel, Vec<u8>), ImportError> {
    let (mut model, json) = match &settings.source {
        Source::Gguf(gguf) => from_gguf(gguf)?,
        Source::Folder(folder) => from_folder(folder)?,
    };
    model.vocabulary_size = number("vocabulary", vocabulary)?;
    model.context_length = number("context", context)?;
    let tokenizer = Tokenizer::from_json(&json).map_err(|error| invalid(error.to_string()))?;
    add_ends(&mut model, &tokenizer);
    check_tokens(&model)?;
    add_vectors(&mut model, &json)?;
    Ok((model, json))
}

fn number(name: &str, value: usize) -> Result<u32, ImportError> {
    u32::try_from(value).map_err(|_| ImportError::limit("size", name, format!("{value} does not fit 32 bits")))
}

fn invalid(problem: String) -> ImportError {
    ImportError::invalid("file", "tokenizer.json", problem)
}

/// Adds tokens that end a turn to those that the model names.
fn add_ends(model: &mut LanguageModel, tokenizer: &Tokenizer) {
    let exists = |id: &u32| *id < model.vocabulary_size;
    let is_special = |id: &u32| exists(id) && tokenizer.decode(&[*id], false).is_ok_and(|text| text.is_empty());
    for id in ENDS.iter().filter_map(|token| tokenizer.id(token)).filter(is_special) {
        if !model.eos.contains(&id) {
            model.eos.push(id);
        }
    }
}

/// Refuses tokens that the vocabulary does not have.
fn check_tokens(model: &LanguageModel) -> Result<(), ImportError> {
    let mut ids = model.eos.iter().chain(&model.bos).chain(&model.pad);
    match ids.find(|id| **id >= model.vocabulary_size) {
        Some(id) => Err(invalid(format!("token {id} does not exist; the model has {} tokens", model.vocabulary_size))),
        None => Ok(()),
    }
}

/// Keeps what tokenizer and template give.
fn add_vectors(model: &mut LanguageModel, json: &[u8]) -> Result<(), ImportError> {
    let language = Language::new(model.clone(), json).map_err(|error| invalid(error.to_string()))?;
    let vector = |text: &&str| language.record_tokenizer(text).map_err(|error| invalid(error.to_string()));
    model.vectors = TEXTS.iter().map(vector).collect::<Result<_, _>>()?;
    let conversation = |messages: &&[(&str, &str)]| {
        let messages: Vec<Message> = messages.iter().map(|(role, content)| Message::new(*role, *content)).collect();
        language.record_template(&messages).ok()
    };
    model.conversations = CONVERSATIONS.iter().filter_map(conversation).collect();
    Ok(())
}

fn from_gguf(gguf: &Gguf) -> Result<(LanguageModel, Vec<u8>), ImportError> {
    let metadata = gguf.metadata();
    let vocabulary = Vocabulary::from_metadata(metadata)?;
    let json = vocabulary.to_tokenizer_json().map_err(unusable)?;
    let tokens = |names: &[&str]| {
        let found = names.iter().map(|name| metadata.find::<u32>(&format!("tokenizer.ggml.{name}_token_id")));
        Ok::<Vec<u32>, ImportError>(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    let model = LanguageModel {
        chat_template: metadata.find::<&str>("tokenizer.chat_template")?.unwrap_or_default().to_string(),
        bos: vocabulary.bos,
        eos: tokens(&["eos", "eot", "eom"])?,
        pad: tokens(&["padding"])?.first().copied(),
        add_bos: vocabulary.adds_bos(),
        sampling: Some(sampling_of_gguf(metadata)?),
        ..LanguageModel::default()
    };
    Ok((model, json.into_bytes()))
}

fn unusable(error: VocabularyError) -> ImportError {
    match error {
        VocabularyError::Invalid(problem) => ImportError::invalid("metadata", "tokenizer.ggml", problem),
        VocabularyError::Unsupported(what) => ImportError::unsupported("metadata", "tokenizer.ggml", what),
    }
}

fn sampling_of_gguf(metadata: &Metadata) -> Result<SamplingDefaults, ImportError> {
    let float = |name: &str| metadata.find::<f32>(&format!("general.sampling.{name}"));
    let count = |name: &str| metadata.find::<u32>(&format!("general.sampling.{name}"));
    Ok(SamplingDefaults {
        temperature: float("temp")?,
        top_k: count("top_k")?,
        top_p: float("top_p")?,
        min_p: float("min_p")?,
        repetition_penalty: float("penalty_repeat")?,
        repetition_window: count("penalty_last_n")?,
    })
}

fn from_folder(folder: &HfFolder) -> Result<(LanguageModel, Vec<u8>), ImportError> {
    let missing = || ImportError::unsupported("file", "tokenizer.json", "it is missing; save the tokenizer with Transformers");
    let json = files::read(&folder.tokenizer().ok_or_else(missing)?, MAX_TOKENIZER_BYTES as u64)?;
    let tokenizer_config = folder.tokenizer_config().map(|path| Config::read(&path)).transpose()?;
    let generation = folder.generation_config();
    let token = |key: &str| tokens(generation, folder.config(), key);
    let flag = tokenizer_config.as_ref().map(|config| config.find::<bool>("add_bos_token")).transpose()?.flatten();
    let bos = token("bos_token_id")?.first().copied();
    let model = LanguageModel {
        chat_template: chat_template(folder, tokenizer_config.as_ref())?,
        bos,
        eos: token("eos_token_id")?,
        pad: token("pad_token_id")?.first().copied(),
        add_bos: flag.unwrap_or(false) && bos.is_some(),
        sampling: generation.map(sampling_of_folder).transpose()?,
        ..LanguageModel::default()
    };
    Ok((model, json))
}

/// One token or a list of them, as the settings of generation name them, or those of the model.
fn tokens(generation: Option<&Config>, config: &Config, key: &str) -> Result<Vec<u32>, ImportError> {
    for config in generation.into_iter().chain([config]) {
        if let Some(value) = config.find::<&Value>(key)? {
            let list = Vec::<usize>::from_json(value).or_else(|| usize::from_json(value).map(|one| vec![one]));
            let ids = list.and_then(|list| list.into_iter().map(|id| u32::try_from(id).ok()).collect());
            return ids.ok_or_else(|| ImportError::invalid("setting", key, "expected a token or a list of tokens"));
        }
    }
    Ok(Vec::new())
}

/// The template of a file of its own, or of the settings of the tokenizer, where it may be one of several.
fn chat_template(folder: &HfFolder, config: Option<&Config>) -> Result<String, ImportError> {
    if let Some(path) = folder.file(TEMPLATE) {
        let problem = |_| ImportError::invalid("file", TEMPLATE, "it is not UTF-8");
        return String::from_utf8(files::read(&path, MAX_TEMPLATE_BYTES)?).map_err(problem);
    }
    let Some(value) = config.map(|config| config.find::<&Value>("chat_template")).transpose()?.flatten() else {
        return Ok(String::new());
    };
    let of_list = |list: &Vec<Value>| {
        let default = list.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
        default.or(list.first()).and_then(|entry| entry.get("template")?.as_str().map(str::to_string))
    };
    let template = value.as_str().map(str::to_string).or_else(|| of_list(value.as_array()?));
    template.ok_or_else(|| ImportError::invalid("setting", "chat_template", "expected a template or a list of templates"))
}

fn sampling_of_folder(config: &Config) -> Result<SamplingDefaults, ImportError> {
    let float = |key: &str| Ok::<_, ImportError>(config.find::<f64>(key)?.map(|value| value as f32));
    let greedy = config.find::<bool>("do_sample")? == Some(false);
    Ok(SamplingDefaults {
        temperature: if greedy { Some(0.0) } else { float("temperature")? },
        top_k: config.find::<usize>("top_k")?.and_then(|count| u32::try_from(count).ok()),
        top_p: float("top_p")?,
        min_p: float("min_p")?,
        repetition_penalty: float("repetition_penalty")?,
        repetition_window: None,
    })
}
