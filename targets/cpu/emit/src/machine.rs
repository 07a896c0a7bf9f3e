//! What emission must know of the machine it writes code for.

use lostwax_device_cpu::format::Arch;
use lostwax_ir::types::DType;
use lostwax_target_api::{Instruction, Operation};

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
    /// Whether LLVM 22 takes false for true in masked loads some of whose lanes turn out to be constant when it splits them: on
    /// x86-64 with AVX and without AVX-512. Other machines have no such loads, or masks of another kind.
    pub(crate) confuses_constant_lanes: bool,
    /// The instructions that emission makes use of, of one operation those of most lanes first.
    pub(crate) instructions: &'static [Instruction],
    /// The operations without which a program gains nothing from the level; empty if it always does.
    pub(crate) only_for: &'static [Operation],
    /// Peak f32 multiply-add operations per nanosecond.
    pub(crate) flops_per_ns: f64,
}

const LINUX: &str = "linux";

const V2: &[&str] = &["sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"];
const V3: &[&str] = &["avx", "avx2", "fma", "bmi1", "bmi2", "f16c", "lzcnt", "movbe"];
const V4: &[&str] = &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];

/// Sums of two products of 16-bit integers.
pub(crate) const PAIRS: Operation = Operation::Products { lhs: DType::I16, rhs: DType::I16, sum: DType::I32 };

/// The conversion of half floats to single ones.
pub(crate) const FROM_HALF: Operation = Operation::Conversion { from: DType::F16, to: DType::F32 };

/// The conversion of single floats to half ones.
pub(crate) const TO_HALF: Operation = Operation::Conversion { from: DType::F32, to: DType::F16 };

const BYTES_16: Instruction = Instruction::vector(Operation::DOT4, 16, 4);
const BYTES_8: Instruction = Instruction::vector(Operation::DOT4, 8, 4);
const BYTES_4: Instruction = Instruction::vector(Operation::DOT4, 4, 4);
const PAIRS_8: Instruction = Instruction::vector(PAIRS, 8, 2);
const PAIRS_4: Instruction = Instruction::vector(PAIRS, 4, 2);
const FROM_HALF_8: Instruction = Instruction::vector(FROM_HALF, 8, 1);
const FROM_HALF_4: Instruction = Instruction::vector(FROM_HALF, 4, 1);
const TO_HALF_8: Instruction = Instruction::vector(TO_HALF, 8, 1);
const TO_HALF_4: Instruction = Instruction::vector(TO_HALF, 4, 1);

impl Machine {
    /// The instructions for an operation that sum up so many products, most lanes first.
    pub(crate) fn instructions_for(&self, operation: Operation, depth: u32) -> impl Iterator<Item = &'static Instruction> {
        let is_one = move |instruction: &&Instruction| {
            instruction.operation == operation && instruction.rows == 1 && instruction.depth == depth
        };
        self.instructions.iter().filter(is_one)
    }

    /// Whether there is an instruction for an operation.
    pub(crate) fn has(&self, operation: Operation) -> bool {
        self.instructions.iter().any(|instruction| instruction.operation == operation)
    }
}

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
    instructions: &[PAIRS_8, PAIRS_4, FROM_HALF_8, TO_HALF_8],
    only_for: &[],
    confuses_constant_lanes: true,
    flops_per_ns: 97.0,
};

const X86_64_V4: Machine = Machine {
    name: "x86-64-v4",
    cpu: "x86-64-v4",
    required: &[V2, V3, V4],
    registers: 32,
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
        instructions: &[BYTES_16, BYTES_8, BYTES_4, PAIRS_8, PAIRS_4, FROM_HALF_8, TO_HALF_8],
        only_for: &[Operation::DOT4],
        ..X86_64_V4
    },
    X86_64_V4,
    Machine {
        name: "x86-64-v3-vnni",
        features: "+avxvnni",
        required: &[V2, V3, &["avxvnni"]],
        instructions: &[BYTES_8, BYTES_4, PAIRS_8, PAIRS_4, FROM_HALF_8, TO_HALF_8],
        only_for: &[Operation::DOT4],
        ..X86_64_V3
    },
    X86_64_V3,
    Machine {
        name: "x86-64-v2",
        cpu: "x86-64-v2",
        required: &[V2],
        vector_bytes: 16,
        instructions: &[PAIRS_4],
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
        instructions: &[FROM_HALF_4, TO_HALF_4],
        only_for: &[],
        confuses_constant_lanes: false,
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
        instructions: &[],
        only_for: &[],
        confuses_constant_lanes: false,
        flops_per_ns: 4.0,
    },
];
