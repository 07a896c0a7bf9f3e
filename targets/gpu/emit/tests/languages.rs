//! Kernels in every language beside the texts in `golden/`, which `BLESS=1` writes; and what kernels may take.

use lostwax_device_gpu::format::{Feature, Language, read};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{EmitError, EmitOptions, Emitted, OutputKind};
use lostwax_target_gpu::target;
use std::path::PathBuf;

/// Lanes; the last ones do not run.
const SCALE: &str = r#"kernel "scale" {
  symbols n: 1..
  item %i: 0..
  grid (floordiv(n + 3, 4))
  buffer "x": f32
  buffer "y": f32 writable
  for %k: 0..=3 to (4) vector active (n - 4*%i) {
    v0 = load b0[4*%i + %k]
    v1 = mul v0, f32(0.5)
    store b1[4*%i + %k], v1
  }
}
"#;

/// A loop that adds products of rows that may not exist to registers.
const CONTRACTION: &str = r#"kernel "contraction" {
  symbols m: 1.., n: 1..
  item %i: 0..
  grid (floordiv(m + 1, 2))
  buffer "x": f32
  buffer "w": f32
  buffer "y": f32 writable
  local "sums": f32[2]
  rows "lines": b0[2] x 8
  for %r: 0..=1 to (2) unrolled {
    row r0[%r] = (8*n*%i + 4*n*%r) if [m - 2*%i - %r - 1]
    store l0[%r], f32(0.0)
  }
  for %k: 0.. to (n) serial {
    for %r: 0..=1 to (2) unrolled {
      v0 = load r0[%r][%k]
      v1 = load b1[%k]
      v2 = load l0[%r]
      v3 = mul_add v0, v1, v2
      store l0[%r], v3
    }
  }
  for %r: 0..=1 to (2) unrolled {
    if [m - 2*%i - %r - 1] {
      v4 = load l0[%r]
      v5 = tanh v4
      store b2[2*%i + %r], v5
    }
  }
}
"#;

/// Elements that share words with those of other work items, and an argument that nothing uses.
const BYTES: &str = r#"kernel "bytes" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "unused": f32
  buffer "x": i8
  buffer "y": f16 writable
  v0 = load b1[%i]
  v1 = cast f16 v0
  store b2[%i], v1
}
"#;

/// Types of 64 bits, one of which MSL lacks.
const DOUBLES: &str = r#"kernel "doubles" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": i64
  buffer "y": f64 writable
  v0 = load b0[%i]
  v1 = cast f64 v0
  store b1[%i], v1
}
"#;

/// Threads that hand elements over in the memory that they share.
const REVERSE: &str = r#"kernel "reverse" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": f32
  buffer "y": f32 writable
  local "all": f32[64] shared
  for %t: 0..=63 to (64) threads {
    v0 = load b0[64*%i + %t]
    store l0[%t], v0
  }
  for %t: 0..=63 to (64) threads {
    v1 = load l0[63 - %t]
    store b1[64*%i + %t], v1
  }
}
"#;

/// Threads that add up what they have.
const TOTAL: &str = r#"kernel "total" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": f32
  buffer "y": f32 writable
  local "all": f32[64] shared
  for %t: 0..=63 to (64) threads {
    v0 = load b0[64*%i + %t]
    store l0[%t], v0
  }
  reduce sum l0 stride 1
  for %t: 0..=63 to (64) threads {
    if [-%t] {
      v1 = load l0[0]
      store b1[%i], v1
    }
  }
}
"#;

const KERNELS: [(&str, &str); 6] = [
    ("scale", SCALE),
    ("contraction", CONTRACTION),
    ("bytes", BYTES),
    ("reverse", REVERSE),
    ("total", TOTAL),
    ("doubles", DOUBLES),
];

fn emit(profile: &str, text: &str) -> Result<Emitted, EmitError> {
    let (target, kernel): (_, Kernel) = (target(), parse_kernel(text).unwrap_or_else(|error| panic!("{error}\n{text}")));
    let variants = target.variants(profile).unwrap();
    target.emit(&variants[0], &[kernel], &EmitOptions { outputs: [OutputKind::Listing].into() })
}

fn listing(text: &str) -> String {
    let emitted = emit("", text).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(emitted.outputs[&OutputKind::Listing].clone()).unwrap()
}

#[test]
fn kernels_are_written_as_before() {
    for (name, text) in KERNELS {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
        let written = listing(text);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        assert!(written == expected, "`{name}` is written in another way; BLESS=1 if it should be:\n{written}");
    }
}

