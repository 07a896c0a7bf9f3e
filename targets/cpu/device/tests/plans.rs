//! Plans that do not fit are refused before anything runs.

use lostwax_device_cpu::format::{Arch, Entry, Image};
use lostwax_target_api::{BufferRef, DeviceError, Dispatch, Executor, Io, Prepared, Region};
use std::sync::Arc;

/// Code of this machine that returns at once.
fn code() -> Vec<u8> {
    let arch = Arch::host().unwrap();
    let text: &[u8] = match arch {
        Arch::X86_64 => &[0xc3],
        Arch::Aarch64 => &[0xc0, 0x03, 0x5f, 0xd6],
        Arch::Riscv64 => &[0x67, 0x80, 0x00, 0x00],
    };
    let entries = vec![Entry { offset: 0, buffers: 1, symbols: 1 }];
    Image { arch, entries, text, constants: &[1, 2, 3], zero_bytes: 100 }.write()
}

fn executor(threads: usize) -> Box<dyn Executor> {
    let weights = Arc::new(vec![0u8; 16]);
    lostwax_device_cpu::device().load(&code(), weights).unwrap().executor(threads).unwrap()
}

fn plan(region: Region, offset: u64, bytes: u64) -> Prepared {
    let dispatch = Dispatch { kernel: 0, buffers: vec![BufferRef { region, offset, bytes }], symbols: vec![7], grid: 100 };
    Prepared { arena_bytes: 64, state_bytes: vec![8], input_bytes: vec![4], output_bytes: vec![12], dispatches: vec![dispatch] }
}

fn is_refused(prepared: Prepared) -> bool {
    matches!(executor(1).prepare(&prepared), Err(DeviceError::InvalidPlan { .. }))
}

#[test]
fn buffers_must_lie_in_their_region() {
    let regions =
        [(Region::Weights, 16), (Region::Arena, 64), (Region::State(0), 8), (Region::Input(0), 4), (Region::Output(0), 12)];
    for (region, size) in regions {
        assert!(!is_refused(plan(region, 0, size)));
        assert!(!is_refused(plan(region, size, 0)));
        assert!(is_refused(plan(region, 0, size + 1)));
        assert!(is_refused(plan(region, 1, size)));
        assert!(is_refused(plan(region, u64::MAX, 2)));
        assert!(is_refused(plan(region, 2, u64::MAX)));
    }
    assert!(is_refused(plan(Region::State(1), 0, 1)) && is_refused(plan(Region::Input(9), 0, 1)));
}

#[test]
fn dispatches_must_fit_their_kernel() {
    let with = |change: fn(&mut Dispatch)| {
        let mut prepared = plan(Region::Arena, 0, 4);
        change(&mut prepared.dispatches[0]);
        prepared
    };
    assert!(is_refused(with(|dispatch| dispatch.kernel = 1)));
    assert!(is_refused(with(|dispatch| dispatch.symbols.clear())));
    assert!(is_refused(with(|dispatch| dispatch.buffers.clear())));
    assert!(is_refused(with(|dispatch| dispatch.grid = u64::MAX)));
}

#[test]
fn memory_that_cannot_be_had_is_an_error() {
    let prepared = Prepared { arena_bytes: u64::MAX / 2, ..Prepared::default() };
    assert!(matches!(executor(1).prepare(&prepared), Err(DeviceError::LimitExceeded { .. })));
}

#[test]
fn tensors_must_have_the_prepared_sizes() {
    let mut executor = executor(2);
    executor.prepare(&plan(Region::Output(0), 0, 12)).unwrap();
    let mut run = |input: usize, output: usize| {
        let (input, mut output) = (vec![0; input], vec![0; output]);
        executor.run(&mut Io { inputs: &[&input], outputs: &mut [&mut output] }).is_ok()
    };
    assert!(run(4, 12));
    assert!(!run(5, 12) && !run(4, 11));
    assert!(executor.run(&mut Io { inputs: &[], outputs: &mut [] }).is_err());
}

#[test]
fn states_live_on_while_their_size_stays() {
    let mut executor = executor(1);
    executor.prepare(&plan(Region::State(0), 0, 8)).unwrap();
    executor.state(0).unwrap().fill(5);
    executor.prepare(&plan(Region::State(0), 0, 8)).unwrap();
    assert_eq!(executor.state(0).unwrap(), [5; 8]);
    executor.prepare(&Prepared { state_bytes: vec![16], ..Prepared::default() }).unwrap();
    assert_eq!(executor.state(0).unwrap(), [0; 16]);
    assert!(executor.state(1).is_err());
}

#[test]
fn profiles_add_up_per_dispatch() {
    let mut executor = executor(2);
    executor.prepare(&plan(Region::Arena, 0, 64)).unwrap();
    let mut seconds = Vec::new();
    for _ in 0..2 {
        executor.run_profiled(&mut Io { inputs: &[&[0; 4]], outputs: &mut [&mut [0; 12]] }, &mut seconds).unwrap();
    }
    assert_eq!(seconds.len(), 1);
}

#[test]
fn damaged_code_is_refused() {
    for length in 0..code().len() {
        let loaded = lostwax_device_cpu::device().load(&code()[..length], Arc::new(Vec::<u8>::new()));
        assert!(matches!(loaded, Err(DeviceError::InvalidCode { .. })));
    }
}
