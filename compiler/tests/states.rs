//! Models with states and several entry points: sessions against the reference interpreter, step by step.

use lostwax_compiler::Registry;
use lostwax_compiler::model::{CompileOptions, compile};
use lostwax_import::program::{EntryGraph, Program};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::eval::eval_graph_with;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_ir::types::{DType, TensorType};
use lostwax_runtime::{AlignedBuffer, Bindings, Model, RuntimeError, Session, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A graph under construction; its methods are the ops that the models below use.
struct Builder(Graph);

impl Builder {
    fn new(name: &str) -> Self {
        Self(Graph::new(name))
    }

    fn op(&mut self, op: Op, attrs: Attrs, operands: &[Value]) -> Value {
        self.0.add(op, attrs, operands).unwrap()
    }

    fn input(&mut self, name: &str, dims: &[Dim]) -> Value {
        self.0.input(name, &f32_type(dims)).unwrap()
    }

    fn state(&mut self, name: &str, dims: &[Dim]) -> Value {
        self.0.state(name, &f32_type(dims)).unwrap()
    }

    fn matmul(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::MatMul, Attrs::new(), &[a, b])
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Add, Attrs::new(), &[a, b])
    }

    fn reshape(&mut self, x: Value, dims: &[Dim]) -> Value {
        self.op(Op::Reshape, Attrs::new().with("dims", dims.to_vec()), &[x])
    }

    fn transpose(&mut self, x: Value, axes: &[i64]) -> Value {
        self.op(Op::Transpose, Attrs::new().with("perm", axes.to_vec()), &[x])
    }

    fn slice(&mut self, x: Value, starts: &[Dim], sizes: &[Dim], steps: &[i64]) -> Value {
        let attrs = Attrs::new().with("starts", starts.to_vec()).with("sizes", sizes.to_vec()).with("steps", steps.to_vec());
        self.op(Op::Slice, attrs, &[x])
    }

    fn update(&mut self, x: Value, update: Value, starts: &[Dim]) -> Value {
        self.op(Op::UpdateSlice, Attrs::new().with("starts", starts.to_vec()), &[x, update])
    }

    fn concat(&mut self, parts: &[Value], axis: i64) -> Value {
        self.op(Op::Concat, Attrs::new().with("axis", axis), parts)
    }

    /// A constant that depends on the seed only.
    fn weight(&mut self, seed: u64, dims: &[i64]) -> Value {
        let tensor = Random::new(seed).tensor(&TensorType::new(DType::F32, dims.iter().copied())).unwrap();
        let small: Vec<f64> = tensor.to_f64().iter().map(|value| value / 8.0).collect();
        self.0.constant(Arc::new(Reference::from_f64(DType::F32, tensor.shape(), &small).unwrap())).unwrap()
    }

    fn reduce(&mut self, op: Op, x: Value, axis: i64) -> Value {
        self.op(op, Attrs::new().with("axes", vec![axis]), &[x])
    }

    fn softmax(&mut self, x: Value, axis: i64) -> Value {
        let largest = self.reduce(Op::ReduceMax, x, axis);
        let shifted = self.op(Op::Sub, Attrs::new(), &[x, largest]);
        let powers = self.op(Op::Exp, Attrs::new(), &[shifted]);
        let total = self.reduce(Op::ReduceSum, powers, axis);
        self.op(Op::Div, Attrs::new(), &[powers, total])
    }

    fn entry(mut self, name: &str, outputs: &[(&str, Value)]) -> EntryGraph {
        outputs.iter().for_each(|(name, value)| self.0.output(name, *value));
        EntryGraph { name: name.to_string(), graph: self.0 }
    }
}

fn f32_type(dims: &[Dim]) -> TensorType {
    TensorType { dtype: DType::F32, dims: dims.to_vec() }
}

fn dims(sizes: &[i64]) -> Vec<Dim> {
    sizes.iter().map(|size| Dim::constant(*size)).collect()
}

fn program(entries: Vec<EntryGraph>) -> Program {
    Program { name: "states".to_string(), entries, language: None }
}

