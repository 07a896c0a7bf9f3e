use super::{AttrSpec, Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::blocks::{BLOCK_FORMATS, BlockFormat};
use crate::compute::{Body, Compute, Step, StepId};
use crate::dim::Dim;
use crate::panels::{Component, ComponentKind, PANEL_ROWS};
use crate::random::Random;
use crate::scalar::BinaryOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// How an op declares the format of its operands.
pub(super) const ATTRS: &[AttrSpec] = &[common::attr("format", AttrKind::Text, "the name of the block format"), ROWS];

/// How an op declares the rows that panels hold.
pub(super) const ROWS: AttrSpec = common::attr("rows", AttrKind::Int, "the rows, without those that fill up the last panel");

pub(super) const DEF: OpDef = OpDef {
    name: "dequantize",
    doc: "The values of a tensor of a block format, given as the components that `BlockFormat::split` returns.",
    operands: Operands::Variadic("components"),
    attrs: ATTRS,
    class: Class::Decode,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Assembly,
    infer: |operands, attrs| decoded_type(Op::Dequantize, operands, attrs),
    eval,
    lower,
    sample,
};

/// The block format that the attributes of an op name.
pub(super) fn format(op: Op, attrs: &Attrs) -> Result<&'static BlockFormat, TypeError> {
    let found = BLOCK_FORMATS.iter().find(|format| format.name == attrs.text("format"));
    found.ok_or_else(|| invalid(op, format!("there is no block format `{}`", attrs.text("format"))))
}

/// The type of the values that these components stand for, for an op whose attributes name format and rows.
pub(super) fn decoded_type(op: Op, operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let error = |problem: String| invalid(op, problem);
    let format = format(op, attrs)?;
    let (components, rows) = (format.components(), Dim::constant(attrs.int("rows")));
    let dims = operands.first().map_or(&[] as &[Dim], |first| first.dims.as_slice());
    let (Some(first), [outer @ .., _, elements, _]) = (components.first(), dims) else {
        return Err(error(format!("a tensor of {dims:?} is not a component of a block tensor")));
    };
    let depth = elements.clone() * Dim::constant(first.per as i64);
    let component = |component: &Component| {
        let dims = [rows.ceil_div(PANEL_ROWS as i64), depth.floor_div(component.per as i64), Dim::constant(PANEL_ROWS as i64)];
        TensorType { dtype: component.dtype, dims: [outer, &dims].concat() }
    };
    let expected: Vec<TensorType> = components.iter().map(component).collect();
    if attrs.int("rows") < 0 || !depth.is_multiple_of(format.values.into()) || !expected.iter().eq(operands.iter().copied()) {
        let list = |types: &mut dyn Iterator<Item = &TensorType>| types.map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (given, expected) = (list(&mut operands.iter().copied()), list(&mut expected.iter()));
        return Err(error(format!("`{}` needs {expected}; given are {given}", format.name)));
    }
    Ok(TensorType { dtype: DType::F32, dims: [outer, &[rows, depth]].concat() })
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (format, shape) = (format(Op::Dequantize, attrs).ok()?, output.static_shape()?);
    let (components, count) = (format.components(), crate::tensor::element_count(&shape)?);
    let values: Option<Vec<f64>> =
        (0..count).map(|position| value(format, &components, operands, &shape, position).map(f64::from)).collect();
    Tensor::from_f64(DType::F32, &shape, &values?)
}

/// The value at a row-major position.
fn value(format: &BlockFormat, components: &[Component], operands: &[&Tensor], shape: &[usize], position: usize) -> Option<f32> {
    let [.., rows, depth] = shape else { return None };
    let (row, at) = (position / depth, position % depth);
    let (outer, row) = (row / rows, row % rows);
    let (mut code, mut scale, mut min) = (0u32, None, None);
    for (component, tensor) in components.iter().zip(operands) {
        let panel = outer * rows.div_ceil(PANEL_ROWS) + row / PANEL_ROWS;
        let element = tensor.element((panel * (depth / component.per) + at / component.per) * PANEL_ROWS + row % PANEL_ROWS)?;
        let times = |product: Option<f32>| Some(product.unwrap_or(1.0) * element.as_f64() as f32);
        match component.kind {
            ComponentKind::Codes { to, width } => {
                code |= (element.as_f64() as u32 >> component.shift(at % component.per) & ((1 << width) - 1)) << to;
            }
            ComponentKind::Scale(_) => scale = times(scale),
            ComponentKind::Min(_) => min = times(min),
        }
    }
    let scaled = scale? * (i64::from(code) - i64::from(format.code_zero())) as f32;
    let min = min.map(|min| if format.min_is_negated() { -min } else { min });
    Some(min.map_or(scaled, |min| scaled + min))
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let format = format(Op::Dequantize, attrs).ok()?;
    Some(Compute::map(operands, output, |body, coords| {
        let [outer @ .., row, at] = coords else { return };
        let components = format.components();
        let element = |body: &mut Body, input: usize| {
            let (panel, lane) = (row.floor_div(PANEL_ROWS as i64), row.modulo(Dim::constant(PANEL_ROWS as i64)));
            body.load(input as u32, [outer, &[panel, at.floor_div(components[input].per as i64), lane]].concat())
        };
        let factors: Vec<StepId> =
            (0..components.len()).map(|input| factor(body, &components[input], at, &|body| element(body, input))).collect();
        combine(body, format, &components, &factors);
    }))
}

