//! Tensors on the command line: where inputs come from and where outputs go.

mod image;
mod inputs;
mod npy;
mod outputs;
mod spec;

pub use inputs::{InputArgs, given_tensors, make_inputs, views};
pub use npy::{read_npz, write_npz};
pub use outputs::{check_outputs, write_outputs};
pub use spec::InputSpec;
