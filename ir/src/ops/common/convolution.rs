//! What convolution and its transpose have in common.

use super::{Element, Window, accumulator, cast, check_dtype, epilogue, permute};
use crate::attrs::Attrs;
use crate::compute::{Axis, Body, Compute, Reduction, Step};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::ops::{Op, TypeError, invalid};
use crate::scalar::{BinaryOp, ReduceOp};
use crate::tensor::Tensor;
use crate::types::TensorType;

/// The axes of a weight tensor.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct WeightAxes {
    /// The first spatial axis; the others follow.
    pub(in crate::ops) spatial: usize,
    /// The axis of the image's channels.
    pub(in crate::ops) input: usize,
    /// The axis of the result's channels.
    pub(in crate::ops) output: usize,
}

/// A convolution or its transpose: the window, and how channels are grouped.
pub(in crate::ops) struct Convolution {
    pub(in crate::ops) window: Window,
    pub(in crate::ops) weights: WeightAxes,
    pub(in crate::ops) groups: i64,
}

impl Convolution {
    /// The convolution of operands that [`Convolution::check`] accepts.
    pub(in crate::ops) fn new(w: &TensorType, attrs: &Attrs, weights: WeightAxes) -> Self {
        let spatial = w.dims.iter().skip(weights.spatial).take(w.rank() - 2);
        let kernel: Vec<i64> = spatial.map(|dim| dim.as_constant().unwrap_or(0)).collect();
        Self { window: Window::new(&kernel, attrs), weights, groups: attrs.int("groups") }
    }

    /// Checks operands and attributes; `weights` gives the axes of the weights for a number of spatial dims.
    pub(in crate::ops) fn check(
        op: Op,
        operands: &[&TensorType],
        attrs: &Attrs,
        weights: fn(usize, &Attrs) -> WeightAxes,
    ) -> Result<Self, TypeError> {
        let (x, w) = (operands[0], operands[1]);
        check_dtype(op, x.dtype, super::NUMERIC)?;
        if x.rank() < 2 || x.rank() != w.rank() || x.dtype != w.dtype {
            return Err(invalid(op, format!("operands {x} and {w} must have the same rank, at least 2, and element type")));
        }
        let conv = Self::new(w, attrs, weights(x.rank() - 2, attrs));
        conv.window.check(op, x.rank())?;
        if conv.groups < 1 || conv.groups > 1 << 30 {
            return Err(invalid(op, format!("{} groups", conv.groups)));
        }
        Ok(conv)
    }

    /// The dims of an image: batch, spatial, channels, in the order of the attributes.
    pub(in crate::ops) fn image<T>(
        &self,
        batch: T,
        spatial: impl IntoIterator<Item = T>,
        channels: impl IntoIterator<Item = T>,
    ) -> Vec<T> {
        let mut parts = vec![batch];
        if self.window.channels_last {
            parts.extend(spatial);
            parts.extend(channels);
        } else {
            parts.extend(channels);
            parts.extend(spatial);
        }
        parts
    }

    /// The coordinates of an element of the weights.
    pub(in crate::ops) fn weight_coords(&self, taps: &[Dim], input: Dim, output: Dim) -> Vec<Dim> {
        let mut coords = vec![Dim::default(); taps.len() + 2];
        coords[self.weights.spatial..self.weights.spatial + taps.len()].clone_from_slice(taps);
        coords[self.weights.input] = input;
        coords[self.weights.output] = output;
        coords
    }

    /// The order of a weight tensor's axes that puts taps first, then the image's channels, then the result's.
    fn weight_order(&self) -> Vec<usize> {
        let spatial = self.weights.spatial..self.weights.spatial + self.window.count();
        spatial.chain([self.weights.input, self.weights.output]).collect()
    }

    /// The image and the weights with channels last.
    pub(in crate::ops) fn read<T: Element>(&self, x: &Tensor, w: &Tensor) -> (Vec<T>, Vec<T>) {
        let rank = x.shape().len();
        let weights = permute(&T::read(w), w.shape(), &self.weight_order());
        if self.window.channels_last {
            return (T::read(x), weights);
        }
        let order: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
        (permute(&T::read(x), x.shape(), &order), weights)
    }

