use super::dequantize::{ATTRS, decoded_type, format, sample_components, sample_format};
use super::pack_bytes::BYTES;
use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::blocks::BlockFormat;
use crate::compute::{Axis, Body, Compute, Reduction, Step, StepId, axes, broadcast_coords};
use crate::dim::Dim;
use crate::panels::{Component, ComponentKind, PANEL_ROWS};
use crate::random::Random;
use crate::scalar::{BinaryOp, ReduceOp, UnaryOp};
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// The operands before the components of the matrix: words, scales, sums.
const QUANTIZED: usize = 3;

pub(super) const DEF: OpDef = OpDef {
    name: "block_matmul",
    doc: "Matrix products of a quantized `x[.., m, k]` with the transpose of a tensor `[.., n, k]` of a block format; leading dims are equal, \
          or 1 and broadcast. Operands are words of four signed bytes of `x` each, for each group of the format its scale in `x` and the \
          sum of its bytes, and the components of the other. Products of a group are summed as integers.",
    operands: Operands::Variadic("words, scales, sums, components"),
    attrs: ATTRS,
    class: Class::Contraction,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::MultiplyAdds(multiply_adds),
    infer,
    eval,
    lower,
    sample,
};

/// A word holds several bytes of `x`.
fn multiply_adds(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Vec<Dim> {
    let depth = operands[0].dims.iter().rev().take(2).cloned();
    output.dims.iter().cloned().chain(depth).chain([Dim::constant(BYTES)]).collect()
}

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let problem = |what: &str| invalid(Op::BlockMatMul, what.to_string());
    let (Some([words, scales, sums]), Some(components)) = (operands.get(..QUANTIZED), operands.get(QUANTIZED..)) else {
        return Err(problem("words, scales, sums and components are needed"));
    };
    let format = format(Op::BlockMatMul, attrs)?;
    let matrix = decoded_type(Op::BlockMatMul, components, attrs)?;
    let [outer @ .., rows, depth] = matrix.dims.as_slice() else { return Err(problem("the matrix has no depth")) };
    let [lead @ .., m, groups, _] = words.dims.as_slice() else { return Err(problem("words have no groups")) };
    let expect =
        |dtype: DType, size: i64| TensorType { dtype, dims: [lead, &[m.clone(), groups.clone(), Dim::constant(size)]].concat() };
    let per_group = i64::from(format.group);
    let expected = [expect(DType::U32, per_group / BYTES), expect(DType::F32, 1), expect(DType::I32, 1)];
    if [*words, *scales, *sums] != expected.each_ref() || groups.clone() * per_group.into() != *depth || lead.len() != outer.len()
    {
        let [words, scales, sums] = &expected;
        return Err(problem(&format!("{matrix} needs as many groups of words {words}, scales {scales} and sums {sums}")));
    }
    let leading = |dims: &[Dim]| TensorType { dtype: DType::F32, dims: dims.to_vec() };
    let mut dims = common::broadcast(Op::BlockMatMul, &[&leading(lead), &leading(outer)])?;
    dims.extend([m.clone(), rows.clone()]);
    Ok(TensorType { dtype: DType::F32, dims })
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let ([words, scales, sums], components) = operands.split_first_chunk::<QUANTIZED>()?;
    let format = format(Op::BlockMatMul, attrs).ok()?;
    let without_codes: Vec<Tensor> = format
        .components()
        .iter()
        .zip(components)
        .map(|(component, tensor)| zero_codes(component, tensor))
        .collect::<Option<_>>()?;
    let matrix = decode(components, attrs)?;
    let zeros = decode(&without_codes.iter().collect::<Vec<_>>(), attrs)?;
    let (values, zeros) = (matrix.to_f64(), zeros.to_f64());
    let (bytes, scales, sums) = (bytemuck::cast_slice(words.as_slice::<u32>()), scales.to_f64(), sums.to_f64());
    let (shape, group, depth) = (output.static_shape()?, format.group as usize, *matrix.shape().last()?);
    let product = |row: usize, column: usize, at: usize| {
        let (x, y): (&[i8], &[f64]) =
            (bytes.get(row * depth + at..)?.get(..group)?, values.get(column * depth + at..)?.get(..group)?);
        let missing = sums.get((row * depth + at) / group)? - x.iter().map(|x| f64::from(*x)).sum::<f64>();
        let known: f64 = x.iter().zip(y).map(|(x, y)| f64::from(*x) * y).sum();
        Some(scales.get((row * depth + at) / group)? * (known + missing * zeros.get(column * depth + at)?))
    };
    let mut result = Vec::new();
    let (batch, size) = (shape.len() - 2, [shape[shape.len() - 2], shape[shape.len() - 1]]);
    common::for_each_index(&shape[..batch], |index| {
        let row = common::offset(&words.shape()[..batch], index) * size[0];
        let column = common::offset(&matrix.shape()[..batch], index) * size[1];
        for (row, column) in (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| (row + i, column + j))) {
            result.push((0..depth).step_by(group).map(|at| product(row, column, at)).sum::<Option<f64>>());
        }
    });
    Tensor::from_f64(DType::F32, &shape, &result.into_iter().collect::<Option<Vec<_>>>()?)
}

