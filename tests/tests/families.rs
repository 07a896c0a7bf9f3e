//! Language models as graphs, in the reference interpreter.

use lostwax::Registry;
use lostwax::import::LanguageOptions as Options;
use lostwax::import::families::{LanguageGraphs, quant_from_name};
use lostwax_ir::random::Random;
use lostwax_ir::types::DType;
use lostwax_ir::verify::verify_graph;
use lostwax_runtime::llm::Language;
use lostwax_tests::decoder::{Interpreted, embed};
use lostwax_tests::model_to_test;
use lostwax_tests::tiny::{Reading, Scores, TinyModel, TinyModels, WholeModel};
use serde::Deserialize;

/// How far logits may lie from each other that follow from the same numbers in another order.
const ORDER: f32 = 2e-4;

/// How far elements of embeddings may lie from those of NumPy.
const EMBEDDING_TOLERANCE: f32 = 2e-6;

/// The least that is recorded, relative to the largest.
const RECORDED_RANGE: f64 = 16.0;

fn options(models: &TinyModels) -> Options {
    Options { context: models.reading.tokens.len(), ..Options::default() }
}

fn from_gguf(models: &TinyModels, model: &TinyModel) -> LanguageGraphs {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&models.tokenizer, &path);
    Registry::default().import.language(&path, &options(models)).unwrap()
}

fn for_each(check: impl Fn(&TinyModels, &str, &TinyModel)) {
    let models = TinyModels::recorded();
    models.families.iter().for_each(|(name, model)| check(&models, name, model));
}

fn log_probabilities(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, logit| largest.max(f64::from(*logit)));
    let total: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    let least = largest - RECORDED_RANGE;
    logits.iter().map(|logit| f64::from(*logit).max(least) - largest - total.ln()).collect()
}

fn distance(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let differences = left.iter().zip(right).map(|(x, y)| (x - y).abs());
    differences.fold(0.0, |largest, difference| if difference.is_nan() { f32::NAN } else { largest.max(difference) })
}

#[test]
fn graphs_are_valid() {
    for_each(|models, name, model| {
        for (entry, graph) in &from_gguf(models, model).entries {
            assert_eq!(verify_graph(graph), [], "{name} {entry}");
        }
    });
}

/// Compares with what llama.cpp gave.
fn check_scores(name: &str, model: &LanguageGraphs, reading: &Reading, scores: &Scores) {
    let logits = Interpreted::new(model).run("score", &reading.tokens);
    let rows: Vec<Vec<f64>> = logits.chunks(model.description.vocabulary_size as usize).map(log_probabilities).collect();
    let mut largest: f64 = 0.0;
    for (position, recorded) in reading.positions.iter().zip(&scores.log_probabilities) {
        for (token, expected) in reading.sampled.iter().zip(recorded) {
            largest = largest.max((rows[*position][*token] - expected).abs());
        }
    }
    let scored = reading.tokens.len() / 2..reading.tokens.len() - 1;
    let total: f64 = scored.clone().map(|at| -rows[at][reading.tokens[at + 1] as usize]).sum();
    let perplexity = (total / scored.len() as f64).exp();
    println!("{name}: difference {largest:.5}, perplexity {perplexity:.3}, recorded {:.3}", scores.perplexity);
    assert!(largest < scores.tolerance, "{name}: {largest}");
    assert!((perplexity / scores.perplexity - 1.0).abs() < scores.tolerance, "{name}: {perplexity}");
}

#[test]
fn logits_are_those_of_llama_cpp() {
    for_each(|models, name, model| check_scores(name, &from_gguf(models, model), &models.reading, &model.scores));
}

#[test]
#[ignore = "takes minutes in the interpreter"]
fn logits_of_whole_models_are_those_of_llama_cpp() {
    for (file, WholeModel { reading, scores }) in WholeModel::recorded() {
        let Some(path) = model_to_test(&file) else { continue };
        let model =
            Registry::default().import.language(&path, &Options { context: reading.tokens.len(), ..Options::default() }).unwrap();
        check_scores(&file, &model, &reading, &scores);
    }
}

/// A text with some elements of its embedding.
#[derive(Deserialize)]
struct Embedded {
    text: String,
    tokens: Vec<u32>,
    step: usize,
    values: Vec<f32>,
}

