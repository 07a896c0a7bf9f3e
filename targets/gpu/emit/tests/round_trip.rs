//! Kernels that were written and loaded compute what they did before; damage is refused.

#[path = "common/opened.rs"]
mod opened;

use lostwax_device_gpu::format::{Language, Shader, read, write};
use lostwax_device_gpu::wgpu::Features;
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::Kernel;
use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{BufferRef, Device, DeviceError, Dispatch, EmitOptions, Executor, Io, Prepared, Region};
use lostwax_target_gpu::{device, target};
use opened::Opened;
use std::sync::Arc;

const SCALE: &str = r#"kernel "scale" {
  symbols n: 1..
  item %i: 0..
  grid (floordiv(n + 7, 8))
  buffer "x": f32
  buffer "y": f32 writable
  for %k: 0..=7 to (8) vector active (n - 8*%i) {
    v0 = load b0[8*%i + %k]
    v1 = mul v0, f32(0.5)
    store b1[8*%i + %k], v1
  }
}
"#;

fn kernels() -> Vec<Kernel> {
    let second = SCALE.replace("\"scale\"", "\"negate\"").replace("mul v0, f32(0.5)", "mul v0, f32(-1.0)");
    [SCALE.to_string(), second].iter().map(|text| parse_kernel(text).unwrap()).collect()
}

fn code() -> Vec<u8> {
    let target = target();
    let variants = target.variants("").unwrap();
    assert_eq!(device().select(&[variants[0].info.clone()]), Some(0));
    target.emit(&variants[0], &kernels(), &EmitOptions::default()).unwrap().code
}

