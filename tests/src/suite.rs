//! A conformance suite on disk, and the lists of cases that are known to fail.
//!
//! A case is a folder with `model.onnx` and `test_data_set_0/{input,output}_N.pb`. A list has one line for each pattern:
//! the pattern, in which `*` stands for any text, and the reason after it. `#` starts a comment.

use lostwax::Registry;
use lostwax::import::{DimSpec, ImportOptions, onnx};
use lostwax_ir::graph::Graph;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use onnx_protobuf::{Message, ModelProto, ValueInfoProto};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Relative and absolute difference to an expected float that is fine; integers must be equal.
const TOLERANCE: (f64, f64) = (1e-3, 1e-7);

/// What is told of a case that passes.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// How many inputs had to become constants.
    pub constants: usize,
}

/// A case read into memory.
pub struct SuiteCase {
    /// The model, imported for the shapes of the inputs.
    pub graph: Graph,
    /// The inputs that the graph has, by name.
    pub inputs: BTreeMap<String, Tensor>,
    /// How many inputs had to become constants.
    pub constants: usize,
    outputs: Vec<(String, Tensor)>,
}

/// The folders of all cases below `root`, sorted.
pub fn case_folders(root: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut folders: Vec<PathBuf> = list(root).iter().flat_map(|group| list(group)).collect();
    folders.retain(|folder| folder.join("model.onnx").exists());
    folders.sort();
    folders
}

/// The name of a case: its group and its folder.
pub fn case_name(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.iter().rev().map(AsRef::as_ref).collect::<Vec<&str>>().join("/")
}

/// Reads tensors; `types` are the element types that the model declares for them.
fn tensors(folder: &Path, kind: &str, types: &[i32]) -> Result<Vec<Tensor>, String> {
    let path = |position: usize| folder.join("test_data_set_0").join(format!("{kind}_{position}.pb"));
    let mut types = types.iter();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let tensor = onnx::read_tensor(&bytes).map_err(|error| format!("{kind}: {error}"))?;
        Ok(if types.next() == Some(&BFLOAT16) { as_bf16(tensor) } else { tensor })
    };
    (0..).map(path).take_while(|path| path.exists()).map(read).collect()
}

const BFLOAT16: i32 = 16;

/// Names and element types, in order.
#[derive(Default)]
struct Signature {
    names: Vec<String>,
    types: Vec<i32>,
}

impl<'a> FromIterator<&'a ValueInfoProto> for Signature {
    fn from_iter<I: IntoIterator<Item = &'a ValueInfoProto>>(infos: I) -> Self {
        let mut signature = Self::default();
        for info in infos {
            signature.names.push(info.name.clone());
            signature.types.push(if info.type_.has_tensor_type() { info.type_.tensor_type().elem_type } else { 0 });
        }
        signature
    }
}

/// The inputs that must be given, and the outputs.
fn signature(bytes: &[u8]) -> Result<(Signature, Signature), String> {
    let model = ModelProto::parse_from_bytes(bytes).map_err(|error| error.to_string())?;
    let stored: BTreeSet<&String> = model.graph.initializer.iter().map(|tensor| &tensor.name).collect();
    let inputs = model.graph.input.iter().filter(|input| !stored.contains(&input.name));
    Ok((inputs.collect(), model.graph.output.iter().collect()))
}

type Choice = fn(&Tensor) -> bool;

/// Which inputs become constants, in the order in which it is tried: none; integers of at most one axis, as they may decide
/// shapes; all that have at most one axis, such as scales.
const CONSTANTS: &[Choice] = &[|_| false, |x| !x.dtype().is_float() && x.shape().len() <= 1, |x| x.shape().len() <= 1];

/// Imports the model for the shapes of the inputs, with as few of them as constants as possible.
fn import(path: &Path, inputs: &BTreeMap<String, Tensor>) -> Result<(Graph, usize), String> {
    let fixed = |tensor: &Tensor| tensor.shape().iter().map(|size| DimSpec::Fixed(*size as i64)).collect::<Vec<_>>();
    let attempt = |is_constant: &Choice| {
        let (constants, given): (Vec<_>, Vec<_>) = inputs.iter().partition(|(_, tensor)| is_constant(tensor));
        let count = constants.len();
        let options = ImportOptions {
            shapes: given.into_iter().map(|(name, tensor)| (name.clone(), fixed(tensor))).collect(),
            constants: constants.into_iter().map(|(name, tensor)| (name.clone(), Arc::new(tensor.clone()))).collect(),
            ..ImportOptions::default()
        };
        Registry::default().import.onnx(path, &options).map(|graph| (graph, count)).map_err(|error| error.to_string())
    };
    let attempts: Vec<_> = CONSTANTS.iter().map(attempt).collect();
    let first = attempts.first().and_then(|attempt| attempt.as_ref().err().cloned()).unwrap_or_default();
    attempts.into_iter().find_map(Result::ok).ok_or(first)
}