/// Appends what a component contributes to the value at `at`: bits of the code as i32, or a factor as f32.
fn factor(body: &mut Body, component: &Component, at: &Dim, load: &dyn Fn(&mut Body) -> StepId) -> StepId {
    let element = load(body);
    let ComponentKind::Codes { to, width } = component.kind else { return body.push(Step::Cast(DType::F32, element)) };
    let within = at.modulo(Dim::constant(component.per as i64));
    let shift = at.modulo(Dim::constant(4)) * Dim::constant(8) + within.floor_div(4) * Dim::constant(width.into());
    let shift = body.push(Step::Index(shift, DType::U32));
    let shifted = body.binary(BinaryOp::ShiftRight, element, shift);
    let mask = body.push(Step::Int(DType::U32, (1 << width) - 1));
    let bits = body.binary(BinaryOp::And, shifted, mask);
    let bits = body.push(Step::Cast(DType::I32, bits));
    if to == 0 {
        return bits;
    }
    let factor = body.push(Step::Int(DType::I32, 1 << to));
    body.binary(BinaryOp::Mul, bits, factor)
}

/// Appends `scale * code - scale * zero + min`, whose first product is exact but for formats with several factors.
fn combine(body: &mut Body, format: &BlockFormat, components: &[Component], factors: &[StepId]) {
    let of = |wanted: fn(&ComponentKind) -> bool| -> Vec<StepId> {
        components.iter().zip(factors).filter(|(component, _)| wanted(&component.kind)).map(|(_, step)| *step).collect()
    };
    let (codes, scales) =
        (of(|kind| matches!(kind, ComponentKind::Codes { .. })), of(|kind| matches!(kind, ComponentKind::Scale(_))));
    let mins = of(|kind| matches!(kind, ComponentKind::Min(_)));
    let fold = |body: &mut Body, op: BinaryOp, steps: &[StepId]| {
        let (first, rest) = steps.split_first()?;
        Some(rest.iter().fold(*first, |total, step| body.binary(op, total, *step)))
    };
    let Some((code, scale)) = fold(body, BinaryOp::Add, &codes).zip(fold(body, BinaryOp::Mul, &scales)) else { return };
    let min = fold(body, BinaryOp::Mul, &mins);
    let code = body.push(Step::Cast(DType::F32, code));
    let offset = (format.code_zero() != 0).then(|| {
        let zero = body.float(DType::F32, f64::from(format.code_zero()));
        body.binary(BinaryOp::Mul, scale, zero)
    });
    let scaled = body.binary(BinaryOp::Mul, scale, code);
    let scaled = offset.map_or(scaled, |offset| body.binary(BinaryOp::Sub, scaled, offset));
    if let Some(min) = min {
        body.binary(if format.min_is_negated() { BinaryOp::Sub } else { BinaryOp::Add }, scaled, min);
    }
}

fn sample(random: &mut Random) -> Sample {
    let format = sample_format(random);
    sample_components(random, format)
}

/// A block format.
pub(super) fn sample_format(random: &mut Random) -> &'static BlockFormat {
    &BLOCK_FORMATS[random.size(0, BLOCK_FORMATS.len() - 1)]
}

/// The components of a small tensor of a format, and the attributes that describe it.
pub(super) fn sample_components(random: &mut Random, format: &BlockFormat) -> Sample {
    let mut outer = common::sample_type(random, (1, 2), &[DType::F32]).dims;
    let (rows, blocks) = (random.int(0, 20), random.int(0, 1));
    let depth = blocks * i64::from(format.values);
    outer.push(Dim::constant(rows).ceil_div(PANEL_ROWS as i64));
    let operand = |component: &Component| {
        let inner = [Dim::constant(depth / component.per as i64), Dim::constant(PANEL_ROWS as i64)];
        TensorType { dtype: component.dtype, dims: [outer.as_slice(), &inner].concat() }
    };
    let operands = format.components().iter().map(operand).collect();
    Sample { operands, attrs: Attrs::new() }.with("format", format.name).with("rows", rows)
}
