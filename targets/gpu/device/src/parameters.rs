//! The integers that kernels take: sizes, and the first elements of arguments.

use lostwax_target_api::DeviceError;

/// Appends an integer.
pub(crate) fn put(parameters: &mut Vec<u8>, value: i32) {
    parameters.extend(value.to_le_bytes());
}

/// The largest number that shaders are given: what they compute from it, such as the end of the last tile, still has 32 bits.
const MOST: i128 = 1 << 30;

/// A number that shaders calculate with.
pub(crate) fn index(value: i128, what: &str) -> Result<i32, DeviceError> {
    i32::try_from(value).ok().filter(|_| value.abs() <= MOST).ok_or_else(|| too_many(value, what))
}

pub(crate) fn too_many(value: i128, what: &str) -> DeviceError {
    DeviceError::LimitExceeded {
        resource: "numbers that shaders calculate with",
        problem: format!("{value} {what}, at most {MOST}"),
    }
}