/// What the suite stores as u16 where the model declares bf16.
fn as_bf16(tensor: Tensor) -> Tensor {
    Tensor::from_bytes(DType::BF16, tensor.shape(), tensor.bytes()).unwrap_or(tensor)
}

impl SuiteCase {
    /// Reads and imports a case.
    ///
    /// # Errors
    /// A description of what cannot be read or imported.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let path = folder.join("model.onnx");
        let (given, made) = signature(&fs::read(&path).map_err(|error| error.to_string())?)?;
        let (inputs, outputs) = (tensors(folder, "input", &given.types)?, tensors(folder, "output", &made.types)?);
        if inputs.len() != given.names.len() || outputs.len() != made.names.len() {
            return Err(format!("data for {} inputs and {} outputs", inputs.len(), outputs.len()));
        }
        let mut inputs: BTreeMap<String, Tensor> = given.names.into_iter().zip(inputs).collect();
        let (graph, constants) = import(&path, &inputs)?;
        let needed: BTreeSet<&str> = graph.inputs().iter().map(|value| graph.node(*value).attrs.text("name")).collect();
        inputs.retain(|name, _| needed.contains(name.as_str()));
        Ok(Self { inputs, constants, outputs: made.names.into_iter().zip(outputs).collect(), graph })
    }

    /// Compares results with the expected ones.
    ///
    /// # Errors
    /// A description of the first difference.
    pub fn check(&self, results: &BTreeMap<String, Tensor>) -> Result<Passed, String> {
        for (name, expected) in &self.outputs {
            let found = results.get(name).ok_or_else(|| format!("there is no output `{name}`"))?;
            compare(found, expected).map_err(|problem| format!("`{name}`: {problem}"))?;
        }
        Ok(Passed { constants: self.constants })
    }
}

fn compare(found: &Tensor, expected: &Tensor) -> Result<(), String> {
    if found.ty() != expected.ty() {
        return Err(format!("{} instead of {}", found.ty(), expected.ty()));
    }
    if !found.dtype().is_float() {
        return if found == expected { Ok(()) } else { Err(format!("integers differ: {found:?} instead of {expected:?}")) };
    }
    let is_close = |found: f64, expected: f64| {
        let same = found == expected || (found.is_nan() && expected.is_nan());
        same || (found - expected).abs() <= TOLERANCE.1 + TOLERANCE.0 * expected.abs()
    };
    let (found, expected) = (found.to_f64(), expected.to_f64());
    match found.iter().zip(&expected).position(|(found, expected)| !is_close(*found, *expected)) {
        Some(at) => Err(format!("element {at} is {} instead of {}", found[at], expected[at])),
        None => Ok(()),
    }
}

/// Patterns with reasons.
#[derive(Clone)]
pub struct IgnoreList {
    path: PathBuf,
    lines: Vec<(String, String)>,
}

impl IgnoreList {
    /// The list in a file, given relative to the checkout.
    pub fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let split = |line: &str| line.split_once(' ').map_or((line.into(), String::new()), |(a, b)| (a.into(), b.trim().into()));
        Self { lines: lines.map(split).collect(), path }
    }

    /// The lines that name one of these cases.
    pub fn restricted_to(&self, cases: &[String]) -> Self {
        let names_one = |pattern: &str| cases.iter().any(|case| matches(pattern, case));
        let lines = self.lines.iter().filter(|(pattern, _)| names_one(pattern)).cloned().collect();
        Self { path: self.path.clone(), lines }
    }

    /// Whether a line names the case.
    pub fn names(&self, case: &str) -> bool {
        self.lines.iter().any(|(pattern, _)| matches(pattern, case))
    }

    /// What is wrong with the list itself: lines without a reason, or that no case fits.
    fn problems(&self, cases: &[String]) -> Vec<String> {
        let unused = |pattern: &str| !cases.iter().any(|case| matches(pattern, case));
        let wrong = self.lines.iter().filter_map(|(pattern, reason)| match (reason.is_empty(), unused(pattern)) {
            (true, _) => Some(format!("{}: `{pattern}` has no reason", self.path.display())),
            (_, true) => Some(format!("{}: `{pattern}` fits no case", self.path.display())),
            (false, false) => None,
        });
        wrong.collect()
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|tail| tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))),
    }
}

