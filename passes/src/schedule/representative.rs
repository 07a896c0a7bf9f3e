//! Typical values of symbolic sizes, for choices that must be made before the sizes are known.

use lostwax_ir::dim::{Bindings, Dim};

/// What a symbol without a narrower range is taken to be. The product of two such sizes is the area of a small picture.
const TYPICAL: i64 = 64;

/// The value of `dim` with each symbol at a typical value of its range.
pub fn representative(dim: &Dim) -> i64 {
    let mut bindings = Bindings::new();
    dim.for_each_symbol(&mut |symbol| {
        bindings.insert(symbol.name().to_string(), TYPICAL.clamp(symbol.min(), symbol.max()));
    });
    dim.eval(&bindings).unwrap_or(TYPICAL)
}
