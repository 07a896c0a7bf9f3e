//! What a dispatch costs beside the work of its kernel, and what it costs to prepare a plan for new sizes.

use lostwax_device_cpu::format::{Arch, Entry, Image};
use lostwax_target_api::{BufferRef, Dispatch, Executor, Io, Prepared, Region};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DISPATCHES: u64 = 500;
const REPETITIONS: u32 = 300;

/// A kernel that returns at once.
fn executor(threads: usize) -> Box<dyn Executor> {
    let arch = Arch::host().unwrap();
    let text: &[u8] = match arch {
        Arch::X86_64 => &[0xc3],
        Arch::Aarch64 => &[0xc0, 0x03, 0x5f, 0xd6],
        Arch::Riscv64 => &[0x67, 0x80, 0x00, 0x00],
    };
    let entries = vec![Entry { offset: 0, buffers: 4, symbols: 2 }];
    let code = Image { arch, entries, text, constants: &[], zero_bytes: 0 }.write();
    lostwax_device_cpu::device().load(&code, Arc::new(vec![0u8; 1024])).unwrap().executor(threads).unwrap()
}

fn plan(grid: u64) -> Prepared {
    let buffer = |region, offset| BufferRef { region, offset, bytes: 64 };
    let dispatch = |at: u64| Dispatch {
        kernel: 0,
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

/// The median time of some runs.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    for threads in [1, 2] {
        for grid in [1, 2, 4, 16, 64] {
            let mut executor = executor(threads);
            executor.prepare(&plan(grid)).unwrap();
            let run = median(|| executor.run(&mut Io { inputs: &[], outputs: &mut [] }).unwrap());
            println!("{threads} threads, {grid} work items: {:.0} ns per dispatch", run.as_nanos() as f64 / DISPATCHES as f64);
        }
    }
    let (mut executor, plan) = (executor(1), plan(4));
    println!("preparing {DISPATCHES} dispatches: {:?}", median(|| executor.prepare(black_box(&plan)).unwrap()));
}
