//! The ONNX backend suite on a target: each case is compiled into an artifact in memory and run on the target's device.

use crate::model_path;
use crate::suite::{IgnoreList, Passed, SuiteCase, case_folders, case_name, run_suite};
use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::ir::graph::Graph;
use lostwax::ir::tensor::Tensor as Reference;
use lostwax::ir::types::{DType, TensorType};
use lostwax::target_api::OutputKind;
use lostwax_runtime::{AlignedBuffer, Device, Model, Options, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// A target and its device.
struct Subject<'a> {
    registry: &'a Registry,
    target: String,
    device: Device,
}

impl<'a> Subject<'a> {
    fn new(registry: &'a Registry, target: &str) -> Result<Self, String> {
        let device = registry.device(Some(target), &[]).map_err(|error| error.to_string())?.into();
        let any = Self { registry, target: target.into(), device };
        Ok(Self { target: any.best_level()?, ..any })
    }

    /// The target restricted to the level that this machine runs best, if it has several.
    fn best_level(&self) -> Result<String, String> {
        let mut graph = Graph::new("copy");
        let x = graph.input("x", &TensorType::new(DType::F32, [1])).map_err(|error| error.to_string())?;
        graph.output("y", x);
        let model = self.compile(&graph)?;
        if model.variants().len() == 1 {
            return Ok(self.target.clone());
        }
        let session = model.session(self.device.clone()).map_err(|error| error.to_string())?;
        let variant = model.variants().iter().find(|variant| variant.name == session.variant());
        let variant = variant.ok_or("the session runs a variant that is not in the artifact")?;
        Ok(format!("{}:{}+{}", self.target, variant.arch, variant.name))
    }

    fn check(&self, folder: &Path) -> Result<Passed, String> {
        let case = SuiteCase::load(folder)?;
        case.check(&self.run(&case)?)
    }

    /// The target must also be able to write what people read.
    fn compile(&self, graph: &Graph) -> Result<Model, String> {
        let mut artifact = AlignedBuffer::default();
        let (targets, outputs) = (vec![self.target.clone()], [OutputKind::Listing].into());
        let options = CompileOptions { targets, outputs, ..CompileOptions::default() };
        compile(self.registry, &graph.clone().into(), &options, &mut |_| {}, &mut artifact).map_err(|error| error.to_string())?;
        Model::from_bytes(artifact).map_err(|error| error.to_string())
    }

    fn run(&self, case: &SuiteCase) -> Result<BTreeMap<String, Reference>, String> {
        let model = self.compile(&case.graph)?;
        let inputs = case.inputs.iter().map(|(name, tensor)| Ok((name, convert(tensor)?)));
        let inputs: Vec<(&String, Tensor)> = inputs.collect::<Result<_, String>>()?;
        let session = model.session_with(self.device.clone(), Options::new().with_threads(1));
        let outputs = session.and_then(|mut session| session.run(inputs.iter().map(|(name, tensor)| (name, tensor))));
        let outputs = outputs.map_err(|error| error.to_string())?;
        outputs.iter().map(|(name, tensor)| Ok((name.to_string(), convert_back(tensor)?))).collect()
    }
}

fn convert(tensor: &Reference) -> Result<Tensor, String> {
    let dtype = lostwax_runtime::DType::from_name(tensor.dtype().name()).ok_or("an element type without a name")?;
    Tensor::from_bytes(dtype, tensor.shape(), tensor.bytes()).map_err(|error| error.to_string())
}

fn convert_back(tensor: &Tensor) -> Result<Reference, String> {
    let dtype = DType::from_name(tensor.dtype().name()).ok_or("an element type without a name")?;
    Reference::from_bytes(dtype, tensor.shape(), tensor.bytes()).ok_or("a tensor that does not fit its type".to_string())
}
