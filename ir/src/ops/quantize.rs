use super::{Class, Op, OpDef, Operands, Sample, Tolerance, families, invalid};
use crate::attrs::Attrs;
use crate::compute::{Body, Compute, Step, StepId};
use crate::dim::Dim;
use crate::graph::TypeError;
use crate::number::Number;
use crate::random::Random;
use crate::scalar::{BinaryOp, UnaryOp};
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// Bytes of one word.
const BYTES: i64 = 4;

pub(super) const DEF: OpDef = OpDef {
    name: "quantize",
    doc: "`x[.., n]` f32 divided by `scales[.., groups, 1]` f32, one for each group of neighbours, and rounded to signed bytes, ties to \
          even. Gives words `[.., groups, n / groups / 4]` u32 of four neighbours each, the first in the lowest byte. A group of scale \
          0 gives 0.",
    operands: Operands::Fixed(&["x", "scales"]),
    attrs: &[],
    class: Class::Other,
    commutative: false,
    tolerance: Tolerance::Exact,
    infer,
    eval,
    lower,
    sample,
};

fn infer(operands: &[&TensorType], _: &Attrs) -> Result<TensorType, TypeError> {
    let (x, scales) = (operands[0], operands[1]);
    let problem = || invalid(Op::Quantize, format!("groups of scale {scales} do not divide {x} into words of {BYTES} elements"));
    let ([outer @ .., size], [scale_outer @ .., groups, single]) = (x.dims.as_slice(), scales.dims.as_slice()) else {
        return Err(problem());
    };
    let words = words(size, groups).ok_or_else(problem)?;
    if (x.dtype, scales.dtype) != (DType::F32, DType::F32) || outer != scale_outer || !single.is(1) {
        return Err(problem());
    }
    Ok(TensorType { dtype: DType::U32, dims: [outer, &[groups.clone(), words]].concat() })
}

/// The words of a group.
fn words(size: &Dim, groups: &Dim) -> Option<Dim> {
    let (size, groups) = (size.as_constant()?, groups.as_constant()?);
    let fits = groups > 0 && size % (groups * BYTES) == 0;
    fits.then(|| Dim::constant(size / groups / BYTES))
}

fn eval(operands: &[&Tensor], _: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, scales): (&[f32], &[f32]) = (operands[0].as_slice(), operands[1].as_slice());
    let shape = output.static_shape()?;
    let [.., words] = shape.as_slice() else { return None };
    let word = |(position, values): (usize, &[f32])| {
        let factor = 1.0 / *scales.get(position / words)?;
        let byte = |value: &f32| Some(Number::float(DType::F32, f64::from((value * factor).round_ties_even())).cast(DType::I32).as_i128() as u8);
        let bytes: Vec<u8> = values.iter().map(byte).collect::<Option<_>>()?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let result: Vec<u32> = x.chunks(BYTES as usize).enumerate().map(word).collect::<Option<_>>()?;
    Tensor::from_slice(DType::U32, &shape, &result)
}

fn lower(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Option<Compute> {
    let words = output.dims.last()?.clone();
    Some(Compute::map(operands, output, |body, coords| {
        let [outer @ .., group, word] = coords else { return };
        let scale = body.load(1, [outer, &[group.clone(), Dim::default()]].concat());
        let factor = body.unary(UnaryOp::Recip, scale);
        let first = (group.clone() * words + word.clone()) * BYTES.into();
        let byte = |body: &mut Body, place: i64| {
            let value = body.load(0, [outer, &[first.clone() + place.into()]].concat());
            quant(body, value, factor, place)
        };
        let first = byte(body, 0);
        let word = (1..BYTES).fold(first, |word, place| {
            let next = byte(body, place);
            body.binary(BinaryOp::Or, word, next)
        });
        body.push(Step::Bitcast(DType::U32, word));
    }))
}

/// Appends the rounded quotient as byte `place` of an i32 that is else 0.
fn quant(body: &mut Body, value: StepId, factor: StepId, place: i64) -> StepId {
    let quotient = body.binary(BinaryOp::Mul, value, factor);
    let rounded = body.unary(UnaryOp::Round, quotient);
    let whole = body.push(Step::Cast(DType::I32, rounded));
    let mask = body.push(Step::Int(DType::I32, 0xff));
    let low = body.binary(BinaryOp::And, whole, mask);
    if place == 0 {
        return low;
    }
    let shift = body.push(Step::Int(DType::I32, 1 << (place * 8)));
    body.binary(BinaryOp::Mul, low, shift)
}

fn sample(random: &mut Random) -> Sample {
    let outer = families::sample_dims(random, 1);
    let (groups, words) = (random.int(1, 3), random.int(1, 8));
    let ty = |inner: &[i64]| {
        let inner = inner.iter().map(|size| Dim::constant(*size));
        TensorType { dtype: DType::F32, dims: outer.iter().cloned().chain(inner).collect() }
    };
    Sample { operands: vec![ty(&[groups * words * BYTES]), ty(&[groups, 1])], attrs: Attrs::new() }
}