/// A session beside the interpreter, which is given the states.
struct Both {
    program: Program,
    session: Session,
    states: BTreeMap<String, Reference>,
    random: Random,
}

impl Both {
    fn new(program: &Program, target: &str) -> Self {
        Self::with_level(program, target, 3)
    }

    fn with_level(program: &Program, target: &str, level: u8) -> Self {
        let mut artifact = AlignedBuffer::default();
        let options = CompileOptions { targets: vec![fastest(target)], level: Some(level), ..CompileOptions::default() };
        compile(&Registry::default(), program, &options, &mut |_| {}, &mut artifact).unwrap();
        let session =
            Model::from_bytes(artifact).unwrap().session(Registry::default().device(Some(target), &[]).unwrap()).unwrap();
        let mut states = BTreeMap::new();
        for EntryGraph { graph, .. } in &program.entries {
            for value in graph.inputs().iter().filter(|value| graph.op(**value) == Op::State) {
                let shape = graph.ty(*value).static_shape().unwrap();
                states.insert(graph.input_name(*value).to_string(), Reference::zeros(graph.ty(*value).dtype, &shape).unwrap());
            }
        }
        Self { program: program.clone(), session, states, random: Random::new(7) }
    }

    /// One run of both on random inputs.
    fn step(&mut self, entry: &str, sizes: &[(&str, i64)]) {
        let sizes: Bindings = sizes.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        let graph = self.program.entries.iter().find(|known| known.name == entry).unwrap().graph.clone();
        let values = graph.inputs().iter().filter(|value| graph.op(**value) == Op::Input);
        let inputs: BTreeMap<String, Reference> = values
            .map(|value| (graph.input_name(*value).to_string(), self.random.tensor(&graph.ty(*value).bind(&sizes)).unwrap()))
            .collect();
        let known: Bindings = sizes.into_iter().filter(|(name, _)| graph.symbols().contains_key(name)).collect();
        let all = inputs.iter().chain(&self.states).map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        let expected = eval_graph_with(&graph, &all, &known).unwrap();
        self.session.set_entry_point(entry).unwrap();
        let symbols = self.session.model().symbols();
        let given = known.iter().filter(|(name, _)| symbols.iter().any(|symbol| symbol.name == **name));
        given.for_each(|(name, value)| self.session.bind(name, *value).unwrap());
        let tensors = inputs.iter().map(|(name, tensor)| (name.clone(), to_tensor(tensor)));
        let tensors: Vec<(String, Tensor)> = tensors.collect();
        let found = self.session.run(tensors.iter().map(|(name, tensor)| (name, tensor))).unwrap();
        for (name, expected) in expected {
            match self.states.get_mut(&name) {
                Some(state) => *state = expected,
                None => check(&name, found.get(&name).unwrap().view::<f32>().unwrap(), &expected),
            }
        }
        for (name, expected) in &self.states {
            check(name, self.session.state(name).unwrap().view::<f32>().unwrap(), expected);
        }
    }
}

/// The target restricted to the variant that this machine runs.
fn fastest(target: &str) -> String {
    let infos: Vec<_> = Registry::default().select(target).unwrap().variants.into_iter().map(|variant| variant.info).collect();
    let chosen = &infos[Registry::default().device(Some(target), &[]).unwrap().select(&infos).unwrap()];
    if infos.len() == 1 { target.to_string() } else { format!("{target}:{}+{}", chosen.arch, chosen.name) }
}

fn to_tensor(tensor: &Reference) -> Tensor {
    Tensor::from_slice(tensor.as_slice::<f32>(), tensor.shape()).unwrap()
}

fn check(name: &str, found: &[f32], expected: &Reference) {
    let expected = expected.to_f64();
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
    for (position, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() <= 2e-4 * scale, "{name}[{position}] is {found}, expected {expected}");
    }
}

const HEADS: i64 = 3;
const SIZE: i64 = 8;
const CONTEXT: i64 = 40;

