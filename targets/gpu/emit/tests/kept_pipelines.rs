//! Pipelines are kept in a folder between processes. The environment that names it is that of a process, so each test runs another
//! one.

use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{DeviceError, EmitOptions};
use lostwax_target_gpu::{device, target};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const VARIABLE: &str = "LOSTWAX_PIPELINE_CACHE";

/// What a file begins with; a checksum and what is kept follow.
const MAGIC: &[u8] = b"lostwax pipelines 1\n";

const COPY: &str = r#"kernel "copy" {
  item %i: 0..
  grid (4)
  buffer "x": f32
  buffer "y": f32 writable
  v0 = load b0[%i]
  store b1[%i], v0
}
"#;

fn load() -> Result<usize, DeviceError> {
    let target = target();
    let kernel = parse_kernel(COPY).unwrap();
    let code = target.emit(&target.variants("").unwrap()[0], &[kernel], &EmitOptions::default()).unwrap().code;
    Ok(device().load(&code, Arc::new(Vec::new()))?.kernel_count())
}

/// Not a test of its own: what the other process does.
#[test]
fn another_process() {
    let Some(folder) = std::env::var_os(VARIABLE) else { return };
    match load() {
        Ok(count) => assert_eq!(count, 1),
        Err(DeviceError::Inaccessible { path, .. }) => panic!("{path} is inaccessible, of {}", folder.display()),
        Err(error) => panic!("{error}"),
    }
}

fn run(folder: &Path) -> (bool, String) {
    let test = std::env::current_exe().unwrap();
    let output = Command::new(test).args(["--exact", "another_process", "--nocapture"]).env(VARIABLE, folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn workplace(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// The only file of the folder.
fn file(folder: &Path) -> PathBuf {
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// A file with this content, as the device writes it.
fn close(content: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    [MAGIC, &hasher.finish().to_le_bytes(), content].concat()
}

/// What is kept in a file, which must be intact and of wgpu.
fn content(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    let content = bytes[MAGIC.len() + 8..].to_vec();
    assert_eq!(bytes, close(&content));
    assert!(content.starts_with(b"WGPUPLCH"), "{content:?}");
    content
}

#[test]
fn pipelines_are_kept_and_written_once() {
    let folder = workplace("kept/pipelines");
    assert!(run(&folder).0);
    let file = file(&folder);
    let kept = content(&file);
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
    assert!(run(&folder).0);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), past, "a file that is the same is written again");
    assert_eq!(content(&file), kept);
}

#[test]
fn files_that_are_damaged_or_of_another_gpu_are_replaced() {
    let folder = workplace("damaged/pipelines");
    assert!(run(&folder).0);
    let file = file(&folder);
    let kept = std::fs::read(&file).unwrap();
    let damaged = |position: usize| {
        let mut bytes = kept.clone();
        bytes[position] ^= 0xff;
        bytes
    };
    let (checksum, last) = (MAGIC.len(), kept.len() - 1);
    let files = [b"no pipelines".to_vec(), Vec::new(), kept[..last].to_vec(), damaged(0), damaged(checksum), damaged(last)];
    for bytes in files.into_iter().chain([close(b"pipelines of another"), close(b"")]) {
        std::fs::write(&file, &bytes).unwrap();
        let (success, text) = run(&folder);
        assert!(success, "{text}");
        assert_eq!(self::file(&folder), file);
        assert!(!content(&file).is_empty() && std::fs::read(&file).unwrap() != bytes);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = workplace("occupied");
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&folder);
    std::fs::write(&folder, "a file").unwrap();
    let (success, text) = run(&folder);
    assert!(!success && text.contains(&format!("{} is inaccessible", folder.display())), "{text}");
}
