//! Attention, and rotary positions.

use super::normalization::softmax_over;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::movement::AxisSlice;
use crate::onnx::node_error::{NodeError, NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Attention", attention),
    Operator::new("com.microsoft", "Attention", projected_attention),
    Operator::new("com.microsoft", "MultiHeadAttention", multi_head_attention),
    Operator::standard("RotaryEmbedding", |cx, node| rotary(cx, node, [3, 1, 2])),
    Operator::new("com.microsoft", "RotaryEmbedding", |cx, node| rotary(cx, node, [1, 2, 3])),
];

/// Queries, keys and values, each [batch, heads, positions, size].
struct Heads {
    query: Operand,
    key: Operand,
    value: Operand,
}

/// How scores become weights.
#[derive(Default)]
struct Scores {
    /// The factor; the inverse square root of the head's size unless given.
    scale: Option<f64>,
    /// A limit that scores approach.
    cap: f64,
    /// Added to scores.
    biases: Vec<Operand>,
    /// The number of keys before those of the first query, where a query sees no later keys.
    causal: Option<Dim>,
    /// What later keys get as a score.
    hidden: f64,
}

/// [batch, positions, heads * size] as [batch, heads, positions, size].
fn split_heads(cx: &mut Importer, x: &Operand, count: i64) -> NodeResult<Operand> {
    let dims = cx.dims(x);
    if dims.len() == 4 {
        return Ok(x.clone());
    }
    if dims.len() != 3 || count < 1 || !dims[2].is_multiple_of(count) {
        return invalid(format!("{count} heads do not fit the shape {dims:?}"));
    }
    let split = [dims[0].clone(), dims[1].clone(), count.into(), dims[2].floor_div(count)];
    let x = cx.reshape(x, &split)?;
    cx.transpose(&x, &[0, 2, 1, 3])
}

/// [batch, heads, positions, size] as [batch, positions, heads * size].
fn join_heads(cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
    let x = cx.transpose(x, &[0, 2, 1, 3])?;
    cx.merge_axes(&x, 2, 4)
}

/// Repeats heads such that there are as many as `wanted`.
fn repeat_heads(cx: &mut Importer, x: &Operand, wanted: &Dim) -> NodeResult<Operand> {
    let dims = cx.dims(x);
    let (Some(own), Some(all)) = (dims[1].as_constant().filter(|own| *own > 0), wanted.as_constant()) else {
        return unsupported("the number of heads must be fixed");
    };
    if own == all || all % own != 0 {
        return if own == all { Ok(x.clone()) } else { invalid(format!("{all} heads are not a multiple of {own}")) };
    }
    let mut wide = dims;
    wide.insert(2, 1.into());
    let x = cx.reshape(x, &wide)?;
    wide[2] = (all / own).into();
    let x = cx.broadcast(&x, &wide)?;
    cx.merge_axes(&x, 1, 3)
}

/// `softmax(query * key^T) * value`, and the weights.
fn attend(cx: &mut Importer, heads: &Heads, scores: &Scores) -> NodeResult<Operand> {
    let (dims, count) = (cx.dims(&heads.query), cx.dims(&heads.query)[1].clone());
    let scale = match (scores.scale, dims[3].as_constant()) {
        (Some(scale), _) => scale,
        (None, Some(size)) if size > 0 => 1.0 / (size as f64).sqrt(),
        _ => return unsupported("the size of a head must be fixed"),
    };
    let (key, value) = (repeat_heads(cx, &heads.key, &count)?, repeat_heads(cx, &heads.value, &count)?);
    let key = cx.transpose_last(&key)?;
    let products = cx.matmul(&heads.query, &key)?;
    let mut sums = cx.with_scalar(Op::Mul, &products, scale)?;
    if scores.cap > 0.0 {
        let ratio = cx.with_scalar(Op::Div, &sums, scores.cap)?;
        let ratio = cx.unary(Op::Tanh, &ratio)?;
        sums = cx.with_scalar(Op::Mul, &ratio, scores.cap)?;
    }
    for bias in &scores.biases {
        sums = cx.add(&sums, bias)?;
    }
    if let Some(offset) = &scores.causal {
        sums = hide_later(cx, &sums, offset, scores.hidden)?;
    }
    let weights = softmax_over(cx, &sums, &[3])?;
    cx.matmul(&weights, &value)
}

