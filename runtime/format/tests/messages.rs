//! `src/messages.rs` is what `prost-build` makes of the schemas; `BLESS=1` writes it anew.

use std::path::{Path, PathBuf};
use std::{env, fs};

const SCHEMAS: [&str; 2] = ["plan.proto", "language_model.proto"];

fn generated(folder: &Path) -> String {
    let descriptors = protox::compile(SCHEMAS, [env!("CARGO_MANIFEST_DIR")]).expect("the schemas are valid");
    prost_build::Config::new().out_dir(folder).compile_fds(descriptors).expect("the schemas have a form in Rust");
    fs::read_to_string(folder.join("lostwax.format.rs")).expect("all messages are in one package")
}

#[test]
fn messages_are_those_of_the_schemas() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/messages.rs");
    let generated = generated(folder.path());
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &generated).expect("the sources can be written");
    }
    assert!(fs::read_to_string(&path).expect("the file is there") == generated, "run with BLESS=1 after changes of a schema");
}