/// The values that these components stand for.
fn decode(components: &[&Tensor], attrs: &Attrs) -> Option<Tensor> {
    let types: Vec<TensorType> = components.iter().map(|component| component.ty()).collect();
    let ty = decoded_type(Op::BlockMatMul, &types.iter().collect::<Vec<_>>(), attrs).ok()?;
    (Op::Dequantize.def().eval)(components, attrs, &ty)
}

/// A component, with all codes 0.
fn zero_codes(component: &Component, tensor: &Tensor) -> Option<Tensor> {
    match component.kind {
        ComponentKind::Codes { .. } => Tensor::zeros(tensor.dtype(), tensor.shape()),
        ComponentKind::Scale(_) | ComponentKind::Min(_) => Some(tensor.clone()),
    }
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let format = format(Op::BlockMatMul, attrs).ok()?;
    let outer = axes("o", &output.dims);
    let coords: Vec<Dim> = outer.iter().map(Axis::dim).collect();
    let [.., groups, _] = operands.first()?.dims.as_slice() else { return None };
    let group = Axis::new("%r0", groups);
    let value = Products { operands, format, coords: &coords, group: group.dim() }.value()?;
    Some(Compute {
        inputs: operands.iter().map(|ty| (*ty).clone()).collect(),
        output: output.clone(),
        axes: outer,
        coords,
        reduction: Some(Reduction { op: ReduceOp::Sum, dtype: DType::F32, axes: vec![group], value, weight: None }),
        result: common::epilogue(DType::F32, |_, sum| sum),
    })
}

/// The products of one group at one element of the output.
struct Products<'a> {
    operands: &'a [&'a TensorType],
    format: &'a BlockFormat,
    coords: &'a [Dim],
    group: Dim,
}

impl Products<'_> {
    /// `scale * x scale * (sum of code * x - zero * sum of x) + min * x scale * sum of x`.
    fn value(&self) -> Option<Body> {
        let mut body = Body::default();
        let x_scale = self.quantized(&mut body, 1, 0)?;
        let sum = self.quantized(&mut body, 2, 0)?;
        let dot = self.dot(&mut body, sum)?;
        let dot = body.push(Step::Cast(DType::F32, dot));
        let scale = self.factors(&mut body, |kind| matches!(kind, ComponentKind::Scale(_)))?;
        let min = self.factors(&mut body, |kind| matches!(kind, ComponentKind::Min(_)));
        let min = min.map(|min| if self.format.min_is_negated() { body.unary(UnaryOp::Neg, min) } else { min });
        let total = min.map(|min| {
            let sum = body.push(Step::Cast(DType::F32, sum));
            let sum = body.binary(BinaryOp::Mul, x_scale, sum);
            body.binary(BinaryOp::Mul, min, sum)
        });
        let scale = body.binary(BinaryOp::Mul, scale, x_scale);
        let scaled = body.binary(BinaryOp::Mul, scale, dot);
        total.map(|total| body.binary(BinaryOp::Add, scaled, total));
        Some(body)
    }

    /// Appends the sum of products of a group with codes, less the zero of codes.
    fn dot(&self, body: &mut Body, sum: StepId) -> Option<StepId> {
        let mut total = body.push(Step::Int(DType::I32, -i64::from(self.format.code_zero())));
        if self.format.code_zero() != 0 {
            total = body.binary(BinaryOp::Mul, sum, total);
        }
        for word in 0..i64::from(self.format.group) / BYTES {
            let codes = self.codes(body, word)?;
            let x = self.quantized(body, 0, word)?;
            total = body.push(Step::Dot4(codes, x, total));
        }
        Some(total)
    }

    /// Appends element `at` of a group of a quantized operand.
    fn quantized(&self, body: &mut Body, operand: usize, at: i64) -> Option<StepId> {
        let [lead @ .., row, _] = self.coords else { return None };
        let coords = [lead, &[row.clone(), self.group.clone(), Dim::constant(at)]].concat();
        Some(body.load(operand as u32, leading(self.operands.get(operand)?, coords, lead.len())))
    }

    /// Appends the codes of four neighbours of a group, in the bytes of a word.
    fn codes(&self, body: &mut Body, word: i64) -> Option<StepId> {
        let at = self.group.clone() * Dim::constant(self.format.group.into()) + (word * BYTES).into();
        let components = self.format.components();
        let planes = components.iter().enumerate().filter_map(|(position, component)| match component.kind {
            ComponentKind::Codes { to, width } => Some((position, component, to, width)),
            ComponentKind::Scale(_) | ComponentKind::Min(_) => None,
        });
        let mut codes = None;
        for (position, component, to, width) in planes {
            let element = self.element(body, position, at.floor_div(component.per as i64))?;
            let shift = at.modulo(Dim::constant(component.per as i64)).floor_div(BYTES) * Dim::constant(width.into());
            let bits = field(body, element, &shift, to, width);
            codes = Some(codes.map_or(bits, |codes| body.binary(BinaryOp::Or, codes, bits)));
        }
        codes
    }

    /// Appends the product of the factors of some kind, as f32.
    fn factors(&self, body: &mut Body, wanted: impl Fn(ComponentKind) -> bool) -> Option<StepId> {
        let components: Vec<Component> = self.format.components();
        let mut product = None;
        for (position, component) in components.iter().enumerate().filter(|(_, component)| wanted(component.kind)) {
            let at = self.group.clone() * Dim::constant(self.format.group.into());
            let factor = self.element(body, position, at.floor_div(component.per as i64))?;
            let factor = body.push(Step::Cast(DType::F32, factor));
            product = Some(product.map_or(factor, |product| body.binary(BinaryOp::Mul, product, factor)));
        }
        product
    }

    /// Appends an element of a component for the column.
    fn element(&self, body: &mut Body, component: usize, element: Dim) -> Option<StepId> {
        let [lead @ .., _, column] = self.coords else { return None };
        let (panel, lane) = (column.floor_div(PANEL_ROWS as i64), column.modulo(Dim::constant(PANEL_ROWS as i64)));
        let ty = self.operands.get(QUANTIZED + component)?;
        Some(body.load((QUANTIZED + component) as u32, leading(ty, [lead, &[panel, element, lane]].concat(), lead.len())))
    }
}

