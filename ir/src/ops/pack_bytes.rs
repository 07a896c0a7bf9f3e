use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::{Body, Compute, Step};
use crate::dim::Dim;
use crate::scalar::BinaryOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// Bytes of one word.
pub(super) const BYTES: i64 = 4;

pub(super) const DEF: OpDef = OpDef {
    name: "pack_bytes",
    doc: "Words `[.., n / 4]` u32 of four neighbours of `x[.., n]` i8 each, the first in the lowest byte: the same memory.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Reinterpretation,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Nothing,
    infer,
    eval: |operands, _, output| Tensor::from_bytes(DType::U32, &output.static_shape()?, operands[0].bytes()),
    lower,
    sample: |random| {
        let mut operand = common::sample_type(random, (1, 3), &[DType::I8]);
        if let Some(last) = operand.dims.last_mut() {
            *last = last.clone() * BYTES.into();
        }
        Sample { operands: vec![operand], attrs: Attrs::new() }
    },
};

fn infer(operands: &[&TensorType], _: &Attrs) -> Result<TensorType, TypeError> {
    common::check_dtype(Op::PackBytes, operands[0].dtype, &[DType::I8])?;
    let Some((last, outer)) = operands[0].dims.split_last().filter(|(last, _)| last.is_multiple_of(BYTES)) else {
        return Err(invalid(
            Op::PackBytes,
            format!("the last axis of {} does not divide into words of {BYTES} bytes", operands[0]),
        ));
    };
    Ok(TensorType { dtype: DType::U32, dims: [outer, &[last.floor_div(BYTES)]].concat() })
}

fn lower(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Option<Compute> {
    Some(Compute::map(operands, output, |body, coords| {
        let [outer @ .., word] = coords else { return };
        let byte = |body: &mut Body, place: i64| {
            let byte = body.load(0, [outer, &[word.clone() * BYTES.into() + Dim::constant(place)]].concat());
            let wide = body.push(Step::Cast(DType::U32, byte));
            let mask = body.push(Step::Int(DType::U32, 0xff));
            let low = body.binary(BinaryOp::And, wide, mask);
            let shift = body.push(Step::Int(DType::U32, 1 << (8 * place)));
            body.binary(BinaryOp::Mul, low, shift)
        };
        let first = byte(body, 0);
        (1..BYTES).fold(first, |word, place| {
            let next = byte(body, place);
            body.binary(BinaryOp::Or, word, next)
        });
    }))
}
