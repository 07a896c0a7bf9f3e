use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Axis, Body, Compute, Reduction, Step, axes};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::scalar::ReduceOp;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "cumsum",
    doc: "Element `i` along `axis` is the sum of the elements up to `i`; integers wrap.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[
        common::AXIS,
        common::attr("exclusive", AttrKind::Bool, "whether element `i` itself is left out"),
        common::attr("reverse", AttrKind::Bool, "whether to sum the elements from `i` on instead"),
    ],
    class: Class::Other,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Operands,
    infer: |operands, attrs| {
        common::check_dtype(Op::Cumsum, operands[0].dtype, common::NUMERIC)?;
        common::axis(Op::Cumsum, operands[0].rank(), attrs)?;
        Ok(operands[0].clone())
    },
    eval: |operands, attrs, output| {
        if output.dtype.is_float() {
            sums::<f64>(operands[0], attrs, output, 1.0)
        } else {
            sums::<i64>(operands[0], attrs, output, 1)
        }
    },
    lower,
    sample: |random| {
        let (exclusive, reverse) = (random.one_in(2), random.one_in(2));
        let sample = common::sample_axis(random, common::NUMERIC);
        sample.with("exclusive", exclusive).with("reverse", reverse)
    },
};

fn sums<T: common::Element>(x: &Tensor, attrs: &Attrs, output: &TensorType, one: T) -> Option<Tensor> {
    let (axis, shape) = (attrs.int("axis") as usize, x.shape());
    let values = T::read(x);
    let mut result = values.clone();
    let step = common::strides(shape)[axis];
    let mut lines = shape.to_vec();
    lines[axis] = shape[axis].min(1);
    common::for_each_index(&lines, |index| {
        let start: usize = index.iter().zip(common::strides(shape)).map(|(i, stride)| i * stride).sum();
        let mut total = T::default();
        for i in 0..shape[axis] {
            let i = if attrs.flag("reverse") { shape[axis] - 1 - i } else { i };
            let before = total;
            total = total.plus_product(values[start + i * step], one);
            result[start + i * step] = if attrs.flag("exclusive") { before } else { total };
        }
    });
    T::write(output.dtype, shape, &result)
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let axis = attrs.int("axis") as usize;
    let outer = axes("o", &output.dims);
    let coords: Vec<Dim> = outer.iter().map(Axis::dim).collect();
    let inner = Axis::new("%r0", &output.dims[axis]);
    let mut source = coords.clone();
    source[axis] = inner.dim();
    let distance = if attrs.flag("reverse") { inner.dim() - coords[axis].clone() } else { coords[axis].clone() - inner.dim() };
    let valid = Cond(vec![distance - i64::from(attrs.flag("exclusive")).into()]);
    let dtype = common::accumulator(output.dtype);
    let mut value = Body::default();
    let x = value.push(Step::Load { input: 0, coords: source, valid, otherwise: 0 });
    common::cast(&mut value, output.dtype, dtype, x);
    Some(Compute {
        inputs: vec![operands[0].clone()],
        output: output.clone(),
        axes: outer,
        coords,
        reduction: Some(Reduction { op: ReduceOp::Sum, dtype, axes: vec![inner], value, weight: None }),
        result: common::epilogue(output.dtype, |_, sum| sum),
    })
}
