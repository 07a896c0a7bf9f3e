//! Random operand types and attributes for tests.

use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::ops::Sample;
use crate::random::Random;
use crate::types::{DType, TensorType};

/// Small sizes, now and then 0.
pub(in crate::ops) fn sample_dims(random: &mut Random, rank: usize) -> Vec<Dim> {
    (0..rank).map(|_| if random.one_in(20) { 0.into() } else { random.int(1, 5).into() }).collect()
}

/// A type of small sizes.
pub(in crate::ops) fn sample_type(random: &mut Random, ranks: (usize, usize), dtypes: &[DType]) -> TensorType {
    let rank = random.size(ranks.0, ranks.1);
    TensorType { dtype: random.pick(dtypes, DType::F32), dims: sample_dims(random, rank) }
}

/// `count` operands of one type; some dims are 1 and broadcast.
pub(in crate::ops) fn sample_elementwise(random: &mut Random, count: usize, dtypes: &[DType]) -> Sample {
    let whole = sample_type(random, (0, 4), dtypes);
    let narrow = |dim: &Dim, random: &mut Random| if random.one_in(5) { 1.into() } else { dim.clone() };
    let operands = (0..count)
        .map(|_| TensorType { dtype: whole.dtype, dims: whole.dims.iter().map(|dim| narrow(dim, random)).collect() })
        .collect();
    Sample { operands, attrs: Attrs::new() }
}

/// One operand with `axes` to reduce.
pub(in crate::ops) fn sample_reduce(random: &mut Random, dtypes: &[DType]) -> Sample {
    let operand = sample_type(random, (0, 4), dtypes);
    let axes: Vec<i64> = (0..operand.rank() as i64).filter(|_| random.one_in(2)).collect();
    Sample { operands: vec![operand], attrs: Attrs::new().with("axes", axes) }
}

/// One operand with an `axis`.
pub(in crate::ops) fn sample_axis(random: &mut Random, dtypes: &[DType]) -> Sample {
    let operand = sample_type(random, (1, 4), dtypes);
    let axis = random.int(0, operand.rank() as i64 - 1);
    Sample { operands: vec![operand], attrs: Attrs::new().with("axis", axis) }
}

/// A window over `kernel`, and spatial sizes that it fits.
pub(in crate::ops) fn sample_window(random: &mut Random, kernel: &[i64]) -> (Attrs, Vec<i64>) {
    let count = kernel.len();
    let mut draw = |low, high| (0..count).map(|_| random.int(low, high)).collect::<Vec<i64>>();
    let (strides, dilations) = (draw(1, 3), draw(1, 2));
    let (before, after, extra) = (draw(0, 2), draw(0, 2), draw(1, 6));
    let size = |i: usize| ((kernel[i] - 1) * dilations[i] - before[i] - after[i]).max(0) + extra[i];
    let sizes = (0..count).map(size).collect();
    let attrs = Attrs::new().with("strides", strides).with("before", before).with("after", after);
    (attrs.with("dilations", dilations).with("channels_last", random.one_in(2)), sizes)
}

/// The dims of a tensor of images: batch, channels and spatial sizes in the order that `attrs` asks for.
pub(in crate::ops) fn sample_image(attrs: &Attrs, batch: i64, channels: i64, sizes: &[i64]) -> Vec<Dim> {
    let spatial = sizes.iter().map(|size| Dim::constant(*size));
    let mut dims = vec![Dim::constant(batch)];
    if attrs.flag("channels_last") {
        dims.extend(spatial.chain([Dim::constant(channels)]));
    } else {
        dims.extend([Dim::constant(channels)].into_iter().chain(spatial));
    }
    dims
}

/// The sample of a pooling op.
pub(in crate::ops) fn sample_pool(random: &mut Random, dtypes: &[DType]) -> Sample {
    let count = random.size(1, 2);
    let kernel: Vec<i64> = (0..count).map(|_| random.int(1, 3)).collect();
    let (attrs, sizes) = sample_window(random, &kernel);
    let dims = sample_image(&attrs, random.int(1, 2), random.int(1, 3), &sizes);
    let operand = TensorType { dtype: random.pick(dtypes, DType::F32), dims };
    Sample { operands: vec![operand], attrs: attrs.with("kernel", kernel) }
}

/// An element type and sizes for an op without operands.
pub(in crate::ops) fn sample_leaf(random: &mut Random, dtypes: &[DType], least_rank: usize) -> Sample {
    let ty = sample_type(random, (least_rank, 4), dtypes);
    Sample::default().with("dtype", ty.dtype).with("dims", ty.dims)
}
