//! Checks a plan before its positions are used.

use crate::header::Entry;
use crate::{
    Buffer, Constraint, ElementType, EntryPoint, Expr, FormatError, Operands, PLAN, Plan, Region, State, Step, Symbol,
    TensorSpec, Variant, WEIGHT_ALIGNMENT, Weight, expr::Kind,
};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

fn problem<T>(text: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError::invalid(PLAN, text))
}

fn require(condition: bool, text: impl FnOnce() -> String) -> Result<(), FormatError> {
    if condition { Ok(()) } else { problem(text()) }
}

/// Checks a plan on its own, without the file around it.
pub(crate) fn check_plan(plan: &Plan) -> Result<(), FormatError> {
    plan.exprs.iter().enumerate().try_for_each(|(position, expr)| check_expr(plan, position, expr))?;
    plan.symbols.iter().try_for_each(check_symbol)?;
    check_names("symbol", plan.symbols.iter().map(|symbol| &symbol.name))?;
    check_weight_table(&plan.weights)?;
    plan.states.iter().try_for_each(|state| check_state(plan, state))?;
    check_names("state", plan.states.iter().filter_map(|state| state.tensor.as_ref()).map(|tensor| &tensor.name))?;
    check_entry_points(plan)?;
    plan.variants.iter().try_for_each(|variant| check_variant(plan, variant))
}

fn check_expr(plan: &Plan, position: usize, expr: &Expr) -> Result<(), FormatError> {
    let earlier = |operands: &Operands| (operands.left as usize) < position && (operands.right as usize) < position;
    let fine = match &expr.kind {
        Some(Kind::Constant(_)) => true,
        Some(Kind::Symbol(index)) => (*index as usize) < plan.symbols.len(),
        Some(Kind::Add(pair) | Kind::Multiply(pair) | Kind::FloorDivide(pair) | Kind::Minimum(pair) | Kind::Maximum(pair)) => {
            earlier(pair)
        }
        None => false,
    };
    require(fine, || {
        format!("expression {position} is of no known kind, or refers to a later expression or a symbol that does not exist")
    })
}

fn check_symbol(symbol: &Symbol) -> Result<(), FormatError> {
    let Symbol { name, min, max } = symbol;
    require(0 <= *min && min <= max, || format!("symbol `{name}` has the range {min}..={max}"))
}

fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), FormatError> {
    let mut seen = HashSet::new();
    for name in names {
        require(!name.is_empty() && seen.insert(name), || format!("the {what} name `{name}` is empty or not unique"))?;
    }
    Ok(())
}

fn check_weight_table(weights: &[Weight]) -> Result<(), FormatError> {
    check_names("weight", weights.iter().map(|weight| &weight.name))?;
    let mut end = 0u64;
    for weight in weights {
        let bytes = element(&weight.dtype)?.byte_count(&weight.dims);
        require(bytes == Some(weight.bytes), || format!("weight `{}` does not have the size of its shape", weight.name))?;
        let expected = end.checked_next_multiple_of(WEIGHT_ALIGNMENT);
        require(expected == Some(weight.offset), || format!("weight `{}` does not follow the one before it", weight.name))?;
        end = match weight.offset.checked_add(weight.bytes) {
            Some(end) => end,
            None => return problem(format!("weight `{}` has an end that is out of range", weight.name)),
        };
    }
    Ok(())
}

fn element(name: &str) -> Result<&'static ElementType, FormatError> {
    ElementType::from_name(name).map_or_else(|| problem(format!("unknown element type `{name}`")), Ok)
}

fn check_expr_ids<'a>(plan: &Plan, what: &str, ids: impl IntoIterator<Item = &'a u32>) -> Result<(), FormatError> {
    let count = plan.exprs.len();
    ids.into_iter().try_for_each(|id| require((*id as usize) < count, || format!("{what} refers to expression {id} of {count}")))
}

fn check_tensor(plan: &Plan, tensor: &TensorSpec) -> Result<(), FormatError> {
    element(&tensor.dtype)?;
    check_expr_ids(plan, &tensor.name, &tensor.dims)
}

fn check_state(plan: &Plan, state: &State) -> Result<(), FormatError> {
    let Some(tensor) = &state.tensor else { return problem("a state has no type") };
    let exists = |index: u32| (index as usize) < plan.weights.len();
    require(state.initial_weight.is_none_or(exists), || {
        format!("state `{}` starts as a weight that does not exist", tensor.name)
    })?;
    check_tensor(plan, tensor)
}

fn check_entry_points(plan: &Plan) -> Result<(), FormatError> {
    require(!plan.entry_points.is_empty(), || "there is no entry point".into())?;
    check_names("entry point", plan.entry_points.iter().map(|entry| &entry.name))?;
    let mut next = 0usize;
    for entry in &plan.entry_points {
        require(entry.first_step as usize == next, || format!("the steps of `{}` do not follow those before them", entry.name))?;
        next = next.saturating_add(entry.step_count as usize);
        check_entry_point(plan, entry)?;
    }
    require(next == plan.steps.len(), || format!("there are {} steps, the entry points have {next}", plan.steps.len()))
}

fn check_entry_point(plan: &Plan, entry: &EntryPoint) -> Result<(), FormatError> {
    for tensors in [&entry.inputs, &entry.outputs] {
        check_names("tensor", tensors.iter().map(|tensor| &tensor.name))?;
        tensors.iter().try_for_each(|tensor| check_tensor(plan, tensor))?;
    }
    let constrained = entry.constraints.iter().flat_map(|Constraint { left, right, .. }| [left, right]);
    check_expr_ids(plan, &entry.name, constrained)?;
    check_expr_ids(plan, &entry.name, [&entry.arena_bytes, &entry.arena_lower_bound_bytes])?;
    let first = entry.first_step as usize;
    let steps = plan.steps.get(first..first.saturating_add(entry.step_count as usize));
    let Some(steps) = steps else { return problem(format!("the steps of `{}` do not exist", entry.name)) };
    steps.iter().try_for_each(|step| check_step(plan, entry, step))
}

