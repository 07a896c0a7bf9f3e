#![deny(missing_docs)]
#![deny(unsafe_code)]
//! Loads lostwax artifacts and runs them.
//!
//! ```no_run
//! use lostwax_runtime::{Device, Model, TensorView};
//!
//! # #[cfg(feature = "cpu")]
//! # fn example() -> Result<(), lostwax_runtime::RuntimeError> {
//! let model = Model::open("model.lwx")?;
//! let mut session = model.session(Device::cpu())?;
//! let outputs = session.run([("x", TensorView::new(&[1.0f32, 2.0, 3.0], &[1, 3])?)])?;
//! let y: &[f32] = outputs["y"].view::<f32>()?;
//! # Ok(())
//! # }
//! ```
//!
//! Tensors may stay on the device: outputs of one run or model become inputs of the next without passing through host memory.
//!
//! ```no_run
//! use lostwax_runtime::{Device, Input, Model, TensorView};
//!
//! # #[cfg(feature = "gpu")]
//! # fn example() -> Result<(), lostwax_runtime::RuntimeError> {
//! let device = Device::gpu();
//! let mut encoder = Model::open("encoder.lwx")?.session(device.clone())?;
//! let mut decoder = Model::open("decoder.lwx")?.session(device.clone())?;
//!
//! let x = device.tensor(TensorView::new(&[1.0f32, 2.0, 3.0], &[1, 3])?)?;
//! encoder.prepare(&[&[1, 3]])?;
//! let mut hidden = encoder.zeros_for_output("hidden")?;
//! encoder.run_on_device([("x", &x)], [("hidden", &mut hidden)])?;
//!
//! let scale = TensorView::new(&[0.5f32], &[1])?;
//! let inputs = [("hidden", Input::from(&hidden)), ("scale", Input::from(scale))];
//! let outputs = decoder.run_on_device(inputs, [])?;
//! let y: &[f32] = outputs["y"].view::<f32>()?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Model`]: a checked artifact. Cheap to clone; all clones and sessions share the weights.
//! - [`Session`]: working memory, threads and state of one user of a model. Cheap to make, [`Send`].
//! - [`Device`]: what runs the code. No device is special to this crate.
//! - [`Tensor`], [`TensorView`], [`Outputs`]: tensors that are owned, borrowed, and the result of a run.
//! - [`DeviceTensor`]: a tensor that stays on a device; [`Session::run_on_device`] takes it and writes to it.
//! - [`AlignedBuffer`]: a buffer to write an artifact to that is run directly from memory.
//! - [`MappedFile`]: the bytes of any file, without a copy; [`files`] opens regular files without waiting.
//! - `llm`, with the feature of that name: tokenizers, chat templates, sampling and generation.
//! - [`Requirements`]: what a run with given shapes will take, computed before anything is allocated.
//!
//! A call goes through three files: `bind.rs` finds the values of the symbols from the shapes of the inputs, `prepare.rs` turns
//! the plan into a table of dispatches with these values, and `session.rs` hands the table and the tensors to the device. The
//! table is kept while shapes stay the same.
//!
//! Artifacts hold machine code. All positions and sizes in a file are checked before use, and damage is found by hashes, but
//! malicious code is not detected: open only files from sources whose programs you would run.

#[cfg(target_endian = "big")]
compile_error!("artifacts hold little-endian numbers");

mod bind;
mod bytes;
mod certificate;
mod device;
mod device_tensor;
mod error;
pub mod exit_code;
mod expr;
pub mod files;
mod heterogeneous;
mod info;
#[cfg(feature = "llm")]
pub mod llm;
mod model;
mod options;
mod outputs;
mod prepare;
mod session;
mod state;
mod tensor;

pub use bytes::{AlignedBuffer, MappedFile};
pub use certificate::{CheckedOutput, reference_input};
pub use device::Device;
pub use device_tensor::{DeviceTensor, Input};
pub use error::RuntimeError;
pub use info::{EntryPointInfo, SymbolInfo, TensorInfo};
pub use lostwax_format as format;
pub use lostwax_target_api as api;
pub use model::Model;
pub use options::Options;
pub use outputs::Outputs;
pub use prepare::Requirements;
pub use session::{Session, StepProfile};
pub use tensor::{DType, Element, Tensor, TensorView};

/// Values of symbols, by name.
pub type Bindings = std::collections::BTreeMap<String, i64>;

/// Embeds an artifact in the program, aligned so that [`Model::from_static`] need not copy it. Takes the path that
/// [`include_bytes!`] takes and gives a `&'static [u8]`.
#[macro_export]
macro_rules! include_artifact {
    ($path:expr $(,)?) => {{
        #[repr(C, align(4096))]
        struct Aligned<T: ?Sized>(T);
        static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        let bytes: &'static [u8] = &ALIGNED.0;
        bytes
    }};
}
