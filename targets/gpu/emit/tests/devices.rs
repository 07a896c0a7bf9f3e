//! GPUs are listed and selected; one that the caller has opened serves kernels and the caller.

#[path = "common/opened.rs"]
mod opened;

use lostwax_device_gpu::wgpu::{BufferDescriptor, BufferUsages, CommandEncoderDescriptor, Features, MapMode, PollType};
use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{
    BufferRef, Device, DeviceError, Dispatch, EmitOptions, Executor, Io, Prepared, PropertyValue, Region, WeightBytes,
};
use lostwax_target_gpu::{device, target};
use opened::Opened;
use std::sync::Arc;

/// `y = x + w`, with a weight for each element.
const ADD: &str = r#"kernel "add" {
  item %i: 0..
  grid (4)
  buffer "x": f32
  buffer "w": f32
  buffer "y": f32 writable
  v0 = load b0[%i]
  v1 = load b1[%i]
  v2 = add v0, v1
  store b2[%i], v2
}
"#;

fn bytes(values: [f32; 4]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A model of one kernel, whose weights lie at an offset and whose state is its output.
fn model(device: &dyn Device, weights: [f32; 4], offset: u64) -> Box<dyn Executor> {
    let target = target();
    let kernel = parse_kernel(ADD).unwrap();
    let code = target.emit(&target.variants("").unwrap()[0], &[kernel], &EmitOptions::default()).unwrap().code;
    let mut section = vec![0; offset as usize];
    section.extend(bytes(weights));
    let mut executor = device.load(&code, Arc::new(section) as WeightBytes).unwrap().executor(1).unwrap();
    let part = |region, offset| BufferRef { region, offset, bytes: 16 };
    let buffers = vec![part(Region::Input(0), 0), part(Region::Weights, offset), part(Region::State(0), 0)];
    let dispatches = vec![Dispatch { kernel: 0, buffers, symbols: Vec::new(), grid: 4 }];
    executor.prepare(&Prepared { state_bytes: vec![16], input_bytes: vec![16], dispatches, ..Prepared::default() }).unwrap();
    executor
}

fn run(model: &mut dyn Executor, input: [f32; 4]) -> Vec<u8> {
    model.run(&mut Io { inputs: &[&bytes(input)], outputs: &mut [] }).unwrap();
    model.state(0).unwrap().to_vec()
}

#[test]
fn a_gpu_that_the_caller_has_opened_serves_two_models_and_the_caller() {
    let opened = Opened::new(Features::empty(), |_| {});
    let shared = opened.for_kernels();
    let mut first = model(&*shared, [1.0, 2.0, 3.0, 4.0], 0);
    let mut second = model(&*shared, [10.0; 4], 1000);
    let usage = BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let buffer =
        |usage| opened.device.create_buffer(&BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false });
    let (own, copy) = (buffer(usage), buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST));
    opened.queue.write_buffer(&own, 0, &bytes([7.0; 4]));
    assert_eq!(run(&mut *first, [1.0; 4]), bytes([2.0, 3.0, 4.0, 5.0]));
    let mut encoder = opened.device.create_command_encoder(&CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&own, 0, &copy, 0, 16);
    opened.queue.submit([encoder.finish()]);
    copy.map_async(MapMode::Read, .., |result| result.unwrap());
    assert_eq!(run(&mut *second, [1.0; 4]), bytes([11.0; 4]));
    assert_eq!(run(&mut *first, [0.0; 4]), bytes([1.0, 2.0, 3.0, 4.0]));
    opened.device.poll(PollType::wait_indefinitely()).unwrap();
    assert_eq!(copy.get_mapped_range(..).unwrap().to_vec(), bytes([7.0; 4]));
    assert!(shared.load(b"no shaders", Arc::new(Vec::new())).is_err());
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

#[test]
fn all_that_is_described_can_be_chosen() {
    let adapters = device().adapters();
    assert!(!adapters.is_empty());
    for adapter in &adapters {
        let texts = ["backend", "type", "driver"];
        let find = |name: &str| &adapter.properties.iter().find(|property| property.name == name).unwrap().value;
        assert!(texts.iter().all(|name| matches!(find(name), PropertyValue::Text(text) if !text.is_empty())), "{adapter:?}");
        assert!(matches!(find("largest binding"), PropertyValue::Bytes(bytes) if *bytes >= 128 << 20), "{adapter:?}");
        let part = adapter.name.split_whitespace().next().unwrap().to_uppercase();
        for specification in [&adapter.specification, &part] {
            let mut model = model(&*device().open_adapter(specification).unwrap(), [0.5; 4], 64);
            assert_eq!(run(&mut *model, [1.0; 4]), bytes([1.5; 4]));
        }
    }
    match device().open_adapter("abacus").map(drop) {
        Err(DeviceError::Missing { problem, .. }) => assert!(problem.contains(&adapters[0].name), "{problem}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn peaks_are_measured() {
    let peaks = device().peaks(0).unwrap().unwrap();
    assert!(peaks.bytes_per_second > 1e8 && peaks.flops_per_second > 1e8, "{peaks:?}");
    assert!(peaks.bytes_per_second < 1e14 && peaks.flops_per_second < 1e16, "{peaks:?}");
}
