//! Damaged headers of language models, in files as readers want them.

use crate::tiny::TinyModels;
use lostwax::models::{Options, load};
use lostwax_runtime::llm::Tokenizer;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The model that is damaged.
const FAMILY: &str = "llama";

/// Bytes at the start of a GGUF file of which some are damaged: settings, vocabulary and the list of tensors.
const GGUF_HEADER: usize = 16 << 10;

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
        let tokenizer = load(&path, &Options::default()).expect("the sample can be read").tokenizer;
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
        drop(load(&path, &Options::default()));
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
        drop(load(folder, &Options::default()));
    });
}

/// Reads a damaged tokenizer and uses it.
pub(crate) fn feed_tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_json(bytes) {
        drop(tokenizer.encode("once upon a time", true));
    }
}

fn in_folder(work: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    work(folder.path());
}
