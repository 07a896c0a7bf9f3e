//! Failures of a GPU are errors of the right kind, and what fits afterwards still runs.

#[path = "common/opened.rs"]
mod opened;

use lostwax_device_gpu::wgpu::{Features, Limits};
use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{BufferRef, Device, DeviceError, Dispatch, EmitOptions, Executor, Io, Prepared, Region};
use lostwax_target_gpu::target;
use opened::Opened;
use std::sync::Arc;

/// `y = 0.5 * x`, four elements to a work item; of type `TYPE`.
const HALVE: &str = r#"kernel "halve" {
  symbols n: 1..
  item %i: 0..
  grid (floordiv(n + 3, 4))
  buffer "x": TYPE
  buffer "y": TYPE writable
  for %k: 0..=3 to (4) vector active (n - 4*%i) {
    v0 = load b0[4*%i + %k]
    v1 = mul v0, TYPE(0.5)
    store b1[4*%i + %k], v1
  }
}
"#;

/// A change, and the resource that is exceeded then.
type Case<T> = (fn(&mut T), &'static str);

fn code(dtype: &str) -> Vec<u8> {
    let target = target();
    let kernel = parse_kernel(&HALVE.replace("TYPE", dtype)).unwrap();
    target.emit(&target.variants("").unwrap()[0], &[kernel], &EmitOptions::default()).unwrap().code
}

fn executor(device: &dyn Device) -> Box<dyn Executor> {
    device.load(&code("f32"), Arc::new(Vec::new())).unwrap_or_else(|error| panic!("{error}")).executor(1).unwrap()
}

/// An input that is halved into the arena, and from there into an output.
fn prepared(count: u64) -> Prepared {
    let whole = |region| BufferRef { region, offset: 0, bytes: count * 4 };
    let halve = |from, to| Dispatch {
        kernel: 0,
        buffers: vec![whole(from), whole(to)],
        symbols: vec![count as i64],
        grid: count.div_ceil(4),
    };
    Prepared {
        arena_bytes: count * 4,
        state_bytes: vec![8],
        input_bytes: vec![count * 4],
        output_bytes: vec![count * 4],
        dispatches: vec![halve(Region::Input(0), Region::Arena), halve(Region::Arena, Region::Output(0))],
    }
}

fn run(executor: &mut dyn Executor, count: u64) -> Result<Vec<u8>, DeviceError> {
    let input: Vec<u8> = (0..count).flat_map(|at| (at as f32 * 4.0).to_le_bytes()).collect();
    let mut output = vec![0; input.len()];
    executor.run(&mut Io { inputs: &[&input], outputs: &mut [&mut output] })?;
    Ok(output)
}

fn check_runs(executor: &mut dyn Executor, count: u64) {
    executor.prepare(&prepared(count)).unwrap();
    let expected: Vec<u8> = (0..count).flat_map(|at| (at as f32).to_le_bytes()).collect();
    assert_eq!(run(executor, count).unwrap(), expected);
}

fn resource(result: Result<(), DeviceError>) -> &'static str {
    match result {
        Err(DeviceError::LimitExceeded { resource, .. }) => resource,
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_name_the_limit_of_the_gpu_that_is_exceeded() {
    let cases: [Case<Limits>; 3] = [
        (|limits| limits.max_storage_buffers_per_shader_stage = 1, "storage buffers in a shader"),
        (|limits| limits.max_compute_invocations_per_workgroup = 32, "invocations in a workgroup"),
        (|limits| limits.max_compute_workgroup_size_x = 32, "invocations in a workgroup"),
    ];
    for (limit, expected) in cases {
        let opened = Opened::new(Features::empty(), limit);
        let loaded = opened.for_kernels().load(&code("f32"), Arc::new(Vec::new()));
        assert_eq!(resource(loaded.map(drop)), expected);
    }
}

#[test]
fn memory_beyond_the_limits_is_refused_and_smaller_plans_run() {
    let opened = Opened::new(Features::empty(), |limits| {
        limits.max_buffer_size = 1 << 20;
        limits.max_storage_buffer_binding_size = 1 << 16;
    });
    let device = opened.for_kernels();
    let weights = device.load(&code("f32"), Arc::new(vec![0u8; 1 << 20]));
    assert_eq!(resource(weights.map(drop)), "GPU memory");
    let mut executor = executor(&*device);
    let cases: [Case<Prepared>; 5] = [
        (|plan| plan.arena_bytes = 1 << 21, "GPU memory"),
        (|plan| plan.state_bytes[0] = 1 << 21, "GPU memory"),
        (|plan| plan.input_bytes[0] = 1 << 21, "GPU memory"),
        (|plan| plan.output_bytes[0] = u64::MAX - 3, "GPU memory"),
        (|plan| *plan = prepared(1 << 15), "memory that a kernel can address"),
    ];
    for (change, expected) in cases {
        let mut plan = prepared(8);
        change(&mut plan);
        assert_eq!(resource(executor.prepare(&plan)), expected);
        assert!(run(&mut *executor, 8).is_err(), "a plan that was refused runs");
        check_runs(&mut *executor, 8);
    }
    check_runs(&mut *executor, 1 << 14);
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

#[test]
fn errors_name_the_features_that_a_gpu_lacks() {
    let opened = Opened::new(Features::empty(), |_| {});
    match opened.for_kernels().load(&code("f64"), Arc::new(Vec::new())).map(drop) {
        Err(DeviceError::Unsupported { what, .. }) => assert!(what.contains("floats of 64 bits"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_call_reports_a_lost_gpu() {
    let opened = Opened::new(Features::TIMESTAMP_QUERY, |_| {});
    let device = opened.for_kernels();
    let mut executor = executor(&*device);
    check_runs(&mut *executor, 8);
    opened.device.destroy();
    let is_lost = |result: Result<(), DeviceError>| assert!(matches!(result, Err(DeviceError::Lost { .. })), "{result:?}");
    is_lost(run(&mut *executor, 8).map(drop));
    is_lost(executor.run_profiled(&mut Io { inputs: &[&[0; 32]], outputs: &mut [&mut [0; 32]] }, &mut Vec::new()));
    is_lost(executor.state(0).map(drop));
    is_lost(executor.prepare(&prepared(8)));
    is_lost(executor.prepare(&prepared(1 << 14)));
    is_lost(device.load(&code("f32"), Arc::new(Vec::new())).map(drop));
    is_lost(device.peaks(0).map(drop));
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

#[test]
fn dispatches_are_timed_where_there_is_a_clock() {
    let count = 1 << 20;
    let opened = Opened::new(Features::TIMESTAMP_QUERY, |_| {});
    let mut executor = executor(&*opened.for_kernels());
    check_runs(&mut *executor, count);
    let (input, mut output, mut seconds) = (vec![0; count as usize * 4], vec![1; count as usize * 4], vec![0.0; 2]);
    let start = std::time::Instant::now();
    for _ in 0..2 {
        let io = &mut Io { inputs: &[&input], outputs: &mut [&mut output] };
        executor.run_profiled(io, &mut seconds).unwrap();
    }
    assert_eq!(output, input);
    let sum = seconds.iter().sum::<f64>();
    assert!(seconds.iter().all(|seconds| *seconds > 0.0) && sum < start.elapsed().as_secs_f64(), "{seconds:?}");
    let blind = Opened::new(Features::empty(), |_| {});
    let mut executor = self::executor(&*blind.for_kernels());
    executor.prepare(&prepared(1)).unwrap();
    let refused = executor.run_profiled(&mut Io { inputs: &[&[0; 4]], outputs: &mut [&mut [0; 4]] }, &mut seconds);
    assert!(refused.unwrap_err().to_string().contains("timestamp queries"));
}