/// Gives keys behind the query's position the score `hidden`.
fn hide_later(cx: &mut Importer, sums: &Operand, offset: &Dim, hidden: f64) -> NodeResult<Operand> {
    let dims = cx.dims(sums);
    let row = cx.iota(DType::I64, &[dims[2].clone(), 1.into()], 0)?;
    let column = cx.iota(DType::I64, &[1.into(), dims[3].clone()], 1)?;
    let offset: Operand = Known::scalar(DType::I64, offset.clone()).into();
    let last = cx.add(&row, &offset)?;
    let visible = cx.binary(Op::LessEqual, &column, &last)?;
    let hidden = cx.scalar_like(sums, hidden)?;
    cx.select(&visible, sums, &hidden)
}

/// Puts earlier keys or values, [batch, heads, positions, size], in front.
fn with_past(cx: &mut Importer, past: Option<&Operand>, x: &Operand) -> NodeResult<Operand> {
    past.map_or(Ok(x.clone()), |past| cx.concat(&[past.clone(), x.clone()], 2))
}

/// 0 where a mask holds, and `hidden` elsewhere.
fn mask_bias(cx: &mut Importer, mask: &Operand, dtype: DType, hidden: f64) -> NodeResult<Operand> {
    let mask = cx.cast(mask, DType::Bool)?;
    let (zero, hidden) = (cx.scalar(dtype, 0.0)?, cx.scalar(dtype, hidden)?);
    cx.select(&mask, &zero, &hidden)
}

/// The lowest number of a type: what hides a key.
fn lowest(dtype: DType) -> f64 {
    if dtype == DType::F16 { -65504.0 } else { f64::from(f32::MIN) }
}

fn attention(cx: &mut Importer, node: &Node) -> Results {
    if node.has_output(3) {
        return unsupported("the scores as a result are not supported");
    }
    let flat = cx.rank(node.input(0)?) == 3;
    let (query_heads, key_heads) = (node.int("q_num_heads", 0), node.int("kv_num_heads", 0));
    let query = split_heads(cx, node.input(0)?, query_heads)?;
    let (key, value) = (split_heads(cx, node.input(1)?, key_heads)?, split_heads(cx, node.input(2)?, key_heads)?);
    let past = node.optional(4)?;
    let key = with_past(cx, past, &key)?;
    let value = with_past(cx, node.optional(5)?, &value)?;
    let dtype = cx.dtype(&query);
    let mut scores = Scores { cap: node.float("softcap", 0.0), hidden: lowest(dtype), ..Scores::default() };
    scores.scale = node.has("scale").then(|| node.float("scale", 1.0));
    scores.causal = node.flag("is_causal", false).then(|| past.map_or(0.into(), |past| cx.dims(past)[2].clone()));
    if let Some(mask) = node.optional(3)? {
        let is_bool = cx.dtype(mask) == DType::Bool;
        scores.biases.push(if is_bool { mask_bias(cx, mask, dtype, lowest(dtype))? } else { mask.clone() });
    }
    let heads = Heads { query, key, value };
    let result = attend(cx, &heads, &scores)?;
    let result = if flat { join_heads(cx, &result)? } else { result };
    Ok(vec![result, heads.key, heads.value])
}

/// What a mask of keys adds to scores: lengths [batch], or flags [batch, keys].
fn key_mask(cx: &mut Importer, mask: &Operand, keys: &Dim, dtype: DType, hidden: f64) -> NodeResult<Operand> {
    let dims = cx.dims(mask);
    let flags = match dims.as_slice() {
        [batch] => {
            let lengths = cx.cast(mask, DType::I64)?;
            let lengths = cx.reshape(&lengths, &[batch.clone(), 1.into()])?;
            let places = cx.iota(DType::I64, &[1.into(), keys.clone()], 1)?;
            cx.binary(Op::Less, &places, &lengths)?
        }
        [_, _] => mask.clone(),
        _ => return unsupported(format!("a mask of shape {dims:?}; lengths or flags of keys are expected")),
    };
    let bias = mask_bias(cx, &flags, dtype, hidden)?;
    let dims = cx.dims(&bias);
    cx.reshape(&bias, &[dims[0].clone(), 1.into(), 1.into(), dims[1].clone()])
}

