//! Where kernels run: on the device of their target, or, where the target cannot write one, on that of another target.

use crate::assemble::Assembled;
use crate::error::CompileError;
use crate::registry::SelectedTarget;
use lostwax_format::{Dispatch, Variant as PlanVariant};
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{EmitError, EmitOptions, Emitted, Target, Variant};
use std::collections::BTreeMap;
use std::fmt;

/// A variant that code is written for, and where it was asked for.
pub(crate) type SelectedVariant<'a> = (&'a SelectedTarget, &'a Variant);

/// A kernel that runs elsewhere than its variant's other kernels.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// The device family of the variant.
    pub device: String,
    /// The variant.
    pub variant: String,
    /// The kernel, under the name that the variant would have given it.
    pub kernel: String,
    /// The device family that runs it.
    pub fallback: String,
    /// Why the target cannot write it.
    pub reason: String,
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, variant, kernel, fallback, reason } = self;
        write!(f, "kernel `{kernel}` of {device} {variant} runs on {fallback}: {reason}")
    }
}

/// The code of one variant.
pub(crate) struct Code {
    pub(crate) emitted: Emitted,
    /// The kernels that it lacks, by position.
    refused: BTreeMap<u32, EmitError>,
}

impl Code {
    /// Whether kernels are missing.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.refused.is_empty()
    }
}

/// Writes the code of all kernels that the target can write.
pub(crate) fn emit(target: &dyn Target, variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Code, EmitError> {
    let error = match target.emit(variant, kernels, options) {
        Ok(emitted) => return Ok(Code { emitted, refused: BTreeMap::new() }),
        Err(error) if error.allows_fallback() => error,
        Err(error) => return Err(error),
    };
    let refused = refused(target, variant, kernels)?;
    if refused.is_empty() {
        return Err(error);
    }
    Ok(Code { emitted: target.emit(variant, &others(kernels, &refused), options)?, refused })
}

fn refused(target: &dyn Target, variant: &Variant, kernels: &[Kernel]) -> Result<BTreeMap<u32, EmitError>, EmitError> {
    let mut refused = BTreeMap::new();
    for (position, kernel) in (0..).zip(kernels) {
        match target.check(variant, kernel) {
            Err(error) if error.allows_fallback() => drop(refused.insert(position, error)),
            checked => checked?,
        }
    }
    Ok(refused)
}

fn others<T: Clone>(all: &[T], refused: &BTreeMap<u32, EmitError>) -> Vec<T> {
    (0..).zip(all).filter(|(position, _)| !refused.contains_key(position)).map(|(_, item)| item.clone()).collect()
}

/// The device family that runs what `device` does not: the first other one among the variants.
fn fallback_of<'a>(device: &str, variants: &'a [SelectedVariant<'_>]) -> Option<&'a str> {
    variants.iter().map(|(_, variant)| variant.info.device.as_str()).find(|other| *other != device)
}

/// Whether kernels are missing that a target of the name `default` could add, since no other device has code.
pub(crate) fn needs_default(variants: &[SelectedVariant<'_>], code: &[Code], default: &str) -> bool {
    let is_alone = |device: &str| device != default && fallback_of(device, variants).is_none();
    variants.iter().zip(code).any(|((_, variant), code)| code.has_gaps() && is_alone(&variant.info.device))
}

/// The kernels that run elsewhere, on `default` where no other target was asked for.
pub(crate) fn fallbacks(variants: &[SelectedVariant<'_>], code: &[Code], assembled: &Assembled, default: &str) -> Vec<Fallback> {
    let mut all = Vec::new();
    for (((_, variant), code), kernels) in variants.iter().zip(code).zip(&assembled.kernels) {
        let fallback = fallback_of(&variant.info.device, variants).unwrap_or(default);
        if fallback == variant.info.device {
            continue;
        }
        all.extend(code.refused.iter().filter_map(|(position, error)| {
            Some(Fallback {
                device: variant.info.device.clone(),
                variant: variant.info.name.clone(),
                kernel: kernels.get(*position as usize)?.name.clone(),
                fallback: fallback.to_string(),
                reason: error.to_string(),
            })
        }));
    }
    all
}

/// Records in the plan which steps run elsewhere, and removes the kernels that have no code.
///
/// # Errors
/// [`CompileError::Emit`] of a kernel that no target can write.
pub(crate) fn place(variants: &[SelectedVariant<'_>], code: &mut [Code], assembled: &mut Assembled) -> Result<(), CompileError> {
    let left: Vec<Vec<u32>> =
        assembled.plan.variants.iter().zip(&*code).map(|(variant, code)| steps_left(variant, code)).collect();
    for (position, (_, variant)) in variants.iter().enumerate() {
        let (Some(own), Some(steps)) = (code.get_mut(position), left.get(position)) else { continue };
        let fallback = fallback_of(&variant.info.device, variants);
        let is_lacking = |step: &u32| fallback.is_none_or(|device| !has_step(device, *step, variants, &left));
        let lacking = steps.iter().find(|step| is_lacking(step)).copied();
        if let Some(error) = lacking.and_then(|step| take_error(own, assembled.plan.variants.get(position)?, step)) {
            return Err(error.into());
        }
        if let (Some(device), true) = (fallback, own.has_gaps()) {
            leave(assembled, position, own, steps, device);
        }
    }
    Ok(())
}

/// The steps whose kernels are missing.
fn steps_left(variant: &PlanVariant, code: &Code) -> Vec<u32> {
    let steps = (0..).zip(&variant.dispatches);
    steps.filter(|(_, dispatch)| code.refused.contains_key(&dispatch.kernel)).map(|(step, _)| step).collect()
}

/// Whether all code for a device has the kernel of a step.
fn has_step(device: &str, step: u32, variants: &[SelectedVariant<'_>], left: &[Vec<u32>]) -> bool {
    let mut same = variants.iter().zip(left).filter(|((_, variant), _)| variant.info.device == device);
    same.all(|(_, left)| !left.contains(&step))
}

fn take_error(code: &mut Code, variant: &PlanVariant, step: u32) -> Option<EmitError> {
    code.refused.remove(&variant.dispatches.get(step as usize)?.kernel)
}

/// Leaves steps of a variant to a device, and numbers the kernels that it has anew.
fn leave(assembled: &mut Assembled, position: usize, code: &Code, steps: &[u32], device: &str) {
    let Assembled { plan, kernels, .. } = assembled;
    let (Some(variant), Some(kernels)) = (plan.variants.get_mut(position), kernels.get_mut(position)) else { return };
    for dispatch in &mut variant.dispatches {
        let is_refused = code.refused.contains_key(&dispatch.kernel);
        let before = code.refused.range(..dispatch.kernel).count() as u32;
        *dispatch = match is_refused {
            true => Dispatch::default(),
            false => Dispatch { kernel: dispatch.kernel - before, ..std::mem::take(dispatch) },
        };
    }
    *kernels = others(kernels, &code.refused);
    variant.kernels = others(&variant.kernels, &code.refused);
    variant.fallback_steps = steps.to_vec();
    variant.fallback_device = device.to_string();
}
