use super::{Class, Op, OpDef, Operands, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::{Compute, broadcast_coords};
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "broadcast",
    doc: "`x` repeated along its dims of size 1 to the sizes `dims`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::DIMS],
    class: Class::Movement,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Selection,
    infer,
    eval: |operands, _, output| {
        let shape = operands[0].shape();
        common::eval_move(operands[0], output, |index| Some(common::offset(shape, index)))
    },
    lower: |operands, _, output| {
        Some(Compute::map(operands, output, |body, coords| {
            body.load(0, broadcast_coords(operands[0], coords));
        }))
    },
    sample: |random| {
        let sample = common::sample_elementwise(random, 2, common::ANY);
        let dims = common::broadcast(Op::Broadcast, &sample.operands.iter().collect::<Vec<_>>()).unwrap_or_default();
        super::Sample { operands: sample.operands[..1].to_vec(), ..sample }.with("dims", dims)
    },
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, dims) = (operands[0], attrs.dims("dims"));
    common::check_dtype(Op::Broadcast, x.dtype, common::ANY)?;
    common::check_sizes(Op::Broadcast, dims)?;
    let fits = x.dims.iter().zip(dims).all(|(from, to)| from.is(1) || from == to);
    if !fits || x.rank() != dims.len() {
        return Err(invalid(Op::Broadcast, format!("{x} does not broadcast to {dims:?}")));
    }
    Ok(TensorType { dtype: x.dtype, dims: dims.to_vec() })
}
