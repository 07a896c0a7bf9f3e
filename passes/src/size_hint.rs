//! Size hints: what symbolic sizes are taken to be where a choice must be made before they are known.

use lostwax_ir::dim::{Bindings, Dim};

/// The size hint of a symbol, clamped to its range. The product of two such sizes is the area of a small picture.
pub const SYMBOL: i64 = 64;

/// The value of `dim` when each symbol has its size hint.
pub fn size_hint(dim: &Dim) -> i64 {
    size_hint_at(dim, SYMBOL)
}

/// The value of `dim` when each symbol is `symbol_size`, clamped to its range; `symbol_size` where it has no value then.
pub fn size_hint_at(dim: &Dim, symbol_size: i64) -> i64 {
    let mut bindings = Bindings::new();
    dim.for_each_symbol(&mut |symbol| {
        bindings.insert(symbol.name().to_string(), symbol_size.clamp(symbol.min(), symbol.max()));
    });
    dim.eval(&bindings).unwrap_or(symbol_size)
}
