//! What emission must know of the machine it writes code for.

use lostwax_device_cpu::format::Arch;

/// One instruction-set level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// The instruction set.
    pub(crate) arch: Arch,
    /// The name of the level; unique.
    pub(crate) name: &'static str,
    /// The operating system, as Rust names it.
    pub(crate) os: &'static str,
    /// The LLVM target triple.
    pub(crate) triple: &'static str,
    /// The LLVM processor.
    pub(crate) cpu: &'static str,
    /// LLVM features on top of the processor's.
    pub(crate) features: &'static str,
    /// What LLVM calls the calling convention, where a triple has several.
    pub(crate) abi: Option<&'static str>,
    /// What a device must report, as Rust names it, level by level.
    pub(crate) required: &'static [&'static [&'static str]],
    /// Bytes of one vector register.
    pub(crate) vector_bytes: u32,
    /// Vector registers.
    pub(crate) registers: u32,
    /// Whether a multiply-add is one instruction.
    pub(crate) fused: bool,
    /// Whether a multiply-add can broadcast a memory operand.
    pub(crate) broadcast_operand: bool,
    /// Whether conversions between `f16` and `f32` are instructions.
    pub(crate) converts_half: bool,
    /// The instructions that sum four products of bytes, by lanes, most lanes first.
    pub(crate) dot_products: &'static [(u32, &'static str)],
    /// The instructions that sum two products of 16-bit integers, by lanes of the sums, most lanes first.
    pub(crate) pair_products: &'static [(u32, &'static str)],
    /// Whether LLVM 22 takes false for true in masked loads some of whose lanes turn out to be constant when it splits them: on
    /// x86-64 with AVX and without AVX-512. Other machines have no such loads, or masks of another kind.
    pub(crate) confuses_constant_lanes: bool,
    /// Whether the level is worth having only where sums of four products of bytes are taken.
    pub(crate) for_dot_products: bool,
    /// Peak f32 multiply-add operations per nanosecond.
    pub(crate) flops_per_ns: f64,
}

const LINUX: &str = "linux";

const V2: &[&str] = &["sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"];
const V3: &[&str] = &["avx", "avx2", "fma", "bmi1", "bmi2", "f16c", "lzcnt", "movbe"];
const V4: &[&str] = &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];

const X86_64_V3: Machine = Machine {
    arch: Arch::X86_64,
    name: "x86-64-v3",
    os: LINUX,
    triple: "x86_64-unknown-linux-gnu",
    cpu: "x86-64-v3",
    features: "",
    abi: None,
    required: &[V2, V3],
    vector_bytes: 32,
    registers: 16,
    fused: true,
    broadcast_operand: false,
    converts_half: true,
    dot_products: &[],
    pair_products: &[(8, "llvm.x86.avx2.pmadd.wd"), (4, "llvm.x86.sse2.pmadd.wd")],
    confuses_constant_lanes: true,
    for_dot_products: false,
    flops_per_ns: 97.0,
};

const X86_64_V4: Machine = Machine {
    name: "x86-64-v4",
    cpu: "x86-64-v4",
    required: &[V2, V3, V4],
    registers: 32,
    broadcast_operand: true,
    confuses_constant_lanes: false,
    ..X86_64_V3
};

/// All levels, best first within each instruction set.
pub(crate) const MACHINES: &[Machine] = &[
    // 32-byte vectors leave fewer lanes idle than 64-byte ones where channels are few, and run at twice the rate on many machines.
    Machine {
        name: "x86-64-v4-vnni",
        features: "+avx512vnni",
        required: &[V2, V3, V4, &["avx512vnni"]],
        vector_bytes: 64,
        dot_products: &[
            (16, "llvm.x86.avx512.vpdpbusd.512"),
            (8, "llvm.x86.avx512.vpdpbusd.256"),
            (4, "llvm.x86.avx512.vpdpbusd.128"),
        ],
        for_dot_products: true,
        ..X86_64_V4
    },
    X86_64_V4,
    Machine {
        name: "x86-64-v3-vnni",
        features: "+avxvnni",
        required: &[V2, V3, &["avxvnni"]],
        dot_products: &[(8, "llvm.x86.avx512.vpdpbusd.256"), (4, "llvm.x86.avx512.vpdpbusd.128")],
        for_dot_products: true,
        ..X86_64_V3
    },
    X86_64_V3,
    Machine {
        name: "x86-64-v2",
        cpu: "x86-64-v2",
        required: &[V2],
        vector_bytes: 16,
        fused: false,
        converts_half: false,
        pair_products: &[(4, "llvm.x86.sse2.pmadd.wd")],
        confuses_constant_lanes: false,
        flops_per_ns: 24.0,
        ..X86_64_V3
    },
    Machine {
        arch: Arch::Aarch64,
        name: "armv8-a",
        os: LINUX,
        triple: "aarch64-unknown-linux-gnu",
        cpu: "generic",
        features: "+neon",
        abi: None,
        required: &[&["neon"]],
        vector_bytes: 16,
        registers: 32,
        fused: true,
        broadcast_operand: false,
        converts_half: true,
        dot_products: &[],
        pair_products: &[],
        confuses_constant_lanes: false,
        for_dot_products: false,
        flops_per_ns: 48.0,
    },
    Machine {
        arch: Arch::Riscv64,
        name: "rv64gc",
        os: LINUX,
        triple: "riscv64-unknown-linux-gnu",
        cpu: "generic-rv64",
        features: "+m,+a,+f,+d,+c,-relax",
        abi: Some("lp64d"),
        required: &[],
        vector_bytes: 16,
        registers: 32,
        fused: true,
        broadcast_operand: false,
        converts_half: false,
        dot_products: &[],
        pair_products: &[],
        confuses_constant_lanes: false,
        for_dot_products: false,
        flops_per_ns: 4.0,
    },
];