/// Attention over all positions so far, whose keys and values are states.
fn attention(name: &str, sequence: &Dim) -> EntryGraph {
    let mut b = Builder::new(name);
    let past = Dim::symbol(&Symbol::new("past", 0, CONTEXT - 1));
    let (zero, heads, size, context) = (Dim::default(), Dim::constant(HEADS), Dim::constant(SIZE), Dim::constant(CONTEXT));
    let total = past.clone() + sequence.clone();
    let x = b.input("x", &[sequence.clone(), 16.into()]);
    let keys = b.state("keys", &[heads.clone(), size.clone(), context.clone()]);
    let values = b.state("values", &[heads.clone(), context, size.clone()]);
    let project = |b: &mut Builder, seed: u64, axes: &[i64]| {
        let weight = b.weight(seed, &[16, HEADS * SIZE]);
        let flat = b.matmul(x, weight);
        let split = b.reshape(flat, &[sequence.clone(), heads.clone(), size.clone()]);
        b.transpose(split, axes)
    };
    let (q, k, v) = (project(&mut b, 1, &[1, 0, 2]), project(&mut b, 2, &[1, 2, 0]), project(&mut b, 3, &[1, 0, 2]));
    let keys = b.update(keys, k, &[zero.clone(), zero.clone(), past.clone()]);
    let values = b.update(values, v, &[zero.clone(), past.clone(), zero.clone()]);
    let start = vec![zero; 3];
    let seen_keys = b.slice(keys, &start, &[heads.clone(), size.clone(), total.clone()], &[1; 3]);
    let seen_values = b.slice(values, &start, &[heads.clone(), total.clone(), size.clone()], &[1; 3]);
    let scores = b.matmul(q, seen_keys);
    let hidden = masked(&mut b, scores, &[heads, sequence.clone(), total], &past);
    let weights = b.softmax(hidden, 2);
    let y = b.matmul(weights, seen_values);
    b.entry(name, &[("y", y), ("keys", keys), ("values", values)])
}

/// Scores of positions after that of the row do not count.
fn masked(b: &mut Builder, scores: Value, dims: &[Dim], past: &Dim) -> Value {
    let place = |b: &mut Builder, axis: i64| {
        b.op(Op::Iota, Attrs::new().with("dtype", DType::I64).with("dims", dims.to_vec()).with("axis", axis), &[])
    };
    let (row, column) = (place(b, 1), place(b, 2));
    let past = b.op(Op::DimValue, Attrs::new().with("dims", vec![past.clone()]).with("dtype", DType::I64), &[]);
    let past = b.reshape(past, &vec![1.into(); 3]);
    let last = b.add(row, past);
    let visible = b.op(Op::LessEqual, Attrs::new(), &[column, last]);
    let lowest = b.0.constant(Arc::new(Reference::f32(&[1, 1, 1], &[-1e9]).unwrap())).unwrap();
    b.op(Op::Where, Attrs::new(), &[visible, scores, lowest])
}

fn decoder() -> Program {
    let sequence = Dim::symbol(&Symbol::new("sequence", 1, 64));
    program(vec![attention("prefill", &sequence), attention("decode", &1.into())])
}

fn run_decoder(target: &str) {
    let mut both = Both::new(&decoder(), target);
    both.step("prefill", &[("past", 0), ("sequence", 5)]);
    (5..9).for_each(|past| both.step("decode", &[("past", past)]));
    both.step("prefill", &[("past", 9), ("sequence", 17)]);
    both.step("decode", &[("past", 26)]);
    both.step("prefill", &[("past", 3), ("sequence", 37)]);
    both.step("decode", &[("past", CONTEXT - 1)]);
}

#[test]
fn a_decoder_keeps_its_cache() {
    run_decoder("cpu");
}

#[test]
fn a_decoder_keeps_its_cache_in_kernels_of_the_interpreter() {
    run_decoder("interp");
}

