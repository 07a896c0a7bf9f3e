//! The code bytes: what each kernel takes, as lines of text, and then the shared object.
//!
//! ```text
//! lostwax c 1
//! rrw 1 matmul
//! rw 0 relu
//! library 16384
//! ```
//!
//! Each kernel has a line: a letter for each buffer, `r` for read or `w` for written, or `-` where there are none; the number of
//! symbols; its name. The last line has the number of bytes that follow. Kernel `i` is the function `kernel_i`, a [`KernelFn`].

use lostwax_target_api::Signature;

/// The name of the target and of its device.
pub const NAME: &str = "c";

const HEADER: &str = "lostwax c 1";

/// Begins the last line of text.
const LIBRARY: &str = "library ";

/// The type of every kernel: it runs the work items `begin..end`. Buffers and symbols are as many as its [`Signature`] says.
pub type KernelFn = unsafe extern "C" fn(buffers: *const *mut u8, symbols: *const i64, begin: i64, end: i64);

/// The name of the function of a kernel.
pub fn function_name(position: usize) -> String {
    format!("kernel_{position}")
}

/// The code bytes.
pub fn write(kernels: &[Signature], library: &[u8]) -> Vec<u8> {
    let lines: String = kernels.iter().map(line).collect();
    let text = format!("{HEADER}\n{lines}{LIBRARY}{}\n", library.len());
    [text.as_bytes(), library].concat()
}

fn line(kernel: &Signature) -> String {
    let letters: String = kernel.writable.iter().map(|writable| if *writable { 'w' } else { 'r' }).collect();
    let letters = if letters.is_empty() { "-" } else { &letters };
    format!("{letters} {} {}\n", kernel.symbols, kernel.name)
}

// region: read
/// The kernels and the shared object of code bytes. They come from a file: whatever does not fit is an error.
///
/// # Errors
/// What is wrong.
pub fn read(code: &[u8]) -> Result<(Vec<Signature>, &[u8]), String> {
    let (header, mut rest) = split_line(code)?;
    if header != HEADER {
        return Err(format!("it does not begin with `{HEADER}`"));
    }
    let mut kernels = Vec::new();
    loop {
        let (line, after) = split_line(rest)?;
        rest = after;
        if let Some(bytes) = line.strip_prefix(LIBRARY) {
            let fits = bytes.parse() == Ok(rest.len());
            return if fits { Ok((kernels, rest)) } else { Err(format!("the library has {} bytes, not {bytes}", rest.len())) };
        }
        kernels.push(signature(line).ok_or_else(|| format!("`{line}` describes no kernel"))?);
    }
}
// endregion: read

fn split_line(code: &[u8]) -> Result<(&str, &[u8]), String> {
    let end = code.iter().position(|byte| *byte == b'\n').ok_or("it ends before the library")?;
    let line = code.get(..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    Ok((line, code.get(end + 1..).unwrap_or_default()))
}

fn signature(line: &str) -> Option<Signature> {
    let mut words = line.split(' ');
    let (letters, symbols, name) = (words.next()?, words.next()?.parse().ok()?, words.next()?.to_string());
    let letters = if letters == "-" { "" } else { letters };
    let writable = letters.chars().map(|letter| match letter {
        'r' => Some(false),
        'w' => Some(true),
        _ => None,
    });
    let signature = Signature { name, writable: writable.collect::<Option<_>>()?, symbols };
    words.next().is_none().then_some(signature)
}
