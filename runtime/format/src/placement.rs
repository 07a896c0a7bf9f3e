//! Which steps the code of a variant runs, and which it leaves to another device.

use crate::{Dispatch, Variant};

impl Variant {
    /// Whether a step of the plan is left to [`Variant::fallback_device`].
    pub fn leaves(&self, step: usize) -> bool {
        u32::try_from(step).is_ok_and(|step| self.fallback_steps.binary_search(&step).is_ok())
    }

    /// The steps that this code runs, with their positions in the plan.
    pub fn own_dispatches(&self) -> impl Iterator<Item = (usize, &Dispatch)> {
        self.dispatches.iter().enumerate().filter(|(step, _)| !self.leaves(*step))
    }
}