#[test]
fn entry_points_share_weights_and_the_cache_is_written_in_place() {
    let mut artifact = AlignedBuffer::default();
    compile(&Registry::default(), &decoder(), &CompileOptions::default(), &mut |_| {}, &mut artifact).unwrap();
    let model = Model::from_bytes(artifact).unwrap();
    let names: Vec<String> = model.entry_points().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["prefill", "decode"]);
    assert_eq!(model.states().len(), 2);
    assert_eq!(model.artifact().weights().len(), 3 * 16 * (HEADS * SIZE) as usize * 4);
    let cache = (HEADS * SIZE * CONTEXT * 4) as u64;
    let bindings = Bindings::from([("past".to_string(), 0), ("sequence".to_string(), 1)]);
    for name in names {
        let needs = model.requirements(Some(&name), &bindings).unwrap();
        assert_eq!(needs.state_bytes, 2 * cache);
        assert!(needs.arena_bytes < cache, "{name}: {needs:?}");
    }
}

#[test]
fn positions_beyond_the_cache_are_refused() {
    let mut both = Both::new(&decoder(), "cpu");
    both.session.set_entry_point("prefill").unwrap();
    both.session.bind("past", 30).unwrap();
    let x = Tensor::from_slice(&[0.0f32; 11 * 16], &[11, 16]).unwrap();
    let error = both.session.run([("x", &x)]).unwrap_err();
    assert!(matches!(&error, RuntimeError::InvalidInput { .. }), "{error}");
    assert!(error.to_string().contains("must lie within 40 elements"), "{error}");
}

const SHAPE: [i64; 2] = [4, 6];

