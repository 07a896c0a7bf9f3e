use super::{Class, Op, OpDef, Operands, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::Step;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "where",
    doc: "`x` where `condition` holds, `y` elsewhere.",
    operands: Operands::Fixed(&["condition", "x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer,
    eval,
    lower: |operands, _, output| {
        common::lower_elementwise(operands, output, |body, loads| body.push(Step::Select(loads[0], loads[1], loads[2])))
    },
    sample: |random| {
        let mut sample = common::sample_elementwise(random, 3, common::ANY);
        sample.operands[0].dtype = DType::Bool;
        sample
    },
};

fn infer(operands: &[&TensorType], _: &Attrs) -> Result<TensorType, TypeError> {
    let dtype = operands[1].dtype;
    common::check_dtype(Op::Where, dtype, common::ANY)?;
    if operands[0].dtype != DType::Bool || operands[2].dtype != dtype {
        return Err(invalid(Op::Where, "a bool and two tensors of one element type expected"));
    }
    Ok(TensorType { dtype, dims: common::broadcast(Op::Where, operands)? })
}

fn eval(operands: &[&Tensor], _: &Attrs, output: &TensorType) -> Option<Tensor> {
    if output.dtype.is_float() { select::<f64>(operands, output) } else { select::<i64>(operands, output) }
}

fn select<T: common::Element>(operands: &[&Tensor], output: &TensorType) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let (test, x, y) = (T::read(operands[0]), T::read(operands[1]), T::read(operands[2]));
    let parts = [(operands[0].shape(), &test[..]), (operands[1].shape(), &x), (operands[2].shape(), &y)];
    let values = common::zip_map(parts, &shape, |[test, x, y]| if test != T::default() { x } else { y });
    T::write(output.dtype, &shape, &values)
}
