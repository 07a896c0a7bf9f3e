//! Inputs and outputs that stay on the device: sessions on every device beside runs whose tensors lie on the host.

#[path = "../../targets/gpu/emit/tests/common/opened.rs"]
mod opened;

use lostwax_compiler::Registry;
use lostwax_compiler::model::CompileOptions;
use lostwax_compiler::pipeline::{self, Settings};
use lostwax_device_gpu::wgpu::{BufferDescriptor, BufferUsages, Features};
use lostwax_import::program::{EntryGraph, Program};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_ir::types::{DType as IrType, TensorType};
use lostwax_runtime::{AlignedBuffer, DType, Device, DeviceTensor, Input, Model, RuntimeError, Session, Tensor, TensorView};
use opened::Opened;
use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};

const DEVICES: [&str; 3] = ["gpu", "cpu", "interp"];

/// `y = relu(x * w) + b` and the mean of each row of `y`, for any number of rows; `b` is an input.
fn graph(seed: u64) -> Graph {
    let mut graph = Graph::new("layer");
    let rows: Dim = Dim::symbol(&Symbol::new("rows", 0, 50));
    let matrix = |columns: i64| TensorType { dtype: IrType::F32, dims: vec![rows.clone(), columns.into()] };
    let x = graph.input("x", &matrix(6)).unwrap();
    let b = graph.input("b", &TensorType::new(IrType::F32, [1, 6])).unwrap();
    let random = Random::new(seed).tensor(&TensorType::new(IrType::F32, [6, 6])).unwrap();
    let small: Vec<f64> = random.to_f64().iter().map(|value| value / 4.0).collect();
    let w = graph.constant(Arc::new(Reference::from_f64(IrType::F32, &[6, 6], &small).unwrap())).unwrap();
    let op = |graph: &mut Graph, op, attrs, operands: &[Value]| graph.add(op, attrs, operands).unwrap();
    let product = op(&mut graph, Op::MatMul, Attrs::new(), &[x, w]);
    let positive = op(&mut graph, Op::Relu, Attrs::new(), &[product]);
    let y = op(&mut graph, Op::Add, Attrs::new(), &[positive, b]);
    let mean = op(&mut graph, Op::ReduceMean, Attrs::new().with("axes", vec![1i64]), &[y]);
    graph.output("y", y);
    graph.output("mean", mean);
    graph
}

fn model(targets: &[&str], seed: u64) -> Model {
    let entries = vec![EntryGraph { name: "main".into(), graph: graph(seed) }];
    let program = Program { name: "layer".into(), entries, language: None };
    let registry = Registry::default();
    let targets: Vec<_> = targets.iter().map(|target| registry.select(target).unwrap()).collect();
    let mut settings = Settings {
        targets: &targets,
        level: registry.level(2).unwrap(),
        max_memory: None,
        strict: false,
        outputs: &BTreeSet::new(),
        progress: &mut |_| {},
    };
    let mut artifact = AlignedBuffer::default();
    pipeline::run(&registry, &program, &CompileOptions::default().passes, &mut settings, &mut artifact).unwrap();
    Model::from_bytes(artifact).unwrap()
}

fn on(name: &str) -> Device {
    Registry::default().device(Some(name), &[]).unwrap().into()
}

fn f32_tensor(values: impl Iterator<Item = f32>, shape: &[usize]) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<_>>(), shape).unwrap()
}

fn x(rows: usize) -> Tensor {
    f32_tensor((0..rows * 6).map(|value| (value % 7) as f32 - 3.0), &[rows, 6])
}

fn b() -> Tensor {
    f32_tensor((0..6).map(|value| value as f32 / 8.0 - 0.25), &[1, 6])
}

fn run_host(session: &mut Session, x: &Tensor) -> (Tensor, Tensor) {
    let b = b();
    let mut outputs = session.run([("x", x), ("b", &b)]).unwrap();
    (outputs.take("y").unwrap(), outputs.take("mean").unwrap())
}

/// A destination for `y`, and one for `mean`.
fn destinations(device: &Device, rows: usize) -> (DeviceTensor, DeviceTensor) {
    let f32_type = DType::from_name("f32").unwrap();
    (device.zeros(f32_type, &[rows, 6]).unwrap(), device.zeros(f32_type, &[rows, 1]).unwrap())
}

