//! Artifacts of every released format version are read for ever. `BLESS=1` writes the one of this version.

mod common;

use common::{artifact, writer};
use lostwax_format::{Artifact, FORMAT_VERSION, OLDEST_FORMAT_VERSION};
use std::path::PathBuf;

fn path(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/released/v{version}.lwx"))
}

#[test]
fn released_artifacts_are_read_and_written() {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path(FORMAT_VERSION), artifact()).unwrap();
    }
    for version in OLDEST_FORMAT_VERSION..=FORMAT_VERSION {
        let file = std::fs::read(path(version)).unwrap();
        let parsed = Artifact::parse(&file).unwrap();
        parsed.verify(&file).unwrap();
        assert_eq!(parsed.plan().entry_points, writer().1.entry_points);
        assert!(parsed.plan().variants.iter().all(|variant| variant.os.is_empty() && variant.abi.is_empty()));
    }
    let released = std::fs::read(path(FORMAT_VERSION)).unwrap();
    assert!(artifact() == released, "the same model gives other bytes than before");
}
