//! With `static-llvm`, also the libraries that LLVM needs are linked statically.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What LLVM needs beside the C library.
const LIBRARIES: &[&str] = &["libffi.a", "libz.a", "libzstd.a", "libstdc++.a"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is_static = env::var_os("CARGO_FEATURE_STATIC_LLVM").is_some();
    let is_gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from).filter(|_| is_static && is_gnu) else { return };
    for name in LIBRARIES {
        if let Err(problem) = provide(&folder, name) {
            println!("cargo:warning={name}: {problem}; the program will need the shared library");
        }
    }
    println!("cargo:rustc-link-search=native={}", folder.display());
}

/// Puts a link to the static library into a folder that the linker searches before those of the system, which have the shared one.
fn provide(folder: &Path, name: &str) -> Result<(), String> {
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output().map_err(|error| format!("cc: {error}"))?;
    let found = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !found.is_absolute() {
        return Err("it is not installed".to_string());
    }
    let content = fs::read(&found).map_err(|error| error.to_string())?;
    fs::write(folder.join(name), content).map_err(|error| error.to_string())
}