/// The scores of the operators that share these attributes, with masks and biases at the given operands.
fn masked_scores(cx: &mut Importer, node: &Node, heads: &Heads, mask: usize, bias: usize) -> NodeResult<Scores> {
    let (dtype, keys) = (cx.dtype(&heads.query), cx.dims(&heads.key)[2].clone());
    let hidden = node.float("mask_filter_value", -10000.0);
    let mut scores = Scores { hidden: lowest(dtype), ..Scores::default() };
    scores.scale = Some(node.float("scale", 0.0)).filter(|scale| *scale != 0.0);
    scores.causal = node.flag("unidirectional", false).then(|| keys.clone() - cx.dims(&heads.query)[2].clone());
    if let Some(mask) = node.optional(mask)? {
        scores.biases.push(key_mask(cx, mask, &keys, dtype, hidden)?);
    }
    scores.biases.extend(node.optional(bias)?.cloned());
    Ok(scores)
}

/// Attention with the projections to queries, keys and values as one matrix.
fn projected_attention(cx: &mut Importer, node: &Node) -> Results {
    if node.optional(4)?.is_some() {
        return unsupported("attention with earlier keys in one tensor is not supported");
    }
    let count = node.int("num_heads", 0);
    if cx.rank(node.input(0)?) != 3 {
        return invalid(format!("an input of type {}; three axes are expected", cx.ty(node.input(0)?)));
    }
    let mut projected = cx.matmul(node.input(0)?, node.input(1)?)?;
    if let Some(bias) = node.optional(2)? {
        projected = cx.add(&projected, bias)?;
    }
    let width = cx.dims(&projected)[2].clone();
    let third = width.floor_div(3);
    let widths = match node.ints("qkv_hidden_sizes").filter(|sizes| !sizes.is_empty()) {
        Some(sizes) => sizes.into_iter().map(Dim::constant).collect(),
        None => vec![third; 3],
    };
    let mut start = Dim::default();
    let mut parts = Vec::new();
    for width in widths {
        let part = cx.slice_axis(&projected, 2, AxisSlice::new(start.clone(), width.clone()))?;
        parts.push(split_heads(cx, &part, count)?);
        start = start + width;
    }
    cx.unify(&start, &width, "the widths of queries, keys and values")?;
    let Ok([query, key, value]) = <[Operand; 3]>::try_from(parts) else { return invalid("three widths are expected") };
    let heads = Heads { query, key, value };
    let scores = masked_scores(cx, node, &heads, 3, 5)?;
    let result = attend(cx, &heads, &scores)?;
    one(join_heads(cx, &result)?)
}

fn multi_head_attention(cx: &mut Importer, node: &Node) -> Results {
    let count = node.int("num_heads", 0);
    let mut inputs = Vec::new();
    let bias = node.optional(3)?;
    let mut start = Dim::default();
    for position in 0..3 {
        let item = match node.optional(position)? {
            Some(item) => item.clone(),
            None => return unsupported("packed queries, keys and values are not supported"),
        };
        let ty = cx.ty(&item);
        let with_bias = match bias.filter(|_| ty.rank() == 3) {
            Some(bias) => {
                let part = cx.slice_axis(bias, 0, AxisSlice::new(start.clone(), ty.dims[2].clone()))?;
                start = start + ty.dims[2].clone();
                cx.add(&item, &part)?
            }
            None => item,
        };
        inputs.push(split_heads(cx, &with_bias, count)?);
    }
    let Ok([query, key, value]) = <[Operand; 3]>::try_from(inputs) else { return invalid("three operands are expected") };
    let key = with_past(cx, node.optional(6)?, &key)?;
    let value = with_past(cx, node.optional(7)?, &value)?;
    let heads = Heads { query, key, value };
    let scores = masked_scores(cx, node, &heads, 4, 5)?;
    let result = attend(cx, &heads, &scores)?;
    Ok(vec![join_heads(cx, &result)?, heads.key, heads.value])
}

