//! The work of a step, for reports.

use lostwax_ir::compute::{Axis, Body, Compute, Reduction, Softmax, Step};
use lostwax_ir::dim::{Dim, Symbol, product};

/// Arithmetic operations of a compute: each scalar step counts one, at each point where it is evaluated. What depends on constants
/// only, such as the decoding of weights, does not count; `constant` tells which inputs are constants.
pub(super) fn operations(compute: &Compute, constant: &dyn Fn(u32) -> bool) -> Dim {
    let arithmetic = |body: &Body| Dim::constant(varying(body, constant));
    let points = product(compute.axes.iter().map(|axis| &axis.extent));
    let reduced = compute.reduction.iter().map(|reduction| {
        let inner = product(reduction.axes.iter().map(|axis| &axis.extent));
        inner * (arithmetic(&reduction.value) + 1.into())
    });
    let per_point = reduced.fold(arithmetic(&compute.result), |total, inner| total + inner);
    let weights = compute.reduction.iter().filter_map(|reduction| Some(weighting(compute, reduction, reduction.weight.as_ref()?)));
    weights.fold(points * per_point, |total, weights| total + weights)
}

/// Arithmetic operations of the scores that weights are made from, which those points share that they do not depend on.
fn weighting(compute: &Compute, reduction: &Reduction, weight: &Softmax) -> Dim {
    let axes = compute.axes.iter().filter(|axis| weight.mentions(&axis.symbol)).chain(&reduction.axes);
    let products = product(weight.axes.iter().map(|axis| &axis.extent)) * Dim::constant(2);
    product(axes.map(|axis| &axis.extent)) * (products + Dim::constant(varying(&weight.score, &|_| false)))
}

/// The arithmetic steps that depend on more than constants.
fn varying(body: &Body, constant: &dyn Fn(u32) -> bool) -> i64 {
    let mut varies: Vec<bool> = Vec::with_capacity(body.steps.len());
    let mut count = 0;
    for step in &body.steps {
        let own = match step {
            Step::Load { input, .. } => !constant(*input),
            Step::Reduced => true,
            _ => step.operands().iter().any(|operand| varies.get(operand.0 as usize).copied().unwrap_or(true)),
        };
        count += i64::from(own && matches!(step, Step::Unary(..) | Step::Binary(..) | Step::Select(..)));
        varies.push(own);
    }
    count
}

/// Bytes that are read and written: of each operand what is looked at, once, and the result.
pub(super) fn traffic(compute: &Compute) -> Dim {
    let axes: Vec<&Axis> = compute.axes.iter().chain(compute.reduction.iter().flat_map(Reduction::all_axes)).collect();
    let bodies = || compute.reduction.iter().flat_map(Reduction::bodies).chain([&compute.result]);
    let read = compute.inputs.iter().enumerate().map(|(input, ty)| {
        let looks = bodies().flat_map(|body| body.steps.iter().filter_map(|step| points(body, step, input as u32, &axes)));
        let looks = looks.fold(Dim::default(), |total, points| total + points);
        looks.minimum(ty.element_count()) * Dim::constant(ty.dtype.size() as i64)
    });
    read.fold(compute.output.byte_count(), |total, bytes| total + bytes)
}

/// The points at which a step that loads from `input` loads different elements, at most: anywhere where what was computed decides.
fn points(body: &Body, step: &Step, input: u32, axes: &[&Axis]) -> Option<Dim> {
    let Step::Load { input: own, coords, .. } = step else { return None };
    let mentions = |symbol: &Symbol| coords.iter().any(|coord| coord.mentions(symbol));
    let computed = body.steps.iter().any(|step| matches!(step, Step::Dynamic(symbol, _) if mentions(symbol)));
    let used = axes.iter().filter(|axis| computed || mentions(&axis.symbol));
    (*own == input).then(|| product(used.map(|axis| &axis.extent)))
}
