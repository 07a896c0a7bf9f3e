//! The compile-time half: targets and what the scheduler must know of them.

use crate::device::VariantInfo;
use lostwax_ir::kernel::Kernel;
use lostwax_ir::types::DType;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use thiserror::Error;

/// What a machine offers, as far as the compiler's choices depend on it. All sizes are of one core or, where there are workgroups, of
/// one invocation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caps {
    /// Bytes of one vector register. Tiles of contractions, windows and attention, and the lanes of row reductions follow from it.
    pub vector_bytes: u32,
    /// Vector registers that a kernel may use. Tiles of contractions, windows and attention hold their sums in them.
    pub vector_registers: u32,
    /// Operations that are single instructions on this machine. Emitters choose code by them; [`Variant::only_for`] refers to
    /// them.
    pub instructions: &'static [Instruction],
    /// The memories between registers and main memory that schedules keep to.
    pub memories: &'static [Memory],
    /// The least number of work items that keeps the machine busy. Maps, windows and contractions are cut into at least this
    /// many.
    pub parallelism: u32,
    /// Elements that one work item should compute, if there are enough, to amortize the cost of distributing it. Maps, windows,
    /// row reductions and contractions are cut accordingly.
    pub item_elements: u32,
    /// The largest number of arguments of a kernel, `u32::MAX` if unlimited. Fusion keeps to the minimum over all variants of an
    /// artifact.
    pub arguments: u32,
    /// The bytes of an argument that a kernel can address at once, `u64::MAX` if unlimited. Larger arguments are bound in pieces.
    pub binding_bytes: u64,
    /// Workgroups, on machines whose threads share memory and meet at barriers. Contractions, reductions and attention are then
    /// divided among the threads of a workgroup, where they are large enough.
    pub workgroups: Option<WorkgroupCaps>,
    /// Peak f32 multiply-add throughput of one core, in operations (2 per multiply-add) per nanosecond, for the optimizer's prices.
    pub flops_per_ns: f64,
    /// Memory bandwidth of one core, in bytes per nanosecond, for the optimizer's prices.
    pub bytes_per_ns: f64,
    /// Cost of one dispatch, in nanoseconds, for the optimizer's prices.
    pub dispatch_ns: f64,
}

impl Caps {
    /// The bytes of the largest memory of a kind, 0 if there is none.
    pub fn memory_bytes(&self, kind: MemoryKind) -> u64 {
        self.memories.iter().filter(|memory| memory.kind == kind).map(|memory| memory.bytes).max().unwrap_or(0)
    }
}

/// A memory that is faster than main memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it is.
    pub kind: MemoryKind,
    /// How much one core or one workgroup has of it.
    pub bytes: u64,
}

/// Kinds of fast memory, by what schedules do with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// A cache or scratch memory that one core has to itself. Blocks of a contraction's first factor take half of the largest.
    Core,
    /// Memory that the threads of a workgroup share and kernels fill themselves. Staged factors of contractions and the keys and
    /// values of attention fit into the largest.
    Workgroup,
}

/// What schedules may assume about workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkgroupCaps {
    /// The maximum number of threads of a workgroup; a power of two.
    pub threads: u32,
    /// The least number of workgroups that keeps the machine busy.
    pub count: u32,
    /// Consecutive threads whose accesses to consecutive addresses are coalesced into one.
    pub coalesced: u32,
}

/// An operation that some machines have instructions for and others do in several steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Sums of products of integers narrower than the sum, as [`lostwax_ir::kernel::Scalar::Dot4`] takes them of bytes.
    Products {
        /// The type of the first factors.
        lhs: DType,
        /// The type of the second factors.
        rhs: DType,
        /// The type of the sum.
        sum: DType,
    },
    /// The conversion of one type into another.
    Conversion {
        /// The type before.
        from: DType,
        /// The type after.
        to: DType,
    },
    /// Arithmetic in a type, where others compute in a wider one and round.
    Arithmetic(DType),
}

impl Operation {
    /// The operation of [`lostwax_ir::kernel::Scalar::Dot4`].
    pub const DOT4: Self = Self::Products { lhs: DType::U8, rhs: DType::I8, sum: DType::I32 };
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Products { lhs, rhs, sum } => write!(f, "{lhs}*{rhs}+{sum}"),
            Self::Conversion { from, to } => write!(f, "{from}->{to}"),
            Self::Arithmetic(dtype) => write!(f, "{dtype}"),
        }
    }
}

