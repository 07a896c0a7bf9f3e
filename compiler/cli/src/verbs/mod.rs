//! The verbs: one file each, which holds its `Args`, and one line in the list below.

use crate::console::Console;
use crate::error::CliError;
use crate::report::Report;
use clap::Subcommand;

/// Lists the verbs: the file, which holds a type `Args` with a function `run`, and its name in [`Verb`].
macro_rules! verbs {
    ($($module:ident $variant:ident,)*) => {
        $(pub mod $module;)*

        /// A verb with its arguments.
        #[derive(Subcommand)]
        pub enum Verb { $($variant($module::Args),)* }

        impl Verb {
            /// Runs the verb.
            pub fn run(self, console: &Console) -> Result<Report, CliError> {
                match self { $(Verb::$variant(args) => args.run(console),)* }
            }
        }
    };
}

verbs! {
    check Check,
    compile Compile,
    run Run,
    bench Bench,
    verify Verify,
    inspect Inspect,
    generate Generate,
    chat Chat,
    tokenize Tokenize,
    perplexity Perplexity,
    embed Embed,
    serve Serve,
    opt Opt,
    bisect Bisect,
    targets Targets,
    devices Devices,
    ops Ops,
    rules Rules,
    passes Passes,
    completions Completions,
    manual Manual,
}
