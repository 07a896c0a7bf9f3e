//! Elementwise ops.

use super::{broadcast, check_dtype, from_i128, to_i128, zip_map};
use crate::compute::{Body, Compute, Step, StepId, broadcast_coords};
use crate::ops::{Op, TypeError, invalid};
use crate::scalar::{BinaryOp, UnaryOp};
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// The type of an elementwise result with operands of one type, which is one of `allowed`.
pub(in crate::ops) fn infer_elementwise(op: Op, operands: &[&TensorType], allowed: &[DType]) -> Result<TensorType, TypeError> {
    let dtype = operands[0].dtype;
    check_dtype(op, dtype, allowed)?;
    if operands.iter().any(|ty| ty.dtype != dtype) {
        return Err(invalid(op, "operands must have the same element type"));
    }
    Ok(TensorType { dtype, dims: broadcast(op, operands)? })
}

/// The type of a comparison or test: bool, with operands as for [`infer_elementwise`].
pub(in crate::ops) fn infer_test(op: Op, operands: &[&TensorType], allowed: &[DType]) -> Result<TensorType, TypeError> {
    Ok(TensorType { dtype: DType::Bool, ..infer_elementwise(op, operands, allowed)? })
}

/// The compute of an elementwise op whose scalar function is `apply`.
pub(in crate::ops) fn lower_elementwise(
    operands: &[&TensorType],
    output: &TensorType,
    apply: impl FnOnce(&mut Body, &[StepId]) -> StepId,
) -> Option<Compute> {
    Some(Compute::map(operands, output, |body, coords| {
        let load = |(i, ty): (usize, &&TensorType)| body.load(i as u32, broadcast_coords(ty, coords));
        let loads: Vec<StepId> = operands.iter().enumerate().map(load).collect();
        apply(body, &loads);
    }))
}

/// Lowers to one unary scalar operation.
pub(in crate::ops) fn lower_unary(op: UnaryOp, operands: &[&TensorType], output: &TensorType) -> Option<Compute> {
    lower_elementwise(operands, output, |body, loads| body.unary(op, loads[0]))
}

/// Lowers to one binary scalar operation.
pub(in crate::ops) fn lower_binary(op: BinaryOp, operands: &[&TensorType], output: &TensorType) -> Option<Compute> {
    lower_elementwise(operands, output, |body, loads| body.binary(op, loads[0], loads[1]))
}

/// Lowers a function of one float that `apply` composes of several steps, in f32 where the type is narrower.
pub(in crate::ops) fn lower_composite(
    operands: &[&TensorType],
    output: &TensorType,
    apply: impl FnOnce(&mut Composite, StepId) -> StepId,
) -> Option<Compute> {
    let dtype = super::accumulator(output.dtype);
    lower_elementwise(operands, output, |body, loads| {
        let x = super::cast(body, output.dtype, dtype, loads[0]);
        let result = apply(&mut Composite { body, dtype }, x);
        super::cast(body, dtype, output.dtype, result)
    })
}

/// Composes the steps of a function of one float.
pub(in crate::ops) struct Composite<'a> {
    body: &'a mut Body,
    dtype: DType,
}

impl Composite<'_> {
    /// A constant.
    pub(in crate::ops) fn float(&mut self, value: f64) -> StepId {
        self.body.float(self.dtype, value)
    }

    /// An operation on one value.
    pub(in crate::ops) fn unary(&mut self, op: UnaryOp, x: StepId) -> StepId {
        self.body.unary(op, x)
    }

    /// An operation on two values.
    pub(in crate::ops) fn binary(&mut self, op: BinaryOp, x: StepId, y: StepId) -> StepId {
        self.body.binary(op, x, y)
    }

    /// An operation on a value and a constant.
    pub(in crate::ops) fn with(&mut self, op: BinaryOp, x: StepId, constant: f64) -> StepId {
        let constant = self.float(constant);
        self.body.binary(op, x, constant)
    }

    /// `x` brought into `low..=high`.
    pub(in crate::ops) fn clip(&mut self, x: StepId, low: f64, high: f64) -> StepId {
        let raised = self.with(BinaryOp::Max, x, low);
        self.with(BinaryOp::Min, raised, high)
    }

    /// `negative` where `x < 0`, else `otherwise`.
    pub(in crate::ops) fn if_negative(&mut self, x: StepId, negative: StepId, otherwise: StepId) -> StepId {
        let test = self.with(BinaryOp::Lt, x, 0.0);
        self.body.push(Step::Select(test, negative, otherwise))
    }
}

/// Evaluates a function of one float.
pub(in crate::ops) fn eval_unary_f64(operands: &[&Tensor], output: &TensorType, apply: impl Fn(f64) -> f64) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let values: Vec<f64> = operands[0].to_f64().into_iter().map(apply).collect();
    Tensor::from_f64(output.dtype, &shape, &values)
}

/// Evaluates a function of one float or integer; bools count as integers.
pub(in crate::ops) fn eval_unary(
    operands: &[&Tensor],
    output: &TensorType,
    float: impl Fn(f64) -> f64,
    int: impl Fn(i128) -> i128,
) -> Option<Tensor> {
    if operands[0].dtype().is_float() {
        return eval_unary_f64(operands, output, float);
    }
    let values: Vec<i128> = to_i128(operands[0]).into_iter().map(int).collect();
    from_i128(output.dtype, &output.static_shape()?, &values)
}

/// Evaluates a function of two floats or two integers; bools count as integers.
pub(in crate::ops) fn eval_binary(
    operands: &[&Tensor],
    output: &TensorType,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i128, i128) -> i128,
) -> Option<Tensor> {
    let (x, y) = (operands[0], operands[1]);
    let shape = output.static_shape()?;
    if x.dtype().is_float() {
        let values = zip_map([(x.shape(), &x.to_f64()), (y.shape(), &y.to_f64())], &shape, |[x, y]| float(x, y));
        return Tensor::from_f64(output.dtype, &shape, &values);
    }
    let values = zip_map([(x.shape(), &to_i128(x)), (y.shape(), &to_i128(y))], &shape, |[x, y]| int(x, y));
    from_i128(output.dtype, &shape, &values)
}

/// Evaluates a comparison of two floats or two integers.
pub(in crate::ops) fn eval_test(
    operands: &[&Tensor],
    output: &TensorType,
    float: impl Fn(f64, f64) -> bool,
    int: impl Fn(i128, i128) -> bool,
) -> Option<Tensor> {
    let (float, int) = (|x, y| f64::from(float(x, y)), |x, y| i128::from(int(x, y)));
    eval_binary(operands, output, float, int)
}
