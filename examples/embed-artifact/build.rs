//! Compiles the model with the `lostwax` program: the one that the variable `LOSTWAX` names, or the one in `PATH`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=iris.onnx");
    println!("cargo::rerun-if-env-changed=LOSTWAX");
    let program = std::env::var_os("LOSTWAX").unwrap_or("lostwax".into());
    let artifact = Path::new(&std::env::var_os("OUT_DIR").unwrap_or_default()).join("iris.lwx");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let status = Command::new(&program)
        .args(["compile", "iris.onnx", "--target", &format!("cpu:{arch}"), "-o"])
        .arg(artifact)
        .stdout(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("lostwax could not compile the model: {status}"),
        Err(error) => panic!("cannot run {}: {error}; set LOSTWAX to its path", program.display()),
    }
}
