#![forbid(unsafe_code)]
//! What the tests of whole models share: recorded results and the inputs that belong to them.

pub mod conformance;
pub mod decoder;
pub mod fuzz;
mod fuzz_models;
pub mod levels;
pub mod suite;
pub mod tiny;

use lostwax_runtime::Tensor;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One model with the cases that were recorded for it.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedModel {
    /// The name of its file.
    pub file: String,
    /// The shapes with which it is compiled, where those of its file are too wide.
    #[serde(default)]
    pub shapes: Vec<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// Inputs and what came out.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// The inputs by name.
    pub inputs: BTreeMap<String, InputSpec>,
    /// The outputs by name.
    pub outputs: BTreeMap<String, RecordedOutput>,
}

/// How an input is made.
#[derive(Clone, Debug, Deserialize)]
pub struct InputSpec {
    /// `noise` or `strokes`.
    pub kind: String,
    /// The element type.
    pub dtype: String,
    /// The sizes.
    pub shape: Vec<usize>,
    /// What the formula's 0 becomes.
    pub low: f64,
    /// What the formula's 1 becomes.
    pub high: f64,
}

/// What is kept of an output.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedOutput {
    /// The sizes.
    pub shape: Vec<usize>,
    /// The largest magnitude.
    pub range: f64,
    /// Element `i * element_count / n` for each of the `n` samples.
    pub samples: Vec<f64>,
}

/// The recorded models.
pub fn recorded_models() -> Vec<RecordedModel> {
    let text = include_str!("../golden/models.json");
    serde_json::from_str(text).expect("golden/models.json is written by peers/record.py")
}

/// The file of a model: in the directory that `LOSTWAX_MODELS` names, or in `models/` of the checkout.
pub fn model_path(file: &str) -> Option<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let directory = std::env::var_os("LOSTWAX_MODELS").map_or(checkout, PathBuf::from);
    Some(directory.join(file)).filter(|path| path.exists())
}

/// The file of a model as in [`model_path`]; a test that gets none has nothing to do.
///
/// # Panics
/// In continuous integration, if the file is missing.
pub fn model_to_test(file: &str) -> Option<PathBuf> {
    let path = model_path(file);
    if path.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{file} is missing; run `./x models`");
        println!("{file} is missing; run `./x models`");
    }
    path
}

fn noise(index: u64) -> f64 {
    let mixed = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f64 / f64::from(1 << 24)
}

fn strokes(index: u64, shape: &[usize]) -> f64 {
    let width = shape.last().map_or(1, |size| *size as u64);
    let height = shape.iter().rev().nth(1).map_or(1, |size| *size as u64);
    let (column, row) = (index % width, index / width % height);
    let dark = (10..24).contains(&(row % 32)) && (column / 3).is_multiple_of(2) && column % 48 < 36;
    if dark { 0.1 } else { 1.0 }
}

impl InputSpec {
    /// The values by the formula, before conversion to the element type.
    pub fn values(&self) -> Vec<f64> {
        let unit = |index| if self.kind == "noise" { noise(index) } else { strokes(index, &self.shape) };
        (0..self.shape.iter().product::<usize>() as u64).map(|index| self.low + unit(index) * (self.high - self.low)).collect()
    }

    /// The tensor.
    pub fn tensor(&self) -> Tensor {
        let values = self.values();
        let tensor = match self.dtype.as_str() {
            "i64" => Tensor::from_slice(&values.iter().map(|v| *v as i64).collect::<Vec<_>>(), &self.shape),
            "i32" => Tensor::from_slice(&values.iter().map(|v| *v as i32).collect::<Vec<_>>(), &self.shape),
            _ => Tensor::from_slice(&values.iter().map(|v| *v as f32).collect::<Vec<_>>(), &self.shape),
        };
        tensor.expect("a recorded shape fits memory")
    }
}

impl RecordedOutput {
    /// The largest difference to the recorded samples, relative to the recorded range.
    pub fn error(&self, values: &[f32]) -> f64 {
        let count = self.samples.len();
        let differences =
            self.samples.iter().enumerate().map(|(i, sample)| (f64::from(values[i * values.len() / count]) - sample).abs());
        let largest = differences.fold(0.0, |largest, d| if d.is_nan() || d > largest { d } else { largest });
        largest / self.range.max(f64::MIN_POSITIVE)
    }
}

/// Runs a tool of `N` arguments and prints what it reports, or how it is used.
pub fn report<const N: usize>(usage: &str, tool: impl FnOnce([&str; N]) -> Result<String, Box<dyn Error>>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Ok(arguments) = given.try_into() else {
        eprintln!("usage: {usage}");
        return ExitCode::from(2);
    };
    match tool(arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
