use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::Compute;
use crate::dim::{Dim, product};
use crate::random::Random;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "reshape",
    doc: "The same elements in the same order with other sizes.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::DIMS],
    class: Class::Movement,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Nothing,
    infer,
    eval: |operands, _, output| operands[0].clone().reshaped(&output.static_shape()?),
    lower: |operands, _, output| {
        Some(Compute::map(operands, output, |body, coords| {
            body.load(0, source(&operands[0].dims, &output.dims, coords));
        }))
    },
    sample,
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, dims) = (operands[0], attrs.dims("dims"));
    common::check_sizes(Op::Reshape, dims)?;
    if x.element_count().prove_eq(&product(dims)) == Some(false) {
        return Err(invalid(Op::Reshape, format!("{x} and {dims:?} hold different numbers of elements")));
    }
    Ok(TensorType { dtype: x.dtype, dims: dims.to_vec() })
}

/// The coordinates in dims `from` of the element at `coords` in dims `to`. Runs of dims with equal products are mapped on
/// their own, so that the coordinates stay simple.
fn source(from: &[Dim], to: &[Dim], coords: &[Dim]) -> Vec<Dim> {
    let (mut result, mut start) = (Vec::new(), (0, 0));
    for end in common_ends(from, to) {
        result.extend(split(&from[start.0..end.0], flatten(&to[start.1..end.1], &coords[start.1..end.1])));
        start = end;
    }
    result
}

/// The pairs of positions at which the products of the dims before them are equal, ascending; the last pair is both ends.
fn common_ends(from: &[Dim], to: &[Dim]) -> Vec<(usize, usize)> {
    let (left, right) = (prefix_products(from), prefix_products(to));
    let mut ends: Vec<(usize, usize)> = Vec::new();
    let mut next = 0;
    for (i, product) in left.iter().enumerate() {
        if let Some(j) = (next..right.len()).find(|j| right[*j] == *product) {
            ends.push((i + 1, j + 1));
            next = j + 1;
        }
    }
    ends.retain(|end| *end != (from.len(), to.len()) && end.0 < from.len() && end.1 < to.len());
    ends.push((from.len(), to.len()));
    ends
}

fn prefix_products(dims: &[Dim]) -> Vec<Dim> {
    let mut total = Dim::constant(1);
    dims.iter()
        .map(|dim| {
            total = total.clone() * dim.clone();
            total.clone()
        })
        .collect()
}

fn flatten(dims: &[Dim], coords: &[Dim]) -> Dim {
    dims.iter().zip(coords).fold(Dim::default(), |flat, (dim, coord)| flat * dim.clone() + coord.clone())
}

/// The coordinates of element `flat` in `dims`.
fn split(dims: &[Dim], flat: Dim) -> Vec<Dim> {
    let mut rest = flat;
    let mut coords = Vec::new();
    let outer = dims.iter().position(|dim| !dim.is(1)).unwrap_or(0);
    for (axis, dim) in dims.iter().enumerate().rev() {
        coords.push(match (dim.is(1), axis <= outer) {
            (true, _) => 0.into(),
            (false, true) => rest.clone(),
            (false, false) => rest.modulo(dim.clone()),
        });
        rest = rest.floor_div(dim.clone());
    }
    coords.reverse();
    coords
}

fn sample(random: &mut Random) -> Sample {
    let x = common::sample_type(random, (0, 4), common::ANY);
    let mut dims: Vec<i64> = x.dims.iter().filter_map(Dim::as_constant).collect();
    for _ in 0..random.int(0, 3) {
        let at = random.size(0, dims.len());
        match random.int(0, 2) {
            0 => dims.insert(at, 1),
            1 if at + 1 < dims.len() => {
                let merged = dims.remove(at) * dims[at];
                dims[at] = merged;
            }
            _ if at < dims.len() && dims[at] == 4 => {
                dims[at] = 2;
                dims.insert(at, 2);
            }
            _ => dims.reverse(),
        }
    }
    let dims: Vec<Dim> = dims.into_iter().map(Dim::constant).collect();
    Sample { operands: vec![x], attrs: Attrs::new() }.with("dims", dims)
}
