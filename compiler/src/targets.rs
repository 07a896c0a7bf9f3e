//! The targets that this compiler can write code for: one line each.

use crate::error::CompileError;
use lostwax_target_api::{Target, Variant};

/// All targets.
pub fn targets() -> Vec<Box<dyn Target>> {
    vec![lostwax_target_cpu::target()]
}

/// A target with the variants that were asked for.
pub struct Selection {
    /// The target.
    pub target: Box<dyn Target>,
    /// The variants, best first.
    pub variants: Vec<Variant>,
}

/// The target and variants that `NAME` or `NAME:SPECIFICATION` stands for.
///
/// # Errors
/// [`CompileError::UnknownTarget`], or the target's own error for a specification that it does not understand.
pub fn select(text: &str) -> Result<Selection, CompileError> {
    let (name, specification) = text.split_once(':').unwrap_or((text, ""));
    let known: Vec<String> = targets().iter().map(|target| target.name().to_string()).collect();
    let target = targets().into_iter().find(|target| target.name() == name);
    let target = target.ok_or_else(|| CompileError::UnknownTarget { name: name.to_string(), known })?;
    let variants = target.variants(specification)?;
    Ok(Selection { target, variants })
}
