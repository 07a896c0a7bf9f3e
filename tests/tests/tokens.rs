//! Tokens of real vocabularies against those recorded from other engines.

use lostwax::import::gguf::{Gguf, Vocabulary};
use lostwax_runtime::llm::Tokenizer;
use lostwax_tests::model_to_test;
use std::collections::BTreeMap;
use std::path::Path;

/// Texts with their tokens.
type Recorded = Vec<(String, Vec<u32>)>;

fn recorded(name: &str) -> Recorded {
    let all: BTreeMap<String, Recorded> = serde_json::from_str(include_str!("../golden/tokens.json")).unwrap();
    all[name].clone()
}

fn check(name: &str, file: &str, tokenizer: impl Fn(&Path) -> Tokenizer) {
    let Some(path) = model_to_test(file) else { return };
    let tokenizer = tokenizer(&path);
    let cases = recorded(name);
    assert!(!cases.is_empty());
    for (text, ids) in cases {
        assert_eq!(tokenizer.encode(&text, true).unwrap(), ids, "{name}: {text:?}");
    }
}

fn from_gguf(path: &Path) -> Tokenizer {
    let file = Gguf::open(path).unwrap();
    let json = Vocabulary::from_metadata(file.metadata()).unwrap().to_tokenizer_json().unwrap();
    Tokenizer::from_json(json.as_bytes()).unwrap()
}

#[test]
fn byte_pairs() {
    check("smollm2", "smollm2-135m-instruct-q4_1.gguf", from_gguf);
}

#[test]
fn sentence_pieces() {
    check("gemma3", "gemma-3-270m-q4_k_m.gguf", from_gguf);
}

#[test]
fn word_pieces() {
    let read = |path: &Path| Tokenizer::from_json(&std::fs::read(path).unwrap()).unwrap();
    check("minilm", "all-MiniLM-L6-v2/tokenizer.json", read);
}