/// Runs all cases that `skip` does not name on all cores and gives the score as text.
///
/// # Errors
/// What fails and is not in `list`, what is in `list` and passes, and what is wrong with the list.
pub fn run_suite(
    folders: &[PathBuf],
    skip: Option<&IgnoreList>,
    list: &IgnoreList,
    run: impl Fn(&Path) -> Result<Passed, String> + Sync,
) -> Result<String, String> {
    let cases: Vec<(String, &PathBuf)> = folders.iter().map(|folder| (case_name(folder), folder)).collect();
    let names: Vec<String> = cases.iter().map(|(name, _)| name.clone()).collect();
    let mut problems = list.problems(&names);
    let chosen: Vec<_> = cases.iter().filter(|(name, _)| skip.is_none_or(|skip| !skip.names(name))).collect();
    let results = run_all(&chosen, &run);
    let (mut passed, mut with_constants) = (0, 0);
    for (name, result) in &results {
        match (result, list.names(name)) {
            (Ok(case), false) => {
                passed += 1;
                with_constants += usize::from(case.constants > 0);
            }
            (Ok(_), true) => problems.push(format!("{name} passes; remove it from {}", list.path.display())),
            (Err(problem), false) => problems.push(format!("{name}: {problem}")),
            (Err(_), true) => {}
        }
    }
    let score = format!(
        "{passed} of {} cases pass, {with_constants} of them with some inputs as constants; {} are ignored or fail",
        cases.len(),
        cases.len() - passed
    );
    if problems.is_empty() { Ok(score) } else { Err(format!("{}\n{} problems; {score}", problems.join("\n"), problems.len())) }
}

type Results = BTreeMap<String, Result<Passed, String>>;

fn run_all(cases: &[&(String, &PathBuf)], run: &(impl Fn(&Path) -> Result<Passed, String> + Sync)) -> Results {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Results::new());
    let work = || {
        while let Some((name, folder)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = catch_unwind(AssertUnwindSafe(|| run(folder))).unwrap_or_else(|_| Err("it panics".to_string()));
            results.lock().expect("no holder panics").insert(name.clone(), result);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    results.into_inner().expect("no holder panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("node/test_*_a", "node/test_b_a") && matches("*", "") && matches("a*b*c", "abbc"));
        assert!(!matches("node/test_*_a", "node/test_a") && !matches("a", "ab") && !matches("*b", "bc"));
    }

    #[test]
    fn lists_must_be_right() {
        let folders = [PathBuf::from("node/good"), PathBuf::from("node/bad")];
        let run = |folder: &Path| if folder.ends_with("good") { Ok(Passed { constants: 0 }) } else { Err("wrong".to_string()) };
        let result = |lines: &[(&str, &str)]| {
            let lines = lines.iter().map(|(pattern, reason)| (pattern.to_string(), reason.to_string())).collect();
            run_suite(&folders, None, &IgnoreList { path: PathBuf::new(), lines }, run)
        };
        assert!(result(&[("node/bad", "a reason")]).is_ok_and(|score| score.starts_with("1 of 2 cases pass")));
        let wrong: [&[(&str, &str)]; 4] =
            [&[], &[("node/*", "a reason")], &[("node/bad", "")], &[("node/bad", "a reason"), ("simple/*", "a reason")]];
        assert!(wrong.iter().all(|lines| result(lines).is_err()));
    }

    #[test]
    fn differences_are_found() {
        let one = Tensor::f32(&[1], &[1.0]).unwrap();
        assert!(compare(&one, &Tensor::f32(&[1], &[1.0005]).unwrap()).is_ok());
        assert!(compare(&one, &Tensor::f32(&[1], &[1.002]).unwrap()).is_err());
        assert!(compare(&one, &Tensor::f32(&[1], &[f32::NAN]).unwrap()).is_err());
        assert!(compare(&one, &Tensor::f32(&[1, 1], &[1.0]).unwrap()).is_err());
        assert!(compare(&Tensor::i64(&[1], &[1]).unwrap(), &Tensor::i64(&[1], &[2]).unwrap()).is_err());
    }
}
