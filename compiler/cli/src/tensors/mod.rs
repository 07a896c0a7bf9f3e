//! Tensors on the command line: where inputs come from and where outputs go.

mod image;
mod inputs;
mod npy;
mod outputs;
mod spec;

pub use inputs::{InputArgs, make_inputs, views};
pub use npy::{read_npz, write_npz};
pub use outputs::write_outputs;
