//! The code bytes: kernels as text, one after another.

use lostwax_ir::kernel::Kernel;
use lostwax_ir::text::{parse_kernel, print_kernel};
use lostwax_ir::verify::verify_kernel;

/// The name of the device family.
pub const NAME: &str = "interp";

/// The architecture of its code, which is text.
pub const ARCHITECTURE: &str = "any";

const HEADER: &str = "lostwax kernels 1";

/// Stands before each kernel. No line of a kernel looks like this.
const SEPARATOR: &str = "\n---\n";

/// The code bytes of these kernels.
pub fn write(kernels: &[Kernel]) -> Vec<u8> {
    let texts = kernels.iter().map(|kernel| format!("{SEPARATOR}{}", print_kernel(kernel)));
    [HEADER.to_string()].into_iter().chain(texts).collect::<String>().into_bytes()
}

/// The kernels in code bytes, each checked against the rules of kernels.
///
/// # Errors
/// What is wrong, and in which kernel.
pub fn read(code: &[u8]) -> Result<Vec<Kernel>, String> {
    let text = std::str::from_utf8(code).map_err(|error| error.to_string())?;
    let text = text.strip_prefix(HEADER).ok_or_else(|| format!("it does not begin with `{HEADER}`"))?;
    let mut parts = text.split(SEPARATOR);
    if parts.next() != Some("") {
        return Err(format!("`{HEADER}` is followed by something else than kernels"));
    }
    parts
        .enumerate()
        .map(|(position, text)| read_kernel(text).map_err(|problem| format!("kernel {position}: {problem}")))
        .collect()
}

fn read_kernel(text: &str) -> Result<Kernel, String> {
    let kernel = parse_kernel(text).map_err(|error| error.to_string())?;
    let problems: Vec<String> = verify_kernel(&kernel).iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(kernel) } else { Err(problems.join("; ")) }
}