#[test]
fn embeddings_are_those_of_numpy() {
    let Some(path) = model_to_test("all-MiniLM-L6-v2") else { return };
    let model = Registry::default().import.language(&path, &Options::default()).unwrap();
    let language = Language::new(model.description.clone(), &model.tokenizer).unwrap();
    let cases: Vec<Embedded> = serde_json::from_str(include_str!("../golden/embeddings.json")).unwrap();
    for Embedded { text, tokens, step, values } in cases {
        assert_eq!(language.encode_prompt(&text).unwrap(), tokens);
        let embedding = embed(&model, &tokens);
        let kept: Vec<f32> = embedding.iter().copied().step_by(step).collect();
        let difference = distance(&kept, &values);
        println!("{text}: {difference}");
        assert!(difference < EMBEDDING_TOLERANCE, "{text}: {difference}");
    }
}

#[test]
fn tokens_together_are_tokens_one_by_one() {
    for_each(|models, name, model| {
        let loaded = from_gguf(models, model);
        let size = loaded.description.vocabulary_size as usize;
        let all = Interpreted::new(&loaded).run("score", &models.reading.tokens);
        let mut decoder = Interpreted::new(&loaded);
        let (start, rest) = models.reading.tokens.split_at(13);
        let mut logits = decoder.run("prefill", start);
        for (position, token) in (start.len()..).zip(rest) {
            let difference = distance(&logits, &all[(position - 1) * size..position * size]);
            assert!(difference < ORDER, "{name} before {position}: {difference}");
            logits = decoder.run("decode", &[*token]);
        }
    });
}

#[test]
fn folders_are_read_as_files() {
    for_each(|models, name, model| {
        let file = from_gguf(models, model);
        let folder = tempfile::tempdir().unwrap();
        model.write_folder(&file.tokenizer, folder.path());
        let other = Registry::default().import.language(folder.path(), &options(models)).unwrap();
        let [left, right] = [&file, &other].map(|model| Interpreted::new(model).run("score", &models.reading.tokens));
        let difference = distance(&left, &right);
        assert!(difference < ORDER, "{name}: {difference}");
    });
}

/// Caches and weights of fewer bits give nearly the same logits.
#[test]
fn fewer_bits_change_little() {
    let models = TinyModels::recorded();
    let model = &models.families["llama"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&models.tokenizer, &path);
    let logits = |options: &Options| {
        Interpreted::new(&Registry::default().import.language(&path, options).unwrap()).run("score", &models.reading.tokens)
    };
    let whole = logits(&options(&models));
    let half = logits(&Options { cache: DType::F16, ..options(&models) });
    let bytes = logits(&Options { cache: DType::I8, ..options(&models) });
    let floats = logits(&Options { quant: quant_from_name("bf16").unwrap(), ..options(&models) });
    let blocks = logits(&Options { quant: quant_from_name("q8_0").unwrap(), ..options(&models) });
    for (name, logits, most) in
        [("f16 caches", half, 0.02), ("i8 caches", bytes, 0.2), ("bf16 weights", floats, 0.5), ("q8_0 weights", blocks, 0.5)]
    {
        let difference = distance(&whole, &logits);
        println!("{name}: {difference}");
        assert!(difference > 0.0 && difference < most, "{name}: {difference}");
    }
}

/// Bytes of headers that are damaged, and in how many cases each.
const DAMAGED_HEADER: usize = 16 << 10;
const DAMAGED_CASES: u64 = 400;

#[test]
fn damaged_models_give_errors() {
    let models = TinyModels::recorded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for model in ["llama_yarn", "gemma3", "phi3_long", "qwen2moe"].map(|name| &models.families[name]) {
        model.write_gguf(&models.tokenizer, &path);
        let whole = std::fs::read(&path).unwrap();
        for seed in 0..DAMAGED_CASES {
            let (mut random, mut bytes) = (Random::new(seed), whole.clone());
            let at = random.size(0, DAMAGED_HEADER.min(bytes.len()) - 8);
            let (width, flip) = (random.size(1, 8), random.bits().to_le_bytes());
            bytes[at..at + width].iter_mut().zip(flip).for_each(|(byte, flip)| *byte ^= flip);
            std::fs::write(&path, bytes).unwrap();
            drop(Registry::default().import.language(&path, &options(&models)));
        }
    }
}
