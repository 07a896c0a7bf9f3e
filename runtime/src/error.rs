use bytesize::ByteSize;
use lostwax_format::FormatError;
use lostwax_target_api::DeviceError;
use thiserror::Error;

/// Why a model cannot be loaded or run.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The artifact is damaged, of another version, too large, or cannot be read.
    #[error(transparent)]
    Artifact(#[from] FormatError),
    /// The artifact has no code that the device can run.
    #[error(
        "the file has no code that the {device} device can run: {variants}. Compile the model for this machine: `lostwax compile \
         MODEL --target {device}` here, or elsewhere with a specification that `lostwax targets` lists"
    )]
    UnsupportedDevice {
        /// The device.
        device: String,
        /// The variants in the file, each with why the device does not run it.
        variants: String,
    },
    /// The code leaves steps to a device that is not there or cannot run them.
    #[error(
        "the code for the {device} device leaves {steps} steps to a {fallback} device, but there is none that can run them; add it with \
         `Device::with_fallback`"
    )]
    MissingFallback {
        /// The device.
        device: String,
        /// The number of steps.
        steps: usize,
        /// The device that is missing.
        fallback: String,
    },
    /// A tensor, name or option that the caller gave does not fit the model.
    #[error("{subject}: {problem}")]
    InvalidInput {
        /// What was given, such as ``input `x` ``.
        subject: String,
        /// Expected and found.
        problem: String,
    },
    /// The plan asks for something impossible with these shapes.
    #[error("the plan of entry point `{entry_point}` fails with these shapes: {problem}")]
    InvalidPlan {
        /// The entry point.
        entry_point: String,
        /// What fails.
        problem: String,
    },
    /// More memory is needed than is allowed or available.
    #[error("{what} takes {}, more than {limit}", ByteSize(*needed))]
    LimitExceeded {
        /// What takes the memory.
        what: String,
        /// The bytes that are needed.
        needed: u64,
        /// The limit in words.
        limit: String,
    },
    /// More tokens than the model can attend to.
    #[error("{needed} tokens do not fit the context of {limit}; shorten the text, or compile the model with a longer context")]
    ContextFull {
        /// The tokens.
        needed: usize,
        /// The largest number.
        limit: usize,
    },
    /// The logits of the model are such that no token can be chosen.
    #[error("the logits are unusable: {problem}; `lostwax verify` compares the artifact with its model")]
    InvalidLogits {
        /// What is wrong with them.
        problem: String,
    },
    /// The device refuses or fails.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl RuntimeError {
    pub(crate) fn input(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::InvalidInput { subject: subject.into(), problem: problem.into() }
    }

    pub(crate) fn out_of_memory(what: impl Into<String>, needed: u64) -> Self {
        Self::LimitExceeded { what: what.into(), needed, limit: "the available memory".into() }
    }
}
