use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Axis, Body, Compute, Reduction, Softmax, Step, StepId};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::random::Random;
use crate::scalar::{BinaryOp, ReduceOp, UnaryOp};
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};
use std::ops::Range;

pub(super) const DEF: OpDef = OpDef {
    name: "attention",
    doc: "Attention of queries `[n, heads, size]` to keys `[groups, size, tokens]` and values `[groups, tokens, width]`, as \
          `[n, heads, width]`: the mean of the values, weighted by the softmax over tokens of the products of query and keys. \
          Consecutive heads form groups that share keys and values.",
    operands: Operands::Fixed(&["queries", "keys", "values"]),
    attrs: &[
        common::attr("scale", AttrKind::Float, "the factor of the products"),
        common::attr("cap", AttrKind::Float, "the limit that `cap * tanh(product / cap)` approaches; 0 for none"),
        common::attr(
            "past",
            AttrKind::Dims,
            "the number of tokens before those of the queries, each of which sees tokens up to its own; empty where all are seen",
        ),
        common::attr("window", AttrKind::Int, "how many of these tokens it sees, its own included; 0 for all"),
    ],
    class: Class::Other,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Operands,
    infer,
    eval,
    lower,
    sample,
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (queries, keys, values) = (operands[0], operands[1], operands[2]);
    let error = |problem: String| Err(invalid(Op::Attention, problem));
    let ([n, heads, size], [groups, depth, tokens], [others, count, width]) =
        (queries.dims.as_slice(), keys.dims.as_slice(), values.dims.as_slice())
    else {
        return error(format!("operands {queries}, {keys} and {values} must have rank 3"));
    };
    operands.iter().try_for_each(|ty| common::check_dtype(Op::Attention, ty.dtype, &[DType::F32]))?;
    if size != depth || groups != others || tokens != count {
        return error(format!("sizes of {queries}, {keys} and {values} do not fit each other"));
    }
    if groups.clone() * heads.floor_div(groups) != *heads {
        return error(format!("{heads} heads do not form {groups} groups"));
    }
    let past = attrs.dims("past");
    common::check_sizes(Op::Attention, past)?;
    if past.len() > 1 || past.iter().any(|past| (past.clone() + n.clone()).prove_eq(tokens) == Some(false)) {
        return error(format!("{n} tokens after {past:?} are not {tokens}"));
    }
    if attrs.int("window") < 0 || (past.is_empty() && attrs.int("window") != 0) {
        return error(format!("a window of {} tokens", attrs.int("window")));
    }
    Ok(TensorType { dtype: DType::F32, dims: vec![n.clone(), heads.clone(), width.clone()] })
}

/// The tokens that query `row` sees.
fn seen(attrs: &Attrs, row: usize, tokens: usize) -> Option<Range<usize>> {
    let Some(past) = attrs.dims("past").first() else { return Some(0..tokens) };
    let end = usize::try_from(past.as_constant()?).ok()?.checked_add(row)?.checked_add(1)?;
    let window = usize::try_from(attrs.int("window")).ok().filter(|window| *window > 0);
    Some(window.map_or(0, |window| end.saturating_sub(window))..end.min(tokens))
}

