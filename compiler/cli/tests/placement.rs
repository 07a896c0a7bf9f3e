//! Kernels that a target refuses run on another device: sessions against the reference interpreter.

mod common;

use common::Workplace;
use lostwax_compiler::error::CompileError;
use lostwax_compiler::model::CompileOptions;
use lostwax_compiler::pipeline::{self, Compiled, Settings};
use lostwax_compiler::{Registry, SelectedTarget};
use lostwax_import::program::{EntryGraph, Program};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::eval::eval_graph_with;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_ir::types::{DType, TensorType};
use lostwax_runtime::{AlignedBuffer, Bindings, Device, Model, RuntimeError, Session, Tensor};
use lostwax_target_api::{EmitError, EmitOptions, Emitted, Target, Variant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Another target that refuses the kernels whose number leaves one of these remainders when it is divided by 3.
struct Choosy {
    inner: Arc<dyn Target>,
    refused: &'static [usize],
}

impl Choosy {
    fn refuses(&self, kernel: &Kernel) -> bool {
        let number = kernel.name.rsplit('_').next().and_then(|number| number.parse::<usize>().ok()).unwrap();
        self.refused.contains(&(number % 3))
    }
}

impl Target for Choosy {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn doc(&self) -> &'static str {
        self.inner.doc()
    }

    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError> {
        self.inner.variants(specification)
    }

    fn emit(&self, variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError> {
        match kernels.iter().find(|kernel| self.refuses(kernel)) {
            Some(kernel) => Err(EmitError::Unsupported { target: self.name().into(), what: format!("`{}`", kernel.name) }),
            None => self.inner.emit(variant, kernels, options),
        }
    }
}

const ALL: &[usize] = &[0, 1, 2];

/// Targets with the kernels that each refuses.
type Targets<'a> = &'a [(&'a str, &'static [usize])];

fn compile(program: &Program, targets: Targets<'_>, level: u8, strict: bool) -> Result<(Compiled, Model), CompileError> {
    let choosy = targets.iter().map(|(name, refused)| {
        let SelectedTarget { target, variants } = Registry::default().select(&fastest(name)).unwrap();
        SelectedTarget { target: Arc::new(Choosy { inner: target, refused }), variants }
    });
    let targets: Vec<SelectedTarget> = choosy.collect();
    let registry = Registry::default();
    let mut settings = Settings {
        targets: &targets,
        level: registry.level(level).unwrap(),
        max_memory: None,
        strict,
        outputs: &BTreeSet::new(),
        progress: &mut |_| {},
    };
    let mut artifact = AlignedBuffer::default();
    let compiled = pipeline::run(&registry, program, &CompileOptions::default().passes, &mut settings, &mut artifact)?;
    Ok((compiled, Model::from_bytes(artifact).unwrap()))
}

/// The target restricted to the variant that this machine runs.
fn fastest(target: &str) -> String {
    let infos: Vec<_> = Registry::default().select(target).unwrap().variants.into_iter().map(|variant| variant.info).collect();
    let chosen = &infos[Registry::default().device(Some(target), &[]).unwrap().select(&infos).unwrap()];
    if infos.len() == 1 { target.to_string() } else { format!("{target}:{}+{}", chosen.arch, chosen.name) }
}

fn device_of(targets: Targets<'_>) -> Device {
    let mut devices = targets.iter().map(|(name, _)| Device::from(Registry::default().device(Some(name), &[]).unwrap()));
    let first = devices.next().unwrap();
    devices.fold(first, Device::with_fallback)
}

struct Builder(Graph);

impl Builder {
    fn op(&mut self, op: Op, attrs: Attrs, operands: &[Value]) -> Value {
        self.0.add(op, attrs, operands).unwrap()
    }

    fn weight(&mut self, seed: u64, dims: [i64; 2]) -> Value {
        let tensor = Random::new(seed).tensor(&TensorType::new(DType::F32, dims)).unwrap();
        let small: Vec<f64> = tensor.to_f64().iter().map(|value| value / 8.0).collect();
        self.0.constant(Arc::new(Reference::from_f64(DType::F32, tensor.shape(), &small).unwrap())).unwrap()
    }

    fn matmul(&mut self, x: Value, seed: u64, dims: [i64; 2]) -> Value {
        let weight = self.weight(seed, dims);
        self.op(Op::MatMul, Attrs::new(), &[x, weight])
    }

    fn add(&mut self, x: Value, y: Value) -> Value {
        self.op(Op::Add, Attrs::new(), &[x, y])
    }

    fn normalized(&mut self, x: Value) -> Value {
        let powers = self.op(Op::Exp, Attrs::new(), &[x]);
        let total = self.op(Op::ReduceSum, Attrs::new().with("axes", vec![1i64]), &[powers]);
        self.op(Op::Div, Attrs::new(), &[powers, total])
    }
}

fn f32_type(dims: &[Dim]) -> TensorType {
    TensorType { dtype: DType::F32, dims: dims.to_vec() }
}

/// Products, sums over rows, parts that are put together, two outputs of which one is used further, and a state that holds all rows
/// so far and one that is their sum.
fn entry(name: &str, rows: &Dim) -> EntryGraph {
    let mut b = Builder(Graph::new(name));
    let past = Dim::symbol(&Symbol::new("past", 0, 20));
    let x = b.0.input("x", &f32_type(&[rows.clone(), 16.into()])).unwrap();
    let seen = b.0.state("seen", &f32_type(&[40.into(), 16.into()])).unwrap();
    let sum = b.0.state("sum", &f32_type(&[1.into(), 16.into()])).unwrap();
    let first = b.matmul(x, 1, [16, 16]);
    let first = b.normalized(first);
    let second = b.matmul(first, 2, [16, 24]);
    let both = b.op(Op::Concat, Attrs::new().with("axis", 1i64), &[first, second]);
    let mixed = b.matmul(both, 3, [40, 16]);
    let mixed = b.normalized(mixed);
    let seen = b.op(Op::UpdateSlice, Attrs::new().with("starts", vec![past, Dim::default()]), &[seen, mixed]);
    let total = b.op(Op::ReduceSum, Attrs::new().with("axes", vec![0i64]), &[seen]);
    let sum = b.add(sum, total);
    let last = b.matmul(mixed, 4, [16, 16]);
    let last = b.add(last, sum);
    let y = b.normalized(last);
    [("mixed", mixed), ("y", y), ("seen", seen), ("sum", sum)].into_iter().for_each(|(name, value)| b.0.output(name, value));
    EntryGraph { name: name.to_string(), graph: b.0 }
}

fn program() -> Program {
    let rows = Dim::symbol(&Symbol::new("rows", 1, 20));
    Program { name: "placed".into(), entries: vec![entry("many", &rows), entry("one", &1.into())], language: None }
}

/// A session beside the interpreter, which is given the states.
struct Both {
    program: Program,
    session: Session,
    states: BTreeMap<String, Reference>,
    random: Random,
}

impl Both {
    fn new(session: Session) -> Self {
        let zeros = |dims: &[usize]| Reference::zeros(DType::F32, dims).unwrap();
        let states = BTreeMap::from([("seen".to_string(), zeros(&[40, 16])), ("sum".to_string(), zeros(&[1, 16]))]);
        Self { program: program(), session, states, random: Random::new(7) }
    }

    /// A run of both. States are looked at after every second one, which moves them to the host.
    fn step(&mut self, entry: usize, past: i64, rows: i64) {
        let EntryGraph { name, graph } = &self.program.entries[entry];
        let mut bindings = Bindings::from([("past".to_string(), past), ("rows".to_string(), rows)]);
        bindings.retain(|name, _| graph.symbols().contains_key(name));
        let x = self.random.tensor(&TensorType::new(DType::F32, [rows, 16])).unwrap();
        let mut inputs = self.states.clone();
        inputs.insert("x".to_string(), x.clone());
        let expected = eval_graph_with(graph, &inputs, &bindings).unwrap();
        self.session.set_entry_point(name).unwrap();
        self.session.bind("past", past).unwrap();
        let x = Tensor::from_slice(x.as_slice::<f32>(), x.shape()).unwrap();
        let found = self.session.run([("x", &x)]).unwrap();
        for (name, expected) in expected {
            match self.states.get_mut(&name) {
                Some(state) => *state = expected,
                None => check(&name, found.get(&name).unwrap().view::<f32>().unwrap(), &expected),
            }
        }
        for (name, expected) in self.states.iter().filter(|_| past % 2 == 1) {
            check(name, self.session.state(name).unwrap().view::<f32>().unwrap(), expected);
        }
    }

    fn steps(&mut self) {
        self.step(0, 0, 5);
        self.step(0, 5, 9);
        (14..18).for_each(|past| self.step(1, past, 1));
        self.step(0, 3, 5);
        self.step(0, 8, 17);
    }

    /// Starts again, with a sum that the host gives.
    fn restart(&mut self) {
        self.session.reset_states().unwrap();
        let sum = self.random.tensor(&TensorType::new(DType::F32, [1, 16])).unwrap();
        self.session.set_state("sum", &Tensor::from_slice(sum.as_slice::<f32>(), sum.shape()).unwrap()).unwrap();
        self.states.insert("sum".to_string(), sum);
        self.states.insert("seen".to_string(), Reference::zeros(DType::F32, &[40, 16]).unwrap());
    }
}

fn check(name: &str, found: &[f32], expected: &Reference) {
    let expected = expected.to_f64();
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
    for (position, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() <= 2e-4 * scale, "{name}[{position}] is {found}, expected {expected}");
    }
}

