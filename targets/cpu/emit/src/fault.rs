//! Why a kernel cannot be emitted, before the kernel's name is known.

use inkwell::builder::BuilderError;
use lostwax_target_api::EmitError;
use thiserror::Error;

pub(crate) const TARGET: &str = lostwax_device_cpu::format::NAME;

/// The outcome of a step of emission.
pub(crate) type Emit<T> = Result<T, Fault>;

/// A problem without the kernel it occurred in.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The kernel breaks a rule of kernel IR.
    #[error("{0}")]
    Invalid(String),
    /// The target has no code for it.
    #[error("{0}")]
    Unsupported(String),
    /// LLVM refused.
    #[error("{0}")]
    Generator(String),
}

impl Fault {
    pub(crate) fn invalid<T>(problem: impl Into<String>) -> Emit<T> {
        Err(Self::Invalid(problem.into()))
    }

    pub(crate) fn unsupported<T>(what: impl Into<String>) -> Emit<T> {
        Err(Self::Unsupported(what.into()))
    }

    /// The public error, for the kernel of that name.
    pub(crate) fn of_kernel(self, kernel: &str) -> EmitError {
        match self {
            Self::Invalid(problem) => EmitError::Invalid { kernel: kernel.into(), problem },
            Self::Unsupported(what) => {
                EmitError::Unsupported { target: TARGET.into(), what: format!("{what}, which kernel `{kernel}` has") }
            }
            Self::Generator(problem) => generator(format!("kernel `{kernel}`: {problem}")),
        }
    }
}

impl From<BuilderError> for Fault {
    fn from(error: BuilderError) -> Self {
        Self::Generator(error.to_string())
    }
}

/// A failure of LLVM or of the linker.
pub(crate) fn generator(problem: impl Into<String>) -> EmitError {
    EmitError::Generator { target: TARGET.into(), problem: problem.into() }
}
