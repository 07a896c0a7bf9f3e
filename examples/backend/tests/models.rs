//! Whole models: the ONNX backend suite, and real models against recorded results of ONNX Runtime.

use lostwax::Registry;
use lostwax::compiler::Backend;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::import::ImportOptions;
use lostwax_runtime::{AlignedBuffer, Model};
use lostwax_tests::conformance::target_conforms;
use lostwax_tests::suite::IgnoreList;
use lostwax_tests::{model_to_test, recorded_models};

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.backends.push(Backend::new(lostwax_c::target(), lostwax_c::device()));
    registry
}

/// With `ALL_CASES` in the environment every case, otherwise one in ten: each is a run of the compiler.
#[test]
fn the_backend_suite_passes() {
    let step = if std::env::var_os("ALL_CASES").is_some() { 1 } else { 10 };
    let list = IgnoreList::read("examples/backend/conformance-ignore.txt");
    let score = target_conforms(&registry(), lostwax_c::NAME, step, &list);
    println!("{}", score.unwrap_or_else(|problems| panic!("{problems}")));
}

fn check(file: &str) {
    let Some(path) = model_to_test(file) else { return };
    let options = CompileOptions { targets: vec![lostwax_c::NAME.into()], ..CompileOptions::default() };
    let mut artifact = AlignedBuffer::default();
    let registry = registry();
    let program = registry.import.load(&path, &ImportOptions::default()).unwrap();
    compile(&registry, &program, &options, &mut |_| {}, &mut artifact).unwrap();
    let model = Model::from_bytes(artifact).unwrap();
    assert!(model.variants().iter().all(|variant| variant.device == lostwax_c::NAME), "no kernel is left to another target");
    let device: lostwax_runtime::Device = registry.device(Some(lostwax_c::NAME), &[]).unwrap().into();
    let recorded = recorded_models().into_iter().find(|model| model.file == file).unwrap();
    for case in &recorded.cases {
        let mut session = model.session(device.clone()).unwrap();
        let inputs: Vec<_> = case.inputs.iter().map(|(name, spec)| (name.as_str(), spec.tensor())).collect();
        let outputs = session.run(inputs.iter().map(|(name, tensor)| (*name, tensor))).unwrap();
        for (name, recorded) in &case.outputs {
            let error = recorded.error(outputs[name.as_str()].view::<f32>().unwrap());
            println!("{file} {name}: {error:.1e}");
            assert!(error <= 1e-3, "{file}: {name} differs by {error:e} of its range");
        }
    }
}

#[test]
fn magika() {
    check("magika.onnx");
}

#[test]
fn squeezenet() {
    check("light_squeezenet.onnx");
}
