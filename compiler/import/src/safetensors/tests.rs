use super::*;
use ::safetensors::tensor::{Dtype, TensorView, serialize};
use lostwax_ir::types::DType;
use std::fs;
use tempfile::TempDir;

fn shard(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views =
        tensors.iter().map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    serialize(views, None).unwrap()
}

fn sample() -> Vec<u8> {
    shard(&[("a", Dtype::F32, &[1, 2], &[1, 2, 3, 4, 5, 6, 7, 8]), ("b", Dtype::BF16, &[2], &[1, 2, 3, 4])])
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

fn problem(files: &[(&str, &[u8])]) -> String {
    HfFolder::open(folder(files).path()).err().map(|error| error.to_string()).unwrap_or_default()
}

const CONFIG: (&str, &[u8]) = ("config.json", br#"{"hidden_size": 8, "model_type": "llama", "eps": 1e-5, "none": null}"#);

#[test]
fn a_single_file_is_read() {
    let folder = folder(&[CONFIG, ("model.safetensors", &sample()), ("tokenizer.json", b"{}")]);
    let model = HfFolder::open(folder.path()).unwrap();
    assert_eq!(model.config().get::<usize>("hidden_size").unwrap(), 8);
    assert_eq!(model.config().get::<&str>("model_type").unwrap(), "llama");
    assert_eq!(model.config().find::<f64>("none").unwrap(), None);
    let error = model.config().get::<usize>("eps").unwrap_err().to_string();
    assert!(error.contains("config.json") && error.contains("`eps`"), "{error}");
    assert!(model.tokenizer().is_some() && model.tokenizer_config().is_none() && model.generation_config().is_none());
    let view = model.weights().tensor("b").unwrap();
    assert_eq!((view.dtype, view.shape, view.bytes), (DType::BF16, &[2][..], &[1, 2, 3, 4][..]));
    assert_eq!(model.weights().tensor("a").unwrap().to_tensor().unwrap().bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(model.weights().tensor("c").is_err_and(|error| error.to_string().contains("`c`")));
}

#[test]
fn shards_are_joined() {
    let (x, y) = (shard(&[("x", Dtype::U8, &[1], &[1])]), shard(&[("y", Dtype::U8, &[1], &[2])]));
    let index = br#"{"weight_map": {"y": "m-2.safetensors", "x": "m-1.safetensors"}}"#;
    let folder = folder(&[CONFIG, (INDEX, index), ("m-1.safetensors", &x), ("m-2.safetensors", &y)]);
    let model = HfFolder::open(folder.path()).unwrap();
    let all: Vec<(&str, &[u8])> = model.weights().iter().map(|view| (view.name, view.bytes)).collect();
    assert_eq!(all, [("x", &[1][..]), ("y", &[2][..])]);
}

#[test]
fn large_settings_are_not_read() {
    let folder = folder(&[CONFIG, ("model.safetensors", &sample())]);
    let settings = fs::File::options().write(true).open(folder.path().join("config.json")).unwrap();
    settings.set_len((64 << 20) + 1).unwrap();
    let error = HfFolder::open(folder.path()).err().unwrap();
    assert!(matches!(&error, ImportError::LimitExceeded { node, .. } if node.ends_with("config.json")), "{error}");
}

/// A FIFO that nobody writes to would be waited for.
#[cfg(unix)]
#[test]
fn only_regular_files_are_opened() {
    for name in ["config.json", "generation_config.json", "model.safetensors", "m-1.safetensors"] {
        let index = br#"{"weight_map": {"x": "m-1.safetensors"}}"#;
        let folder = folder(&[CONFIG, (INDEX, index), ("m-1.safetensors", &shard(&[("x", Dtype::U8, &[1], &[1])]))]);
        let path = folder.path().join(name);
        let _ = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = HfFolder::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains(name) && error.contains("a FIFO"), "{error}");
    }
}

#[test]
fn problems_name_the_file() {
    assert!(problem(&[]).contains("config.json"));
    assert!(problem(&[CONFIG]).contains("model.safetensors"));
    assert!(problem(&[("config.json", b"[]")]).contains("config.json"));
    assert!(problem(&[CONFIG, (INDEX, br#"{"weight_map": {"x": "../x"}}"#)]).contains("`x` does not name a file"));
    assert!(problem(&[CONFIG, (INDEX, br#"{"weight_map": {"x": "s"}}"#)]).contains("cannot read"));
    assert!(problem(&[CONFIG, (INDEX, br#"{"weight_map": {"x": "s"}}"#), ("s", &sample())]).contains("`x` is in none"));
    let twice = br#"{"weight_map": {"a": "s", "b": "t"}}"#;
    assert!(problem(&[CONFIG, (INDEX, twice), ("s", &sample()), ("t", &sample())]).contains("`a` is in another file"));
    let strange = shard(&[("f", Dtype::F8_E4M3, &[1], &[0])]);
    assert!(problem(&[CONFIG, (WEIGHTS, &strange)]).contains("F8_E4M3"));
}

#[test]
fn damaged_files_give_errors() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(!problem(&[CONFIG, (WEIGHTS, &bytes[..length])]).is_empty(), "{length}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        drop(problem(&[CONFIG, (WEIGHTS, &damaged)]));
    }
}

#[test]
fn real_folders_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/all-MiniLM-L6-v2");
    if !path.is_dir() {
        return println!("skipped: run `./x models`");
    }
    let model = HfFolder::open(&path).unwrap();
    let (words, size): (usize, usize) = (model.config().get("vocab_size").unwrap(), model.config().get("hidden_size").unwrap());
    assert_eq!(model.weights().tensor("embeddings.word_embeddings.weight").unwrap().shape, [words, size]);
    assert!(model.tokenizer().is_some());
}
