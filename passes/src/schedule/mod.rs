//! Schedules: from what a kernel computes to the loops, registers and vectors that compute it.
//!
//! The form of the loop nest decides the schedule, never the op it came from:
//! sums of products with a column dimension of their own become register-blocked `contraction`s, reductions whose output is
//! contiguous run as `window`s with one lane per output element, reductions over contiguous memory run as `rows` with one
//! lane per reduced element, sums weighted by a softmax run as `attention`, and everything without a reduction is a `map`.
//! On machines whose workgroups have several threads, contractions and long reductions are first tried as `threads`.

mod attention;
mod build;
mod contraction;
mod map;
mod nest;
mod reduce;
mod rows;
mod slow;
mod symbols;
mod threads;
mod window;

pub use attention::is_weighted;
pub use contraction::{is_contraction, wants_unpadded};
pub use nest::{Nest, View, map_dims};

use lostwax_ir::compute::{Axis, Compute, Reduction};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{BufferDecl, Kernel};
use lostwax_ir::types::TensorType;
use lostwax_target_api::Caps;
use threads::Workgroups;

/// A rearrangement of a constant input: element `i` of the new constant, over `loops` in row-major order, is element
/// `index` of the old one where `valid` holds, and 0 elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The input that is replaced.
    pub input: usize,
    /// The loops over the new constant, outermost first.
    pub loops: Vec<Axis>,
    /// The element of the old constant.
    pub index: Dim,
    /// Where the old constant has an element: where this is at least 0.
    pub valid: Dim,
}

/// A scheduled kernel.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The kernel; its arguments are the inputs and then the output.
    pub kernel: Kernel,
    /// Constants that must be rearranged for it.
    pub packing: Vec<Packing>,
    /// Why the kernel is much slower than the machine could be, if it is known to be.
    pub slow: Option<String>,
}

/// What a schedule may assume about one input.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Where its elements lie.
    pub view: View,
    /// Whether it is a constant that may be rearranged at compile time.
    pub constant: bool,
}

/// Whether the nest reads what it multiplies as neighbours: both factors of a contraction, keys and values of a weighted sum.
pub fn reads_contiguously(nest: &Nest) -> bool {
    contraction::reads_contiguously(nest) || attention::reads_contiguously(nest)
}

/// Schedules `compute` for a machine. Inputs and output are addressed as given.
pub fn schedule(name: &str, compute: &Compute, inputs: &[Argument], output: &View, caps: &Caps) -> Scheduled {
    let views: Vec<View> = inputs.iter().map(|input| input.view.clone()).collect();
    let nest = Nest::new(compute, &views, output);
    let buffers = buffers(compute, caps);
    if let Some(block_scaled) = contraction::block_scaled::analyze(&nest) {
        let shared = joint_on_threads(name, &nest, &block_scaled, &buffers, caps);
        return shared.unwrap_or_else(|| contraction::block_scaled::schedule(name, &nest, &block_scaled, buffers, caps));
    }
    if let Some(plan) = contraction::analyze(&nest, inputs) {
        let shared = Workgroups::of(caps).and_then(|groups| threads::contract(name, &nest, &plan, inputs, &buffers, &groups));
        if let Some(scheduled) = shared {
            return scheduled;
        }
        return contraction::schedule(name, &nest, &plan, inputs, buffers, caps);
    }
    let (kernel, slow) = match &nest.reduction {
        None => (map::schedule(name, &nest, buffers, caps), None),
        Some(Reduction { axes, value, weight: Some(weight), .. }) => {
            (attention::schedule(name, &nest, (axes, value, weight), buffers, caps), None)
        }
        Some(reduction) => match window::schedule(name, &nest, reduction, buffers.clone(), caps) {
            Some(kernel) => (kernel, None),
            None => {
                let kernel = shared_reduction(name, &nest, &buffers, caps, false);
                let kernel = kernel.unwrap_or_else(|| rows::schedule(name, &nest, reduction, buffers, caps));
                (kernel, slow::scattered(&nest, reduction))
            }
        },
    };
    let slow = slow.or_else(|| slow::one_item(&nest, &kernel, caps));
    Scheduled { kernel, packing: Vec::new(), slow }
}

/// A sum of terms of rows and columns together, by the threads of workgroups where the machine has any: of few rows, a reduction.
fn joint_on_threads(
    name: &str,
    nest: &Nest,
    block_scaled: &contraction::block_scaled::BlockScaled,
    buffers: &[BufferDecl],
    caps: &Caps,
) -> Option<Scheduled> {
    let staged = threads::contract_block_scaled(name, nest, block_scaled, buffers, &Workgroups::of(caps)?);
    let scheduled = |kernel| Scheduled { kernel, packing: Vec::new(), slow: None };
    staged.or_else(|| shared_reduction(name, nest, buffers, caps, true).map(scheduled))
}

/// A reduction by the threads of workgroups, where the machine has any.
fn shared_reduction(name: &str, nest: &Nest, buffers: &[BufferDecl], caps: &Caps, along_columns: bool) -> Option<Kernel> {
    threads::reduce(name, nest, nest.reduction.as_ref()?, buffers, &Workgroups::of(caps)?, along_columns)
}

fn buffers(compute: &Compute, caps: &Caps) -> Vec<BufferDecl> {
    let mut buffers: Vec<BufferDecl> = compute
        .inputs
        .iter()
        .enumerate()
        .map(|(position, ty)| BufferDecl {
            name: format!("in{position}"),
            dtype: ty.dtype,
            writable: false,
            pieces: pieces(ty, caps),
        })
        .collect();
    buffers.push(BufferDecl { name: "out".to_string(), dtype: compute.output.dtype, writable: true, pieces: 1 });
    buffers
}

/// The pieces that a machine takes a tensor in. Sizes that are not known count as small.
fn pieces(ty: &TensorType, caps: &Caps) -> u32 {
    let elements = ty.static_shape().map_or(0, |shape| shape.iter().fold(1u64, |all, size| all.saturating_mul(*size as u64)));
    let bytes = elements.saturating_mul(ty.dtype.size() as u64);
    u32::try_from(bytes.div_ceil(caps.binding_bytes.max(1)).max(1)).unwrap_or(u32::MAX)
}
