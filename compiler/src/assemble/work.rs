//! The work of a step, for reports.

use lostwax_ir::compute::{Axis, Body, Compute, Reduction, Softmax, Step};
use lostwax_ir::dim::{Dim, Symbol, product};

/// Arithmetic operations of a compute: each scalar step counts one, at each point where it is evaluated. What depends on constants
/// only, such as the decoding of weights, does not count; `constant` tells which inputs are constants.
pub(super) fn operations(compute: &Compute, constant: &dyn Fn(u32) -> bool) -> Dim {
    let arithmetic = |body: &Body| Dim::constant(varying(body, constant));
    let points = product(compute.axes.iter().map(|axis| &axis.extent));
    let reduced = compute.reduction.iter().map(|reduction| {
        let inner = reduction.weight.as_ref().map(|weight| seen(compute, reduction, weight));
        let inner = inner.unwrap_or_else(|| product(reduction.axes.iter().map(|axis| &axis.extent)));
        inner * (arithmetic(&reduction.value) + 1.into())
    });
    let per_point = reduced.fold(arithmetic(&compute.result), |total, inner| total + inner);
    let weights =
        compute.reduction.iter().filter_map(|reduction| Some(weighting(compute, reduction, reduction.weight.as_ref()?)));
    weights.fold(points * per_point, |total, weights| total + weights)
}

/// Arithmetic operations of the scores that weights are made from, which those points share that they do not depend on.
fn weighting(compute: &Compute, reduction: &Reduction, weight: &Softmax) -> Dim {
    let axes = compute.axes.iter().filter(|axis| weight.mentions(&axis.symbol));
    let products = product(weight.axes.iter().map(|axis| &axis.extent)) * Dim::constant(2);
    let each = products + Dim::constant(varying(&weight.score, &|_| false));
    product(axes.map(|axis| &axis.extent)) * seen(compute, reduction, weight) * each
}

/// The points of a weighted reduction that take part in the middle of the other axes.
fn seen(compute: &Compute, reduction: &Reduction, weight: &Softmax) -> Dim {
    let all = product(reduction.axes.iter().map(|axis| &axis.extent));
    let [key] = reduction.axes.as_slice() else { return all };
    let axis = |symbol: &Symbol| compute.axes.iter().find(|axis| axis.symbol == *symbol);
    let middle = |symbol: &Symbol| Some((axis(symbol)?.extent.clone() - 1.into()).floor_div(2));
    let (mut begin, mut end) = (Dim::default(), all);
    for (slope, rest) in weight.valid.0.iter().filter_map(|part| part.affine_in(&key.symbol)) {
        let rest = rest.substitute(&middle);
        if slope.is(-1) {
            end = end.minimum(rest + 1.into());
        } else if slope.is(1) {
            begin = begin.maximum(-rest);
        }
    }
    (end - begin).maximum(0)
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
        count += if own { work(step) } else { 0 };
        varies.push(own);
    }
    count
}

/// The arithmetic operations of a step.
fn work(step: &Step) -> i64 {
    match step {
        Step::Unary(..) | Step::Binary(..) | Step::Select(..) => 1,
        Step::Dot4(..) => 8,
        _ => 0,
    }
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
