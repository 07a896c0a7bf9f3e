//! What a dispatch costs beside the work of its kernel, and what it costs to prepare a plan for new sizes.

use lostwax_device_cpu::format::{Arch, Entry, Image};
use lostwax_target_api::{BufferRef, Dispatch, Executor, Io, Prepared, Region};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DISPATCHES: u64 = 500;
const REPETITIONS: u32 = 40;

/// The kernel that returns at once.
const IDLE: u32 = 0;

/// The kernel that counts down from 1000 for each work item, where the code for that is known.
const BUSY: u32 = 1;

/// Both kernels.
fn executor(threads: usize) -> Box<dyn Executor> {
    let arch = Arch::host().unwrap();
    let (text, busy): (&[u8], u64) = match arch {
        // ret; sub rcx, rdx; imul rcx, rcx, 1000; again: dec rcx; jnz again; ret
        Arch::X86_64 => (&[0xc3, 0x48, 0x29, 0xd1, 0x48, 0x69, 0xc9, 0xe8, 0x03, 0, 0, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0xc3], 1),
        Arch::Aarch64 => (&[0xc0, 0x03, 0x5f, 0xd6], 0),
        Arch::Riscv64 => (&[0x67, 0x80, 0x00, 0x00], 0),
    };
    let entries = [0, busy].map(|offset| Entry { offset, buffers: 4, symbols: 2 }).to_vec();
    let code = Image { arch, entries, text, constants: &[], zero_bytes: 0 }.write();
    lostwax_device_cpu::device().load(&code, Arc::new(vec![0u8; 1024])).unwrap().executor(threads).unwrap()
}

fn plan(kernel: u32, grid: u64) -> Prepared {
    let buffer = |region, offset| BufferRef { region, offset, bytes: 64 };
    let dispatch = |at: u64| Dispatch {
        kernel,
        buffers: vec![
            buffer(Region::Weights, 0),
            buffer(Region::Arena, at * 64),
            buffer(Region::State(0), 0),
            buffer(Region::Arena, at * 64 + 64),
        ],
        symbols: vec![at as i64, 3],
        grid,
    };
    let dispatches = (0..DISPATCHES).map(dispatch).collect();
    Prepared { arena_bytes: DISPATCHES * 64 + 64, state_bytes: vec![64], dispatches, ..Prepared::default() }
}

/// The shortest time of some runs.
fn shortest(mut run: impl FnMut()) -> Duration {
    let times = (0..REPETITIONS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

/// Nanoseconds of one dispatch.
fn dispatch(threads: usize, kernel: u32, grid: u64) -> f64 {
    let mut executor = executor(threads);
    executor.prepare(&plan(kernel, grid)).unwrap();
    let run = shortest(|| executor.run(&mut Io { inputs: &[], outputs: &mut [] }).unwrap());
    run.as_nanos() as f64 / DISPATCHES as f64
}

fn main() {
    let item = dispatch(1, BUSY, 1);
    for threads in [1, 2] {
        for grid in [1, 2, 4, 16, 64] {
            let (idle, busy) = (dispatch(threads, IDLE, grid), dispatch(threads, BUSY, grid));
            let share = grid.div_ceil(threads as u64) as f64 * item;
            println!(
                "{threads} threads, {grid} work items: {idle:.0} ns; of {item:.0} ns each: {busy:.0} ns, at best {share:.0} ns"
            );
        }
    }
    let (mut executor, plan) = (executor(1), plan(IDLE, 4));
    println!("preparing {DISPATCHES} dispatches: {:?}", shortest(|| executor.prepare(black_box(&plan)).unwrap()));
}
