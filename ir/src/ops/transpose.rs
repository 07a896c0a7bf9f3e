use super::{AttrSpec, Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::Compute;
use crate::dim::Dim;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "transpose",
    doc: "Axis `i` of the result is axis `perm[i]` of `x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[AttrSpec { name: "perm", kind: AttrKind::Ints, doc: "a permutation of the axes" }],
    class: Class::Movement,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Permutation,
    infer,
    eval,
    lower,
    sample: |random| {
        let x = common::sample_type(random, (0, 4), common::ANY);
        let mut perm: Vec<i64> = (0..x.rank() as i64).collect();
        for i in 0..perm.len() {
            let other = random.size(0, i);
            perm.swap(i, other);
        }
        Sample { operands: vec![x], attrs: Attrs::new().with("perm", perm) }
    },
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, perm) = (operands[0], attrs.ints("perm"));
    common::check_dtype(Op::Transpose, x.dtype, common::ANY)?;
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if sorted.len() != x.rank() || sorted.iter().enumerate().any(|(i, axis)| *axis != i as i64) {
        return Err(invalid(Op::Transpose, format!("{perm:?} is not a permutation of {} axes", x.rank())));
    }
    Ok(TensorType { dtype: x.dtype, dims: perm.iter().map(|axis| x.dims[*axis as usize].clone()).collect() })
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, perm) = (operands[0], attrs.ints("perm"));
    let mut index = vec![0; perm.len()];
    common::eval_move(x, output, |out| {
        for (axis, position) in perm.iter().zip(out) {
            index[*axis as usize] = *position;
        }
        Some(common::offset(x.shape(), &index))
    })
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let perm = attrs.ints("perm");
    Some(Compute::map(operands, output, |body, coords| {
        let mut source = vec![Dim::default(); perm.len()];
        for (axis, coord) in perm.iter().zip(coords) {
            source[*axis as usize] = coord.clone();
        }
        body.load(0, source);
    }))
}
