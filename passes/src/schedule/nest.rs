//! Loop nests: computes whose loads and stores are addressed in memory, with loops merged where memory allows.

use lostwax_ir::compute::{Axis, Body, Compute, Reduction, Step};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::Cond;
use lostwax_ir::types::{DType, TensorType};

/// Where the elements of a tensor lie in its buffer, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The element at coordinates 0.
    pub base: Dim,
    /// The distance between neighbours along each axis.
    pub strides: Vec<Dim>,
}

impl View {
    /// A tensor that fills its buffer in row-major order.
    pub fn dense(ty: &TensorType) -> Self {
        Self { base: Dim::default(), strides: ty.strides() }
    }

    /// The buffer index of the element at `coords`.
    pub fn index(&self, coords: &[Dim]) -> Dim {
        let products = self.strides.iter().zip(coords).map(|(stride, coord)| stride.clone() * coord.clone());
        products.fold(self.base.clone(), |total, product| total + product)
    }
}

/// The reduction of a nest, whose bodies are addressed as those of the nest are.
pub type NestReduction = Reduction;

/// A compute in memory: each load has one coordinate, its buffer index.
#[derive(Clone, Debug)]
pub struct Nest {
    /// The loops over the output, outermost first.
    pub axes: Vec<Axis>,
    /// The reduction, if there is one.
    pub reduction: Option<NestReduction>,
    /// The value that is stored.
    pub result: Body,
    /// The buffer index that it is stored at.
    pub index: Dim,
    /// The type that is stored.
    pub dtype: DType,
}

impl Nest {
    /// The nest of a compute whose inputs and output fill their buffers.
    pub fn dense(compute: &Compute) -> Self {
        let inputs: Vec<View> = compute.inputs.iter().map(View::dense).collect();
        Self::new(compute, &inputs, &View::dense(&compute.output))
    }

    /// Addresses the loads of `compute` through `inputs` and its result through `output`, and merges loops.
    pub fn new(compute: &Compute, inputs: &[View], output: &View) -> Self {
        let zeros = all_axes(compute);
        let reduction = compute.reduction.as_ref().map(|reduction| addressed(reduction, inputs, &zeros));
        let mut nest = Self {
            axes: without_single(&compute.axes),
            reduction,
            result: simplify(&compute.result, inputs, &zeros),
            index: drop_single(&output.index(&compute.coords), &zeros),
            dtype: compute.output.dtype,
        };
        nest.sort_axes();
        nest.merge();
        nest
    }

    /// All bodies: those of the reduction, if any, and the result.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.reduction.iter().flat_map(Reduction::bodies).chain([&self.result])
    }

    /// Whether neighbouring iterations of a loop write neighbouring elements.
    pub(super) fn writes_neighbours(&self, axis: &Axis) -> bool {
        self.index.affine_in(&axis.symbol).is_some_and(|(stride, _)| stride.is(1))
    }

    /// The buffer indices of all loads.
    pub fn loads(&self) -> impl Iterator<Item = (&Dim, &Cond)> {
        self.bodies().flat_map(body_loads)
    }

    /// Puts the loops in the order of the output's memory, widest stride first. Loops of symbolic stride keep their place.
    fn sort_axes(&mut self) {
        let stride = |axis: &Axis| self.index.affine_in(&axis.symbol).map_or(i64::MAX, |(stride, _)| stride.bounds().1);
        let mut keyed: Vec<(i64, Axis)> = self.axes.iter().map(|axis| (stride(axis), axis.clone())).collect();
        keyed.sort_by_key(|(stride, _)| std::cmp::Reverse(*stride));
        self.axes = keyed.into_iter().map(|(_, axis)| axis).collect();
    }

    fn merge(&mut self) {
        let mut position = 0;
        while position + 1 < self.axes.len() {
            let (outer, inner) = (self.axes[position].clone(), self.axes[position + 1].clone());
            if let Some(merged) = self.merged_axis(&outer, &inner) {
                self.replace_pair(&outer, &inner, &merged);
                self.axes.splice(position..position + 2, [merged]);
            } else {
                position += 1;
            }
        }
        self.merge_reduced();
    }

    fn merge_reduced(&mut self) {
        let mut position = 0;
        while let Some(reduction) = &self.reduction
            && position + 1 < reduction.axes.len()
        {
            let (outer, inner) = (reduction.axes[position].clone(), reduction.axes[position + 1].clone());
            let Some(merged) = self.merged_axis(&outer, &inner) else {
                position += 1;
                continue;
            };
            self.replace_pair(&outer, &inner, &merged);
            if let Some(reduction) = &mut self.reduction {
                reduction.axes.splice(position..position + 2, [merged]);
            }
        }
    }

    /// One loop for two, when everything depends on them only through `outer * inner.extent + inner`.
    fn merged_axis(&self, outer: &Axis, inner: &Axis) -> Option<Axis> {
        let block_scaled = |dim: &Dim| {
            let (Some((wide, rest)), true) = (dim.affine_in(&outer.symbol), true) else { return false };
            let Some((narrow, _)) = rest.affine_in(&inner.symbol) else { return false };
            !wide.mentions(&inner.symbol) && wide == narrow * inner.extent.clone()
        };
        let all = self.every_dim(&block_scaled);
        let name = format!("{}_{}", outer.symbol.name(), inner.symbol.name().trim_start_matches('%'));
        all.then(|| Axis::new(name, &(outer.extent.clone() * inner.extent.clone())))
    }

    /// Whether `holds` is true for every dim that depends on loops.
    fn every_dim(&self, holds: &dyn Fn(&Dim) -> bool) -> bool {
        let weight = self.reduction.iter().filter_map(|reduction| reduction.weight.as_ref());
        let mut valid = weight.flat_map(|weight| &weight.valid.0);
        holds(&self.index)
            && valid.all(holds)
            && self.bodies().all(|body| body.steps.iter().all(|step| step.dims().into_iter().all(holds)))
    }

    fn replace_pair(&mut self, outer: &Axis, inner: &Axis, merged: &Axis) {
        let replace = |symbol: &Symbol| {
            if *symbol == outer.symbol { Some(Dim::default()) } else { (*symbol == inner.symbol).then(|| merged.dim()) }
        };
        self.index = self.index.substitute(&replace);
        let rewrite = |dim: &Dim| dim.substitute(&replace);
        self.result = map_dims(&self.result, &rewrite);
        if let Some(reduction) = &mut self.reduction {
            *reduction = rewritten(reduction, &rewrite);
        }
    }
}