/// Cosines or sines for each position, [batch or 1, 1, positions, size].
fn angles(cx: &mut Importer, cache: &Operand, positions: Option<&Operand>, count: &Dim) -> NodeResult<Operand> {
    let mut wide = match positions {
        None => cache.clone(),
        Some(positions) => {
            let positions = every_position(cx, positions, count)?;
            cx.op(Op::Gather, Attrs::new().with("axis", 0), &[cache, &positions])?
        }
    };
    let dims = cx.dims(&wide);
    if dims.len() != 3 {
        return invalid(format!("a cache of angles of shape {:?} does not fit the positions", cx.dims(cache)));
    }
    wide = cx.reshape(&wide, &[dims[0].clone(), 1.into(), dims[1].clone(), dims[2].clone()])?;
    Ok(wide)
}

/// Positions [batch, count]; a single number is that of the first one.
fn every_position(cx: &mut Importer, given: &Operand, count: &Dim) -> NodeResult<Operand> {
    if cx.rank(given) == 2 {
        return Ok(given.clone());
    }
    let start = cx.cast(given, DType::I64)?;
    let start = cx.reshape(&start, &[1.into(), 1.into()])?;
    let places = cx.iota(DType::I64, &[1.into(), count.clone()], 1)?;
    cx.add(&start, &places)
}

/// Rotates pairs of elements; `places` are the operands for positions, cosines and sines.
fn rotary(cx: &mut Importer, node: &Node, places: [usize; 3]) -> Results {
    let x = node.input(0)?;
    let flat = cx.rank(x) == 3;
    let [positions, cosines, sines] = places;
    let (cosines, sines) = (node.input(cosines)?, node.input(sines)?);
    let half = cx.dims(cosines).last().and_then(Dim::as_constant);
    let Some(half) = half else { return unsupported("the size of the rotated part must be fixed") };
    let count = match (node.int("num_heads", 0), flat) {
        (0, true) => cx.dims(x)[2].as_constant().map_or(0, |width| width / (2 * half).max(1)),
        (count, _) => count,
    };
    let heads = split_heads(cx, x, count)?;
    let steps = cx.dims(&heads)[2].clone();
    let positions = node.optional(positions)?;
    let cosines = angles(cx, cosines, positions, &steps)?;
    let sines = angles(cx, sines, positions, &steps)?;
    let rotated = rotate(cx, &heads, &cosines, &sines, node.flag("interleaved", false))?;
    one(if flat { join_heads(cx, &rotated)? } else { rotated })
}

fn rotate(cx: &mut Importer, x: &Operand, cosines: &Operand, sines: &Operand, interleaved: bool) -> NodeResult<Operand> {
    let (dims, half) = (cx.dims(x), cx.dims(cosines)[3].clone());
    let size = half.clone() * 2.into();
    if size.prove_le(&dims[3]) != Some(true) {
        return Err(NodeError::Invalid(format!("{size} elements are to be rotated of {}", dims[3])));
    }
    let part = |start: Dim| AxisSlice { start, size: half.clone(), step: if interleaved { 2 } else { 1 } };
    let first = cx.slice_axis(x, 3, part(0.into()))?;
    let second = cx.slice_axis(x, 3, part(if interleaved { 1.into() } else { half.clone() }))?;
    let (a, b) = (cx.mul(&first, cosines)?, cx.mul(&second, sines)?);
    let (c, d) = (cx.mul(&first, sines)?, cx.mul(&second, cosines)?);
    let pair = [cx.sub(&a, &b)?, cx.add(&c, &d)?];
    let rotated = if interleaved {
        let pairs = cx.stack(&pair, 4)?;
        cx.merge_axes(&pairs, 3, 5)?
    } else {
        cx.concat(&pair, 3)?
    };
    let rest = cx.slice_axis(x, 3, AxisSlice::new(size.clone(), dims[3].clone() - size.clone()))?;
    if size == dims[3] { Ok(rotated) } else { cx.concat(&[rotated, rest], 3) }
}