/// Coordinates of which the first `count` are broadcast where the operand has size 1.
fn leading(ty: &TensorType, coords: Vec<Dim>, count: usize) -> Vec<Dim> {
    let broadcast = broadcast_coords(ty, &coords);
    broadcast.into_iter().take(count).chain(coords.into_iter().skip(count)).collect()
}

/// Appends `width` bits of each byte of a word from bit `shift` on, moved to bit `to`.
fn field(body: &mut Body, word: StepId, shift: &Dim, to: u32, width: u32) -> StepId {
    if width == u8::BITS {
        return word;
    }
    let distance = shift.as_constant().map_or_else(|| Step::Index(shift.clone(), DType::U32), |bits| Step::Int(DType::U32, bits));
    let shifted = if distance == Step::Int(DType::U32, 0) {
        word
    } else {
        let distance = body.push(distance);
        body.binary(BinaryOp::ShiftRight, word, distance)
    };
    let mask = body.push(Step::Int(DType::U32, 0x0101_0101 * ((1 << width) - 1)));
    let bits = body.binary(BinaryOp::And, shifted, mask);
    if to == 0 {
        return bits;
    }
    let factor = body.push(Step::Int(DType::U32, 1 << to));
    body.binary(BinaryOp::Mul, bits, factor)
}

fn sample(random: &mut Random) -> Sample {
    let format = sample_format(random);
    let Sample { operands: components, attrs } = sample_components(random, format);
    let matrix = decoded_type(Op::BlockMatMul, &components.iter().collect::<Vec<_>>(), &attrs);
    let dims = matrix.map_or_else(|_| Vec::new(), |matrix| matrix.dims);
    let depth = dims.last().and_then(Dim::as_constant).unwrap_or(0);
    let lead: Vec<Dim> =
        dims.iter().rev().skip(2).rev().map(|size| if random.one_in(3) { 1.into() } else { size.clone() }).collect();
    let rows = Dim::constant(random.int(1, 9));
    let operand = |dtype: DType, size: i64| {
        let inner = [rows.clone(), Dim::constant(depth / i64::from(format.group)), Dim::constant(size)];
        TensorType { dtype, dims: [lead.as_slice(), &inner].concat() }
    };
    let quantized = [operand(DType::U32, i64::from(format.group) / BYTES), operand(DType::F32, 1), operand(DType::I32, 1)];
    Sample { operands: quantized.into_iter().chain(components).collect(), attrs }
}
