//! The errors of this device.

use lostwax_target_api::DeviceError;

/// The name of the device family.
pub const NAME: &str = "gpu";

pub(crate) fn missing(problem: String) -> DeviceError {
    DeviceError::Missing { device: NAME.into(), problem }
}

pub(crate) fn invalid_code(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}

pub(crate) fn invalid(problem: String) -> DeviceError {
    DeviceError::InvalidPlan { problem }
}

pub(crate) fn unsupported(what: String) -> DeviceError {
    DeviceError::Unsupported { device: NAME.into(), what }
}

pub(crate) fn lost(problem: String) -> DeviceError {
    DeviceError::Lost { device: NAME.into(), problem }
}

pub(crate) fn out_of_memory(problem: String) -> DeviceError {
    DeviceError::LimitExceeded { resource: "GPU memory", problem }
}
