//! Damaged bytes for everything that reads bytes from outside: an error is fine, a panic is not.
//!
//! The input of a case follows from its seed alone, so that a seed that fails can be run again.

use crate::fuzz_models;
use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::import::ImportOptions;
use lostwax::npy;
use lostwax_ir::random::Random;
use lostwax_ir::text::{parse_graph, parse_kernel, print_graph, print_kernel};
use lostwax_ir::verify::{verify_graph, verify_kernel};
use lostwax_runtime::format::{Plan, WeightData, Writer};
use lostwax_runtime::{Model, Options, Tensor};
use prost::Message;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that reads bytes.
pub struct Subject {
    /// The name for reports.
    pub name: &'static str,
    /// Bytes that it can read, to begin with.
    samples: Vec<Vec<u8>>,
    feed: fn(&[u8]),
}

const SAMPLE_MODEL: &[u8] = include_bytes!("../data/sample.onnx");

const SAMPLE_GRAPH: &str = r#"symbols { h: 1..=1024, w: 1.. }
graph "name" {
  %0 = input {dims = [1, 3, h, w], dtype = f32, name = "x"} : f32[1, 3, h, w]
  %1 = constant [0.5] : f32[1, 1, 1, 1]
  %2 = mul %0, %1 : f32[1, 3, h, w]
  %3 = reduce_sum %2 {axes = [1]} : f32[1, 1, h, w]
  constraint h == floordiv(w + 1, 2), "the image is a \"square\""
  output "y" %3
}
"#;

/// Bytes that a session may take, and that importing may make from nothing.
const MEMORY: u64 = 1 << 20;

/// All subjects.
///
/// # Panics
/// If the sample model cannot be compiled.
pub fn subjects() -> Vec<Subject> {
    let artifact = sample_artifact();
    let model = Model::from_bytes(artifact.clone()).expect("the sample can be opened");
    let kernels = model.artifact().code(0).and_then(|range| artifact.get(range)).unwrap_or_default();
    let kernels = String::from_utf8_lossy(kernels);
    let kernels = kernels.split("---\n").skip(1).map(|text| text.as_bytes().to_vec());
    let tensor = |values: &[i64]| Tensor::from_slice(values, &[values.len()]).expect("it fits memory");
    let plan = model.artifact().plan().encode_to_vec();
    let arrays = [tensor(&[1, 2, 3]), tensor(&[])].map(|tensor| npy::encode(&tensor).expect("integers have a form"));
    let subject = |name, samples, feed| Subject { name, samples, feed };
    vec![
        subject("onnx", vec![SAMPLE_MODEL.to_vec()], feed_onnx as fn(&[u8])),
        subject("artifact", vec![artifact.clone()], feed_artifact),
        subject("plan", vec![plan], feed_plan),
        subject("graph", vec![SAMPLE_GRAPH.as_bytes().to_vec()], feed_graph),
        subject("kernel", kernels.collect(), feed_kernel),
        subject("npy", arrays.to_vec(), feed_npy),
        subject("gguf", vec![fuzz_models::gguf()], fuzz_models::feed_gguf),
        subject("safetensors", vec![fuzz_models::safetensors()], fuzz_models::feed_safetensors),
        subject("tokenizer", vec![fuzz_models::tokenizer()], fuzz_models::feed_tokenizer),
        subject("state", vec![fuzz_models::state()], fuzz_models::feed_state),
    ]
}

/// The sample model, for the device that runs no machine code.
fn sample_artifact() -> Vec<u8> {
    let options = CompileOptions { targets: vec!["interp".to_string()], ..CompileOptions::default() };
    let graph = Registry::default().import.onnx_bytes(SAMPLE_MODEL, None, &options.import).expect("the sample can be imported");
    let mut artifact = Vec::new();
    compile(&Registry::default(), &graph.into(), &options, &mut |_| {}, &mut artifact).expect("the sample can be compiled");
    artifact
}

impl Subject {
    /// The input of a case.
    pub fn input(&self, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        let pick = |random: &mut Random| self.samples.get(random.size(0, self.samples.len().max(1) - 1)).cloned();
        let mut bytes = pick(&mut random).unwrap_or_default();
        for _ in 0..random.size(1, 6) {
            let other = pick(&mut random).unwrap_or_default();
            mutate(&mut random, &mut bytes, &other);
        }
        bytes
    }

    /// Runs one case.
    ///
    /// # Errors
    /// The message of a panic.
    pub fn run(&self, seed: u64) -> Result<(), String> {
        let input = self.input(seed);
        catch_unwind(AssertUnwindSafe(|| (self.feed)(&input))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
        })
    }
}

/// Numbers at which arithmetic goes wrong.
const EXTREMES: [i64; 8] = [0, -1, 1, i64::MAX, i64::MIN, u32::MAX as i64, 1 << 31, i64::MAX / 4];

