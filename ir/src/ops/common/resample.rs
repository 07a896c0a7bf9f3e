//! Where a resized image reads its source, per axis.

use crate::attrs::Attrs;
use crate::dim::Dim;

/// One axis of a resize.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Resample<'a> {
    pub(in crate::ops) coordinate: &'a str,
    pub(in crate::ops) from: Dim,
    pub(in crate::ops) to: Dim,
    factor: i64,
    pub(in crate::ops) scale: f64,
}

impl<'a> Resample<'a> {
    /// The resize of axis `axis` from size `from` to size `to`.
    pub(in crate::ops) fn new(attrs: &'a Attrs, axis: usize, from: &Dim, to: &Dim) -> Self {
        let entry = |name| attrs.ints(name).get(axis).copied().unwrap_or(0);
        let scale = f64::from_bits(entry("scale_bits") as u64);
        let factor = match entry("factors") {
            0 if scale == 0.0 => exact_factor(from, to),
            factor => factor,
        };
        Self { coordinate: attrs.text("coordinate"), from: from.clone(), to: to.clone(), factor, scale }
    }

    /// Whether nothing happens along the axis.
    pub(in crate::ops) fn is_identity(&self) -> bool {
        self.from == self.to && (self.factor == 1 || self.factor == 0 && self.scale == 1.0)
    }

    /// Whether the source position depends on a scale that is not a ratio of integers.
    pub(in crate::ops) fn is_fractional(&self) -> bool {
        self.factor == 0 && self.scale != 0.0 && self.coordinate != "align_corners"
    }

    /// The whole factor by which the axis grows, if it does.
    pub(in crate::ops) fn growth(&self) -> Option<i64> {
        (self.factor > 0 && self.from.clone() * self.factor.into() == self.to).then_some(self.factor)
    }

    /// Whether positions are those of the middles of elements.
    pub(in crate::ops) fn has_half_pixels(&self) -> bool {
        !matches!(self.coordinate, "asymmetric" | "align_corners")
    }

    /// 0 where the result has one element and the mode then reads the first, else 1.
    pub(in crate::ops) fn switch(&self) -> Dim {
        if self.coordinate == "pytorch_half_pixel" { (self.to.clone() - 1.into()).minimum(1) } else { 1.into() }
    }

    /// The position in the source of output position `out` as numerator and denominator.
    pub(in crate::ops) fn ratio(&self, out: &Dim) -> (Dim, Dim) {
        let (from, to) = (self.from.clone(), self.to.clone());
        if self.coordinate == "align_corners" {
            return (out.clone() * (from - 1.into()), (to - 1.into()).maximum(1));
        }
        let (scale_up, scale_down): (Dim, Dim) =
            if self.factor > 0 { (self.factor.into(), 1.into()) } else { (to.clone(), from.clone()) };
        if self.coordinate == "asymmetric" {
            return (out.clone() * scale_down, scale_up);
        }
        let middle = (out.clone() * 2.into() + 1.into()) * scale_down - scale_up.clone();
        let symmetric = self.coordinate == "half_pixel_symmetric" && self.factor > 0;
        let shift = if symmetric { scale_up.clone() * from - to } else { 0.into() };
        ((middle + shift) * self.switch(), scale_up * 2.into())
    }

    /// The position in the source for a scale that is not a ratio of integers.
    pub(in crate::ops) fn fraction(&self, out: f32, from: f32, to: f32) -> f32 {
        let scale = self.scale as f32;
        let half = if self.has_half_pixels() { 0.5 } else { 0.0 };
        let position = (out + half) / scale - half;
        match self.coordinate {
            "half_pixel_symmetric" => position + (from - to / scale) * 0.5,
            "pytorch_half_pixel" if to <= 1.0 => 0.0,
            _ => position,
        }
    }
}

/// The whole number that `from` is multiplied by to give `to`, or 0.
fn exact_factor(from: &Dim, to: &Dim) -> i64 {
    if from.is(0) {
        return 0;
    }
    let factor = to.floor_div(from.clone()).as_constant().unwrap_or(0);
    if from.clone() * factor.into() == *to { factor } else { 0 }
}

/// The weights of the four neighbours of a position `t` after the second.
pub(in crate::ops) fn cubic_weights(a: f64, t: f64) -> [f64; 4] {
    let far = |x: f64| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    let near = |x: f64| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// The whole position that mode `rounding` makes of `numerator / denominator`.
pub(in crate::ops) fn round_ratio(rounding: &str, numerator: &Dim, denominator: &Dim) -> Dim {
    let (twice, double) = (numerator.clone() * 2.into(), denominator.clone() * 2.into());
    match rounding {
        "floor" => numerator.floor_div(denominator.clone()),
        "ceil" => numerator.ceil_div(denominator.clone()),
        "round_prefer_ceil" => (twice + denominator.clone()).floor_div(double),
        _ => (twice - denominator.clone()).ceil_div(double),
    }
}

/// The whole position that mode `rounding` makes of a fraction.
pub(in crate::ops) fn round_fraction(rounding: &str, position: f32) -> f32 {
    match rounding {
        "floor" => position.floor(),
        "ceil" => position.ceil(),
        "round_prefer_ceil" => (position + 0.5).floor(),
        _ => (position - 0.5).ceil(),
    }
}
