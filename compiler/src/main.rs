//! The `lostwax` program; see `lostwax --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
