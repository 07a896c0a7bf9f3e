//! Real models against recorded results of ONNX Runtime.

use lostwax::import::ImportOptions;
use lostwax::model::{CompileOptions, compile, load};
use lostwax_runtime::{AlignedBuffer, Device, Model};
use lostwax_tests::{Case, model_path, recorded_models};

const TOLERANCE: f64 = 1e-3;

fn check_case(model: &Model, file: &str, case: &Case) {
    let mut session = model.session(Device::cpu()).unwrap();
    let inputs: Vec<_> = case.inputs.iter().map(|(name, spec)| (name.as_str(), spec.tensor())).collect();
    let outputs = session.run(inputs.iter().map(|(name, tensor)| (*name, tensor))).unwrap();
    for (name, recorded) in &case.outputs {
        let output = &outputs[name.as_str()];
        assert_eq!(output.shape(), recorded.shape, "{file}: {name}");
        let error = recorded.error(output.view::<f32>().unwrap());
        println!("{file} {:?} {name}: {error:.1e}", recorded.shape);
        assert!(error <= TOLERANCE, "{file}: {name} differs by {error:e} of its range");
    }
}

/// Compiles the model once and runs all its cases from that artifact.
fn check(file: &str) {
    let Some(path) = model_path(file) else {
        assert!(std::env::var_os("CI").is_none(), "{file} is missing; run `./x models`");
        return println!("{file} is missing; run `./x models`");
    };
    let graph = load(&path, &ImportOptions::default()).unwrap();
    let mut artifact = AlignedBuffer::default();
    compile(&graph, &CompileOptions::default(), &mut |_| {}, &mut artifact).unwrap();
    let model = Model::from_bytes(artifact).unwrap();
    let recorded = recorded_models().into_iter().find(|model| model.file == file).unwrap();
    assert!(!recorded.cases.is_empty());
    recorded.cases.iter().for_each(|case| check_case(&model, file, case));
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
    basic_pitch: "nmp.onnx",
    resnet: "light_resnet50.onnx",
    squeezenet: "light_squeezenet.onnx",
    densenet: "light_densenet121.onnx",
    inception: "light_inception_v1.onnx",
    shufflenet: "light_shufflenet.onnx",
}
