//! Errors of devices.

use thiserror::Error;

/// Why a device refuses or fails.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The code bytes are damaged or of another format.
    #[error("the {device} code is invalid: {problem}")]
    InvalidCode {
        /// The device.
        device: String,
        /// What is wrong.
        problem: String,
    },
    /// A dispatch does not fit the program or the memory.
    #[error("the execution plan is invalid: {problem}")]
    InvalidPlan {
        /// What is wrong.
        problem: String,
    },
    /// This machine has no such device, or no driver for it.
    #[error("there is no {device} device: {problem}")]
    Missing {
        /// The device.
        device: String,
        /// What was looked for, and what there is.
        problem: String,
    },
    /// The device lacks a feature; no smaller model would help.
    #[error("the {device} device does not support {what}")]
    Unsupported {
        /// The device.
        device: String,
        /// What is missing.
        what: String,
    },
    /// A request exceeds what the device has or accepts, such as memory, threads or buffers of one kernel.
    #[error("out of {resource}: {problem}")]
    LimitExceeded {
        /// Which resource.
        resource: &'static str,
        /// What was requested, and why it was refused.
        problem: String,
    },
    /// A file or folder that the user named cannot be used.
    #[error("the {device} device cannot use {path}: {problem}")]
    Inaccessible {
        /// The device.
        device: String,
        /// The file or folder.
        path: String,
        /// Why not.
        problem: String,
    },
    /// The device stopped responding; a new session on a new device is needed.
    #[error("the {device} device was lost: {problem}")]
    Lost {
        /// The device.
        device: String,
        /// Its last message.
        problem: String,
    },
}

impl DeviceError {
    /// That a state does not exist.
    pub fn no_state(index: usize) -> Self {
        Self::InvalidPlan { problem: format!("the device has no state {index}") }
    }

    /// That the code has fewer kernels.
    pub fn no_kernel(position: u32) -> Self {
        Self::InvalidPlan { problem: format!("there is no kernel {position}") }
    }

    /// That fewer dispatches were prepared.
    pub fn no_dispatch(position: usize) -> Self {
        Self::InvalidPlan { problem: format!("there is no dispatch {position}") }
    }

    /// That a tensor lies in memory of another device.
    pub fn wrong_device(kind: &str, position: usize) -> Self {
        Self::InvalidPlan { problem: format!("{kind} {position} lies in memory of another device") }
    }

    /// That memory is copied to memory of another size.
    pub fn size_mismatch(from: usize, to: usize) -> Self {
        Self::InvalidPlan { problem: format!("{from} bytes are copied to {to}") }
    }
}