#[test]
fn models_are_chained_on_the_device() {
    let (first, second) = (model(&DEVICES, 1), model(&DEVICES, 2));
    for device in DEVICES.map(on) {
        let (mut first, mut second) = (first.session(device.clone()).unwrap(), second.session(device.clone()).unwrap());
        for rows in [3, 3, 7, 1, 0] {
            let (between, _) = run_host(&mut first, &x(rows));
            let (expected, expected_mean) = run_host(&mut second, &between);
            let (x, b) = (x(rows), b());
            let on_device = device.tensor(&b).unwrap();
            let mut hidden = first.zeros_for_output("y").unwrap();
            let inputs = [("x", Input::from(&x)), ("b", Input::from(&on_device))];
            let rest = first.run_on_device(inputs, [("y", &mut hidden)]).unwrap();
            assert_eq!(rest.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["mean"]);
            let (mut y, mut mean) = destinations(&device, rows);
            let inputs = [("x", &hidden), ("b", &on_device)];
            let rest = second.run_on_device(inputs, [("mean", &mut mean), ("y", &mut y)]).unwrap();
            assert!(rest.is_empty());
            assert_eq!(hidden.to_tensor().unwrap().bytes(), between.bytes(), "{}", device.name());
            assert_eq!(y.to_tensor().unwrap().bytes(), expected.bytes());
            assert_eq!(mean.to_tensor().unwrap().bytes(), expected_mean.bytes());
            let outputs = second.run_on_device(inputs, []).unwrap();
            assert_eq!((outputs["y"].bytes(), outputs["mean"].bytes()), (expected.bytes(), expected_mean.bytes()));
        }
    }
}

#[test]
fn outputs_are_fed_back_a_hundred_times() {
    let model = model(&DEVICES, 3);
    for device in DEVICES.map(on) {
        let mut session = model.session(device.clone()).unwrap();
        let mut expected = x(5);
        for _ in 0..100 {
            expected = run_host(&mut session, &expected).0;
        }
        let b = device.tensor(&b()).unwrap();
        let (mut next, mut mean) = destinations(&device, 5);
        let mut now = device.tensor(&x(5)).unwrap();
        for _ in 0..100 {
            assert!(session.run_on_device([("x", &now), ("b", &b)], [("y", &mut next), ("mean", &mut mean)]).unwrap().is_empty());
            std::mem::swap(&mut now, &mut next);
        }
        assert_eq!(now.to_tensor().unwrap().bytes(), expected.bytes(), "{}", device.name());
        now.write(&x(5)).unwrap();
        for _ in 0..100 {
            let (mut fresh, mut mean) = destinations(&device, 5);
            session.run_on_device([("x", &now), ("b", &b)], [("y", &mut fresh), ("mean", &mut mean)]).unwrap();
            now = fresh;
        }
        assert_eq!(now.to_tensor().unwrap().bytes(), expected.bytes());
        assert!(expected.view::<f32>().unwrap().iter().any(|value| value.abs() > 1e-3));
    }
}

#[test]
fn sessions_in_two_threads_read_one_tensor() {
    let models = [model(&DEVICES, 6), model(&DEVICES, 7)];
    for device in ["gpu", "cpu"].map(on) {
        let (x, b) = (device.tensor(&x(9)).unwrap(), device.tensor(&b()).unwrap());
        let together = Barrier::new(models.len());
        std::thread::scope(|scope| {
            for model in &models {
                let (x, b, device, together) = (&x, &b, &device, &together);
                let mut session = model.session(device.clone()).unwrap();
                let (expected, expected_mean) = run_host(&mut session, &self::x(9));
                scope.spawn(move || {
                    let (mut y, _) = destinations(device, 9);
                    together.wait();
                    for _ in 0..50 {
                        let outputs = session.run_on_device([("x", x), ("b", b)], [("y", &mut y)]).unwrap();
                        assert_eq!(outputs["mean"].bytes(), expected_mean.bytes(), "{}", device.name());
                        assert_eq!(y.to_tensor().unwrap().bytes(), expected.bytes());
                        assert_eq!(x.to_tensor().unwrap().bytes(), self::x(9).bytes());
                    }
                });
            }
        });
    }
}

