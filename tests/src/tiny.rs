//! Tiny random models as `tests/peers/tiny_models.py` makes them, as GGUF files and as Hugging Face folders.

use lostwax_ir::random::Random;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What is recorded of all models.
#[derive(Clone, Debug, Deserialize)]
pub struct TinyModels {
    /// The tokens that were read.
    pub tokens: Vec<u32>,
    /// The positions whose probabilities are kept.
    pub positions: Vec<usize>,
    /// The tokens whose probabilities are kept.
    pub sampled: Vec<usize>,
    /// Metadata of GGUF files for the vocabulary.
    pub tokenizer: Map<String, Value>,
    /// The models by name.
    pub families: BTreeMap<String, TinyModel>,
}

/// How one model is made, and what llama.cpp makes of it.
#[derive(Clone, Debug, Deserialize)]
pub struct TinyModel {
    /// Metadata of the GGUF file.
    pub metadata: Map<String, Value>,
    /// `config.json` of the folder.
    pub config: Map<String, Value>,
    /// Tensors whose values follow from a formula.
    pub tensors: Vec<TinyTensor>,
    /// Tensors of the GGUF file with their values.
    pub given: Vec<(String, Vec<f32>)>,
    /// The perplexity of the second half of the tokens.
    pub perplexity: f64,
    /// Logarithms of probabilities, by position and token.
    pub log_probabilities: Vec<Vec<f64>>,
}

/// A tensor: its name, that in a folder, sizes, middle and spread of its values, and what changes in a folder.
#[derive(Clone, Debug, Deserialize)]
pub struct TinyTensor(String, String, Vec<usize>, f64, f64, String);

impl TinyModels {
    /// The recorded models.
    pub fn recorded() -> Self {
        let text = include_str!("../golden/families.json");
        serde_json::from_str(text).expect("golden/families.json is written by peers/tiny_models.py")
    }
}

fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl TinyTensor {
    fn values(&self) -> Vec<f32> {
        let TinyTensor(name, _, shape, middle, spread, _) = self;
        let mut random = Random::new(hash(name));
        (0..shape.iter().product()).map(|_| (middle + spread * random.float(-1.0, 1.0)) as f32).collect()
    }

    /// The tensors of a folder: names, sizes and values.
    fn in_folder(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let TinyTensor(_, name, shape, _, _, change) = self;
        let values = self.values();
        let one = |values: Vec<f32>| vec![(name.clone(), shape.clone(), values)];
        match change.split_once(' ').unwrap_or((change, "")) {
            ("minus1", _) => one(values.iter().map(|value| value - 1.0).collect()),
            ("rotary", heads) => one(halves(&values, shape, heads.parse().expect("a number of heads"))),
            ("each", _) => {
                let parts = values.chunks(values.len() / shape[0]).enumerate();
                parts.map(|(i, part)| (name.replace("{}", &i.to_string()), shape[1..].to_vec(), part.to_vec())).collect()
            }
            _ => one(values),
        }
    }
}

/// Rows of heads `[half, 2]` as `[2, half]`.
fn halves(values: &[f32], shape: &[usize], heads: usize) -> Vec<f32> {
    let (half, depth) = (shape[0] / heads / 2, values.len() / shape[0]);
    let row = |head: usize, side: usize, pair: usize| ((head * half + pair) * 2 + side) * depth;
    let rows = (0..heads).flat_map(|head| (0..2).flat_map(move |side| (0..half).map(move |pair| (head, side, pair))));
    rows.flat_map(|(head, side, pair)| &values[row(head, side, pair)..][..depth]).copied().collect()
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl TinyModel {
    /// Writes the GGUF file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_gguf(&self, tokenizer: &Map<String, Value>, path: &Path) {
        let pairs: Vec<Vec<u8>> = self.metadata.iter().chain(tokenizer).map(|(key, value)| pair(key, value)).collect();
        let by_formula = self.tensors.iter().map(|tensor| (tensor.0.as_str(), tensor.2.clone(), tensor.values()));
        let given = self.given.iter().map(|(name, values)| (name.as_str(), vec![values.len()], values.clone()));
        let (mut infos, mut data, mut count) = (Vec::new(), Vec::new(), 0u64);
        for (name, shape, values) in by_formula.chain(given) {
            infos.extend(info(name, &shape, data.len() as u64));
            data.extend(bytes_of(&values));
            data.resize(data.len().next_multiple_of(32), 0);
            count += 1;
        }
        let counts = [count.to_le_bytes(), (pairs.len() as u64).to_le_bytes()].concat();
        let mut file = [b"GGUF", &3u32.to_le_bytes()[..], &counts, &pairs.concat(), &infos].concat();
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(data);
        std::fs::write(path, file).expect("the folder can be written");
    }

    /// Writes a folder with that `tokenizer.json`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_folder(&self, tokenizer: &[u8], path: &Path) {
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, shape, values) in self.tensors.iter().flat_map(TinyTensor::in_folder) {
            let start = data.len();
            data.extend(bytes_of(&values));
            header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] }));
        }
        let header = Value::Object(header).to_string();
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
        let config = Value::Object(self.config.clone()).to_string();
        let files = [("model.safetensors", &file[..]), ("config.json", config.as_bytes()), ("tokenizer.json", tokenizer)];
        for (name, bytes) in files {
            std::fs::write(path.join(name), bytes).expect("the folder can be written");
        }
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn info(name: &str, shape: &[usize], offset: u64) -> Vec<u8> {
    let sizes: Vec<u8> = shape.iter().rev().flat_map(|size| (*size as u64).to_le_bytes()).collect();
    let f32_type = 0u32.to_le_bytes();
    [text(name), (shape.len() as u32).to_le_bytes().to_vec(), sizes, f32_type.to_vec(), offset.to_le_bytes().to_vec()].concat()
}

fn pair(key: &str, value: &Value) -> Vec<u8> {
    let (kind, bytes) = element(value);
    [text(key), kind.to_le_bytes().to_vec(), bytes].concat()
}

/// The number of a value's type, and its bytes.
fn element(value: &Value) -> (u32, Vec<u8>) {
    match value {
        Value::Bool(flag) => (7, vec![u8::from(*flag)]),
        Value::String(string) => (8, text(string)),
        Value::Array(items) => {
            let kind = items.first().map_or(4, |item| element(item).0);
            let head = [kind.to_le_bytes().to_vec(), (items.len() as u64).to_le_bytes().to_vec()].concat();
            (9, [head, items.iter().flat_map(|item| element(item).1).collect()].concat())
        }
        Value::Number(number) if number.is_u64() => (4, (number.as_u64().unwrap_or(0) as u32).to_le_bytes().to_vec()),
        other => (6, (other.as_f64().unwrap_or(0.0) as f32).to_le_bytes().to_vec()),
    }
}
