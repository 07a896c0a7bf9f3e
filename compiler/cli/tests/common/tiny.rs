//! A language model of two tokens' memory, as an artifact that is compiled for this machine.

#![allow(dead_code)]

use super::decoder;
use lostwax_compiler::Registry;
use lostwax_compiler::model::{CompileOptions, compile};
use lostwax_import::program::{EntryGraph, Program};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};
use lostwax_runtime::format::{Artifact, LanguageModel, Weight, WeightData, Writer};
use std::sync::Arc;

const VOCABULARY: i64 = 257;
const HIDDEN: i64 = 32;
const CONTEXT: i64 = 64;

/// The file of a model with these entry points, of `prefill`, `decode`, `score` and `embed`.
pub fn artifact(entry_points: &[&str]) -> Vec<u8> {
    artifact_with(entry_points, |_| {})
}

/// The same with changes of what it says about text.
pub fn artifact_with(entry_points: &[&str], change: impl FnOnce(&mut LanguageModel)) -> Vec<u8> {
    let mut bytes = Vec::new();
    compile(&Registry::default(), &program(entry_points), &CompileOptions::default(), &mut |_| {}, &mut bytes).unwrap();
    with_language(&bytes, change)
}

/// What [`artifact`] is compiled from.
pub fn program(entry_points: &[&str]) -> Program {
    let entries = entry_points.iter().map(|name| EntryGraph { name: name.to_string(), graph: graph(name) }).collect();
    Program { name: "tiny".to_string(), entries, language: None }
}

fn graph(name: &str) -> Graph {
    let sequence = if name == "decode" { 1.into() } else { Dim::symbol(&Symbol::new("sequence", 1, CONTEXT / 2)) };
    let mut builder = Builder(Graph::new(name));
    let tokens = builder.0.input("tokens", &TensorType { dtype: DType::I32, dims: vec![sequence.clone()] }).unwrap();
    let own = builder.embeddings(tokens);
    match name {
        "embed" => builder.embedding(own),
        name => builder.logits(own, &sequence, name == "score"),
    }
    builder.0
}

struct Builder(Graph);

impl Builder {
    fn op(&mut self, op: Op, attrs: Attrs, operands: &[Value]) -> Value {
        self.0.add(op, attrs, operands).unwrap()
    }

    fn constant(&mut self, shape: &[usize], values: &[f64]) -> Value {
        self.0.constant(Arc::new(Tensor::from_f64(DType::F32, shape, values).unwrap())).unwrap()
    }

    /// A constant that depends on the seed only.
    fn weight(&mut self, seed: u64, dims: [i64; 2]) -> Value {
        let values = Random::new(seed).tensor(&TensorType::new(DType::F32, dims)).unwrap().to_f64();
        let small: Vec<f64> = values.iter().map(|value| value / 8.0).collect();
        self.constant(&dims.map(|dim| dim as usize), &small)
    }

    fn embeddings(&mut self, tokens: Value) -> Value {
        let table = self.weight(1, [VOCABULARY, HIDDEN]);
        self.op(Op::Gather, Attrs::new().with("axis", 0i64), &[table, tokens])
    }

    /// Logits from a token and the one before, of which the embedding is in a state: letters before anything else.
    fn logits(&mut self, own: Value, sequence: &Dim, is_all: bool) {
        let past = Dim::symbol(&Symbol::new("past", 0, CONTEXT - 1));
        let dims = vec![Dim::constant(CONTEXT + 1), HIDDEN.into()];
        let seen = self.0.state("seen", &TensorType { dtype: DType::F32, dims }).unwrap();
        let next = vec![past.clone() + Dim::constant(1), Dim::default()];
        let seen = self.op(Op::UpdateSlice, Attrs::new().with("starts", next), &[seen, own]);
        let before = self.slice(seen, past, sequence.clone());
        let mixed = self.op(Op::Sub, Attrs::new(), &[own, before]);
        let (output, letters) = (self.weight(2, [HIDDEN, VOCABULARY]), self.letters());
        let product = self.op(Op::MatMul, Attrs::new(), &[mixed, output]);
        let all = self.op(Op::Add, Attrs::new(), &[product, letters]);
        let last = sequence.clone() + Dim::constant(-1);
        let logits = if is_all { all } else { self.slice(all, last, 1.into()) };
        self.0.output("logits", logits);
        self.0.output("seen", seen);
    }

    fn letters(&mut self) -> Value {
        let values: Vec<f64> = (0..VOCABULARY).map(|token| if (97..123).contains(&token) { 20.0 } else { 0.0 }).collect();
        self.constant(&[1, VOCABULARY as usize], &values)
    }

    fn slice(&mut self, x: Value, start: Dim, size: Dim) -> Value {
        let columns = self.0.ty(x).dims[1].clone();
        let attrs = Attrs::new().with("starts", vec![start, Dim::default()]).with("sizes", vec![size, columns]);
        self.op(Op::Slice, attrs.with("steps", vec![1i64, 1]), &[x])
    }

    /// The direction of the sum of all tokens.
    fn embedding(&mut self, own: Value) {
        let sum = self.reduce(own, 0);
        let squares = self.op(Op::Mul, Attrs::new(), &[sum, sum]);
        let total = self.reduce(squares, 1);
        let length = self.op(Op::Sqrt, Attrs::new(), &[total]);
        let unit = self.op(Op::Div, Attrs::new(), &[sum, length]);
        let embedding = self.op(Op::Reshape, Attrs::new().with("dims", vec![Dim::constant(HIDDEN)]), &[unit]);
        self.0.output("embedding", embedding);
    }

    fn reduce(&mut self, x: Value, axis: i64) -> Value {
        self.op(Op::ReduceSum, Attrs::new().with("axes", vec![axis]), &[x])
    }
}

/// The same artifact with a tokenizer.
fn with_language(bytes: &[u8], change: impl FnOnce(&mut LanguageModel)) -> Vec<u8> {
    let artifact = Artifact::parse(bytes).unwrap();
    let (mut plan, mut writer) = (artifact.plan().clone(), Writer::new("lostwax tests"));
    let region = &bytes[artifact.weights()];
    for Weight { name, dtype, dims, offset, bytes } in &plan.weights {
        let data = region[*offset as usize..(*offset + *bytes) as usize].to_vec();
        writer.weight(name, dtype, dims, WeightData::Bytes(data.into())).unwrap();
    }
    for (position, variant) in plan.variants.iter_mut().enumerate() {
        let code = bytes[artifact.code(position).unwrap()].to_vec();
        variant.code_section = writer.code(&variant.device, &variant.arch, &variant.name, code).unwrap();
    }
    let mut model = decoder::language().description().clone();
    (model.vocabulary_size, model.context_length) = (VOCABULARY as u32, CONTEXT as u32);
    change(&mut model);
    writer.language_model(&model, decoder::tokenizer_json().into_bytes()).unwrap();
    let mut out = Vec::new();
    writer.write(&plan, &mut out).unwrap();
    out
}
