//! Windows that slide over spatial dims: convolution and pooling.

use super::attr;
use crate::attrs::{AttrKind, Attrs};
use crate::compute::Axis;
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::ops::{AttrSpec, Op, TypeError, invalid};

/// The declaration of a window's size.
pub(in crate::ops) const KERNEL: AttrSpec = attr("kernel", AttrKind::Ints, "the window's size");
/// The declaration of a window's steps.
pub(in crate::ops) const STRIDES: AttrSpec = attr("strides", AttrKind::Ints, "steps of the window, at least 1");
/// The declaration of the distances of a window's taps.
pub(in crate::ops) const DILATIONS: AttrSpec = attr("dilations", AttrKind::Ints, "distances of taps, at least 1");
/// The declaration of the padding before the first element.
pub(in crate::ops) const BEFORE: AttrSpec = attr("before", AttrKind::Ints, "padding before the first element");
/// The declaration of the padding after the last element.
pub(in crate::ops) const AFTER: AttrSpec = attr("after", AttrKind::Ints, "padding after the last element");
/// The declaration of the order of dims.
pub(in crate::ops) const CHANNELS_LAST: AttrSpec =
    attr("channels_last", AttrKind::Bool, "whether channels follow the spatial dims, not precede them");
/// The declaration of the number of channel groups.
pub(in crate::ops) const GROUPS: AttrSpec = attr("groups", AttrKind::Int, "channel groups that do not mix");

/// A window over the spatial dims of an image.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Window {
    pub(in crate::ops) kernel: Vec<i64>,
    pub(in crate::ops) strides: Vec<i64>,
    pub(in crate::ops) dilations: Vec<i64>,
    pub(in crate::ops) before: Vec<i64>,
    pub(in crate::ops) after: Vec<i64>,
    pub(in crate::ops) channels_last: bool,
}

/// The largest size, step or padding of a window.
const LIMIT: i64 = 1 << 30;

impl Window {
    /// The window that the attributes describe.
    pub(in crate::ops) fn new(kernel: &[i64], attrs: &Attrs) -> Self {
        let list = |name| attrs.ints(name).to_vec();
        Self {
            kernel: kernel.to_vec(),
            strides: list("strides"),
            dilations: list("dilations"),
            before: list("before"),
            after: list("after"),
            channels_last: attrs.flag("channels_last"),
        }
    }

    /// Checks the window against the rank of the image.
    pub(in crate::ops) fn check(&self, op: Op, rank: usize) -> Result<(), TypeError> {
        let positive = [&self.kernel, &self.strides, &self.dilations];
        let lists = positive.iter().map(|list| (*list, 1)).chain([(&self.before, 0), (&self.after, 0)]);
        for (list, low) in lists {
            if list.len() + 2 != rank || list.iter().any(|value| *value < low || *value > LIMIT) {
                return Err(invalid(op, format!("{list:?} does not describe a window over rank {rank}")));
            }
        }
        Ok(())
    }

    /// The number of spatial dims.
    pub(in crate::ops) fn count(&self) -> usize {
        self.kernel.len()
    }

    /// The axis of spatial dim `i`.
    pub(in crate::ops) fn axis(&self, i: usize) -> usize {
        if self.channels_last { i + 1 } else { i + 2 }
    }

    /// The axis of the channels.
    pub(in crate::ops) fn channel_axis(&self) -> usize {
        if self.channels_last { self.count() + 1 } else { 1 }
    }

    /// Elements that the window spans along spatial dim `i`.
    pub(in crate::ops) fn span(&self, i: usize) -> i64 {
        (self.kernel[i] - 1) * self.dilations[i] + 1
    }

    /// The dims of the image that results from sliding over an image of dims `dims`.
    pub(in crate::ops) fn slide(&self, dims: &[Dim]) -> Vec<Dim> {
        let mut result = dims.to_vec();
        for i in 0..self.count() {
            let free = dims[self.axis(i)].clone() + (self.before[i] + self.after[i] - self.span(i)).into();
            result[self.axis(i)] = free.floor_div(self.strides[i]) + 1.into();
        }
        result
    }

    /// Where tap `tap` of the window at `out` reads along spatial dim `i`.
    pub(in crate::ops) fn position(&self, i: usize, out: &Dim, tap: &Dim) -> Dim {
        out.clone() * self.strides[i].into() + tap.clone() * self.dilations[i].into() - self.before[i].into()
    }

    /// When `position` lies in an image of size `size`; sides without padding need no test.
    pub(in crate::ops) fn inside(&self, i: usize, position: &Dim, size: &Dim, axes: &[Axis]) -> Cond {
        let mut valid = guard(position, size, axes);
        let (low, high) = (position.clone(), size.clone() - position.clone() - 1.into());
        let certain = |part: &Dim| (self.before[i] == 0 && *part == low) || (self.after[i] == 0 && *part == high);
        valid.0.retain(|part| !certain(part));
        valid
    }

    /// Calls `visit` with tap and input position, as indices into spatial sizes, for each tap of the window at `out` that
    /// lies in an image of spatial sizes `sizes`.
    pub(in crate::ops) fn for_each_tap(&self, out: &[usize], sizes: &[usize], mut visit: impl FnMut(&[usize], usize)) {
        let kernel: Vec<usize> = self.kernel.iter().map(|size| *size as usize).collect();
        super::for_each_index(&kernel, |tap| {
            let mut flat = Some(0);
            for i in 0..tap.len() {
                let at = out[i] as i64 * self.strides[i] + tap[i] as i64 * self.dilations[i] - self.before[i];
                let at = usize::try_from(at).ok().filter(|at| *at < sizes[i]);
                flat = flat.zip(at).map(|(flat, at)| flat * sizes[i] + at);
            }
            if let Some(flat) = flat {
                visit(tap, flat);
            }
        });
    }
}

/// When `position` lies in `0..size`, without the parts that hold for all values of `axes`.
pub(in crate::ops) fn guard(position: &Dim, size: &Dim, axes: &[Axis]) -> Cond {
    let mut valid = Cond::within(position, &0.into(), size).simplify();
    valid.0.retain(|part| least(part, axes).bounds().0 < 0);
    valid
}

/// The smallest value over those of `axes` that occur linearly, all extents being at least 1.
fn least(value: &Dim, axes: &[Axis]) -> Dim {
    axes.iter().fold(value.clone(), |value, axis| match value.affine_in(&axis.symbol) {
        Some((factor, rest)) if factor.bounds().1 <= 0 => rest + factor * (axis.extent.clone() - 1.into()),
        Some((factor, rest)) if factor.bounds().0 >= 0 => rest,
        _ => value,
    })
}

/// Axes named with `prefix`, and their values: an axis is left out where there is one iteration.
pub(in crate::ops) fn inner_axes(prefix: &str, extents: &[Dim]) -> (Vec<Axis>, Vec<Dim>) {
    let axes = crate::compute::axes(prefix, extents);
    let dims = axes.iter().map(Axis::dim).collect();
    (axes.into_iter().filter(|axis| !axis.extent.is(1)).collect(), dims)
}
