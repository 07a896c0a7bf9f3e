//! Compiles the messages without `protoc`.

const MESSAGES: [&str; 2] = ["plan.proto", "language_model.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in MESSAGES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(MESSAGES, ["."])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