#[test]
fn what_does_not_fit_is_told_by_name() {
    let model = model(&DEVICES, 4);
    let message = |result: Result<_, RuntimeError>| result.map(|_: lostwax_runtime::Outputs| ()).unwrap_err().to_string();
    for (name, other) in [("gpu", "cpu"), ("cpu", "interp"), ("interp", "gpu")] {
        let (device, other) = (on(name), on(other));
        let mut session = model.session(device.clone()).unwrap();
        assert!(session.zeros_for_output("y").unwrap_err().to_string().contains("no shapes yet"));
        let (here, there, b) = (device.tensor(&x(2)).unwrap(), other.tensor(&x(2)).unwrap(), device.tensor(&b()).unwrap());
        let (mut y, mut mean) = destinations(&device, 2);
        let text = message(session.run_on_device([("x", &there), ("b", &b)], []));
        assert_eq!(text, format!("input `x`: lies on another device, {}, than that of the session, {name}", other.name()));
        let flat = device.tensor(TensorView::new(&[0.0f32; 6], &[6]).unwrap()).unwrap();
        let text = message(session.run_on_device([("x", &flat), ("b", &b)], []));
        assert_eq!(text, "input `x`: has shape [6], expected [rows, 6]");
        let integers = device.tensor(TensorView::new(&[0i32; 12], &[2, 6]).unwrap()).unwrap();
        assert_eq!(message(session.run_on_device([("x", &integers), ("b", &b)], [])), "input `x`: is i32, expected f32");
        assert_eq!(message(session.run_on_device([("x", &here)], [])), "input `b`: it is missing");
        let inputs = [("x", &here), ("b", &b)];
        let text = message(session.run_on_device(inputs, [("y", &mut mean)]));
        assert_eq!(text, "output `y`: the destination is f32[2, 1], the output is f32[2, 6]");
        assert!(message(session.run_on_device(inputs, [("z", &mut y)])).contains("there are [\"y\", \"mean\"]"));
        let (mut again, _) = destinations(&device, 2);
        let text = message(session.run_on_device(inputs, [("y", &mut y), ("y", &mut again)]));
        assert_eq!(text, "output `y`: it has two destinations");
        let (mut far, _) = destinations(&other, 2);
        assert!(message(session.run_on_device(inputs, [("y", &mut far)])).starts_with("output `y`: lies on another device"));
        let wrong = y.read(&mut x(3)).unwrap_err().to_string();
        assert_eq!(wrong, "tensor: is f32[3, 6], not f32[2, 6]");
        assert!(y.write(&x(3)).is_err() && device.zeros(y.dtype(), &[usize::MAX, 2]).is_err());
        session.run_on_device(inputs, [("y", &mut y)]).unwrap();
        assert_eq!(y.to_tensor().unwrap().bytes(), run_host(&mut session, &x(2)).0.bytes());
    }
}

#[test]
fn buffers_of_the_program_are_inputs_and_outputs() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = Device::from_wgpu((opened.device.clone(), opened.queue.clone()));
    let mut session = model(&DEVICES, 5).session(device.clone()).unwrap();
    let expected = run_host(&mut session, &x(2)).0;
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let buffer = || opened.device.create_buffer(&BufferDescriptor { label: None, size: 48, usage, mapped_at_creation: false });
    let (input, output, dtype) = (buffer(), buffer(), DType::from_name("f32").unwrap());
    opened.queue.write_buffer(&input, 0, x(2).bytes());
    let tensor = |buffer, shape: &[usize]| DeviceTensor::from_wgpu(&device, buffer, dtype, shape);
    let (from, b) = (tensor(input.clone(), &[2, 6]).unwrap(), device.tensor(&b()).unwrap());
    let mut to = tensor(output.clone(), &[2, 6]).unwrap();
    session.run_on_device([("x", &from), ("b", &b)], [("y", &mut to)]).unwrap();
    assert_eq!(to.wgpu_buffer(), Some(&output));
    assert_eq!(to.to_tensor().unwrap().bytes(), expected.bytes());
    let mut same = tensor(input, &[2, 6]).unwrap();
    let refused = session.run_on_device([("x", &from), ("b", &b)], [("y", &mut same)]).unwrap_err().to_string();
    assert_eq!(refused, "input `x`: its memory is also the destination of output `y`; give another");
    assert!(tensor(output.clone(), &[3, 6]).unwrap_err().to_string().contains("48 bytes"));
    let cpu = DeviceTensor::from_wgpu(&on("cpu"), output, dtype, &[2, 6]).unwrap_err().to_string();
    assert_eq!(cpu, "the cpu device does not support buffers of wgpu");
    assert!(on("cpu").tensor(&x(1)).unwrap().wgpu_buffer().is_none());
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

#[test]
fn a_device_without_such_tensors_says_so() {
    struct Plain;
    impl lostwax_target_api::Device for Plain {
        fn name(&self) -> &str {
            "plain"
        }

        fn unsupported_reason(&self, _: &lostwax_target_api::VariantInfo) -> Option<String> {
            Some("it runs nothing".into())
        }

        fn load(
            &self,
            _: &[u8],
            _: lostwax_target_api::WeightBytes,
        ) -> Result<Arc<dyn lostwax_target_api::Program>, lostwax_target_api::DeviceError> {
            Err(lostwax_target_api::DeviceError::Unsupported { device: "plain".into(), what: "code".into() })
        }
    }
    let device = Device::from(Arc::new(Plain) as Arc<dyn lostwax_target_api::Device>);
    let refused = device.tensor(&b()).unwrap_err().to_string();
    assert_eq!(refused, "the plain device does not support tensors that stay on it");
}
