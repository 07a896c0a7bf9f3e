use super::{Class, Op, OpDef, Operands, Tolerance, TypeError, Work, common};
use crate::attrs::Attrs;
use crate::compute::Step;
use crate::number::Number;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "cast",
    doc: "Conversion to another element type. Float to integer truncates and saturates, NaN gives 0; integers wrap; bool is \
          whether the value is not zero.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::DTYPE],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer,
    eval,
    lower: |operands, _, output| {
        common::lower_elementwise(operands, output, |body, loads| body.push(Step::Cast(output.dtype, loads[0])))
    },
    sample: |random| {
        let dtype = random.pick(common::ANY, DType::F32);
        common::sample_elementwise(random, 1, common::ANY).with("dtype", dtype)
    },
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    common::check_dtype(Op::Cast, attrs.dtype("dtype"), common::ANY)?;
    common::check_dtype(Op::Cast, operands[0].dtype, common::ANY)?;
    Ok(TensorType { dtype: attrs.dtype("dtype"), dims: operands[0].dims.clone() })
}

fn eval(operands: &[&Tensor], _: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, dtype, shape) = (operands[0], output.dtype, output.static_shape()?);
    let numbers: Vec<Number> = if x.dtype().is_float() {
        x.to_f64().into_iter().map(|value| Number::float(dtype, value)).collect()
    } else {
        common::to_i128(x).into_iter().map(|value| Number::int(dtype, value)).collect()
    };
    if dtype.is_float() {
        return Tensor::from_f64(dtype, &shape, &numbers.iter().map(|number| number.as_f64()).collect::<Vec<_>>());
    }
    common::from_i128(dtype, &shape, &numbers.iter().map(|number| number.as_i128()).collect::<Vec<_>>())
}
