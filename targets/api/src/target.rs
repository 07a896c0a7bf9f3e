//! The compile-time half: targets and what the scheduler must know of them.

use crate::device::VariantInfo;
use lostwax_ir::kernel::Kernel;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// What a machine offers, as far as schedules depend on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Caps {
    /// Bytes of one vector register.
    pub vector_bytes: u32,
    /// Vector registers that a kernel may use.
    pub vector_registers: u32,
    /// Whether a multiply-add is one instruction.
    pub fused_multiply_add: bool,
    /// Whether a multiply-add can take a broadcast memory operand at no extra cost.
    pub broadcast_operand: bool,
    /// Bytes of first-level data cache per core.
    pub l1_bytes: u64,
    /// Bytes of second-level cache per core.
    pub l2_bytes: u64,
    /// Bytes of the last cache level that one core can count on.
    pub l3_bytes: u64,
    /// Work items that should at least exist for the machine to be busy.
    pub parallelism: u32,
    /// Elements that one work item should compute, if there are enough: so many that handing it out costs little.
    pub item_elements: u32,
    /// The most arguments of a kernel, `u32::MAX` for any number. Fusion keeps to the least of all variants of an artifact.
    pub arguments: u32,
    /// The bytes of an argument that a kernel can address at once, `u64::MAX` for any number. Larger ones come in pieces.
    pub binding_bytes: u64,
    /// What threads that share a work item have, on machines where they do.
    pub threads: Option<ThreadCaps>,
    /// Peak f32 multiply-add throughput of one core, in operations (2 per multiply-add) per nanosecond.
    pub flops_per_ns: f64,
    /// Memory bandwidth of one core, in bytes per nanosecond.
    pub bytes_per_ns: f64,
    /// Cost of one dispatch, in nanoseconds.
    pub dispatch_ns: f64,
}

/// What schedules may assume about threads that share a work item, which then has many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadCaps {
    /// The most threads of one work item; a power of two.
    pub most: u32,
    /// Bytes of memory that the threads of a work item share.
    pub shared_bytes: u32,
    /// Shared work items that should at least exist for the machine to be busy.
    pub work_items: u32,
    /// Threads that read as one: neighbours in memory are best read by so many neighbouring threads.
    pub coalesced: u32,
}

/// One form in which a target can write code, such as one instruction-set level.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What the device must offer.
    pub info: VariantInfo,
    /// What the scheduler must know.
    pub caps: Caps,
    /// Whether the variant is worth having only for programs that sum products of bytes, as
    /// [`lostwax_ir::kernel::Scalar::Dot4`] does; for others a variant after it does as well.
    pub for_dot_products: bool,
}

/// A form of the kernels for people and for other tools, beside the code bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Assembly or source text.
    Listing,
    /// A relocatable object file that defines one function per kernel and needs nothing else.
    Object,
    /// A C header that declares the functions of [`Form::Object`] and says how to call them.
    Header,
}

/// Settings of one emission.
#[derive(Clone, Debug, Default)]
pub struct EmitOptions {
    /// The forms to write into [`Emitted::forms`].
    pub forms: BTreeSet<Form>,
}

/// The code of one variant.
#[derive(Clone, Debug, Default)]
pub struct Emitted {
    /// The bytes for [`crate::Device::load`].
    pub code: Vec<u8>,
    /// Every form that was asked for.
    pub forms: BTreeMap<Form, Vec<u8>>,
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
    /// [`EmitError::Unsupported`] lists what would be understood.
    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError>;

    /// Writes the code of all kernels for one variant; kernel `i` of the program is `kernels[i]`. Deterministic.
    ///
    /// # Errors
    /// [`EmitError`] naming the kernel, and [`EmitError::Unsupported`] for a form that the target does not have.
    fn emit(&self, variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError>;

    /// Tells whether a kernel can be written; asked of each one when [`Target::emit`] refuses them together.
    ///
    /// # Errors
    /// As [`Target::emit`].
    fn check(&self, variant: &Variant, kernel: &Kernel) -> Result<(), EmitError> {
        self.emit(variant, std::slice::from_ref(kernel), &EmitOptions::default()).map(drop)
    }
}

impl EmitError {
    /// Whether the target may do well with other kernels: it cannot write this one, and nothing is wrong.
    pub fn is_refusal(&self) -> bool {
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
    /// The kernel takes more than the machines have that the code is for.
    #[error("kernel `{kernel}` is too large for the {target} target: {problem}")]
    LimitExceeded {
        /// The target.
        target: String,
        /// The kernel.
        kernel: String,
        /// What it takes, what there is, and what helps.
        problem: String,
    },
    /// A code generator or linker below us failed.
    #[error("the {target} code generator failed: {problem}")]
    Generator {
        /// The target.
        target: String,
        /// Its message.
        problem: String,
    },
}
