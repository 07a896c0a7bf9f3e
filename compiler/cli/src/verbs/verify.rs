//! `lostwax verify`.

mod entries;
mod language;

use crate::compare::{Compared, reference_outputs};
use crate::console::Console;
use crate::error::{self, CliError};
use crate::format::hex;
use crate::report::Report;
use crate::settings::{DeviceArgs, ImportArgs};
use crate::source;
use crate::table::Table;
use crate::tensors::{InputArgs, make_inputs, views};
use entries::Comparison;
use language::LanguageCheck;
use lostwax_import::program::Program;
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::suggest::unknown;
use lostwax_runtime::{CheckedOutput, Model, Options};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  lostwax verify model.lwx                       hashes, and the certificate if the artifact has one
  lostwax verify model.lwx model.onnx            against the reference interpreter
  lostwax verify model.lwx model.onnx --shape x:1x3x64x96 --seed 7
  lostwax verify llm.lwx llm.gguf                tokenizer, chat template, and each entry point; takes minutes";

/// The default tolerance.
const TOLERANCE: f64 = 1e-3;

/// The same where activations are quantized to bytes: values near a rounding boundary may fall to either side.
const ROUNDED_TOLERANCE: f64 = 1e-1;

/// Checks an artifact: against its model, or against its own hashes and certificate
///
/// For a language model, tokenizer and chat template are checked against tokens that were recorded when it was compiled.
/// With MODEL, artifact and reference interpreter run on the same inputs. Differences are relative to the range of the
/// reference output.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The artifact.
    artifact: PathBuf,
    /// The model that it was compiled from.
    model: Option<PathBuf>,
    /// The largest accepted difference, relative to the output's range; by default 1e-3, or 1e-1 if a language model quantizes
    /// activations to bytes, which amplifies small differences.
    #[arg(long)]
    rtol: Option<f64>,
    /// The number of threads; 0 lets the device decide.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    shapes: ImportArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let model = source::open_artifact(&self.artifact)?;
        model.verify_hashes()?;
        match &self.model {
            Some(reference) if model.entry_points().len() > 1 || !model.states().is_empty() => {
                self.against_entries(&model, reference, console)
            }
            Some(reference) => self.against_model(&model, reference, console),
            None => self.certificate(&model),
        }
    }

    fn certificate(&self, model: &Model) -> Result<Report, CliError> {
        let checked = model.check_certificate(&self.device.device(model)?)?;
        let id = hex(&model.artifact().id());
        let mut text = format!("all hashes match, id {id}\n");
        if checked.is_empty() {
            text += "the artifact has no certificate; give the model too to compare with the reference interpreter\n";
        }
        let differences = checked.iter().map(|CheckedOutput { name, max_abs, max_rel, ok, .. }| {
            (name.as_str(), Compared { max_abs: *max_abs, max_rel: *max_rel, ok: *ok })
        });
        let json = json!({ "id": id, "certificate": !checked.is_empty() });
        Ok(report(text, differences.collect(), json, &LanguageCheck::new(model)?))
    }

    fn against_model(&self, model: &Model, reference: &Path, console: &Console) -> Result<Report, CliError> {
        let rtol = self.rtol.unwrap_or(TOLERANCE);
        let inputs = make_inputs(model, &self.inputs, &self.shapes, console)?;
        console.stage("running the artifact");
        let mut session = model.session_with(self.device.device(model)?, Options::new().with_threads(self.threads))?;
        let outputs = session.run(views(&inputs))?;
        let expected = reference_outputs(reference, &inputs, &self.shapes, console)?;
        let mut differences = Vec::new();
        for (name, tensor) in outputs.iter() {
            let missing = || CliError::file(reference, unknown("output", name, expected.keys().map(String::as_str)));
            let expected = expected.get(name).ok_or_else(missing)?;
            differences.push((name, Compared::new(tensor, expected, rtol)));
        }
        let text = format!("{} on {}, seed {}\n", model.name(), session.variant(), self.inputs.seed);
        let json = json!({ "seed": self.inputs.seed, "rtol": rtol });
        Ok(report(text, differences, json, &LanguageCheck::new(model)?))
    }

    /// Compares a model with several entry points or with states.
    fn against_entries(&self, model: &Model, reference: &Path, console: &Console) -> Result<Report, CliError> {
        if !self.inputs.inputs.is_empty() {
            return Err(CliError::usage("inputs can only be given for models with one entry point and no states"));
        }
        let mut options = self.shapes.import_options();
        if let Some(language) = model.artifact().language_model() {
            options.language.context = language.context_length as usize;
        }
        console.stage("importing");
        let program = source::load(reference, &options)?;
        let mut session = model.session_with(self.device.device(model)?, Options::new().with_threads(self.threads))?;
        let rtol = self.rtol.unwrap_or(if rounds_activations(&program) { ROUNDED_TOLERANCE } else { TOLERANCE });
        let comparison = Comparison { program: &program, seed: self.inputs.seed, rtol };
        let differences = comparison.run(&mut session, console)?;
        let differences = differences.iter().map(|(name, compared)| (name.as_str(), *compared)).collect();
        let text = format!("{} on {}, seed {}, tolerance {rtol:e}\n", model.name(), session.variant(), self.inputs.seed);
        let json = json!({ "seed": self.inputs.seed, "rtol": rtol });
        Ok(report(text, differences, json, &LanguageCheck::new(model)?))
    }
}

/// Whether matrices meet activations that are rounded.
fn rounds_activations(program: &Program) -> bool {
    let rounds = |graph: &Graph| graph.topological().into_iter().any(|value| graph.op(value) == Op::BlockMatMul);
    program.entries.iter().any(|entry| rounds(&entry.graph))
}

fn report(text: String, differences: Vec<(&str, Compared)>, mut json: Value, language: &LanguageCheck) -> Report {
    let mut table = Table::new(&["output", "max abs", "max rel", "ok"]);
    let mut map = Map::new();
    for (name, Compared { max_abs, max_rel, ok }) in &differences {
        let verdict = if *ok { "yes" } else { "NO" };
        table.row([name.to_string(), format!("{max_abs:.3e}"), format!("{max_rel:.3e}"), verdict.to_string()]);
        map.insert(name.to_string(), json!({ "max_abs": max_abs, "max_rel": max_rel, "ok": ok }));
    }
    let ok = language.is_ok() && differences.iter().all(|(_, compared)| compared.ok);
    if let Some(object) = json.as_object_mut() {
        object.insert("ok".to_string(), json!(ok));
        object.insert("outputs".to_string(), Value::Object(map));
    }
    language.add_to(&mut json);
    let text = text + &language.text();
    let text = if differences.is_empty() { text } else { format!("{text}{table}") };
    Report::new(text, json).with_exit_code(if ok { 0 } else { error::MISMATCH })
}