fn run(targets: Targets<'_>) {
    for level in [0, 3] {
        let (compiled, model) = compile(&program(), targets, level, false).unwrap();
        assert!(!compiled.fallbacks.is_empty());
        let mut both = Both::new(model.session(device_of(targets)).unwrap());
        both.steps();
        both.restart();
        both.steps();
    }
}

#[test]
fn two_devices_compute_what_one_does() {
    for refused in [&[0][..], &[1], &[2], &[0, 2], ALL] {
        run(&[("interp", refused), ("cpu", &[])]);
        run(&[("cpu", refused), ("interp", &[])]);
    }
}

#[test]
fn a_graphics_processor_shares_runs() {
    for refused in [&[1][..], &[0, 2], ALL] {
        run(&[("gpu", refused), ("cpu", &[])]);
    }
    run(&[("cpu", &[1]), ("gpu", &[])]);
}

#[test]
fn targets_may_refuse_different_kernels() {
    run(&[("interp", &[0]), ("cpu", &[1])]);
}

#[test]
fn steps_know_their_devices_and_what_is_copied_is_counted() {
    let targets: Targets<'_> = &[("interp", &[1]), ("cpu", &[])];
    let (compiled, model) = compile(&program(), targets, 0, false).unwrap();
    let mut session = model.session(device_of(targets)).unwrap();
    let x = Tensor::from_slice(&[0.5f32; 48], &[3, 16]).unwrap();
    session.bind("past", 0).unwrap();
    let steps = session.profile(&[("x", x.as_view())], 2).unwrap();
    assert!(steps.iter().any(|step| step.device == "interp") && steps.iter().any(|step| step.device == "cpu"));
    assert!(steps.iter().all(|step| step.seconds > 0.0 && !step.kernel.is_empty()), "{steps:?}");
    assert!(session.copied_bytes() > 0);
    let refused = session.run_on_device([("x", &x)], []).unwrap_err().to_string();
    assert!(refused.contains("interp device does not support tensors that stay on it"), "{refused}");
    let variant = &model.artifact().plan().variants[0];
    assert_eq!((variant.device.as_str(), variant.fallback_device.as_str()), ("interp", "cpu"));
    assert_eq!(model.artifact().index().features, ["placement"]);
    let refused = compiled.fallbacks.iter().filter(|refusal| refusal.device == "interp").count();
    assert_eq!(compiled.assembled.kernels[0].len() + refused, compiled.assembled.kernels[1].len());

    let mut alone = model.session(Registry::default().device(Some("cpu"), &[]).unwrap()).unwrap();
    alone.bind("past", 0).unwrap();
    alone.run([("x", &x)]).unwrap();
    assert_eq!(alone.copied_bytes(), 0);
}

