//! Runs kernels on the device and in the reference interpreter.

use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::Kernel;
use lostwax_ir::number::Number;
use lostwax_ir::text::print_kernel;
use lostwax_ir::types::DType;
use lostwax_ir::verify::verify_kernel;
use lostwax_target_api::{BufferRef, Dispatch, EmitOptions, Io, Prepared, Program, Region};
use std::sync::Arc;

/// A kernel with what it runs on. Buffers that it does not write come first.
pub struct Case {
    pub kernel: Kernel,
    pub buffers: Vec<Vec<u8>>,
    pub symbols: Vec<i64>,
    pub grid: u64,
}

/// Compiles all kernels as one program, and compares each with the interpreter.
pub fn check(cases: &[Case], same: impl Fn(Number, Number) -> bool) {
    let kernels: Vec<Kernel> = cases.iter().map(|case| case.kernel.clone()).collect();
    let program = compile(&kernels);
    for (position, case) in (0..).zip(cases) {
        let text = print_kernel(&case.kernel);
        assert!(verify_kernel(&case.kernel).is_empty(), "{:?}\n{text}", verify_kernel(&case.kernel));
        let mut expected = case.buffers.clone();
        let mut views: Vec<&mut [u8]> = expected.iter_mut().map(Vec::as_mut_slice).collect();
        eval_kernel(&case.kernel, &mut views, &case.symbols).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let found = run(&program, position, case);
        for ((decl, found), expected) in case.kernel.buffers.iter().zip(&found).zip(&expected) {
            for (at, (found, expected)) in numbers(decl.dtype, found).zip(numbers(decl.dtype, expected)).enumerate() {
                assert!(same(found, expected), "element {at} is {found:?}, not {expected:?}\n{text}");
            }
        }
    }
}

pub fn compile(kernels: &[Kernel]) -> Arc<dyn Program> {
    let target = lostwax_c::target();
    let variants = target.variants("").unwrap();
    let code = target.emit(&variants[0], kernels, &EmitOptions::default()).unwrap().code;
    lostwax_c::device().load(&code, Arc::new(Vec::new())).unwrap()
}

fn numbers(dtype: DType, bytes: &[u8]) -> impl Iterator<Item = Number> + '_ {
    bytes.chunks_exact(dtype.size()).map(move |bytes| Number::read(dtype, bytes).unwrap())
}

fn run(program: &Arc<dyn Program>, kernel: u32, case: &Case) -> Vec<Vec<u8>> {
    let written = case.kernel.buffers.iter().position(|decl| decl.writable).unwrap();
    let mut memory = case.buffers.clone();
    let (inputs, outputs) = memory.split_at_mut(written);
    let sizes = |buffers: &[Vec<u8>]| buffers.iter().map(|buffer| buffer.len() as u64).collect::<Vec<_>>();
    let (input_bytes, output_bytes) = (sizes(inputs), sizes(outputs));
    let inside = |position| Region::Input(position as u32);
    let regions = (0..inputs.len()).map(inside).chain((0..outputs.len()).map(|position| Region::Output(position as u32)));
    let bytes = input_bytes.iter().chain(&output_bytes);
    let buffers = regions.zip(bytes).map(|(region, bytes)| BufferRef { region, offset: 0, bytes: *bytes }).collect();
    let dispatches = vec![Dispatch { kernel, buffers, symbols: case.symbols.clone(), grid: case.grid }];
    let mut executor = Arc::clone(program).executor(1).unwrap();
    executor.prepare(&Prepared { input_bytes, output_bytes, dispatches, ..Prepared::default() }).unwrap();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    executor.run(&mut Io { inputs: &inputs, outputs: &mut outputs }).unwrap();
    memory
}
