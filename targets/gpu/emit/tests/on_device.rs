//! Tensors that stay on the GPU: bound in place, in buffers of the caller too, without growth, and what goes wrong with
//! them.

#[path = "common/opened.rs"]
mod opened;

use lostwax_device_gpu::{buffer_of, memory_of, wgpu};
use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{
    BufferRef, Destination, Device, DeviceError, DeviceIo, DeviceMemory, Dispatch, EmitOptions, Executor, HostMemory, Io,
    Prepared, Region, Source,
};
use lostwax_target_gpu::target;
use opened::Opened;
use std::sync::Arc;
use wgpu::{BufferDescriptor, BufferUsages, Features, PollStatus, PollType};

/// `y = x + 1`.
const INCREMENT: &str = r#"kernel "increment" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": f32
  buffer "y": f32 writable
  v0 = load b0[%i]
  v1 = add v0, f32(1.0)
  store b1[%i], v1
}
"#;

/// Adds 1 as often as there are steps, from an input to the arena, there and to an output.
fn prepared(count: u64, steps: usize) -> Prepared {
    let whole = |region| BufferRef { region, offset: 0, bytes: count * 4 };
    let half = |half: usize| BufferRef { region: Region::Arena, offset: half as u64 % 2 * count * 4, bytes: count * 4 };
    let dispatch = |step: usize| {
        let from = if step == 0 { whole(Region::Input(0)) } else { half(step) };
        let to = if step + 1 == steps { whole(Region::Output(0)) } else { half(step + 1) };
        Dispatch { kernel: 0, buffers: vec![from, to], symbols: vec![count as i64], grid: count }
    };
    Prepared {
        arena_bytes: count * 8,
        input_bytes: vec![count * 4],
        output_bytes: vec![count * 4],
        dispatches: (0..steps).map(dispatch).collect(),
        ..Prepared::default()
    }
}

fn executor(device: &dyn Device, count: u64, steps: usize) -> Box<dyn Executor> {
    let target = target();
    let kernel = parse_kernel(INCREMENT).unwrap();
    let code = target.emit(&target.variants("").unwrap()[0], &[kernel], &EmitOptions::default()).unwrap().code;
    let mut executor = device.load(&code, Arc::new(Vec::new())).unwrap().executor(1).unwrap();
    executor.prepare(&prepared(count, steps)).unwrap();
    executor
}

fn bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

fn filled(device: &dyn Device, content: &[u8]) -> Box<dyn DeviceMemory> {
    let mut memory = device.allocate(content.len() as u64).unwrap();
    memory.write(content).unwrap();
    memory
}

fn read(memory: &dyn DeviceMemory) -> Vec<u8> {
    let mut bytes = vec![0; memory.bytes() as usize];
    memory.read(&mut bytes).unwrap();
    bytes
}

fn run(executor: &mut dyn Executor, from: &dyn DeviceMemory, to: &mut dyn DeviceMemory) -> Result<(), DeviceError> {
    let io = &mut DeviceIo { inputs: &[Source::Device(from)], outputs: &mut [Destination::Device(to)] };
    executor.on_device().unwrap().run_on_device(io)
}