/// One instruction. That of a vector unit gives one row of results, that of a matrix unit several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub operation: Operation,
    /// Rows of results.
    pub rows: u32,
    /// Results in each row: the lanes of a vector.
    pub columns: u32,
    /// Products that are added to each result; 1 for other operations.
    pub depth: u32,
}

impl Instruction {
    /// An instruction of a vector unit.
    pub const fn vector(operation: Operation, lanes: u32, depth: u32) -> Self {
        Self { operation, rows: 1, columns: lanes, depth }
    }
}

impl fmt::Display for Instruction {
    /// Operation and shape, such as `u8*i8+i32 1x16x4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, rows, columns, depth } = self;
        write!(f, "{operation} {rows}x{columns}x{depth}")
    }
}

/// One kind of machine that a target writes code for, such as an instruction-set level.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What the device must offer.
    pub info: VariantInfo,
    /// What schedules depend on.
    pub caps: Caps,
    /// The operations of [`Caps::instructions`] that this variant is for. Programs that use none of them leave it out,
    /// because a later variant is as fast for them. Empty for variants that serve all programs.
    pub only_for: &'static [Operation],
}

impl Variant {
    /// Whether a program that uses these operations benefits from the variant.
    pub fn serves(&self, operations: &BTreeSet<Operation>) -> bool {
        self.only_for.is_empty() || self.only_for.iter().any(|operation| operations.contains(operation))
    }
}

/// What a target can write beside the code bytes, for people and for other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputKind {
    /// Assembly or source text.
    Listing,
    /// A relocatable object file that defines one function per kernel and needs nothing else.
    Object,
    /// A C header that declares the functions of [`OutputKind::Object`] and says how to call them.
    Header,
}

/// Settings of one emission.
#[derive(Clone, Debug, Default)]
pub struct EmitOptions {
    /// What to write into [`Emitted::outputs`].
    pub outputs: BTreeSet<OutputKind>,
}

/// The code of one variant.
#[derive(Clone, Debug, Default)]
pub struct Emitted {
    /// The bytes for [`crate::Device::load`].
    pub code: Vec<u8>,
    /// Every requested output.
    pub outputs: BTreeMap<OutputKind, Vec<u8>>,
}

/// Turns kernels into code.
pub trait Target: Send + Sync {
    /// The name that users select it by.
    fn name(&self) -> &'static str;

    /// One line for lists.
    fn doc(&self) -> &'static str;

    /// The variants that a specification names. The specification is what follows `NAME:` on the command line: for the CPU
    /// target empty for the host's architecture, or an architecture such as `aarch64`.
    ///
    /// # Errors
    /// [`EmitError::Unsupported`] lists the valid specifications.
    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError>;

    /// Writes the code of all kernels for one variant; kernel `i` of the program is `kernels[i]`. Deterministic.
    ///
    /// # Errors
    /// [`EmitError`] naming the kernel, and [`EmitError::Unsupported`] for an output that the target does not write.
    fn emit(&self, variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError>;

    /// Checks whether a kernel can be written. Called for each kernel after [`Target::emit`] refused all of them together.
    ///
    /// # Errors
    /// As [`Target::emit`].
    fn check(&self, variant: &Variant, kernel: &Kernel) -> Result<(), EmitError> {
        self.emit(variant, std::slice::from_ref(kernel), &EmitOptions::default()).map(drop)
    }
}

impl EmitError {
    /// Whether the target refuses one kernel that is valid, and may accept others.
    pub fn allows_fallback(&self) -> bool {
        match self {
            Self::Unsupported { .. } | Self::LimitExceeded { .. } => true,
            Self::Invalid { .. } | Self::Generator { .. } => false,
        }
    }
}

/// Why a target cannot write code.
#[derive(Debug, Error)]
pub enum EmitError {
    /// The kernel breaks a rule of kernel IR.
    #[error("kernel `{kernel}` is invalid: {problem}")]
    Invalid {
        /// The kernel.
        kernel: String,
        /// The broken rule.
        problem: String,
    },
    /// The target cannot do what is asked.
    #[error("the {target} target does not support {what}")]
    Unsupported {
        /// The target.
        target: String,
        /// What is missing and what there is instead.
        what: String,
    },
    /// The kernel exceeds a limit of the machines that the code is for.
    #[error("kernel `{kernel}` is too large for the {target} target: {problem}")]
    LimitExceeded {
        /// The target.
        target: String,
        /// The kernel.
        kernel: String,
        /// What it needs, the limit, and the way out.
        problem: String,
    },
    /// The code generator or linker failed.
    #[error("the {target} code generator failed: {problem}")]
    Generator {
        /// The target.
        target: String,
        /// Its message.
        problem: String,
    },
}
