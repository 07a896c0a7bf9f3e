#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The interface between lostwax and the machines it runs on.
//!
//! A **target** turns kernels into code when a model is compiled; a **device** runs that code where the model is used. They
//! meet only in the code bytes of a variant, whose format belongs to the pair. What a machine can do is data ([`Caps`] for the
//! compiler, [`VariantInfo`] for devices); nothing depends on a target's name.

mod device;
mod error;
mod host;
mod memory;
#[cfg(feature = "compile")]
mod target;

pub use device::{
    Adapter, BufferRef, Content, Device, Dispatch, Executor, PartialExecutor, Peaks, Prepared, Program, Property, PropertyValue,
    Region, VariantInfo, WeightBytes,
};
pub use error::DeviceError;
pub use host::{HostExecutor, HostProgram, HostRegions, Signature};
pub use memory::{Destination, DeviceIo, DeviceMemory, HostMemory, Io, OnDevice, Source};
#[cfg(feature = "compile")]
pub use target::{
    Caps, EmitError, EmitOptions, Emitted, Instruction, Memory, MemoryKind, Operation, OutputKind, Target, Variant, WorkgroupCaps,
};
