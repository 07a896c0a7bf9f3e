//! Why a kernel cannot be emitted, before the kernel's name is known.

use lostwax_device_gpu::NAME;
use lostwax_target_api::EmitError;
use thiserror::Error;

/// The outcome of a step of emission.
pub(crate) type Emit<T> = Result<T, Fault>;

/// A problem without the kernel it occurred in.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The kernel breaks a rule of kernel IR.
    #[error("{0}")]
    Invalid(String),
    /// Shaders cannot express it.
    #[error("{0}")]
    Unsupported(String),
    /// naga refused.
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
            Self::Unsupported(what) => unsupported(format!("{what} (kernel `{kernel}`)")),
            Self::Generator(problem) => {
                EmitError::Generator { target: NAME.into(), problem: format!("kernel `{kernel}`: {problem}") }
            }
        }
    }
}

/// Something that the target cannot do.
pub(crate) fn unsupported(what: String) -> EmitError {
    EmitError::Unsupported { target: NAME.into(), what }
}
