use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::{Compute, Step};
use crate::dim::Dim;
use crate::panels::PANEL_ROWS;
use crate::random::Random;
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

const LANES: i64 = PANEL_ROWS as i64;

const FLOATS: &[DType] = &[DType::F16, DType::BF16, DType::F32];

pub(super) const DEF: OpDef = OpDef {
    name: "unpack_panels",
    doc: "The values `[.., rows, depth]` f32 of a matrix whose rows lie in panels `[.., panels, depth, 16]`: element `i` of a panel is \
          that of its row `i`, and rows that fill up the last panel are left out. `Tensor::in_panels` makes them.",
    operands: Operands::Fixed(&["panels"]),
    attrs: &[super::dequantize::ROWS],
    class: Class::Decode,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Assembly,
    infer,
    eval,
    lower,
    sample,
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    common::check_dtype(Op::UnpackPanels, operands[0].dtype, FLOATS)?;
    let rows = Dim::constant(attrs.int("rows"));
    match operands[0].dims.as_slice() {
        [outer @ .., panels, depth, lanes] if lanes.is(LANES) && attrs.int("rows") >= 0 && rows.ceil_div(LANES) == *panels => {
            Ok(TensorType { dtype: DType::F32, dims: [outer, &[rows, depth.clone()]].concat() })
        }
        _ => Err(invalid(Op::UnpackPanels, format!("{} does not hold {rows} rows in panels", operands[0]))),
    }
}

fn eval(operands: &[&Tensor], _: &Attrs, output: &TensorType) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let [.., rows, depth] = shape.as_slice() else { return None };
    let value = |position: usize| {
        let (row, at) = (position / depth, position % depth);
        let panel = row / rows * rows.div_ceil(PANEL_ROWS) + row % rows / PANEL_ROWS;
        Some(operands[0].element((panel * depth + at) * PANEL_ROWS + row % rows % PANEL_ROWS)?.as_f64())
    };
    let values: Option<Vec<f64>> = (0..element_count(&shape)?).map(value).collect();
    Tensor::from_f64(DType::F32, &shape, &values?)
}

fn lower(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Option<Compute> {
    Some(Compute::map(operands, output, |body, coords| {
        let [outer @ .., row, at] = coords else { return };
        let coords = [row.floor_div(LANES), at.clone(), row.modulo(Dim::constant(LANES))];
        let element = body.load(0, [outer, &coords].concat());
        body.push(Step::Cast(DType::F32, element));
    }))
}

fn sample(random: &mut Random) -> Sample {
    let mut panels = common::sample_type(random, (1, 2), FLOATS);
    let rows = random.int(0, 40);
    panels.dims.extend([Dim::constant(rows).ceil_div(LANES), Dim::constant(random.int(1, 5)), Dim::constant(LANES)]);
    Sample { operands: vec![panels], attrs: Attrs::new() }.with("rows", rows)
}
