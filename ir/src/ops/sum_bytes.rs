use super::{Class, Op, OpDef, Operands, Sample, Tolerance, families, invalid};
use crate::attrs::Attrs;
use crate::compute::{Axis, Body, Compute, Reduction, Step, axes};
use crate::dim::Dim;
use crate::graph::TypeError;
use crate::scalar::ReduceOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// A word of four bytes that are 1.
const ONES: i64 = 0x0101_0101;

pub(super) const DEF: OpDef = OpDef {
    name: "sum_bytes",
    doc: "The sum of all signed bytes of `x[.., words]` u32 along the last axis, which stays with size 1, as i32.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Exact,
    infer,
    eval: |operands, _, output| {
        let (x, shape): (&[u32], _) = (operands[0].as_slice(), output.static_shape()?);
        let words = operands[0].shape().last().copied()?;
        let sum = |word: &u32| word.to_le_bytes().iter().map(|byte| i32::from(*byte as i8)).sum::<i32>();
        let row = |row: usize| Some(x.get(row * words..(row + 1) * words)?.iter().map(sum).fold(0, i32::wrapping_add));
        let sums: Vec<i32> = (0..crate::tensor::element_count(&shape)?).map(row).collect::<Option<_>>()?;
        Tensor::from_slice(DType::I32, &shape, &sums)
    },
    lower,
    sample: |random| {
        let operand = families::sample_type(random, (1, 3), &[DType::U32]);
        Sample { operands: vec![operand], attrs: Attrs::new() }
    },
};

fn infer(operands: &[&TensorType], _: &Attrs) -> Result<TensorType, TypeError> {
    families::check_dtype(Op::SumBytes, operands[0].dtype, &[DType::U32])?;
    let Some((_, outer)) = operands[0].dims.split_last() else {
        return Err(invalid(Op::SumBytes, "a scalar has no axis to sum along"));
    };
    Ok(TensorType { dtype: DType::I32, dims: [outer, &[Dim::constant(1)]].concat() })
}

fn lower(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Option<Compute> {
    let words = operands[0].dims.last()?;
    let outer = axes("o", &output.dims);
    let word = Axis::new("%r0", words);
    let coords: Vec<Dim> = outer.iter().map(Axis::dim).collect();
    let mut value = Body::default();
    let at = coords.iter().rev().skip(1).rev().cloned().chain([word.dim()]).collect();
    let bytes = value.load(0, at);
    let ones = value.push(Step::Int(DType::U32, ONES));
    let zero = value.push(Step::Int(DType::I32, 0));
    value.push(Step::Dot4(ones, bytes, zero));
    let mut result = Body::default();
    result.push(Step::Reduced);
    Some(Compute {
        inputs: vec![operands[0].clone()],
        output: output.clone(),
        axes: outer,
        coords,
        reduction: Some(Reduction { op: ReduceOp::Sum, dtype: DType::I32, axes: vec![word], value }),
        result,
    })
}