fn all_axes(compute: &Compute) -> Vec<Axis> {
    let reduced = compute.reduction.iter().flat_map(Reduction::all_axes);
    compute.axes.iter().chain(reduced).cloned().collect()
}

/// A reduction with loads addressed and without the loops of one iteration among `axes`.
fn addressed(reduction: &Reduction, inputs: &[View], axes: &[Axis]) -> NestReduction {
    let loads = reduction.map_bodies(|body| simplify(body, inputs, axes));
    let mut reduction = rewritten(&loads, &|dim| drop_single(dim, axes));
    reduction.axes = without_single(&reduction.axes);
    if let Some(weight) = &mut reduction.weight {
        weight.axes = without_single(&weight.axes);
    }
    reduction
}

/// A reduction with every dim rewritten.
fn rewritten(reduction: &NestReduction, rewrite: &dyn Fn(&Dim) -> Dim) -> NestReduction {
    let mut result = reduction.map_bodies(|body| map_dims(body, rewrite));
    if let Some(weight) = &mut result.weight {
        weight.valid = Cond(weight.valid.0.iter().map(rewrite).collect()).simplify();
    }
    result
}

fn without_single(axes: &[Axis]) -> Vec<Axis> {
    axes.iter().filter(|axis| !axis.extent.is(1)).cloned().collect()
}

/// Replaces loops of one iteration by 0.
fn drop_single(dim: &Dim, axes: &[Axis]) -> Dim {
    dim.substitute(&|symbol| axes.iter().any(|axis| axis.symbol == *symbol && axis.extent.is(1)).then(Dim::default))
}

fn simplify(body: &Body, inputs: &[View], axes: &[Axis]) -> Body {
    let addressed = Body { steps: body.steps.iter().map(|step| address(step, inputs)).collect() };
    map_dims(&addressed, &|dim| drop_single(dim, axes))
}

fn address(step: &Step, inputs: &[View]) -> Step {
    match step {
        Step::Load { input, coords, valid, otherwise } => {
            let index = inputs.get(*input as usize).map_or_else(Dim::default, |view| view.index(coords));
            Step::Load { input: *input, coords: vec![index], valid: valid.clone(), otherwise: *otherwise }
        }
        other => other.clone(),
    }
}

/// The index and condition of each load of an addressed body.
pub(super) fn body_loads(body: &Body) -> impl Iterator<Item = (&Dim, &Cond)> {
    body.steps.iter().filter_map(|step| match step {
        Step::Load { coords, valid, .. } => coords.first().map(|index| (index, valid)),
        _ => None,
    })
}

/// The body with every dim rewritten.
pub fn map_dims(body: &Body, rewrite: &dyn Fn(&Dim) -> Dim) -> Body {
    let rewrite_cond = |cond: &Cond| Cond(cond.0.iter().map(rewrite).collect()).simplify();
    let steps = body.steps.iter().map(|step| match step {
        Step::Load { input, coords, valid, otherwise } => {
            let coords = coords.iter().map(rewrite).collect();
            Step::Load { input: *input, coords, valid: rewrite_cond(valid), otherwise: *otherwise }
        }
        Step::Index(dim, dtype) => Step::Index(rewrite(dim), *dtype),
        Step::SelectIf(cond, a, b) => Step::SelectIf(rewrite_cond(cond), *a, *b),
        other => other.clone(),
    });
    Body { steps: steps.collect() }
}