/// Bytes that mean something to a format.
const TOKENS: [&[u8]; 10] =
    [b"9223372036854775807", b"-1", b"0", b"{", b"}", b"]", b"\"", b"\n", b"floordiv(", b"\xff\xff\xff\xff\x0f"];

/// Changes bytes in one place.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.size(0, bytes.len());
    let end = (at + random.size(0, 16)).min(bytes.len());
    match random.size(0, 7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let part = bytes[at..end].to_vec();
            insert(bytes, at, &part);
        }
        3 => insert(bytes, at, random.pick(&TOKENS, b"0")),
        4 => overwrite(bytes, at, &random.pick(&EXTREMES, 0).to_le_bytes()[..random.pick(&[1, 4, 8], 8)]),
        5 => drop(bytes.splice(at..end, other[at.min(other.len())..].iter().copied().take(64))),
        6 => digit(random, bytes, at),
        _ => overwrite(bytes, at, &[random.bits() as u8]),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    drop(bytes.splice(at..at, part.iter().copied()));
}

fn overwrite(bytes: &mut [u8], at: usize, part: &[u8]) {
    bytes.iter_mut().skip(at).zip(part).for_each(|(byte, new)| *byte = *new);
}

/// Changes the next digit, which texts have many of.
fn digit(random: &mut Random, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
        *byte = b'0' + random.size(0, 9) as u8;
    }
}

fn feed_onnx(bytes: &[u8]) {
    let options = ImportOptions { max_expanded_bytes: MEMORY, ..ImportOptions::default() };
    drop(Registry::default().import.check_onnx_bytes(bytes, None, &options));
    if let Ok(graph) = Registry::default().import.onnx_bytes(bytes, None, &options) {
        let problems = verify_graph(&graph);
        assert!(problems.is_empty(), "the imported graph is invalid: {problems:?}");
    }
}

fn feed_artifact(bytes: &[u8]) {
    let Ok(model) = Model::from_bytes(bytes.to_vec()) else { return };
    if model.verify_hashes().is_ok() {
        exercise(&model);
    }
}

/// Damages the plan alone, in a file whose hashes are right.
fn feed_plan(bytes: &[u8]) {
    let Ok(plan) = Plan::decode(bytes) else { return };
    let mut writer = Writer::new("fuzz");
    for weight in &plan.weights {
        let data = vec![0; usize::try_from(weight.bytes.min(MEMORY)).unwrap_or(0)];
        if writer.weight(&weight.name, &weight.dtype, &weight.dims, WeightData::Bytes(data.into())).is_err() {
            return;
        }
    }
    for variant in &plan.variants {
        if writer.code(&variant.device, &variant.arch, &variant.name, b"lostwax kernels 1".to_vec()).is_err() {
            return;
        }
    }
    let mut file = Vec::new();
    if writer.write(&plan, &mut file).is_ok() {
        feed_artifact(&file);
    }
}

/// Does what can be done with a model without running it.
fn exercise(model: &Model) {
    let (_, _, _) = (model.entry_points(), model.symbols(), model.states());
    let Ok(device) = Registry::default().device(Some("interp"), model.variants()) else { return };
    let Ok(mut session) = model.session_with(device, Options::new().with_max_memory(MEMORY)) else { return };
    for size in [1, 2, 9] {
        let ranks: Option<Vec<usize>> =
            model.entry_points().first().map(|entry| entry.inputs.iter().map(|input| input.dims.len()).collect());
        let shapes: Vec<Vec<usize>> = ranks.unwrap_or_default().into_iter().map(|rank| vec![size; rank.min(8)]).collect();
        drop(session.prepare(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    }
    drop(session.prepare(&[&[1, 2, 8, 5]]));
}

fn feed_graph(bytes: &[u8]) {
    let Ok(graph) = parse_graph(&String::from_utf8_lossy(bytes), &[]) else { return };
    if verify_graph(&graph).is_empty() {
        let printed = print_graph(&graph);
        let read = parse_graph(&printed.text, &printed.data).unwrap_or_else(|error| panic!("{error} in {}", printed.text));
        assert_eq!(print_graph(&read).text, printed.text);
    }
}

fn feed_kernel(bytes: &[u8]) {
    let Ok(kernel) = parse_kernel(&String::from_utf8_lossy(bytes)) else { return };
    if verify_kernel(&kernel).is_empty() {
        let text = print_kernel(&kernel);
        let read = parse_kernel(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(print_kernel(&read), text);
    }
}

fn feed_npy(bytes: &[u8]) {
    drop(npy::decode(bytes));
    drop(npy::read_archive(std::io::Cursor::new(bytes)));
}
