use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::{Compute, Step, StepId};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::random::Random;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "concat",
    doc: "The operands one after another along `axis`.",
    operands: Operands::Variadic("parts"),
    attrs: &[common::AXIS],
    class: Class::Concatenation,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Assembly,
    infer,
    eval,
    lower,
    sample,
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let first = operands[0];
    common::check_dtype(Op::Concat, first.dtype, common::ANY)?;
    let axis = common::axis(Op::Concat, first.rank(), attrs)?;
    let mut result = TensorType { dtype: first.dtype, dims: first.dims.clone() };
    for part in &operands[1..] {
        let fits = |i: usize| i == axis || part.dims[i] == first.dims[i];
        if part.dtype != first.dtype || part.rank() != first.rank() || !(0..first.rank()).all(fits) {
            return Err(invalid(Op::Concat, format!("{first} and {part} differ in more than axis {axis}")));
        }
        result.dims[axis] = result.dims[axis].clone() + part.dims[axis].clone();
    }
    Ok(result)
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let axis = attrs.int("axis") as usize;
    let shape = output.static_shape()?;
    let outer: usize = shape[..axis].iter().product();
    let mut result = Tensor::zeros(output.dtype, &shape)?;
    let mut position = 0;
    for row in 0..outer {
        for part in operands {
            let size = part.bytes().len() / outer;
            let bytes = &part.bytes()[row * size..(row + 1) * size];
            result.bytes_mut()[position..position + size].copy_from_slice(bytes);
            position += size;
        }
    }
    Some(result)
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let axis = attrs.int("axis") as usize;
    Some(Compute::map(operands, output, |body, coords| {
        let mut start = Dim::default();
        let mut parts: Vec<(StepId, Dim)> = Vec::new();
        for (input, part) in operands.iter().enumerate() {
            let end = start.clone() + part.dims[axis].clone();
            let mut source = coords.to_vec();
            source[axis] = coords[axis].clone() - start.clone();
            let mut bounds = Cond::within(&coords[axis], &start, &end);
            if input + 1 == operands.len() {
                bounds.0.truncate(1);
            }
            let load = Step::Load { input: input as u32, coords: source, valid: bounds.simplify(), otherwise: 0 };
            parts.push((body.push(load), end.clone()));
            start = end;
        }
        let last = parts.pop();
        parts.into_iter().rev().fold(last.map(|(load, _)| load), |rest, (load, end)| {
            let before_end = Cond(vec![end - coords[axis].clone() - 1.into()]);
            rest.map(|rest| body.push(Step::SelectIf(before_end, load, rest)))
        });
    }))
}

fn sample(random: &mut Random) -> Sample {
    let mut sample = common::sample_axis(random, common::ANY);
    let axis = sample.attrs.int("axis") as usize;
    for _ in 0..random.int(0, 3) {
        let mut part = sample.operands[0].clone();
        part.dims[axis] = Dim::constant(random.int(0, 4));
        sample.operands.push(part);
    }
    sample
}
