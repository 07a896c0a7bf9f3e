use super::common::{self, Convolution, Grouping, Products, WeightAxes, Window};
use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Axis, Compute, axes};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::random::Random;
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "conv_transpose",
    doc: "The transpose of a convolution: element `i` of `x` adds to elements `i * stride + tap * dilation - before` of the \
          result. Channels first: `x[N, C, s..]`, `w[C, O / groups, k..]`; channels last: `x[N, s.., C]`, \
          `w[k.., C, O / groups]`.",
    operands: Operands::Fixed(&["x", "w"]),
    attrs: &[
        common::STRIDES,
        common::DILATIONS,
        common::BEFORE,
        common::AFTER,
        common::attr("output_padding", AttrKind::Ints, "elements added after the last"),
        common::GROUPS,
        common::CHANNELS_LAST,
    ],
    class: Class::Contraction,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::MultiplyAdds(multiply_adds),
    infer,
    eval: |operands, attrs, output| {
        if output.dtype.is_float() { scatter::<f64>(operands, attrs, output) } else { scatter::<i64>(operands, attrs, output) }
    },
    lower,
    sample,
};

fn weight_axes(count: usize, attrs: &Attrs) -> WeightAxes {
    if attrs.flag("channels_last") {
        WeightAxes { spatial: 0, input: count, output: count + 1 }
    } else {
        WeightAxes { spatial: 2, input: 0, output: 1 }
    }
}

/// Each element of the input meets the weights of its channel.
fn multiply_adds(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Vec<Dim> {
    let input = weight_axes(output.rank() - 2, attrs).input;
    let taps = operands[1].dims.iter().enumerate().filter(|(axis, _)| *axis != input).map(|(_, dim)| dim);
    operands[0].dims.iter().chain(taps).cloned().collect()
}

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, w) = (operands[0], operands[1]);
    let conv = Convolution::check(Op::ConvTranspose, operands, attrs, weight_axes)?;
    let (inputs, outputs) = (&w.dims[conv.weights.input], &w.dims[conv.weights.output]);
    if *inputs != conv.channels(&x.dims) || !inputs.is_multiple_of(conv.groups) {
        return Err(invalid(Op::ConvTranspose, format!("weights {w} do not fit {x} in {} groups", conv.groups)));
    }
    let extra = attrs.ints("output_padding");
    if extra.len() != conv.window.count() || extra.iter().any(|value| !(0..1 << 30).contains(value)) {
        return Err(invalid(Op::ConvTranspose, format!("output padding {extra:?}")));
    }
    let mut dims = x.dims.clone();
    for (i, extra) in extra.iter().enumerate() {
        let fixed = conv.window.span(i) + extra - conv.window.before[i] - conv.window.after[i];
        let dim = &mut dims[conv.window.axis(i)];
        *dim = (dim.clone() - 1.into()) * conv.window.strides[i].into() + fixed.into();
    }
    dims[conv.window.channel_axis()] = outputs.clone() * conv.groups.into();
    common::check_sizes(Op::ConvTranspose, &dims)?;
    Ok(TensorType { dtype: x.dtype, dims })
}

fn scatter<T: common::Element>(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, w, shape) = (operands[0], operands[1], output.static_shape()?);
    let conv = Convolution::new(&w.ty(), attrs, weight_axes(shape.len() - 2, attrs));
    let (image, weights) = conv.read::<T>(x, w);
    let (channels, outputs) = (conv.channels(x.shape()), conv.channels(&shape));
    let (sizes, outs, kernel) = (conv.spatial(x.shape()), conv.spatial(&shape), conv.spatial_kernel());
    let groups = conv.groups as usize;
    let block = channels * (outputs / groups);
    let area: usize = outs.iter().product();
    let mut result = vec![T::default(); element_count(&shape)?];
    let mut position = 0;
    for batch in 0..shape[0] {
        common::for_each_index(&sizes, |from| {
            let pixel = &image[position..position + channels];
            position += channels;
            common::for_each_index(&kernel, |tap| {
                let Some(at) = target(&conv.window, from, tap, &outs) else { return };
                let sums = &mut result[(batch * area + at) * outputs..][..outputs];
                add_tap(sums, pixel, &weights[common::offset(&kernel, tap) * block..][..block], groups);
            });
        });
    }
    conv.write(output, result)
}

/// The flat position in an image of sizes `outs` that `tap` at `from` adds to.
fn target(window: &Window, from: &[usize], tap: &[usize], outs: &[usize]) -> Option<usize> {
    (0..outs.len()).try_fold(0, |flat, i| {
        let at = from[i] as i64 * window.strides[i] + tap[i] as i64 * window.dilations[i] - window.before[i];
        usize::try_from(at).ok().filter(|at| *at < outs[i]).map(|at| flat * outs[i] + at)
    })
}

/// Adds the products of a pixel with the weights `[channels, outputs / groups]` of one tap.
fn add_tap<T: common::Element>(sums: &mut [T], pixel: &[T], weights: &[T], groups: usize) {
    let (depth, width) = (pixel.len() / groups, sums.len() / groups);
    for (channel, factor) in pixel.iter().enumerate() {
        let sums = &mut sums[channel / depth * width..][..width];
        let line = &weights[channel * width..][..width];
        sums.iter_mut().zip(line).for_each(|(sum, weight)| *sum = sum.plus_product(*factor, *weight));
    }
}

/// One spatial dim of the gather form: which taps of the window can reach an output position.
struct Gather {
    /// The extents of the axes that run over the output dim.
    outer: Vec<Dim>,
    /// The number of taps to sum over.
    taps: i64,
}

