use super::common::{self, Window};
use super::{Class, Op, OpDef, Operands, Tolerance, Work};
use crate::attrs::Attrs;
use crate::compute::Compute;
use crate::number::{Number, int_range, maximum};
use crate::scalar::ReduceOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "max_pool",
    doc: "The largest element of each window; padding does not count.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::KERNEL, common::STRIDES, common::DILATIONS, common::BEFORE, common::AFTER, common::CHANNELS_LAST],
    class: Class::Window,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Window,
    infer: |operands, attrs| common::infer_pool(Op::MaxPool, operands[0], attrs, common::NUMERIC),
    eval,
    lower,
    sample: |random| common::sample_pool(random, common::NUMERIC),
};

/// The value of a window without elements.
fn lowest(dtype: DType) -> Number {
    if dtype.is_float() { Number::Float(dtype, f64::NEG_INFINITY) } else { Number::int(dtype, int_range(dtype).0) }
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let window = Window::new(attrs.ints("kernel"), attrs);
    let start = lowest(output.dtype);
    if output.dtype.is_float() {
        return common::eval_pool(operands[0], &window, output, |values: &[f64], taps| {
            taps.iter().fold(start.as_f64(), |best, tap| maximum(best, values[*tap]))
        });
    }
    let unsigned = output.dtype == DType::U64;
    common::eval_pool(operands[0], &window, output, |values: &[i64], taps| {
        let flip = |value: i64| if unsigned { value ^ i64::MIN } else { value };
        let start = start.to_bits() as i64;
        taps.iter().fold(start, |best, tap| if flip(values[*tap]) > flip(best) { values[*tap] } else { best })
    })
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let window = Window::new(attrs.ints("kernel"), attrs);
    common::lower_pool(&window, operands[0], output, ReduceOp::Max, lowest(output.dtype), |_, _, max| max)
}