    /// The result from its elements with channels last.
    pub(in crate::ops) fn write<T: Element>(&self, output: &TensorType, values: Vec<T>) -> Option<Tensor> {
        let shape = output.static_shape()?;
        if self.window.channels_last {
            return T::write(output.dtype, &shape, &values);
        }
        let rank = shape.len();
        let last: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).map(|axis| shape[axis]).collect();
        let order: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        T::write(output.dtype, &shape, &permute(&values, &last, &order))
    }

    /// The spatial sizes of an image.
    pub(in crate::ops) fn spatial<T: Clone>(&self, dims: &[T]) -> Vec<T> {
        (0..self.window.count()).map(|i| dims[self.window.axis(i)].clone()).collect()
    }

    /// The window's size.
    pub(in crate::ops) fn spatial_kernel(&self) -> Vec<usize> {
        self.window.kernel.iter().map(|size| *size as usize).collect()
    }

    /// The spatial and the channel axes among axes in the order of [`Convolution::image`], batch first.
    pub(in crate::ops) fn split<'a>(&self, axes: &'a [Axis], spatial: usize) -> (&'a [Axis], &'a [Axis]) {
        let rest = &axes[1..];
        if self.window.channels_last {
            return rest.split_at(spatial);
        }
        let (channels, spatial) = rest.split_at(rest.len() - spatial);
        (spatial, channels)
    }

    /// The axes of the sum over `taps` and `inputs` channels, with the tap per spatial dim and the channel.
    pub(in crate::ops) fn inner_axes(&self, taps: &[i64], inputs: &Dim) -> (Vec<Axis>, Vec<Dim>, Dim) {
        let mut extents: Vec<Dim> = taps.iter().map(|extent| Dim::constant(*extent)).collect();
        let channel = if self.window.channels_last { taps.len() } else { 0 };
        extents.insert(channel, inputs.clone());
        let (axes, mut dims) = super::inner_axes("r", &extents);
        let channel = dims.remove(channel);
        (axes, dims, channel)
    }

    /// The channels of an image.
    pub(in crate::ops) fn channels<T: Clone>(&self, dims: &[T]) -> T {
        dims[self.window.channel_axis()].clone()
    }
}

/// How channels are grouped: each of `groups` groups maps `inputs` channels to `outputs` channels.
pub(in crate::ops) struct Grouping {
    pub(in crate::ops) groups: i64,
    pub(in crate::ops) inputs: Dim,
    pub(in crate::ops) outputs: Dim,
}

impl Grouping {
    /// The grouping of `inputs` channels to `outputs` channels in all.
    pub(in crate::ops) fn new(groups: i64, inputs: &Dim, outputs: &Dim) -> Self {
        Self { groups, inputs: inputs.floor_div(groups), outputs: outputs.floor_div(groups) }
    }

    /// The extents of the axes that run over the result's channels: one axis where groups hold one channel, or where there is
    /// one group.
    pub(in crate::ops) fn extents(&self) -> Vec<Dim> {
        if self.groups == 1 {
            vec![self.outputs.clone()]
        } else if self.outputs.is(1) {
            vec![self.groups.into()]
        } else {
            vec![self.groups.into(), self.outputs.clone()]
        }
    }

    /// The group and the channel in it at a point of the axes.
    pub(in crate::ops) fn place(&self, axes: &[Axis]) -> (Dim, Dim) {
        match axes {
            [channel] if self.groups == 1 => (0.into(), channel.dim()),
            [group] => (group.dim(), 0.into()),
            _ => (axes[0].dim(), axes[1].dim()),
        }
    }
}

/// The parts of a sum of products of an image and weights.
pub(in crate::ops) struct Products {
    /// The axes of the result.
    pub(in crate::ops) axes: Vec<Axis>,
    /// The result's coordinates.
    pub(in crate::ops) coords: Vec<Dim>,
    /// The axes of the sum.
    pub(in crate::ops) inner: Vec<Axis>,
    /// The coordinates in the image.
    pub(in crate::ops) image: Vec<Dim>,
    /// The coordinates in the weights.
    pub(in crate::ops) weights: Vec<Dim>,
    /// Where both exist.
    pub(in crate::ops) image_valid: Cond,
    /// Where the weights exist.
    pub(in crate::ops) weights_valid: Cond,
}

impl Products {
    /// The compute that sums the products.
    pub(in crate::ops) fn compute(self, operands: &[&TensorType], output: &TensorType) -> Compute {
        let dtype = accumulator(output.dtype);
        let mut value = Body::default();
        let x = value.push(Step::Load { input: 0, coords: self.image, valid: self.image_valid, otherwise: 0 });
        let x = cast(&mut value, output.dtype, dtype, x);
        let w = value.push(Step::Load { input: 1, coords: self.weights, valid: self.weights_valid, otherwise: 0 });
        let w = cast(&mut value, output.dtype, dtype, w);
        value.binary(BinaryOp::Mul, x, w);
        Compute {
            inputs: operands.iter().map(|ty| (*ty).clone()).collect(),
            output: output.clone(),
            axes: self.axes,
            coords: self.coords,
            reduction: Some(Reduction { op: ReduceOp::Sum, dtype, axes: self.inner, value, weight: None }),
            result: epilogue(output.dtype, |_, sum| sum),
        }
    }
}
