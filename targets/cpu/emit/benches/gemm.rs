//! Speed of the matrix product tile against the peak of the machine, and the time that compilation takes.

#[path = "../tests/common/mod.rs"]
mod common;

use common::gemm::{COLUMNS, ROWS, gemm, pack};
use common::*;
use lostwax_ir::kernel::*;
use lostwax_ir::types::DType;
use lostwax_target_api::{BufferRef, Dispatch, EmitOptions, Executor, Io, OutputKind, Prepared, Region, Variant};
use std::sync::Arc;
use std::time::Instant;

const PEAK_STEPS: i64 = 1 << 16;
const REPETITIONS: usize = 15;

/// Multiply-adds on twelve independent vectors and nothing else.
fn peak(lanes: i64) -> Kernel {
    let (item, step, chain, lane) = (index("item", 64), index("step", PEAK_STEPS), index("chain", 12), index("lane", lanes));
    let place = || Place::Local(LocalId(0), times(&chain, lanes) + dim(&lane));
    let chains = |body| for_(&chain, 12, LoopKind::Unrolled, vec![vector(&lane, lanes, body)]);
    let start = vec![load(0, 0, dim(&lane)), Stmt::Store { place: place(), value: value(0) }];
    let work = vec![
        let_(1, Scalar::Load(place())),
        let_(2, Scalar::MulAdd(value(1), Operand::float(DType::F32, 0.9999), Operand::float(DType::F32, 0.25))),
        Stmt::Store { place: place(), value: value(2) },
    ];
    let at = times(&item, 12 * lanes) + times(&chain, lanes) + dim(&lane);
    let end = vec![let_(3, Scalar::Load(place())), store(1, at, 3)];
    let body = vec![chains(start), for_(&step, PEAK_STEPS, LoopKind::Serial, vec![chains(work)]), chains(end)];
    let mut kernel = kernel(&item, &[], vec![buffer("x", DType::F32, false), buffer("y", DType::F32, true)], body);
    kernel.locals =
        vec![LocalDecl { name: "acc".into(), dtype: DType::F32, len: (12 * lanes) as u32, storage: Storage::Registers }];
    kernel
}

struct Bench {
    executor: Box<dyn Executor>,
    buffers: Vec<Vec<u8>>,
}

impl Bench {
    fn new(variant: &Variant, kernel: &Kernel, buffers: Vec<Vec<u8>>, grid: u64, threads: usize) -> Self {
        let emitted = lostwax_target_cpu::target().emit(variant, std::slice::from_ref(kernel), &EmitOptions::default()).unwrap();
        let program = lostwax_device_cpu::device().load(&emitted.code, Arc::new(Vec::<u8>::new())).unwrap();
        let mut executor = program.executor(threads).unwrap();
        let (last, inputs) = buffers.split_last().unwrap();
        let sizes: Vec<u64> = inputs.iter().map(|buffer| buffer.len() as u64).collect();
        let whole = |region, bytes: u64| BufferRef { region, offset: 0, bytes };
        let mut refs: Vec<BufferRef> = (0..).zip(&sizes).map(|(at, bytes)| whole(Region::Input(at), *bytes)).collect();
        refs.push(whole(Region::Output(0), last.len() as u64));
        let dispatches = vec![Dispatch { kernel: 0, buffers: refs, symbols: vec![], grid }];
        let output_bytes = vec![last.len() as u64];
        executor.prepare(&Prepared { input_bytes: sizes, output_bytes, dispatches, ..Prepared::default() }).unwrap();
        Self { executor, buffers }
    }

    /// The shortest of several runs, in seconds.
    fn seconds(&mut self) -> f64 {
        let (last, inputs) = self.buffers.split_last_mut().unwrap();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let times = (0..REPETITIONS).map(|_| {
            let start = Instant::now();
            self.executor.run(&mut Io { inputs: &inputs, outputs: &mut [last.as_mut_slice()] }).unwrap();
            start.elapsed().as_secs_f64()
        });
        times.fold(f64::INFINITY, f64::min)
    }
}

fn measure(variant: &Variant, threads: usize) {
    let lanes = i64::from(variant.caps.vector_bytes / 4);
    let items = 16 * threads as u64;
    let buffers = vec![vec![0; lanes as usize * 4], vec![0; 64 * 12 * lanes as usize * 4]];
    let flops = 2.0 * (items as i64 * PEAK_STEPS * 12 * lanes) as f64;
    let peak = flops / Bench::new(variant, &peak(lanes), buffers, items, threads).seconds() / 1e9;
    println!("{} on {threads} threads: peak {peak:.1} GFLOP/s", variant.info.name);
    for (m, k, n) in [(3136i64, 64i64, 256i64), (784, 512, 128), (196, 1024, 256)] {
        let (a, b) = (vec![0.5f32; (m * k) as usize], vec![0.25f32; (k * n) as usize]);
        let buffers = vec![to_bytes(&a), to_bytes(&pack(&b, n as usize, k as usize)), vec![0; (m * n * 4) as usize]];
        let tiles = ((m + ROWS - 1) / ROWS) * ((n + COLUMNS - 1) / COLUMNS);
        let seconds = Bench::new(variant, &gemm(m, n, k), buffers, tiles as u64, threads).seconds();
        let speed = 2.0 * (m * k * n) as f64 / seconds / 1e9;
        println!("  {m} x {k} x {n}: {speed:.1} GFLOP/s, {:.0} % of peak", speed / peak * 100.0);
    }
}

fn compile_time(variant: &Variant) {
    let kernels: Vec<Kernel> = (1..=32).map(|step| gemm(96 + step, 64, 32 * step)).collect();
    let start = cpu_seconds();
    let emitted = lostwax_target_cpu::target().emit(variant, &kernels, &EmitOptions::default()).unwrap();
    let milliseconds = (cpu_seconds() - start) * 1e3 / kernels.len() as f64;
    let bytes = emitted.code.len() / kernels.len();
    println!("{}: {milliseconds:.2} ms of processor time and {bytes} bytes per kernel", variant.info.name);
}

/// Processor time of all threads so far.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a variable of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn main() {
    if let Ok(variant) = std::env::var("LISTING") {
        let variant = &lostwax_target_cpu::target().variants(&variant).unwrap()[0];
        let options = EmitOptions { outputs: [OutputKind::Listing].into() };
        let emitted = lostwax_target_cpu::target().emit(variant, &[gemm(784, 128, 512)], &options).unwrap();
        println!("{}", String::from_utf8_lossy(&emitted.outputs[&OutputKind::Listing]));
        return;
    }
    for variant in runnable() {
        for threads in [1, 2] {
            measure(&variant, threads);
        }
    }
    for variant in lostwax_target_cpu::target().variants("x86_64").unwrap() {
        compile_time(&variant);
    }
}
