//! The `lostwax` program; see `lostwax --help`.

fn main() -> std::process::ExitCode {
    lostwax::cli::main()
}