impl Gather {
    /// With dilation 1, the taps that reach position `o` are those with the remainder of `o + before` by the stride, and the
    /// output dim falls into positions of equal remainder where the stride divides it.
    fn new(window: &Window, i: usize, out: &Dim) -> Self {
        let (stride, kernel) = (window.strides[i], window.kernel[i]);
        if stride == 1 || window.dilations[i] != 1 {
            return Self { outer: vec![out.clone()], taps: kernel };
        }
        let outer = if out.is_multiple_of(stride) { vec![out.floor_div(stride), stride.into()] } else { vec![out.clone()] };
        Self { outer, taps: kernel.div_euclid(stride) + i64::from(kernel % stride != 0) }
    }

    /// The output position at a point of the outer axes.
    fn position(&self, axes: &[Axis]) -> Dim {
        let parts = axes.iter().zip(&self.outer);
        parts.fold(Dim::default(), |flat, (axis, extent)| flat * extent.clone() + axis.dim())
    }
}

/// Where output position `out` reads the image and the weights for tap `tap`, and when it does.
fn source(window: &Window, i: usize, out: &Dim, tap: &Dim) -> (Dim, Dim, Cond, Cond) {
    let (stride, dilation) = (window.strides[i], window.dilations[i]);
    let shifted = out.clone() + window.before[i].into();
    if stride == 1 {
        return (shifted - tap.clone() * dilation.into(), tap.clone(), Cond::default(), Cond::default());
    }
    if dilation == 1 {
        let at = tap.clone() * stride.into() + shifted.modulo(stride);
        let exists = Cond(vec![Dim::constant(window.kernel[i] - 1) - at.clone()]).simplify();
        return (shifted.floor_div(stride) - tap.clone(), at, Cond::default(), exists);
    }
    let reach = shifted - tap.clone() * dilation.into();
    (reach.floor_div(stride), tap.clone(), Cond(vec![-reach.modulo(stride)]), Cond::default())
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (x, w) = (operands[0], operands[1]);
    let conv = Convolution::new(w, attrs, weight_axes(x.rank() - 2, attrs));
    let grouping = Grouping::new(conv.groups, &conv.channels(&x.dims), &conv.channels(&output.dims));
    let outs = conv.spatial(&output.dims);
    let plans: Vec<Gather> = outs.iter().enumerate().map(|(i, out)| Gather::new(&conv.window, i, out)).collect();
    let spatial: Vec<Dim> = plans.iter().flat_map(|plan| plan.outer.clone()).collect();
    let count = spatial.len();
    let outer = axes("o", &conv.image(vec![output.dims[0].clone()], [spatial], [grouping.extents()]).concat());
    let (mut spatial, channels) = conv.split(&outer, count);
    let (group, channel) = grouping.place(channels);
    let extents: Vec<i64> = plans.iter().map(|plan| plan.taps).collect();
    let (inner, taps, input) = conv.inner_axes(&extents, &grouping.inputs);
    let all: Vec<Axis> = outer.iter().chain(&inner).cloned().collect();
    let (mut coords, mut positions, mut at) = (Vec::new(), Vec::new(), Vec::new());
    let (mut image_valid, mut weights_valid) = (Cond::default(), Cond::default());
    for (i, plan) in plans.iter().enumerate() {
        let (own, rest) = spatial.split_at(plan.outer.len());
        spatial = rest;
        let out = plan.position(own);
        let (position, tap, reached, exists) = source(&conv.window, i, &out, &taps[i]);
        let inside = common::guard(&position, &x.dims[conv.window.axis(i)], &all);
        image_valid = image_valid.and(inside).and(reached);
        weights_valid = weights_valid.and(exists);
        coords.push(out);
        positions.push(position);
        at.push(tap);
    }
    let input = group.clone() * grouping.inputs.clone() + input;
    let batch = outer[0].dim();
    let products = Products {
        coords: conv.image(batch.clone(), coords, [group * grouping.outputs + channel.clone()]),
        image: conv.image(batch, positions, [input.clone()]),
        weights: conv.weight_coords(&at, input, channel),
        image_valid: image_valid.simplify(),
        weights_valid: weights_valid.simplify(),
        axes: outer.clone(),
        inner,
    };
    Some(products.compute(operands, output))
}

fn sample(random: &mut Random) -> Sample {
    let kernel: Vec<i64> = (0..random.size(1, 2)).map(|_| random.int(1, 4)).collect();
    let count = kernel.len();
    let mut draw = |low, high| (0..count).map(|_| random.int(low, high)).collect::<Vec<i64>>();
    let (strides, dilations, sizes, extra) = (draw(1, 3), draw(1, 2), draw(1, 4), draw(0, 1));
    let reach = |i: usize| (sizes[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i];
    let before: Vec<i64> = (0..count).map(|i| reach(i).min(strides[i] % 2)).collect();
    let after: Vec<i64> = (0..count).map(|i| (reach(i) - before[i]).clamp(0, 1)).collect();
    let (groups, inputs, outputs) = (random.int(1, 3), random.int(1, 3), random.int(1, 3));
    let attrs = Attrs::new().with("channels_last", random.one_in(2)).with("strides", strides).with("dilations", dilations);
    let attrs = attrs.with("before", before).with("after", after).with("output_padding", extra).with("groups", groups);
    let dims = common::sample_image(&attrs, random.int(1, 2), groups * inputs, &sizes);
    let taps = kernel.iter().map(|size| Dim::constant(*size));
    let channels = [groups * inputs, outputs].map(Dim::constant);
    let weights: Vec<Dim> =
        if attrs.flag("channels_last") { taps.chain(channels).collect() } else { channels.into_iter().chain(taps).collect() };
    let dtype = random.pick(common::NUMERIC, DType::F32);
    Sample { operands: vec![TensorType { dtype, dims }, TensorType { dtype, dims: weights }], attrs }
}
