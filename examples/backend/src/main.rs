//! `lostwax` with one more target, `c`.

use lostwax::Registry;
use lostwax::compiler::Backend;
use std::process::ExitCode;

// region: main
fn main() -> ExitCode {
    let mut registry = Registry::default();
    registry.backends.push(Backend::new(lostwax_c::target(), lostwax_c::device()));
    lostwax::cli::main_with(registry)
}
// endregion: main