#[test]
fn the_default_target_runs_what_the_only_one_refuses() {
    let (compiled, model) = compile(&program(), &[("interp", &[1])], 3, false).unwrap();
    assert!(compiled.fallbacks.iter().all(|refusal| refusal.fallback == "cpu"));
    Both::new(model.session(Registry::default().device(Some("interp"), &[]).unwrap()).unwrap()).steps();
}

#[test]
fn what_no_target_can_write_is_an_error() {
    let error = compile(&program(), &[("interp", &[1]), ("cpu", &[1])], 3, false).err().unwrap();
    assert!(matches!(&error, CompileError::Emit(EmitError::Unsupported { target, .. }) if target == "interp"), "{error}");
    let error = compile(&program(), &[("cpu", ALL)], 3, true).err().unwrap();
    assert!(matches!(&error, CompileError::Emit(EmitError::Unsupported { target, .. }) if target == "cpu"), "{error}");
}

#[test]
fn strictness_keeps_all_kernels_on_their_device() {
    let refused = compile(&program(), &[("interp", &[1]), ("cpu", &[])], 3, true).err().unwrap();
    assert!(matches!(refused, CompileError::Slow { .. }));
    let message = refused.to_string();
    assert!(message.contains("--strict") && message.contains("runs on cpu: the interp target does not support"), "{message}");
}

#[test]
fn a_missing_device_is_named() {
    let (_, model) = compile(&program(), &[("cpu", &[1]), ("interp", &[])], 3, false).unwrap();
    let error = model.session(Device::cpu()).err().unwrap();
    assert!(matches!(&error, RuntimeError::MissingFallback { fallback, .. } if fallback == "interp"), "{error}");
}

#[test]
fn the_program_tells_which_kernels_run_elsewhere() {
    let place = Workplace::new();
    place.write("model.onnx", &common::transposed());
    let (code, report, stderr) = place.run("compile model.onnx -o model.lwx --target gpu");
    assert_eq!(code, 0, "{stderr}");
    assert!(report.contains("placement  0 kernels on gpu, 1 on cpu"), "{report}");
    assert!(report.contains("runs on cpu: the gpu target does not support the index"), "{report}");
    let json = place.json("compile model.onnx -o model.lwx --target gpu", 0);
    assert_eq!(json["variants"][0]["fallback_kernels"][0]["runs_on"], "cpu");
    let (_, plan, _) = place.run("inspect model.lwx --plan");
    assert!(plan.contains("placement  gpu native: 0 steps on gpu, 1 on cpu") && plan.contains("device"), "{plan}");
    let (code, _, stderr) = place.run("compile model.onnx -o strict.lwx --target gpu --strict");
    assert_eq!(code, 3);
    assert!(stderr.contains("--strict") && stderr.contains("runs on cpu"), "{stderr}");
    assert!(!place.path("strict.lwx").exists());
}