/// The contract for programs that embed MSL: slots of arguments, parameters and sizes, one size for each argument.
#[test]
fn metal_finds_arguments_in_slots() {
    for (_, text) in &KERNELS[..5] {
        let shaders = read(&emit("metal", text).unwrap().code).unwrap();
        let shader = &shaders[0];
        let variant = shader.plainest().unwrap();
        let text = variant.text(Language::Msl).unwrap();
        let arguments = shader.arguments.len();
        assert!(text.contains(&format!("kernel void {}(", Language::Msl.entry_point())), "{text}");
        assert!(text.contains(&format!("[[buffer({arguments})]]")), "{text}");
        assert!(text.contains(&format!("constant _mslBufferSizes& _buffer_sizes [[buffer({})]]", arguments + 1)), "{text}");
        assert!(!text.contains(&format!("[[buffer({})]]", arguments + 2)), "{text}");
        assert_eq!(text.matches("uint size").count(), arguments, "{text}");
        assert_eq!(text.matches(", threadgroup ").count(), variant.shared.len(), "{text}");
    }
}

#[test]
fn shared_memory_is_told() {
    let shaders = read(&emit("", REVERSE).unwrap().code).unwrap();
    assert_eq!((shaders[0].variants[0].shared.as_slice(), shaders[0].invocations()), ([256].as_slice(), 64));
}

#[test]
fn languages_have_what_can_be_expressed_in_them() {
    let shaders = read(&emit("", DOUBLES).unwrap().code).unwrap();
    assert!(shaders[0].variants[0].features.contains(&Feature::Float64));
    let languages: Vec<Language> = shaders[0].variants[0].sources.keys().copied().collect();
    assert_eq!(languages, [Language::Wgsl, Language::Spirv]);
    let text = listing(DOUBLES);
    assert!(text.contains("// It needs floats of 64 bits, which MSL lacks.") && text.contains("double("), "{text}");
}

/// A kernel that adds up a number of buffers.
fn sum(buffers: usize) -> String {
    let declared: String = (0..buffers).map(|buffer| format!("  buffer \"x{buffer}\": f32\n")).collect();
    let add =
        |buffer| format!("  v{0} = load b{buffer}[%i]\n  v{1} = add v{2}, v{0}\n", 2 * buffer, 2 * buffer + 1, 2 * buffer - 1);
    let added: String = (1..buffers).map(add).collect();
    let last = 2 * buffers - 1;
    format!(
        "kernel \"sum\" {{\n  symbols n: 1..\n  item %i: 0..\n  grid (n)\n{declared}  buffer \"y\": f32 writable\n  \
         v1 = load b0[%i]\n{added}  store b{buffers}[%i], v{last}\n}}\n"
    )
}

#[test]
fn kernels_that_take_too_much_are_refused() {
    assert!(emit("webgpu-default", &sum(7)).is_ok() && emit("", &sum(28)).is_ok());
    let refusals = [
        (
            "webgpu-default",
            sum(8),
            "kernel `sum` is too large for the gpu target: it takes 9 storage buffers in a shader, the profile `webgpu-default` has \
             8; the target `gpu:native` or `gpu:vulkan` or `gpu:metal` has them",
        ),
        (
            "vulkan",
            sum(40),
            "kernel `sum` is too large for the gpu target: it takes 41 storage buffers in a shader, the profile `vulkan` has 30; no \
             profile has them; another target may",
        ),
        (
            "",
            REVERSE.replace("f32[64] shared", "f32[8192] shared"),
            "kernel `reverse` is too large for the gpu target: it takes 32768 bytes of workgroup memory, the profile \
             `native` has 16384; the target `gpu:metal` has them",
        ),
        (
            "",
            REVERSE.replace("63", "511").replace("64", "512"),
            "kernel `reverse` is too large for the gpu target: it takes 512 invocations in a workgroup, the profile `native` \
             has 256; the target `gpu:metal` has them",
        ),
        (
            "metal",
            DOUBLES.into(),
            "kernel `doubles` is too large for the gpu target: it takes floats of 64 bits, which MSL, the language of the profile \
             `metal`, lacks; the target `gpu:native` or `gpu:webgpu-default` or `gpu:vulkan` has them",
        ),
    ];
    for (profile, text, message) in refusals {
        match emit(profile, &text).unwrap_err() {
            error @ EmitError::LimitExceeded { .. } => assert_eq!(error.to_string(), message),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn specifications_name_profiles() {
    let name = |specification: &str| target().variants(specification).unwrap()[0].info.name.clone();
    assert_eq!(["", "webgpu-default", "vulkan", "metal"].map(name), ["native", "webgpu-default", "vulkan", "metal"]);
    let message = target().variants("toaster").unwrap_err().to_string();
    assert!(message.contains("`toaster`") && message.contains("`webgpu-default`") && message.contains("`metal`"), "{message}");
}
