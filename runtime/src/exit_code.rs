//! Exit codes of the programs that lostwax ships.

use crate::RuntimeError;
use lostwax_format::FormatError;
use lostwax_target_api::DeviceError;

/// Results differ, or a check failed.
pub const MISMATCH: u8 = 1;
/// The arguments are invalid, or a file cannot be used.
pub const USAGE: u8 = 2;
/// The model needs something that is not supported, or was refused.
pub const UNSUPPORTED_MODEL: u8 = 3;
/// The artifact is damaged, or made for another version.
pub const INCOMPATIBLE_ARTIFACT: u8 = 4;
/// The device is missing, lost, or lacks a feature.
pub const DEVICE: u8 = 5;
/// A limit was exceeded.
pub const LIMIT: u8 = 6;

impl RuntimeError {
    /// The exit code of a program that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Artifact(error) => of_format(error),
            Self::InvalidInput { .. } => USAGE,
            Self::InvalidPlan { .. } => INCOMPATIBLE_ARTIFACT,
            Self::LimitExceeded { .. } | Self::ContextFull { .. } => LIMIT,
            Self::InvalidLogits { .. } => MISMATCH,
            Self::UnsupportedDevice { .. } | Self::MissingFallback { .. } => DEVICE,
            Self::Device(error) => of_device(error),
        }
    }
}

fn of_device(error: &DeviceError) -> u8 {
    match error {
        DeviceError::InvalidCode { .. } | DeviceError::InvalidPlan { .. } => INCOMPATIBLE_ARTIFACT,
        DeviceError::Missing { .. } | DeviceError::Unsupported { .. } | DeviceError::Lost { .. } => DEVICE,
        DeviceError::LimitExceeded { .. } => LIMIT,
        DeviceError::Inaccessible { .. } => USAGE,
    }
}

/// The exit code of a program that ends with an error of an artifact.
pub fn of_format(error: &FormatError) -> u8 {
    match error {
        FormatError::Invalid { .. } | FormatError::Incompatible { .. } => INCOMPATIBLE_ARTIFACT,
        FormatError::LimitExceeded { .. } => LIMIT,
        FormatError::Io(_) => USAGE,
    }
}
