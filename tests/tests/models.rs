//! Real models against recorded results of ONNX Runtime.

use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::import::{ImportOptions, ShapeSpec};
use lostwax::target_api::Device;
use lostwax_runtime::{AlignedBuffer, Bindings, Model, Tensor};
use lostwax_tests::{Case, levels, model_to_test, recorded_models};
use std::sync::Arc;

/// The largest difference to a recorded output, relative to that output's range.
const TOLERANCE: f64 = 1e-3;

/// The largest arena, relative to the largest set of buffers that live at once.
const ARENA_RATIO: f64 = 1.1;

fn check_memory(model: &Model, file: &str, inputs: &[(&str, Tensor)]) {
    let names: Vec<String> = model.entry_points()[0].inputs.iter().map(|input| input.name.clone()).collect();
    let shape = |name: &String| inputs.iter().find(|(candidate, _)| candidate == name).unwrap().1.shape();
    let shapes: Vec<&[usize]> = names.iter().map(shape).collect();
    let needs = model.requirements_for(None, &shapes, &Bindings::default()).unwrap();
    let ratio = needs.arena_bytes as f64 / needs.arena_lower_bound_bytes as f64;
    println!("{file} arena {} bytes, {ratio:.3} of the lower bound", needs.arena_bytes);
    assert!(ratio <= ARENA_RATIO, "{file}: the arena is {ratio} of its lower bound");
}

/// Runs a case at each level that the device can run.
fn check_case(model: &Model, device: &Arc<dyn Device>, file: &str, case: &Case) {
    let inputs: Vec<_> = case.inputs.iter().map(|(name, spec)| (name.as_str(), spec.tensor())).collect();
    check_memory(model, file, &inputs);
    for (variant, device) in levels::devices(model, device).unwrap() {
        check_outputs(model, &device, &format!("{file} {variant}"), &inputs, case);
    }
}

fn check_outputs(model: &Model, device: &lostwax_runtime::Device, what: &str, inputs: &[(&str, Tensor)], case: &Case) {
    let mut session = model.session(device.clone()).unwrap();
    let outputs = session.run(inputs.iter().map(|(name, tensor)| (*name, tensor))).unwrap();
    for (name, recorded) in &case.outputs {
        let output = &outputs[name.as_str()];
        assert_eq!(output.shape(), recorded.shape, "{what}: {name}");
        let error = recorded.error(output.view::<f32>().unwrap());
        println!("{what} {:?} {name}: {error:.1e}", recorded.shape);
        assert!(error <= TOLERANCE, "{what}: {name} differs by {error:e} of its range");
    }
}

fn cpu() -> Arc<dyn Device> {
    Registry::default().device(Some("cpu"), &[]).unwrap()
}

/// Compiles the model once and runs all its cases from that artifact.
fn check(file: &str) {
    check_with(file, &CompileOptions::default(), &cpu());
}

fn check_with(file: &str, options: &CompileOptions, device: &Arc<dyn Device>) {
    let Some(path) = model_to_test(file) else { return };
    let recorded = recorded_models().into_iter().find(|model| model.file == file).unwrap();
    let shapes = recorded.shapes.iter().map(|text| text.parse::<ShapeSpec>().unwrap()).map(|spec| (spec.name, spec.dims));
    let import = ImportOptions { shapes: shapes.collect(), ..ImportOptions::default() };
    let graph = Registry::default().import.load(&path, &import).unwrap();
    let mut artifact = AlignedBuffer::default();
    compile(&Registry::default(), &graph, options, &mut |_| {}, &mut artifact).unwrap();
    let model = Model::from_bytes(artifact).unwrap();
    assert!(!recorded.cases.is_empty());
    recorded.cases.iter().for_each(|case| check_case(&model, device, file, case));
}

macro_rules! models {
    ($($name:ident: $file:literal,)*) => { $(#[test] fn $name() { check($file); })* };
}

models! {
    text_detection: "ch_PP-OCRv4_det_infer.onnx",
    text_recognition: "ch_PP-OCRv4_rec_infer.onnx",
    text_direction: "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    yolo: "320n.onnx",
    magika: "magika.onnx",
    minilm: "minilm_int8.onnx",
    silero_vad: "silero_vad.onnx",
    basic_pitch: "nmp.onnx",
    resnet: "light_resnet50.onnx",
    squeezenet: "light_squeezenet.onnx",
    densenet: "light_densenet121.onnx",
    inception: "light_inception_v1.onnx",
    shufflenet: "light_shufflenet.onnx",
}

/// A small model.
const DIRECTION: &str = "ch_ppocr_mobile_v2.0_cls_infer.onnx";

#[test]
fn every_level_is_right() {
    for level in 0..=Registry::default().highest_level() {
        let targets = vec!["cpu:x86_64+x86-64-v2".to_string()];
        let targets = if cfg!(target_arch = "x86_64") { targets } else { CompileOptions::default().targets };
        check_with(DIRECTION, &CompileOptions { level: Some(level), targets, ..CompileOptions::default() }, &cpu());
    }
}

/// One model on all targets; the other tests run every model on the default target.
#[test]
fn every_target_runs_artifacts() {
    for target in Registry::default().targets() {
        let options = CompileOptions { targets: vec![target.name().to_string()], ..CompileOptions::default() };
        let device = Registry::default().device(Some(target.name()), &[]).unwrap();
        check_with(DIRECTION, &options, &device);
    }
}
