//! Runs kernels on the GPU of this machine, or a software one, beside the reference interpreter.
#![allow(dead_code)]

use lostwax_device_gpu::format::{Feature, Language, read};
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::Kernel;
use lostwax_ir::number::Number;
use lostwax_ir::types::DType;
use lostwax_target_api::{BufferRef, Device, Dispatch, EmitOptions, Executor, Io, OutputKind, Prepared, Region};
use lostwax_target_gpu::target;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

/// One device for all tests, as programs have it.
pub fn device() -> &'static Arc<dyn Device> {
    static DEVICE: LazyLock<Arc<dyn Device>> = LazyLock::new(lostwax_target_gpu::device);
    &DEVICE
}

pub fn code(kernels: &[Kernel]) -> Vec<u8> {
    let target = target();
    let variants = target.variants("").unwrap();
    assert_eq!(device().select(&[variants[0].info.clone()]), Some(0));
    let options = EmitOptions { outputs: [OutputKind::Listing].into() };
    let emitted = target.emit(&variants[0], kernels, &options).unwrap_or_else(|error| panic!("{error}"));
    for shader in read(&emitted.code).unwrap() {
        for variant in &shader.variants {
            let has = |feature: Feature| variant.features.contains(&feature);
            variant.sources.get(&Language::Spirv).into_iter().for_each(|words| check_spirv(words));
            assert_eq!(variant.sources.contains_key(&Language::Spirv), !has(Feature::PackedDots));
            assert_eq!(variant.sources.contains_key(&Language::Msl), !has(Feature::Float64) && !has(Feature::PackedDots));
        }
    }
    emitted.code
}

/// Asks the validator of the Khronos group, where it is installed.
fn check_spirv(bytes: &[u8]) {
    let command = Command::new("spirv-val").args(["--target-env", "vulkan1.1", "-"]).stdin(Stdio::piped()).spawn();
    let Ok(mut validator) = command else { return };
    validator.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(validator.wait().unwrap().success(), "spirv-val refuses a shader");
}

pub fn executor(code: &[u8]) -> Box<dyn Executor> {
    device().load(code, Arc::new(Vec::new())).unwrap_or_else(|error| panic!("{error}")).executor(1).unwrap()
}

/// The buffers after a run of one kernel, whose writable arguments are outputs that begin as states of the content given.
pub fn run(kernel: &Kernel, buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<Vec<u8>> {
    run_code(&**device(), &code(std::slice::from_ref(kernel)), buffers, symbols, grid)
}

/// As [`run`], with the code of one kernel on a device.
pub fn run_code(device: &dyn Device, code: &[u8], buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<Vec<u8>> {
    let program = device.load(code, Arc::new(Vec::new())).unwrap_or_else(|error| panic!("{error}"));
    let mut executor = program.executor(1).unwrap();
    let whole =
        |position: usize| BufferRef { region: Region::State(position as u32), offset: 0, bytes: buffers[position].len() as u64 };
    let dispatch = Dispatch { kernel: 0, buffers: (0..buffers.len()).map(whole).collect(), symbols: symbols.to_vec(), grid };
    let state_bytes = buffers.iter().map(|buffer| buffer.len() as u64).collect();
    executor.prepare(&Prepared { state_bytes, dispatches: vec![dispatch], ..Prepared::default() }).unwrap();
    for (position, buffer) in buffers.iter().enumerate() {
        executor.state(position).unwrap().copy_from_slice(buffer);
    }
    executor.run(&mut Io { inputs: &[], outputs: &mut [] }).unwrap();
    (0..buffers.len()).map(|position| executor.state(position).unwrap().to_vec()).collect()
}

/// The buffers after a run in the reference interpreter.
pub fn reference(kernel: &Kernel, buffers: &[Vec<u8>], symbols: &[i64]) -> Vec<Vec<u8>> {
    let mut copies = buffers.to_vec();
    let mut slices: Vec<&mut [u8]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
    eval_kernel(kernel, &mut slices, symbols).unwrap();
    copies
}

/// Values of a type in memory.
pub fn to_bytes(values: &[Number]) -> Vec<u8> {
    let element = |value: &Number| {
        let mut bytes = vec![0; value.dtype().size()];
        value.write(&mut bytes).unwrap();
        bytes
    };
    values.iter().flat_map(element).collect()
}

pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Vec<Number> {
    bytes.chunks_exact(dtype.size()).map(|bytes| Number::read(dtype, bytes).unwrap()).collect()
}

/// Whether a float is as near as shaders come, or the value is the same.
pub fn is_close(found: Number, expected: Number, tolerance: f64) -> bool {
    let (Number::Float(_, a), Number::Float(_, b)) = (found, expected) else { return found == expected };
    let smallest = f64::from(f32::MIN_POSITIVE);
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs() + smallest
}
