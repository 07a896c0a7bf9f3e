//! The registry that this process runs with.

use lostwax_compiler::Registry;
use std::sync::OnceLock;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// Makes `registry` the one that this process runs with; the first call decides.
pub fn set(registry: Registry) {
    REGISTRY.get_or_init(|| registry);
}

/// The registry of this process; what lostwax ships unless the program set another.
pub fn registry() -> &'static Registry {
    REGISTRY.get_or_init(Registry::default)
}
