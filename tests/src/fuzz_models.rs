//! Damaged headers of language models, in files as readers want them.

use crate::tiny::TinyModels;
use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::import::LanguageOptions as Options;
use lostwax_runtime::Model;
use lostwax_runtime::format::hash;
use lostwax_runtime::llm::{DecoderOptions, Generator, Language, Request, Tokenizer, open_decoder};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The model that is damaged.
const FAMILY: &str = "llama";

/// Bytes at the start of a GGUF file of which some are damaged: settings, vocabulary and the list of tensors.
const GGUF_HEADER: usize = 16 << 10;

/// Tokens that the cache of the model has room for.
const CONTEXT: usize = 16;

/// A whole model in both formats.
struct Sample {
    gguf: Vec<u8>,
    safetensors: Vec<u8>,
    config: Vec<u8>,
    tokenizer: Vec<u8>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(Sample::new);

impl Sample {
    fn new() -> Self {
        let models = TinyModels::recorded();
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let path = folder.path().join("model.gguf");
        models.families[FAMILY].write_gguf(&models.tokenizer, &path);
        let tokenizer =
            Registry::default().import.language(&path, &Options::default()).expect("the sample can be read").tokenizer;
        models.families[FAMILY].write_folder(&tokenizer, folder.path());
        let read = |name: &str| fs::read(folder.path().join(name)).expect("it was written");
        Self { gguf: read("model.gguf"), safetensors: read("model.safetensors"), config: read("config.json"), tokenizer }
    }

    /// The length of the safetensors header with its own length.
    fn safetensors_header(&self) -> usize {
        let length = self.safetensors.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        8 + length as usize
    }
}

/// The header of a GGUF file.
pub(crate) fn gguf() -> Vec<u8> {
    SAMPLE.gguf[..GGUF_HEADER.min(SAMPLE.gguf.len())].to_vec()
}

/// The header of a safetensors file.
pub(crate) fn safetensors() -> Vec<u8> {
    SAMPLE.safetensors[..SAMPLE.safetensors_header()].to_vec()
}

/// A `tokenizer.json`.
pub(crate) fn tokenizer() -> Vec<u8> {
    SAMPLE.tokenizer.clone()
}

/// Reads a model whose GGUF header was damaged.
pub(crate) fn feed_gguf(header: &[u8]) {
    let rest = &SAMPLE.gguf[GGUF_HEADER.min(SAMPLE.gguf.len())..];
    in_folder(|folder| {
        let path = folder.join("model.gguf");
        fs::write(&path, [header, rest].concat()).expect("it can be written");
        drop(Registry::default().import.language(&path, &Options::default()));
    });
}

/// Reads a folder whose safetensors header was damaged.
pub(crate) fn feed_safetensors(header: &[u8]) {
    let rest = &SAMPLE.safetensors[SAMPLE.safetensors_header()..];
    let file = [header, rest].concat();
    in_folder(|folder| {
        for (name, bytes) in
            [("model.safetensors", &file), ("config.json", &SAMPLE.config), ("tokenizer.json", &SAMPLE.tokenizer)]
        {
            fs::write(folder.join(name), bytes).expect("it can be written");
        }
        drop(Registry::default().import.language(folder, &Options::default()));
    });
}

/// Reads a damaged tokenizer and uses it.
pub(crate) fn feed_tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_json(bytes) {
        drop(tokenizer.encode("once upon a time", true));
    }
}

/// The model as a decoder that has read some tokens.
static GENERATOR: LazyLock<Mutex<Generator>> = LazyLock::new(|| Mutex::new(generator()));

fn generator() -> Generator {
    let mut options = CompileOptions { targets: vec!["interp".to_string()], ..CompileOptions::default() };
    options.import.language.context = CONTEXT;
    let mut artifact = Vec::new();
    in_folder(|folder| {
        let path = folder.join("model.gguf");
        fs::write(&path, &SAMPLE.gguf).expect("it can be written");
        let program = Registry::default().import.load(&path, &options.import).expect("the sample can be read");
        compile(&Registry::default(), &program, &options, &mut |_| {}, &mut artifact).expect("the sample can be compiled");
    });
    let model = Model::from_bytes(artifact).expect("the sample can be opened");
    let device = Registry::default().device(Some("interp"), model.variants()).expect("the device is built in");
    let mut generator = Generator::new(open_decoder(&model, DecoderOptions::new(device)).expect("the sample is a decoder"));
    let language = Language::open(&model).expect("the sample has a tokenizer");
    let request = Request { max_tokens: 2, ..Request::new(&language, &[1, 2, 3]) };
    generator.generate(&language, &request, &mut |_| ControlFlow::Continue(())).expect("the sample runs");
    generator
}

/// A saved state with a note.
pub(crate) fn state() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    generator.save(b"note", &mut bytes).expect("the cache can be saved");
    bytes
}

/// Restores a damaged state: as it is, and with the hash that belongs to it.
pub(crate) fn feed_state(bytes: &[u8]) {
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    drop(generator.restore(bytes));
    let contents = &bytes[..bytes.len().saturating_sub(hash(&[]).len())];
    drop(generator.restore(&[contents, &hash(contents)].concat()));
}

fn in_folder(work: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    work(folder.path());
}
