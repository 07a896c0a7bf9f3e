//! Single elements of the factors, for schedules that do not read them in panels.

use super::roles::{Right, Roles};
use super::{pack, tile};
use crate::schedule::build::{Block, Context, KernelBuilder};
use crate::schedule::{Argument, Packing};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{BufferId, Cond, Operand, Place, Scalar};
use lostwax_ir::types::DType;

impl Roles {
    /// Whether neighbouring steps along the depth are neighbours in the first factor.
    pub(in crate::schedule) fn left_along_depth(&self) -> bool {
        self.left.1.affine_in(&self.loops.depth.symbol).is_some_and(|(stride, _)| stride.is(1))
    }

    /// An element of the first factor at bound loops; 0 where it, or what `exists` says, is not there.
    pub(in crate::schedule) fn first_element(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        context: &Context<'_>,
        exists: Cond,
    ) -> Operand {
        let (input, index, valid) = &self.left;
        let place = Place::Buffer(BufferId(*input), context.dim(index));
        let valid = context.cond(valid).and(exists).simplify();
        let zero = Operand::float(DType::F32, 0.0);
        let guarded = |place| Scalar::LoadIf { place, valid: valid.clone(), otherwise: zero };
        builder.define(block, if valid.always() { Scalar::Load(place) } else { guarded(place) })
    }
}

/// The second factor, rearranged into the panels that all schedules share where it is constant.
pub(in crate::schedule) struct SecondFactor<'a> {
    roles: &'a Roles,
    panel: i64,
    /// The index of a packed element, over the loops, `%panel` and `%lane`.
    packed: Option<Dim>,
}

impl<'a> SecondFactor<'a> {
    pub(in crate::schedule) fn new(roles: &'a Roles, inputs: &[Argument]) -> (Self, Vec<Packing>) {
        let panel = tile::panel(roles);
        let (packing, packed) = roles.packable(inputs).then(|| pack(roles, panel)).flatten().unzip();
        (Self { roles, panel, packed }, packing.into_iter().collect())
    }

    /// Steps along the depth that are decoded from the same memory.
    pub(in crate::schedule) fn period(&self) -> i64 {
        match &self.roles.right {
            Right::Plain(..) => 1,
            Right::Decoded { period, .. } => *period,
        }
    }

    /// Whether neighbouring steps along the depth are neighbours in memory, and neighbouring columns are not.
    pub(in crate::schedule) fn along_depth(&self) -> bool {
        let Right::Plain(_, index) = &self.roles.right else { return false };
        let stride_is_one =
            |axis: &lostwax_ir::compute::Axis| index.affine_in(&axis.symbol).is_some_and(|(stride, _)| stride.is(1));
        self.packed.is_none() && stride_is_one(&self.roles.loops.depth) && !stride_is_one(&self.roles.loops.column)
    }

    /// The element of an existing column at bound loops.
    pub(in crate::schedule) fn element(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        context: &Context<'_>,
        column: &Dim,
    ) -> Operand {
        let mut context = context.clone().bind(&self.roles.loops.column.symbol, column.clone());
        match &self.roles.right {
            Right::Decoded { body, .. } => {
                context.contracted = true;
                builder.expand(block, body, &context)
            }
            Right::Plain(input, index) => {
                let index = self.packed.as_ref().map_or_else(|| index.clone(), |packed| self.in_panel(packed, column));
                builder.define(block, Scalar::Load(Place::Buffer(BufferId(*input), context.dim(&index))))
            }
        }
    }

    fn in_panel(&self, packed: &Dim, column: &Dim) -> Dim {
        packed.substitute(&|symbol| match symbol.name() {
            "%panel" => Some(column.floor_div(self.panel)),
            "%lane" => Some(column.modulo(self.panel)),
            _ => None,
        })
    }
}
