//! The ONNX backend suite: every case in the reference interpreter, and on every target through an artifact in memory.

use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax_ir::eval::eval_graph;
use lostwax_ir::graph::Graph;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_ir::types::{DType, TensorType};
use lostwax_runtime::{AlignedBuffer, Device, Model, Options, Tensor};
use lostwax_target_api::OutputKind;
use lostwax_tests::model_path;
use lostwax_tests::suite::{IgnoreList, SuiteCase, case_folders, run_suite};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const IMPORT_LIST: &str = "compiler/import/conformance-ignore.txt";

fn folders() -> Vec<PathBuf> {
    let root = model_path("onnx_backend");
    assert!(root.is_some() || std::env::var_os("CI").is_none(), "the suite is missing; run `./x models`");
    root.map(|root| case_folders(&root)).unwrap_or_default()
}

fn report(what: &str, result: Result<String, String>) {
    match result {
        Ok(score) => println!("{what}: {score}"),
        Err(problems) => panic!("{what}:\n{problems}"),
    }
}

#[test]
fn the_interpreter_conforms() {
    let run = |folder: &Path| {
        let case = SuiteCase::load(folder)?;
        case.check(&eval_graph(&case.graph, &case.inputs).map_err(|error| error.to_string())?)
    };
    match folders() {
        none if none.is_empty() => println!("the suite is missing; run `./x models`"),
        folders => report("interpreter", run_suite(&folders, None, &IgnoreList::read(IMPORT_LIST), run)),
    }
}

/// Compiles for a target, which must also be able to write what people read.
fn compile_for(graph: &Graph, target: &str) -> Result<Model, String> {
    let mut artifact = AlignedBuffer::default();
    let (targets, outputs) = (vec![target.to_string()], [OutputKind::Listing].into());
    let options = CompileOptions { targets, outputs, ..CompileOptions::default() };
    compile(&Registry::default(), &graph.clone().into(), &options, &mut |_| {}, &mut artifact)
        .map_err(|error| error.to_string())?;
    Model::from_bytes(artifact).map_err(|error| error.to_string())
}

/// The device that runs the code of a target.
fn device(target: &str) -> Device {
    lostwax::Registry::default().device(Some(target), &[]).expect("every target has a device").into()
}

/// The target restricted to the level that this machine runs best, if it has several.
fn best_level(target: &str) -> String {
    let mut graph = Graph::new("copy");
    let x = graph.input("x", &TensorType::new(DType::F32, [1])).expect("a plain input");
    graph.output("y", x);
    let model = compile_for(&graph, target).expect("every target can copy");
    if model.variants().len() == 1 {
        return target.to_string();
    }
    let session = model.session(device(target)).expect("this machine runs one of the default levels");
    let variant = model.variants().iter().find(|variant| variant.name == session.variant()).expect("it is one of them");
    format!("{target}:{}+{}", variant.arch, variant.name)
}

fn convert(tensor: &Reference) -> Result<Tensor, String> {
    let dtype = lostwax_runtime::DType::from_name(tensor.dtype().name()).ok_or("an element type without a name")?;
    Tensor::from_bytes(dtype, tensor.shape(), tensor.bytes()).map_err(|error| error.to_string())
}

fn convert_back(tensor: &Tensor) -> Result<Reference, String> {
    let dtype = DType::from_name(tensor.dtype().name()).ok_or("an element type without a name")?;
    Reference::from_bytes(dtype, tensor.shape(), tensor.bytes()).ok_or("a tensor that does not fit its type".to_string())
}

fn run_artifact(case: &SuiteCase, target: &str, device: &Device) -> Result<BTreeMap<String, Reference>, String> {
    let model = compile_for(&case.graph, target)?;
    let inputs = case.inputs.iter().map(|(name, tensor)| Ok((name, convert(tensor)?)));
    let inputs: Vec<(&String, Tensor)> = inputs.collect::<Result<_, String>>()?;
    let session = model.session_with(device.clone(), Options::new().with_threads(1));
    let outputs = session.and_then(|mut session| session.run(inputs.iter().map(|(name, tensor)| (name, tensor))));
    let outputs = outputs.map_err(|error| error.to_string())?;
    outputs.iter().map(|(name, tensor)| Ok((name.to_string(), convert_back(tensor)?))).collect()
}

#[test]
fn targets_conform() {
    let folders = folders();
    for target in Registry::default().targets().filter(|_| !folders.is_empty()) {
        let (level, device) = (best_level(target.name()), device(target.name()));
        let list = IgnoreList::read(&format!("targets/{}/conformance-ignore.txt", target.name()));
        let run = |folder: &Path| {
            let case = SuiteCase::load(folder)?;
            case.check(&run_artifact(&case, &level, &device)?)
        };
        report(target.name(), run_suite(&folders, Some(&IgnoreList::read(IMPORT_LIST)), &list, run));
    }
}