/// A model with the states `a` and `b` and the input `x`, all of one shape.
fn model(outputs: impl FnOnce(&mut Builder, [Value; 3]) -> Vec<(&'static str, Value)>) -> Program {
    let mut b = Builder::new("model");
    let x = b.input("x", &dims(&SHAPE));
    let states = [b.state("a", &dims(&SHAPE)), b.state("b", &dims(&SHAPE))];
    let outputs = outputs(&mut b, [x, states[0], states[1]]);
    program(vec![b.entry("main", &outputs)])
}

fn check_model(program: &Program) {
    for level in [0, 3] {
        let mut both = Both::with_level(program, "cpu", level);
        (0..4).for_each(|past| both.step("main", &[("past", past)]));
    }
}

#[test]
fn sums_stay() {
    check_model(&model(|b, [x, a, c]| vec![("y", a), ("a", b.add(a, x)), ("b", c)]));
}

#[test]
fn states_that_are_read_elsewhere_than_written_are_copied() {
    check_model(&model(|b, [x, a, c]| {
        let weight = b.weight(5, &[6, 6]);
        let product = b.matmul(a, weight);
        let next = b.add(product, x);
        let reversed = b.slice(c, &dims(&[3, 5]), &dims(&SHAPE), &[-1, -1]);
        vec![("a", next), ("b", b.add(reversed, x)), ("y", next)]
    }));
}

#[test]
fn states_change_places() {
    check_model(&model(|b, [x, a, c]| vec![("a", c), ("b", b.add(a, x))]));
    check_model(&model(|_, [_, a, c]| vec![("a", c), ("b", a)]));
    check_model(&model(|_, [x, a, _]| vec![("a", x), ("b", x), ("y", a)]));
}

#[test]
fn states_move_along() {
    check_model(&model(|b, [x, a, c]| {
        let kept = b.slice(a, &dims(&[1, 0]), &dims(&[3, 6]), &[1, 1]);
        let new = b.slice(x, &dims(&[0, 0]), &dims(&[1, 6]), &[1, 1]);
        let moved = b.concat(&[kept, new], 0);
        vec![("a", moved), ("b", b.add(c, moved))]
    }));
}

#[test]
fn old_and_new_contents_are_both_there() {
    check_model(&model(|b, [x, a, c]| {
        let row = b.slice(x, &dims(&[0, 0]), &dims(&[1, 6]), &[1, 1]);
        let past = Dim::symbol(&Symbol::new("past", 0, 3));
        let next = b.update(a, row, &[past, 0.into()]);
        let both = b.add(a, next);
        let turned = b.transpose(both, &[1, 0]);
        vec![("a", next), ("y", b.matmul(turned, next)), ("b", b.add(c, a))]
    }));
}

#[test]
fn updates_of_updates_happen_in_order() {
    check_model(&model(|b, [x, a, _]| {
        let past = Dim::symbol(&Symbol::new("past", 0, 3));
        let row = b.slice(x, &dims(&[1, 0]), &dims(&[1, 6]), &[1, 1]);
        let column = b.slice(a, &dims(&[0, 2]), &dims(&[4, 1]), &[1, 1]);
        let first = b.update(a, row, &[past, 0.into()]);
        let second = b.update(first, column, &dims(&[0, 3]));
        vec![("a", second), ("y", first), ("b", b.add(first, second))]
    }));
}

/// A value made of those before it by a random op.
fn random_value(b: &mut Builder, random: &mut Random, values: &[Value]) -> Value {
    let (x, y) = (random.pick(values, values[0]), random.pick(values, values[0]));
    match random.int(0, 8) {
        0 => b.add(x, y),
        1 => b.op(Op::Relu, Attrs::new(), &[x]),
        2 => {
            let weight = b.weight(random.bits() % 3, &[6, 6]);
            b.matmul(x, weight)
        }
        3 => b.slice(x, &dims(&[3, 0]), &dims(&SHAPE), &[-1, 1]),
        4 => {
            let flat = b.reshape(x, &dims(&[2, 12]));
            let changed = if random.one_in(2) { b.op(Op::Neg, Attrs::new(), &[flat]) } else { flat };
            b.reshape(changed, &dims(&SHAPE))
        }
        5 => {
            let (top, bottom) = (random.int(1, 3), random.int(0, 1));
            let first = b.slice(x, &dims(&[4 - top, 0]), &dims(&[top, 6]), &[1, 1]);
            let second = b.slice(y, &dims(&[bottom, 0]), &dims(&[4 - top, 6]), &[1, 1]);
            b.concat(&[first, second], 0)
        }
        _ => {
            let (height, width) = (random.int(1, 4), random.int(1, 6));
            let part = b.slice(y, &dims(&[0, 6 - width]), &dims(&[height, width]), &[1, 1]);
            let past = Dim::symbol(&Symbol::new("past", 0, 3));
            let row = if height == 1 { past } else { Dim::constant(random.int(0, 4 - height)) };
            b.update(x, part, &[row, Dim::constant(random.int(0, 6 - width))])
        }
    }
}

fn random_model(seed: u64) -> Program {
    let mut random = Random::new(seed);
    model(|b, given| {
        let mut values = given.to_vec();
        for _ in 0..random.size(1, 6) {
            let value = random_value(b, &mut random, &values);
            values.push(value);
        }
        let mut pick = || random.pick(&values[1..], values[1]);
        vec![("a", pick()), ("b", pick()), ("y", pick()), ("z", pick())]
    })
}

#[test]
fn random_models_agree_with_the_interpreter() {
    for seed in 0..80 {
        println!("seed {seed}");
        let target = if seed % 3 == 0 { "interp" } else { "cpu" };
        let mut both = Both::with_level(&random_model(seed), target, (seed % 4) as u8);
        (0..4).for_each(|past| both.step("main", &[("past", past)]));
    }
}

#[test]
fn entry_points_must_agree_on_states_and_sizes() {
    let other = |size: i64, range: i64| {
        let mut b = Builder::new("other");
        let sequence = Dim::symbol(&Symbol::new("n", 1, range));
        let x = b.input("x", &[sequence]);
        let state = b.state("s", &dims(&[size]));
        b.entry(&format!("entry{size}_{range}"), &[("y", x), ("s", state)])
    };
    let options = CompileOptions { targets: vec!["interp".to_string()], ..CompileOptions::default() };
    let problem = |second: EntryGraph| {
        let result = compile(&Registry::default(), &program(vec![other(4, 8), second]), &options, &mut |_| {}, &mut Vec::new());
        result.err().map(|error| error.to_string())
    };
    assert_eq!(
        problem(other(5, 8)).unwrap(),
        "entry point `entry5_8`: the state `s` has another type than in the entry points before"
    );
    assert_eq!(
        problem(other(4, 9)).unwrap(),
        "entry point `entry4_9`: the size `n` has another range than in the entry points before"
    );
}
