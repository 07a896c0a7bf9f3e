use super::common::{self, Convolution, Grouping, Products, WeightAxes};
use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, invalid};
use crate::attrs::Attrs;
use crate::compute::{Axis, Compute, axes};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::random::Random;
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "conv",
    doc: "Convolution of images `x` with windows `w` over any number of spatial dims, zeros around. Channels first: \
          `x[N, C, s..]`, `w[O, C / groups, k..]`; channels last: `x[N, s.., C]`, `w[k.., C / groups, O]`.",
    operands: Operands::Fixed(&["x", "w"]),
    attrs: &[common::STRIDES, common::DILATIONS, common::BEFORE, common::AFTER, common::GROUPS, common::CHANNELS_LAST],
    class: Class::Contraction,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::MultiplyAdds(multiply_adds),
    infer,
    eval: |operands, attrs, output| {
        if output.dtype.is_float() { slide::<f64>(operands, attrs, output) } else { slide::<i64>(operands, attrs, output) }
    },
    lower,
    sample,
};

fn weight_axes(count: usize, attrs: &Attrs) -> WeightAxes {
    if attrs.flag("channels_last") {
        WeightAxes { spatial: 0, input: count, output: count + 1 }
    } else {
        WeightAxes { spatial: 2, input: 1, output: 0 }
    }
}

fn multiply_adds(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Vec<Dim> {
    let out = weight_axes(output.rank() - 2, attrs).output;
    let taps = operands[1].dims.iter().enumerate().filter(|(axis, _)| *axis != out).map(|(_, dim)| dim);
    output.dims.iter().chain(taps).cloned().collect()
}

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, w) = (operands[0], operands[1]);
    let conv = Convolution::check(Op::Conv, operands, attrs, weight_axes)?;
    let (inputs, outputs) = (&w.dims[conv.weights.input], &w.dims[conv.weights.output]);
    let channels = conv.channels(&x.dims);
    if inputs.clone() * conv.groups.into() != channels || !outputs.is_multiple_of(conv.groups) {
        return Err(invalid(Op::Conv, format!("weights {w} do not fit {} groups of {channels} channels", conv.groups)));
    }
    let mut dims = conv.window.slide(&x.dims);
    dims[conv.window.channel_axis()] = outputs.clone();
    common::check_sizes(Op::Conv, &dims)?;
    Ok(TensorType { dtype: x.dtype, dims })
}

fn slide<T: common::Element>(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, w, shape) = (operands[0], operands[1], output.static_shape()?);
    let conv = Convolution::new(&w.ty(), attrs, weight_axes(shape.len() - 2, attrs));
    let (image, weights) = conv.read::<T>(x, w);
    let (channels, outputs) = (conv.channels(x.shape()), conv.channels(&shape));
    let (sizes, outs) = (conv.spatial(x.shape()), conv.spatial(&shape));
    let kernel = conv.spatial_kernel();
    let block = channels / conv.groups as usize * outputs;
    let area: usize = sizes.iter().product();
    let mut result = vec![T::default(); element_count(&shape)?];
    let mut position = 0;
    for batch in 0..shape[0] {
        common::for_each_index(&outs, |out| {
            let sums = &mut result[position..position + outputs];
            conv.window.for_each_tap(out, &sizes, |tap, at| {
                let pixel = &image[(batch * area + at) * channels..][..channels];
                add_tap(sums, pixel, &weights[common::offset(&kernel, tap) * block..][..block], conv.groups as usize);
            });
            position += outputs;
        });
    }
    conv.write(output, result)
}

/// Adds the products of a pixel with the weights `[channels / groups, outputs]` of one tap.
fn add_tap<T: common::Element>(sums: &mut [T], pixel: &[T], weights: &[T], groups: usize) {
    let (outputs, depth, width) = (sums.len(), pixel.len() / groups, sums.len() / groups);
    for group in 0..groups {
        let sums = &mut sums[group * width..][..width];
        for channel in 0..depth {
            let factor = pixel[group * depth + channel];
            let line = &weights[channel * outputs + group * width..][..width];
            sums.iter_mut().zip(line).for_each(|(sum, weight)| *sum = sum.plus_product(factor, *weight));
        }
    }
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (x, w) = (operands[0], operands[1]);
    let conv = Convolution::new(w, attrs, weight_axes(x.rank() - 2, attrs));
    let grouping = Grouping::new(conv.groups, &conv.channels(&x.dims), &conv.channels(&output.dims));
    let extents = conv.image(vec![output.dims[0].clone()], [conv.spatial(&output.dims)], [grouping.extents()]);
    let outer = axes("o", &extents.concat());
    let (spatial, channels) = conv.split(&outer, conv.window.count());
    let (group, channel) = grouping.place(channels);
    let (inner, taps, input) = conv.inner_axes(&conv.window.kernel, &grouping.inputs);
    let out_channel = group.clone() * grouping.outputs.clone() + channel;
    let mut valid = Cond::default();
    let mut positions = Vec::new();
    let all: Vec<Axis> = outer.iter().chain(&inner).cloned().collect();
    for (i, axis) in spatial.iter().enumerate() {
        let position = conv.window.position(i, &axis.dim(), &taps[i]);
        valid = valid.and(conv.window.inside(i, &position, &x.dims[conv.window.axis(i)], &all));
        positions.push(position);
    }
    let batch = outer[0].dim();
    let products = Products {
        coords: conv.image(batch.clone(), spatial.iter().map(Axis::dim), [out_channel.clone()]),
        image: conv.image(batch, positions, [group * grouping.inputs + input.clone()]),
        weights: conv.weight_coords(&taps, input, out_channel),
        image_valid: valid,
        weights_valid: Cond::default(),
        axes: outer.clone(),
        inner,
    };
    Some(products.compute(operands, output))
}

fn sample(random: &mut Random) -> Sample {
    let kernel: Vec<i64> = (0..random.size(1, 2)).map(|_| random.int(1, 3)).collect();
    let (attrs, sizes) = common::sample_window(random, &kernel);
    let (groups, inputs, outputs) = (random.int(1, 3), random.int(1, 3), random.int(1, 3));
    let dims = common::sample_image(&attrs, random.int(1, 2), groups * inputs, &sizes);
    let taps = kernel.iter().map(|size| Dim::constant(*size));
    let channels = [outputs * groups, inputs].map(Dim::constant);
    let weights: Vec<Dim> = if attrs.flag("channels_last") {
        taps.chain(channels.into_iter().rev()).collect()
    } else {
        channels.into_iter().chain(taps).collect()
    };
    let dtype = random.pick(common::NUMERIC, DType::F32);
    let operands = vec![TensorType { dtype, dims }, TensorType { dtype, dims: weights }];
    Sample { operands, attrs }.with("groups", groups)
}
