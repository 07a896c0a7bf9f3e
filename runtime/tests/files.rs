//! Models from files, from memory and from the program itself.

mod common;

use common::{artifact, device};
use lostwax_runtime::{AlignedBuffer, Model, RuntimeError};
use std::io::Write;
use std::path::PathBuf;

fn file(name: &str, contents: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.lwx"));
    std::fs::write(&path, contents).expect("the test directory can be written");
    path
}

#[test]
fn files_are_opened_and_verified() {
    let path = file("fine", &artifact());
    let model = Model::open_verified(&path).unwrap();
    assert_eq!(model.file_bytes(), artifact());
    assert!(model.session(device()).is_ok());
}

#[test]
fn damaged_weights_are_found_on_request() {
    let mut bytes = artifact();
    let start = Model::from_bytes(bytes.clone()).unwrap().artifact().weights().start;
    bytes[start] ^= 1;
    let path = file("damaged", &bytes);
    assert!(Model::open(&path).is_ok());
    assert!(matches!(Model::open_verified(&path), Err(RuntimeError::Artifact(_))));
}

#[test]
fn bad_files_are_errors() {
    assert!(matches!(Model::open("/nowhere/at/all"), Err(RuntimeError::Artifact(_))));
    assert!(matches!(Model::open(file("empty", &[])), Err(RuntimeError::Artifact(_))));
    assert!(matches!(Model::open(file("text", b"hello, world")), Err(RuntimeError::Artifact(_))));
    assert!(matches!(Model::open(env!("CARGO_TARGET_TMPDIR")), Err(RuntimeError::Artifact(_))));
}

#[test]
fn included_artifacts_are_aligned() {
    let bytes = lostwax_runtime::include_artifact!("files.rs");
    assert_eq!(bytes.as_ptr().addr() % 4096, 0);
    assert_eq!(bytes, include_bytes!("files.rs"));
}

#[test]
fn aligned_bytes_are_not_copied() {
    let mut buffer = AlignedBuffer::new();
    artifact().chunks(100).for_each(|chunk| buffer.write_all(chunk).unwrap());
    let place = buffer.as_ref().as_ptr();
    let model = Model::from_bytes(buffer).unwrap();
    assert_eq!(model.file_bytes().as_ptr(), place);
    assert_eq!(model.file_bytes(), artifact());
}

#[test]
fn devices_without_code_are_refused() {
    use lostwax_runtime::api::{Device, DeviceError, Program, VariantInfo, WeightBytes};
    use std::sync::Arc;
    struct Nothing;
    impl Device for Nothing {
        fn name(&self) -> &str {
            "nothing"
        }
        fn unsupported_reason(&self, _: &VariantInfo) -> Option<String> {
            Some("it can do nothing".into())
        }
        fn select(&self, variants: &[VariantInfo]) -> Option<usize> {
            (!variants.is_empty()).then_some(variants.len())
        }
        fn load(&self, _: &[u8], _: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
            Err(DeviceError::Unsupported { device: "nothing".into(), what: "code".into() })
        }
    }
    let session = Model::from_bytes(artifact()).unwrap().session(Arc::new(Nothing) as Arc<dyn Device>);
    let text = session.err().map(|error| error.to_string()).unwrap();
    let expected = "the file has no code that the nothing device can run: fake any plain (it can do nothing). Compile the model for \
                    this machine: `lostwax compile MODEL --target nothing` here, or elsewhere with a specification that \
                    `lostwax targets` lists";
    assert_eq!(text, expected);
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_opened() {
    use lostwax_runtime::MappedFile;
    use lostwax_runtime::files::read_file;
    use std::io::ErrorKind;
    let fifo = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fifo");
    let _ = std::fs::remove_file(&fifo);
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, kind) in [(fifo.as_path(), ErrorKind::InvalidInput), ("/dev/zero".as_ref(), ErrorKind::InvalidInput)] {
        assert_eq!(MappedFile::open(path).err().map(|error| error.kind()), Some(kind));
        assert_eq!(read_file(path, 100).err().map(|error| error.kind()), Some(kind));
        assert!(Model::open(path).err().is_some_and(|error| error.to_string().contains("not a regular file")));
    }
    assert_eq!(read_file(env!("CARGO_TARGET_TMPDIR").as_ref(), 1).err().map(|error| error.kind()), Some(ErrorKind::IsADirectory));
}

#[test]
fn small_files_have_a_limit() {
    use lostwax_runtime::files::read_file;
    let path = file("small", &[7; 100]);
    assert_eq!(read_file(&path, 100).unwrap(), [7; 100]);
    assert_eq!(read_file(&path, 99).err().map(|error| error.kind()), Some(std::io::ErrorKind::FileTooLarge));
}
