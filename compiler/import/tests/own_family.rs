//! A family of language models that is registered from outside.

use lostwax_import::families::names::{HEAD_NORMS, NORMS_BEFORE};
use lostwax_import::families::settings::{Key, Settings};
use lostwax_import::families::{Architecture, Decoder, Family};
use lostwax_import::{ImportError, LanguageOptions, Registry};
use serde_json::{Map, Value, json};
use std::path::Path;
use tempfile::TempDir;

const HIDDEN: usize = 8;
const WORDS: usize = 3;
const SCALE: Key = Key { gguf: "embedding_scale", folder: "embedding_multiplier" };

const FAMILY: Family = Family { name: "example", gguf: &["example"], folder: &["ExampleForCausalLM"], read };

/// Llama with norms of queries and keys, and scaled embeddings.
fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE, HEAD_NORMS])?;
    decoder.embedding_scale = settings.find(SCALE)?.unwrap_or(1.0);
    Ok(decoder.into())
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.families.add(FAMILY).unwrap();
    registry
}

fn write_weights(folder: &Path) {
    let square = vec![HIDDEN, HIDDEN];
    let layer = [
        ("input_layernorm", vec![HIDDEN]),
        ("post_attention_layernorm", vec![HIDDEN]),
        ("self_attn.q_norm", vec![HIDDEN / 2]),
        ("self_attn.k_norm", vec![HIDDEN / 2]),
        ("self_attn.q_proj", square.clone()),
        ("self_attn.k_proj", square.clone()),
        ("self_attn.v_proj", square.clone()),
        ("self_attn.o_proj", square.clone()),
        ("mlp.gate_proj", square.clone()),
        ("mlp.up_proj", square.clone()),
        ("mlp.down_proj", square),
    ];
    let layer = layer.map(|(name, shape)| (format!("model.layers.0.{name}.weight"), shape));
    let ends = [("embed_tokens", vec![WORDS, HIDDEN]), ("norm", vec![HIDDEN])];
    let ends = ends.map(|(name, shape)| (format!("model.{name}.weight"), shape));
    let (mut header, mut size) = (Map::new(), 0);
    for (name, shape) in ends.into_iter().chain(layer) {
        let end = size + 4 * shape.iter().product::<usize>();
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [size, end] }));
        size = end;
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0x3c; size]].concat();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn model(architecture: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "architectures": [architecture], "hidden_size": HIDDEN, "num_hidden_layers": 1, "intermediate_size": HIDDEN,
        "num_attention_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "embedding_multiplier": 3.0,
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let model = json!({ "type": "WordLevel", "vocab": { "a": 0, "b": 1, "c": 2 }, "unk_token": "a" });
    let tokenizer = json!({ "version": "1.0", "added_tokens": [], "model": model });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    write_weights(folder.path());
    folder
}

fn problem(registry: &Registry, architecture: &str) -> String {
    let loaded = registry.language(model(architecture).path(), &LanguageOptions::default());
    loaded.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_model_of_an_own_family_is_imported() {
    let graphs = registry().language(model("ExampleForCausalLM").path(), &LanguageOptions::default()).unwrap();
    let names: Vec<&str> = graphs.entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["prefill", "decode", "score"]);
}

#[test]
fn only_that_registry_knows_it() {
    assert!(problem(&Registry::default(), "ExampleForCausalLM").contains("architecture `ExampleForCausalLM`"));
    assert!(problem(&registry(), "ExampleForCausal").contains("did you mean `ExampleForCausalLM`?"));
}