fn buffer(opened: &Opened, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    opened.device.create_buffer(&BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

fn problem<T>(result: Result<T, DeviceError>) -> String {
    match result.map(drop) {
        Err(DeviceError::InvalidPlan { problem }) => problem,
        Err(DeviceError::Unsupported { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn buffers_of_the_caller_are_used_where_they_lie() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let mut executor = executor(&*device, 5, 2);
    let (bare, copied) = (BufferUsages::STORAGE, BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST);
    let (own, result) = (buffer(&opened, 32, copied), buffer(&opened, 48, copied));
    opened.queue.write_buffer(&own, 0, &bytes([1.0, 2.0, 3.0, 4.0, 5.0, 99.0].into_iter()));
    let from = memory_of(&*device, own.clone(), 20).unwrap();
    opened.queue.write_buffer(&result, 32, &[7; 16]);
    let whole = memory_of(&*device, result.clone(), 48).unwrap();
    let mut to = memory_of(&*device, result.clone(), 20).unwrap();
    run(&mut *executor, &*from, &mut *to).unwrap();
    assert_eq!(read(&*to), bytes([3.0, 4.0, 5.0, 6.0, 7.0].into_iter()));
    assert_eq!(read(&*whole)[32..], [7; 16], "a run wrote to what lies after the tensor");
    assert_eq!(buffer_of(&*to), Some(&result));
    assert!(buffer_of(&HostMemory(vec![0u8])).is_none());
    opened.queue.write_buffer(&own, 0, &bytes([-1.0; 5].into_iter()));
    run(&mut *executor, &*from, &mut *to).unwrap();
    assert_eq!(read(&*to), bytes([1.0; 5].into_iter()));
    let (input, mut output) = (bytes([7.0; 5].into_iter()), vec![0; 20]);
    executor.run(&mut Io { inputs: &[&input], outputs: &mut [&mut output] }).unwrap();
    assert_eq!(output, bytes([9.0; 5].into_iter()));
    assert_eq!(read(&*to), bytes([1.0; 5].into_iter()), "a run of the host wrote to a tensor of the run before");
    assert!(from.is_shared_with(&*memory_of(&*device, own, 4).unwrap()) && !from.is_shared_with(&*to));

    assert!(problem(memory_of(&*device, buffer(&opened, 28, bare), 20)).contains("which needs 32"));
    assert!(problem(memory_of(&*device, buffer(&opened, 32, BufferUsages::COPY_SRC), 20)).contains("STORAGE"));
    let mut silent = memory_of(&*device, buffer(&opened, 32, bare), 20).unwrap();
    run(&mut *executor, &*to, &mut *silent).unwrap();
    assert!(problem(silent.read(&mut [0; 20])).contains("COPY_SRC") && problem(silent.write(&[0; 20])).contains("COPY_DST"));
    let other = Opened::new(Features::empty(), |_| {});
    problem(memory_of(&*device, buffer(&other, 32, bare), 20));
    let foreign = other.for_kernels().allocate(20).unwrap();
    assert!(problem(run(&mut *executor, &*foreign, &mut *silent)).contains("input 0 lies in memory of another device"));
    assert!(problem(run(&mut *executor, &HostMemory(vec![0u8; 20]), &mut *silent)).contains("another device"));
    let large = device.allocate(24).unwrap();
    assert!(problem(run(&mut *executor, &*large, &mut *silent)).contains("input tensors have [24] bytes"));
    run(&mut *executor, &*to, &mut *silent).unwrap();
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

#[test]
fn a_buffer_that_is_gone_is_told_and_others_serve() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let mut executor = executor(&*device, 4, 1);
    let own = buffer(&opened, 16, BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST);
    let (from, mut gone) = (filled(&*device, &bytes([1.0; 4].into_iter())), memory_of(&*device, own.clone(), 16).unwrap());
    run(&mut *executor, &*from, &mut *gone).unwrap();
    own.destroy();
    for _ in 0..2 {
        assert!(problem(run(&mut *executor, &*from, &mut *gone)).contains("destroyed"));
        for refused in [problem(gone.read(&mut [0; 16])), problem(gone.write(&[0; 16]))] {
            assert!(refused.starts_with("a tensor of 16 bytes") && refused.contains("destroyed"), "{refused}");
        }
    }
    let mut to = device.allocate(16).unwrap();
    run(&mut *executor, &*from, &mut *to).unwrap();
    assert_eq!(read(&*to), bytes([2.0; 4].into_iter()));
    opened.device.destroy();
    let is_lost = |result: Result<(), DeviceError>| assert!(matches!(result, Err(DeviceError::Lost { .. })), "{result:?}");
    is_lost(run(&mut *executor, &*from, &mut *to));
    is_lost(to.read(&mut [0; 16]));
    is_lost(to.write(&[0; 16]));
    is_lost(device.allocate(16).map(drop));
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

#[test]
fn a_buffer_that_the_host_has_mapped_is_told_until_it_is_not() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let own = opened.device.create_buffer(&BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: true });
    let mut tensor = memory_of(&*device, own.clone(), 16).unwrap();
    for refused in [problem(tensor.read(&mut [0; 16])), problem(tensor.write(&[1; 16]))] {
        assert!(refused.starts_with("a tensor of 16 bytes") && refused.contains("mapped"), "{refused}");
    }
    own.unmap();
    tensor.write(&[1; 16]).unwrap();
    assert_eq!(read(&*tensor), [1; 16]);
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

/// The bytes that are allocated on the GPU.
fn held(opened: &Opened) -> u64 {
    opened.device.generate_allocator_report().unwrap().total_allocated_bytes
}

#[test]
fn the_memory_of_dropped_tensors_is_free_after_the_next_run() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let count = 1 << 18;
    let mut executor = executor(&*device, count, 2);
    let content = bytes((0..count).map(|value| value as f32));
    let (mut output, mut to) = (vec![0; content.len()], device.allocate(count * 4).unwrap());
    let mut run_host = |executor: &mut dyn Executor, count: usize| {
        executor.run(&mut Io { inputs: &[&content[..count]], outputs: &mut [&mut output[..count]] }).unwrap();
    };
    run(&mut *executor, &*filled(&*device, &content), &mut *to).unwrap();
    run_host(&mut *executor, content.len());
    let before = held(&opened);
    let is_free = |after: &str| assert!(held(&opened) < before + count * 2, "{} of {before} {after}", held(&opened));

    let tensor = filled(&*device, &content);
    run(&mut *executor, &*tensor, &mut *to).unwrap();
    assert!(held(&opened) >= before + count * 4);
    drop(tensor);
    run_host(&mut *executor, content.len());
    is_free("after a run from the host");

    let tensor = filled(&*device, &content);
    run(&mut *executor, &*tensor, &mut *to).unwrap();
    run_host(&mut *executor, content.len());
    drop(tensor);
    run_host(&mut *executor, content.len());
    is_free("though the run before was bound in the same way");

    run(&mut *executor, &*filled(&*device, &content), &mut *to).unwrap();
    executor.prepare(&prepared(4, 2)).unwrap();
    run_host(&mut *executor, 16);
    is_free("after a run of other sizes");
}

#[test]
fn memory_does_not_grow() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let count = 1 << 18;
    let mut executor = executor(&*device, count, 2);
    let mut now = filled(&*device, &bytes((0..count).map(|value| value as f32)));
    let mut sizes = Vec::new();
    for step in 0..100 {
        let mut next = device.allocate(count * 4).unwrap();
        run(&mut *executor, &*now, &mut *next).unwrap();
        now = next;
        if step % 33 == 32 {
            read(&*now);
            sizes.push(held(&opened));
        }
    }
    assert_eq!(read(&*now), bytes((0..count).map(|value| value as f32 + 200.0)));
    assert!(sizes[2] <= sizes[0] + (count * 4 * 4), "{sizes:?}");
}

#[test]
fn runs_do_not_wait_where_all_stays() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let is_idle = || opened.device.poll(PollType::Poll).unwrap() == PollStatus::QueueEmpty;
    // A run that waits leaves nothing to be done, however much there was; of one that does not, enough work is seen.
    let is_seen = (10..26).step_by(3).any(|exponent| {
        let count = 1 << exponent;
        let mut executor = executor(&*device, count, 100);
        let (from, mut to) = (filled(&*device, &vec![0; count as usize * 4]), device.allocate(count * 4).unwrap());
        run(&mut *executor, &*from, &mut *to).unwrap();
        let content = read(&*to);
        assert!(is_idle(), "a read does not wait");
        run(&mut *executor, &*from, &mut *to).unwrap();
        let is_busy = !is_idle();
        assert!(content == bytes([100.0].into_iter().cycle().take(count as usize)) && read(&*to) == content);
        is_busy
    });
    assert!(is_seen, "no run is seen at work after it was handed over");
}
