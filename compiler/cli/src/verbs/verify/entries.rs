//! Models with several entry points or with states, beside their graphs in the reference interpreter: each entry point is run once,
//! as a function of inputs, states and symbols. States go on from one entry point to the next, and a symbol that no input determines,
//! such as the number of tokens in a cache, is the number of rows that were read so far.

use crate::compare::{Compared, interpret_with, references};
use crate::console::Console;
use crate::error::CliError;
use crate::tensors::views;
use lostwax_compiler::plan_sizes::PlanSizes;
use lostwax_import::program::Program;
use lostwax_ir::graph::Graph;
use lostwax_ir::suggest::unknown;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_runtime::format::{EntryPoint, Plan};
use lostwax_runtime::{Bindings, DType, Model, Outputs, Session, Tensor, reference_input};
use std::collections::BTreeMap;

type References = BTreeMap<String, Reference>;

/// What dynamic sizes are.
const SIZE: usize = 3;

/// How entry points are compared.
#[derive(Clone, Copy)]
pub struct Comparison<'a> {
    /// The model that the artifact was compiled from.
    pub program: &'a Program,
    /// Where random inputs and states start.
    pub seed: u64,
    /// The largest difference that is fine.
    pub rtol: f64,
}

type Differences = Vec<(String, Compared)>;

impl Comparison<'_> {
    /// Runs all entry points: the difference of each output, and the largest one of all states.
    pub fn run(&self, session: &mut Session, console: &Console) -> Result<Differences, CliError> {
        let model = session.model().clone();
        let (mut states, mut rows, mut differences) = (states(session, &model)?, 0, Vec::new());
        for entry in &model.artifact().plan().entry_points {
            console.stage(&format!("comparing {} with the reference interpreter", entry.name));
            let inputs = self.inputs(&model, entry)?;
            let given = given(model.artifact().plan(), rows);
            rows += inputs.first().and_then(|(_, tensor)| tensor.shape().first()).map_or(0, |rows| *rows as i64);
            let expected = interpret_with(self.graph(entry)?, &references(&[&*inputs, &*states].concat())?, &given, console)?;
            session.set_entry_point(&entry.name)?;
            states.iter().try_for_each(|(name, state)| session.set_state(name, state))?;
            given.iter().try_for_each(|(symbol, value)| session.bind(symbol, *value))?;
            differences.extend(self.outputs(&entry.name, &session.run(views(&inputs))?, &expected)?);
            states = self::states(session, &model)?;
            differences.extend(self.worst(&states, &expected).map(|worst| (format!("{} states", entry.name), worst)));
        }
        Ok(differences)
    }

    fn graph(&self, entry: &EntryPoint) -> Result<&Graph, CliError> {
        let found = self.program.entries.iter().find(|candidate| candidate.name == entry.name);
        let names = self.program.entries.iter().map(|entry| entry.name.as_str());
        let missing = || CliError::usage(unknown("entry point", &entry.name, names));
        found.map(|found| &found.graph).ok_or_else(missing)
    }

    fn outputs(&self, entry: &str, outputs: &Outputs, expected: &References) -> Result<Differences, CliError> {
        let compared = outputs.iter().map(|(name, tensor)| {
            let missing = || {
                CliError::usage(format!(
                    "`{entry}` of the model: {}",
                    unknown("output", name, expected.keys().map(String::as_str))
                ))
            };
            let expected = expected.get(name).ok_or_else(missing)?;
            Ok((format!("{entry}.{name}"), Compared::new(tensor, expected, self.rtol)))
        });
        compared.collect()
    }

    /// The largest difference of all states.
    fn worst(&self, states: &[(String, Tensor)], expected: &References) -> Option<Compared> {
        let compared = states.iter().filter_map(|(name, state)| Some(Compared::new(state, expected.get(name)?, self.rtol)));
        compared.max_by(|a, b| a.max_rel.total_cmp(&b.max_rel))
    }

    fn inputs(&self, model: &Model, entry: &EntryPoint) -> Result<Vec<(String, Tensor)>, CliError> {
        let sizes = bound_sizes(model.artifact().plan(), std::slice::from_ref(entry));
        let inputs = entry.inputs.iter().map(|spec| {
            let unknown = || CliError::usage(format!("the shape of `{}` is not known", spec.name));
            let shape = sizes.shape(spec).ok_or_else(unknown)?;
            let unknown = || CliError::usage(format!("`{}` has an unknown element type", spec.name));
            let dtype = DType::from_name(&spec.dtype).ok_or_else(unknown)?;
            let high = if spec.dtype.starts_with(['f', 'b']) { 1.0 } else { 10.0 };
            Ok((spec.name.clone(), reference_input(self.seed, &spec.name, dtype, &shape, 0.0, high)?))
        });
        inputs.collect()
    }
}

/// The contents of all states.
fn states(session: &mut Session, model: &Model) -> Result<Vec<(String, Tensor)>, CliError> {
    let names = model.states().into_iter().map(|state| state.name);
    names.map(|name| Ok((name.clone(), session.state(&name)?.to_tensor()?))).collect()
}

/// What the inputs of entry points tell of the plan's symbols.
fn bound_sizes<'a>(plan: &'a Plan, entries: &[EntryPoint]) -> PlanSizes<'a> {
    let mut sizes = PlanSizes::new(plan);
    for spec in entries.iter().flat_map(|entry| &entry.inputs) {
        sizes.bind_shape(spec, &vec![SIZE; spec.dims.len()]);
    }
    sizes
}

/// A value for the symbols that no input determines.
fn given(plan: &Plan, value: i64) -> Bindings {
    let known = bound_sizes(plan, &plan.entry_points).bindings();
    let free = plan.symbols.iter().filter(|symbol| !known.contains_key(&symbol.name));
    free.map(|symbol| (symbol.name.clone(), value.min(symbol.max).max(symbol.min))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny;
    use lostwax_runtime::Options;

    fn compare(program: &Program, rtol: f64) -> Differences {
        let model = Model::from_bytes(tiny::artifact(&["prefill", "decode", "score"])).unwrap();
        let device = lostwax_compiler::Registry::default().device(None, model.variants()).unwrap();
        let mut session = model.session_with(device, Options::new()).unwrap();
        Comparison { program, seed: 0, rtol }.run(&mut session, &Console::new(true)).unwrap()
    }

    #[test]
    fn entry_points_are_compared_one_after_another() {
        let differences = compare(&tiny::program(&["prefill", "decode", "score"]), 1e-3);
        let names: Vec<&str> = differences.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["prefill.logits", "prefill states", "decode.logits", "decode states", "score.logits", "score states"];
        assert_eq!(names, expected);
        assert!(differences.iter().all(|(_, compared)| compared.ok), "{differences:?}");
    }

    #[test]
    fn another_model_differs() {
        let mut program = tiny::program(&["prefill", "score", "decode"]);
        program.entries[0].name = "score".into();
        program.entries[1].name = "prefill".into();
        let ok: Vec<bool> = compare(&program, 1e-3).iter().map(|(_, compared)| compared.ok).collect();
        assert_eq!(ok, [false, true, true, true, false, true]);
        let exact = compare(&tiny::program(&["prefill", "decode", "score"]), -1.0);
        assert!(exact.iter().all(|(_, compared)| !compared.ok), "{exact:?}");
    }
}