fn executor(code: &[u8]) -> Box<dyn Executor> {
    device().load(code, Arc::new(Vec::new())).unwrap().executor(1).unwrap()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn whole(region: Region, bytes: u64) -> BufferRef {
    BufferRef { region, offset: 0, bytes }
}

/// Both kernels, the first into the arena and the second from there.
fn prepared(count: u64) -> Prepared {
    let size = count * 4;
    let dispatch = |kernel: u32, from: Region, to: Region| Dispatch {
        kernel,
        buffers: vec![whole(from, size), whole(to, size)],
        symbols: vec![count as i64],
        grid: count.div_ceil(8),
    };
    Prepared {
        arena_bytes: size,
        input_bytes: vec![size],
        output_bytes: vec![size],
        dispatches: vec![dispatch(0, Region::Input(0), Region::Arena), dispatch(1, Region::Arena, Region::Output(0))],
        ..Prepared::default()
    }
}

#[test]
fn a_chain_of_kernels_computes_what_the_reference_does() {
    let mut executor = executor(&code());
    for count in [1u64, 8, 13] {
        let input = bytes(&(0..count).map(|i| i as f32 + 1.0).collect::<Vec<_>>());
        let (mut between, mut expected) = (vec![0; input.len()], vec![0; input.len()]);
        let kernels = kernels();
        eval_kernel(&kernels[0], &mut [&mut input.clone(), &mut between], &[count as i64]).unwrap();
        eval_kernel(&kernels[1], &mut [&mut between, &mut expected], &[count as i64]).unwrap();
        let mut output = vec![0; input.len()];
        executor.prepare(&prepared(count)).unwrap();
        executor.run(&mut Io { inputs: &[&input], outputs: &mut [&mut output] }).unwrap();
        assert_eq!(output, expected);
        assert_ne!(output, vec![0; input.len()]);
    }
}

#[test]
fn damaged_code_is_refused() {
    let code = code();
    assert_eq!(device().load(&code, Arc::new(Vec::new())).unwrap().kernel_count(), 2);
    for end in (0..code.len() - 2).step_by(7) {
        match device().load(&code[..end], Arc::new(Vec::new())) {
            Err(DeviceError::InvalidCode { .. }) => {}
            Err(error) => panic!("{error}"),
            Ok(program) => assert!(program.kernel_count() < 2, "{end}"),
        }
    }
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let mut executor = executor(&code());
    let broken: [fn(&mut Prepared); 5] = [
        |p| p.dispatches[0].kernel = 2,
        |p| p.dispatches[0].symbols.clear(),
        |p| p.arena_bytes -= 1,
        |p| p.dispatches[0].buffers[0].offset = u64::MAX,
        |p| p.dispatches[0].buffers[1].region = Region::Input(0),
    ];
    for (position, damage) in broken.iter().enumerate() {
        let mut plan = prepared(8);
        damage(&mut plan);
        assert!(matches!(executor.prepare(&plan), Err(DeviceError::InvalidPlan { .. })), "{position}");
    }
}

fn replace(shader: &mut Shader, from: &str, to: &str) {
    let text = shader.variants[0].text(Language::Wgsl).unwrap().replace(from, to);
    shader.variants[0].sources.insert(Language::Wgsl, text.into_bytes());
}

fn put(shader: &mut Shader, language: Language, source: &[u8]) {
    shader.variants[0].sources.insert(language, source.to_vec());
}

/// Loads code whose second shader was changed.
fn load_changed(device: &dyn Device, change: impl FnOnce(&mut Shader)) -> Result<(), DeviceError> {
    let mut shaders = read(&code()).unwrap();
    change(&mut shaders[1]);
    device.load(&write(&shaders), Arc::new(Vec::new())).map(drop)
}

fn is_refused(result: Result<(), DeviceError>, what: &dyn std::fmt::Debug) {
    assert!(matches!(result, Err(DeviceError::InvalidCode { .. })), "{what:?}: {result:?}");
}

#[test]
fn shaders_that_break_the_rules_are_refused() {
    let opened = Opened::new(Features::empty(), |_| {});
    let device = opened.for_kernels();
    let damages: [fn(&mut Shader); 5] = [
        |shader| put(shader, Language::Wgsl, b"no shader"),
        |shader| drop(shader.variants[0].sources.remove(&Language::Wgsl)),
        |shader| replace(shader, "main", "other"),
        |shader| replace(shader, "@binding(1)", "@binding(7)"),
        |shader| shader.arguments.truncate(1),
    ];
    for (position, damage) in damages.iter().enumerate() {
        is_refused(load_changed(&*device, damage), &position);
    }
    load_changed(&*device, |_| {}).unwrap();
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

/// Where the driver gets the words as they are stored, the text is not looked at.
#[test]
fn words_that_are_no_shader_are_refused() {
    let opened = Opened::new(Features::PASSTHROUGH_SHADERS, |_| {});
    let device = opened.for_kernels();
    let words = read(&code()).unwrap()[1].variants[0].sources[&Language::Spirv].clone();
    for end in (13..words.len()).step_by(13) {
        is_refused(load_changed(&*device, |shader| put(shader, Language::Spirv, &words[..end])), &end);
    }
    for damaged in [0, 4, 12] {
        let mut words = words.clone();
        words[damaged..][..4].fill(0);
        words[damaged] = u8::from(damaged == 4);
        words[damaged + 2] = u8::from(damaged == 4) * 7;
        is_refused(load_changed(&*device, |shader| put(shader, Language::Spirv, &words)), &damaged);
    }
    is_refused(load_changed(&*device, |shader| shader.arguments.truncate(1)), &"arguments");
    is_refused(load_changed(&*device, |shader| shader.threads = 32), &"threads");
    is_refused(load_changed(&*device, |shader| shader.variants[0].sources.clear()), &"no source");
    load_changed(&*device, |shader| put(shader, Language::Wgsl, b"no shader")).unwrap();
    load_changed(&*device, |shader| drop(shader.variants[0].sources.remove(&Language::Spirv))).unwrap();
    assert!(opened.uncaught.lock().unwrap().is_empty());
}

/// What shaders need is compared before the GPU compiles them.
#[test]
fn needs_of_shaders_are_checked() {
    let intact = read(&code()).unwrap();
    let changes: [fn(&mut Shader); 2] =
        [|shader| shader.variants[0].shared = vec![1 << 20, 16], |shader| shader.arguments = shader.arguments.repeat(1 << 20)];
    let expected = [
        "bytes of workgroup memory: kernel `negate` needs 1048592",
        "storage buffers in a shader: kernel `negate` needs 2097152",
    ];
    for (change, expected) in changes.into_iter().zip(expected) {
        let mut shaders = intact.clone();
        change(&mut shaders[1]);
        match device().load(&write(&shaders), Arc::new(Vec::new())).err().unwrap() {
            error @ DeviceError::LimitExceeded { .. } => assert!(error.to_string().contains(expected), "{error}"),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn contents_are_told_by_language() {
    let contents = device().contents(&code()).unwrap();
    let names: Vec<&str> = contents.iter().map(|content| content.name.as_str()).collect();
    assert_eq!(names, ["WGSL", "SPIR-V", "MSL"]);
    for (content, language) in contents.iter().zip(Language::ALL) {
        let shaders = read(&code()).unwrap();
        assert_eq!(content.bytes, shaders.iter().map(|shader| shader.variants[0].sources[&language].len() as u64).sum::<u64>());
    }
    let mut shaders = read(&code()).unwrap();
    shaders[0].variants[0].sources.remove(&Language::Msl);
    assert_eq!(device().contents(&write(&shaders)).unwrap()[2].name, "MSL of 1 kernels");
    assert!(matches!(device().contents(b"no shaders"), Err(DeviceError::InvalidCode { .. })));
}

#[test]
fn what_is_too_large_is_refused() {
    let mut executor = executor(&code());
    let large: [fn(&mut Prepared); 3] =
        [|p| p.dispatches[0].grid = 1 << 40, |p| p.dispatches[0].symbols[0] = 1 << 40, |p| p.arena_bytes = 1 << 60];
    for (position, change) in large.iter().enumerate() {
        let mut plan = prepared(8);
        change(&mut plan);
        assert!(matches!(executor.prepare(&plan), Err(DeviceError::LimitExceeded { .. })), "{position}");
    }
    let input = bytes(&[3.0; 8]);
    let mut output = vec![0; input.len()];
    executor.prepare(&prepared(8)).unwrap();
    executor.run(&mut Io { inputs: &[&input], outputs: &mut [&mut output] }).unwrap();
    assert_eq!(output, bytes(&[-1.5; 8]));
}

/// A state is halved by each run, and what the host writes to it counts.
#[test]
fn states_stay_from_run_to_run() {
    let mut executor = executor(&code());
    let whole = whole(Region::State(0), 8);
    let dispatch = Dispatch { kernel: 0, buffers: vec![whole, whole], symbols: vec![2], grid: 1 };
    let plan = Prepared { state_bytes: vec![8], dispatches: vec![dispatch], ..Prepared::default() };
    executor.prepare(&plan).unwrap();
    assert_eq!(executor.state(0).unwrap(), bytes(&[0.0; 2]));
    executor.state(0).unwrap().copy_from_slice(&bytes(&[8.0, -4.0]));
    for _ in 0..2 {
        executor.run(&mut Io { inputs: &[], outputs: &mut [] }).unwrap();
        executor.prepare(&plan).unwrap();
    }
    assert_eq!(executor.state(0).unwrap(), bytes(&[2.0, -1.0]));
    assert!(executor.state(1).is_err());
}