fn check_step(plan: &Plan, entry: &EntryPoint, step: &Step) -> Result<(), FormatError> {
    check_buffers(plan, entry, &step.label, &step.buffers)?;
    check_expr_ids(plan, &step.label, [&step.flops, &step.bytes])
}

fn check_buffers(plan: &Plan, entry: &EntryPoint, label: &str, buffers: &[Buffer]) -> Result<(), FormatError> {
    for buffer in buffers {
        let count = match Region::try_from(buffer.region) {
            Ok(Region::Weights | Region::Arena) => 1,
            Ok(Region::Input) => entry.inputs.len(),
            Ok(Region::Output) => entry.outputs.len(),
            Ok(Region::State) => plan.states.len(),
            Ok(Region::Unspecified) | Err(_) => 0,
        };
        let exists = (buffer.index as usize) < count;
        require(exists, || format!("step `{label}` of `{}` uses memory that does not exist", entry.name))?;
        check_expr_ids(plan, label, [&buffer.offset, &buffer.bytes])?;
    }
    let written = buffers.last().map(|buffer| buffer.region());
    let is_read_only = matches!(written, Some(Region::Weights | Region::Input));
    require(!is_read_only, || format!("step `{label}` of `{}` writes to memory that is only read", entry.name))
}

fn check_variant(plan: &Plan, variant: &Variant) -> Result<(), FormatError> {
    let (dispatches, steps) = (variant.dispatches.len(), plan.steps.len());
    require(dispatches == steps, || format!("variant `{}` has {dispatches} dispatches for {steps} steps", variant.name))?;
    check_fallback(plan, variant)?;
    for (_, dispatch) in variant.own_dispatches() {
        let exists = (dispatch.kernel as usize) < variant.kernels.len();
        require(exists, || format!("variant `{}` runs kernel {} of {}", variant.name, dispatch.kernel, variant.kernels.len()))?;
        check_expr_ids(plan, &variant.name, dispatch.symbols.iter().chain([&dispatch.grid]))?;
    }
    plan.entry_points.iter().try_for_each(|entry| check_own_buffers(plan, variant, entry))
}

/// Checks that the steps left to another device exist, and that there is code for them.
fn check_fallback(plan: &Plan, variant: &Variant) -> Result<(), FormatError> {
    let Variant { name, device, fallback_steps: steps, fallback_device: fallback, .. } = variant;
    let is_ascending = steps.iter().zip(steps.iter().skip(1)).all(|(step, next)| step < next);
    let exist = steps.last().is_none_or(|last| (*last as usize) < plan.steps.len());
    require(is_ascending && exist, || {
        format!("the steps that variant `{name}` leaves to others do not exist or are not in order")
    })?;
    require(steps.is_empty() == fallback.is_empty(), || {
        format!("variant `{name}` leaves {} steps to the device `{fallback}`", steps.len())
    })?;
    let has_all = |other: &Variant| other.device == *fallback && !steps.iter().any(|step| other.leaves(*step as usize));
    let exists = steps.is_empty() || (fallback != device && plan.variants.iter().any(has_all));
    require(exists, || format!("no code for the device `{fallback}` has the steps that variant `{name}` leaves to it"))
}

fn check_own_buffers(plan: &Plan, variant: &Variant, entry: &EntryPoint) -> Result<(), FormatError> {
    let dispatches = variant.dispatches.iter().skip(entry.first_step as usize).take(entry.step_count as usize);
    let mut buffers = dispatches.map(|dispatch| &dispatch.buffers);
    buffers.try_for_each(|buffers| check_buffers(plan, entry, &variant.name, buffers))
}

/// Checks that the weights of the plan are what the file holds, and returns their region.
pub(crate) fn check_weights(plan: &Plan, entries: &[Entry]) -> Result<Range<usize>, FormatError> {
    let stored: HashMap<&str, &Entry> =
        entries.iter().filter(|entry| !entry.name.starts_with(crate::PREFIX)).map(|entry| (entry.name.as_str(), entry)).collect();
    require(stored.len() == plan.weights.len(), || {
        format!("it lists {} weights, the file has {}", plan.weights.len(), stored.len())
    })?;
    let find = |weight: &Weight| stored.get(weight.name.as_str()).copied();
    let start = plan.weights.first().and_then(find).map_or(0, |entry| entry.range.start);
    let mut end = start;
    for weight in &plan.weights {
        let entry = find(weight).filter(|entry| is_same(weight, entry, start));
        let Some(entry) = entry else { return problem(format!("weight `{}` is not in the file as the plan says", weight.name)) };
        end = entry.range.end;
    }
    require((start as u64).is_multiple_of(WEIGHT_ALIGNMENT), || "the weights are not aligned".into())?;
    Ok(start..end)
}

fn is_same(weight: &Weight, entry: &Entry, start: usize) -> bool {
    let stored = ElementType::from_name(&weight.dtype).and_then(|element| element.stored(&weight.dims));
    let same_type = stored.is_some_and(|(dtype, shape)| dtype == entry.dtype && shape == entry.shape);
    let offset = entry.range.start.checked_sub(start).map(|offset| offset as u64);
    same_type && offset == Some(weight.offset) && entry.range.len() as u64 == weight.bytes
}