fn score(attrs: &Attrs, product: f64) -> f64 {
    let (scaled, cap) = (product * attrs.float("scale"), attrs.float("cap"));
    if cap == 0.0 { scaled } else { cap * (scaled / cap).tanh() }
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let [queries, keys, values] = [operands[0].to_f64(), operands[1].to_f64(), operands[2].to_f64()];
    let shape = output.static_shape()?;
    let (heads, width) = (shape[1], shape[2]);
    let (groups, size, tokens) = (operands[1].shape()[0], operands[1].shape()[1], operands[1].shape()[2]);
    let mut result = vec![0.0; element_count(&shape)?];
    for row in 0..shape[0] * heads {
        let (query, group) = (&queries[row * size..][..size], row % heads / (heads / groups));
        let seen = seen(attrs, row / heads, tokens)?;
        let product = |token: usize| (0..size).map(|d| query[d] * keys[(group * size + d) * tokens + token]).sum();
        let scores: Vec<f64> = seen.clone().map(|token| score(attrs, product(token))).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = powers.iter().sum();
        for column in 0..width {
            let value = |token: usize| values[(group * tokens + token) * width + column];
            let sum: f64 = seen.clone().zip(&powers).map(|(token, power)| power * value(token)).sum();
            result[row * width + column] = sum / total;
        }
    }
    Tensor::from_f64(DType::F32, &shape, &result)
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let [n, heads, width] = output.dims.as_slice() else { return None };
    let [groups, size, tokens] = operands[1].dims.as_slice() else { return None };
    let extents = [n.clone(), groups.clone(), heads.floor_div(groups), width.clone()];
    let axes = crate::compute::axes("o", &extents);
    let (row, group, column) = (axes[0].dim(), axes[1].dim(), axes[3].dim());
    let head = group.clone() * extents[2].clone() + axes[2].dim();
    let (token, depth) = (Axis::new("%r0", tokens), Axis::new("%r1", size));
    let load = |input: u32, coords: [Dim; 3]| {
        let mut body = Body::default();
        body.load(input, coords.to_vec());
        body
    };
    let weight = Softmax {
        left: load(0, [row.clone(), head.clone(), depth.dim()]),
        right: load(1, [group.clone(), depth.dim(), token.dim()]),
        axes: vec![depth],
        score: score_body(attrs),
        valid: visible(attrs, &row, &token.dim()),
    };
    let value = load(2, [group, token.dim(), column.clone()]);
    let reduction = Reduction { op: ReduceOp::Sum, dtype: DType::F32, axes: vec![token], value, weight: Some(Box::new(weight)) };
    Some(Compute {
        inputs: operands.iter().map(|ty| (*ty).clone()).collect(),
        output: output.clone(),
        axes,
        coords: vec![row, head, column],
        reduction: Some(reduction),
        result: common::epilogue(DType::F32, |_, sum| sum),
    })
}

fn score_body(attrs: &Attrs) -> Body {
    let mut body = Body::default();
    let product = body.push(Step::Reduced);
    let scaled = factor(&mut body, product, attrs.float("scale"));
    let cap = attrs.float("cap");
    if cap != 0.0 {
        let ratio = factor(&mut body, scaled, 1.0 / cap);
        let bounded = body.unary(UnaryOp::Tanh, ratio);
        factor(&mut body, bounded, cap);
    }
    body
}

fn factor(body: &mut Body, x: StepId, factor: f64) -> StepId {
    if factor == 1.0 {
        return x;
    }
    let factor = body.float(DType::F32, factor);
    body.binary(BinaryOp::Mul, x, factor)
}

/// Where query `row` sees a token.
fn visible(attrs: &Attrs, row: &Dim, token: &Dim) -> Cond {
    let Some(past) = attrs.dims("past").first() else { return Cond::default() };
    let before = past.clone() + row.clone() - token.clone();
    let window = attrs.int("window");
    let near = (window > 0).then(|| Dim::constant(window - 1) - before.clone());
    Cond([before].into_iter().chain(near).collect()).simplify()
}

fn sample(random: &mut Random) -> Sample {
    let mut size = |high: i64| Dim::constant(random.int(1, high));
    let (n, groups, members, depth, width) = (size(5), size(3), size(3), size(5), size(5));
    let past = random.one_in(2).then(|| Dim::constant(random.int(0, 4)));
    let tokens = past.as_ref().map_or_else(|| Dim::constant(random.int(1, 5)), |past| past.clone() + n.clone());
    let window = if past.is_some() { random.int(0, 3) } else { 0 };
    let (scale, cap) = (random.float(0.1, 1.0), if random.one_in(3) { random.float(1.0, 5.0) } else { 0.0 });
    let ty = |dims: [&Dim; 3]| TensorType { dtype: DType::F32, dims: dims.map(Dim::clone).to_vec() };
    let heads = groups.clone() * members;
    let operands = vec![ty([&n, &heads, &depth]), ty([&groups, &depth, &tokens]), ty([&groups, &tokens, &width])];
    let sample = Sample { operands, attrs: Attrs::new() }.with("scale", scale).with("cap", cap);
    sample.with("past", past.into_iter().collect::<Vec<Dim>>()).with("window", window)
}
