//! Language models as graphs, in the reference interpreter.

use lostwax::models::{LanguageGraphs, Options, load};
use lostwax_ir::verify::verify_graph;
use lostwax_tests::decoder::Interpreted;
use lostwax_tests::tiny::{TinyModel, TinyModels};

/// How far logarithms of probabilities may lie from those of llama.cpp, which keeps 16 bits of them and looks up GELU in a table of
/// binary16 numbers.
const TOLERANCE: f64 = 4e-3;

/// How far logits may lie from each other that follow from the same numbers in another order.
const ORDER: f32 = 2e-4;

/// The least that is recorded, relative to the largest.
const RECORDED_RANGE: f64 = 16.0;

fn options(models: &TinyModels) -> Options {
    Options { context: models.tokens.len(), ..Options::default() }
}

fn from_gguf(models: &TinyModels, model: &TinyModel) -> LanguageGraphs {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&models.tokenizer, &path);
    load(&path, &options(models)).unwrap()
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

#[test]
fn logits_are_those_of_llama_cpp() {
    for_each(|models, name, model| {
        let loaded = from_gguf(models, model);
        let logits = Interpreted::new(&loaded).run("score", &models.tokens);
        let rows: Vec<Vec<f64>> = logits.chunks(loaded.description.vocabulary_size as usize).map(log_probabilities).collect();
        let mut largest: f64 = 0.0;
        for (position, recorded) in models.positions.iter().zip(&model.log_probabilities) {
            for (token, expected) in models.sampled.iter().zip(recorded) {
                largest = largest.max((rows[*position][*token] - expected).abs());
            }
        }
        let scored = models.tokens.len() / 2..models.tokens.len() - 1;
        let total: f64 = scored.clone().map(|at| -rows[at][models.tokens[at + 1] as usize]).sum();
        let perplexity = (total / scored.len() as f64).exp();
        println!("{name}: difference {largest:.5}, perplexity {perplexity:.3}, recorded {:.3}", model.perplexity);
        assert!(largest < TOLERANCE, "{name}: {largest}");
        assert!((perplexity / model.perplexity - 1.0).abs() < TOLERANCE, "{name}: {perplexity}");
    });
}

#[test]
fn tokens_together_are_tokens_one_by_one() {
    for_each(|models, name, model| {
        let loaded = from_gguf(models, model);
        let size = loaded.description.vocabulary_size as usize;
        let all = Interpreted::new(&loaded).run("score", &models.tokens);
        let mut decoder = Interpreted::new(&loaded);
        let (start, rest) = models.tokens.split_at(13);
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
        let other = load(folder.path(), &options(models)).unwrap();
        let [left, right] = [&file, &other].map(|model| Interpreted::new(model).run("score", &models.tokens));
        let difference = distance(&left, &right);
        assert!(difference < ORDER, "{name}: {difference}");
    });
}
