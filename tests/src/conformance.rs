//! The ONNX backend suite on a target: each case is compiled into an artifact in memory and run on the target's device.

use crate::levels;
use crate::model_path;
use crate::suite::{IgnoreList, Passed, SuiteCase, case_folders, case_name, run_suite};
use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::ir::graph::Graph;
use lostwax::ir::tensor::Tensor as Reference;
use lostwax::ir::types::DType;
use lostwax::target_api::{self, OutputKind};
use lostwax_runtime::{AlignedBuffer, Device, Model, Options, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The cases that no target gets because importers refuse them, relative to the checkout.
pub const IMPORT_LIST: &str = "compiler/import/conformance-ignore.txt";

/// The folders of the suite; none if it was not downloaded.
///
/// # Panics
/// In continuous integration, if it is missing.
pub fn suite_folders() -> Vec<PathBuf> {
    let root = model_path("onnx_backend");
    assert!(root.is_some() || std::env::var_os("CI").is_none(), "the suite is missing; run `./x models`");
    root.map(|root| case_folders(&root)).unwrap_or_default()
}

/// Runs every `step`-th case of the suite on a target of the registry, and gives the score. Cases in `list` must fail.
///
/// # Errors
/// As [`run_suite`], and if this machine has no device for the target.
pub fn target_conforms(registry: &Registry, target: &str, step: usize, list: &IgnoreList) -> Result<String, String> {
    let folders: Vec<PathBuf> = suite_folders().into_iter().step_by(step.max(1)).collect();
    if folders.is_empty() {
        return Ok("the suite is missing; run `./x models`".into());
    }
    let names: Vec<String> = folders.iter().map(|folder| case_name(folder)).collect();
    let list = if step > 1 { list.restricted_to(&names) } else { list.clone() };
    let subject = Subject::new(registry, target)?;
    let import = IgnoreList::read(IMPORT_LIST);
    run_suite(&folders, Some(&import), &list, |folder| subject.check(folder))
}

/// A target with the levels that its device can run.
struct Subject<'a> {
    registry: &'a Registry,
    target: String,
    device: Arc<dyn target_api::Device>,
}

impl<'a> Subject<'a> {
    fn new(registry: &'a Registry, name: &str) -> Result<Self, String> {
        let device = registry.device(Some(name), &[]).map_err(|error| error.to_string())?;
        let found = registry.targets().find(|target| target.name() == name);
        let target = levels::runnable(&**found.ok_or("there is no such target")?, &*device)?;
        Ok(Self { registry, target, device })
    }

    /// Compiles a case once and checks what it computes at each level that the device can run.
    fn check(&self, folder: &Path) -> Result<Passed, String> {
        let case = SuiteCase::load(folder)?;
        let model = self.compile(&case.graph)?;
        let mut passed = Passed { constants: case.constants };
        for (variant, device) in levels::devices(&model, &self.device)? {
            let checked = run(&case, &model, device).and_then(|outputs| case.check(&outputs));
            passed = checked.map_err(|problem| format!("{variant}: {problem}"))?;
        }
        Ok(passed)
    }

    /// The target must also be able to write what people read.
    fn compile(&self, graph: &Graph) -> Result<Model, String> {
        let mut artifact = AlignedBuffer::default();
        let (targets, outputs) = (vec![self.target.clone()], [OutputKind::Listing].into());
        let options = CompileOptions { targets, outputs, ..CompileOptions::default() };
        compile(self.registry, &graph.clone().into(), &options, &mut |_| {}, &mut artifact).map_err(|error| error.to_string())?;
        Model::from_bytes(artifact).map_err(|error| error.to_string())
    }
}

fn run(case: &SuiteCase, model: &Model, device: Device) -> Result<BTreeMap<String, Reference>, String> {
    let inputs = case.inputs.iter().map(|(name, tensor)| Ok((name, convert(tensor)?)));
    let inputs: Vec<(&String, Tensor)> = inputs.collect::<Result<_, String>>()?;
    let session = model.session_with(device, Options::new().with_threads(1));
    let outputs = session.and_then(|mut session| session.run(inputs.iter().map(|(name, tensor)| (name, tensor))));
    let outputs = outputs.map_err(|error| error.to_string())?;
    outputs.iter().map(|(name, tensor)| Ok((name.to_string(), convert_back(tensor)?))).collect()
}

fn convert(tensor: &Reference) -> Result<Tensor, String> {
    let dtype = lostwax_runtime::DType::from_name(tensor.dtype().name()).ok_or("an element type without a name")?;
    Tensor::from_bytes(dtype, tensor.shape(), tensor.bytes()).map_err(|error| error.to_string())
}

fn convert_back(tensor: &Tensor) -> Result<Reference, String> {
    let dtype = DType::from_name(tensor.dtype().name()).ok_or("an element type without a name")?;
    Reference::from_bytes(dtype, tensor.shape(), tensor.bytes()).ok_or("a tensor that does not fit its type".to_string())
}
