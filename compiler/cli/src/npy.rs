//! NumPy's file formats: one tensor (`.npy`), or a zip file of them (`.npz`).
//!
//! Errors are texts that say what is wrong with the bytes.

use lostwax_runtime::{DType, Tensor};
use std::io::{Read, Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The headers of larger files are not read.
const MAX_HEADER: usize = 1 << 16;

/// Element types: our name, NumPy's.
const DTYPES: &[(&str, &str)] = &[
    ("f32", "<f4"),
    ("f64", "<f8"),
    ("f16", "<f2"),
    ("i8", "|i1"),
    ("i16", "<i2"),
    ("i32", "<i4"),
    ("i64", "<i8"),
    ("u8", "|u1"),
    ("u16", "<u2"),
    ("u32", "<u4"),
    ("u64", "<u8"),
    ("bool", "|b1"),
];

/// Reads all tensors of an `.npz` file with their names.
///
/// # Errors
/// What is wrong, and with which tensor.
pub fn read_archive(file: impl Read + Seek) -> Result<Vec<(String, Tensor)>, String> {
    let mut archive = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let mut tensors = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let name = member.name().trim_end_matches(".npy").to_string();
        let tensor = decode(&bytes).map_err(|problem| format!("`{name}`: {problem}"))?;
        tensors.push((name, tensor));
    }
    Ok(tensors)
}

/// Writes an `.npz` file.
///
/// # Errors
/// What cannot be written.
pub fn write_archive<'a>(file: impl Write + Seek, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<(), String> {
    let mut archive = ZipWriter::new(file);
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true);
    for (name, tensor) in tensors {
        archive.start_file(format!("{name}.npy"), options).map_err(|error| error.to_string())?;
        archive.write_all(&encode(tensor)?).map_err(|error| error.to_string())?;
    }
    archive.finish().map(drop).map_err(|error| error.to_string())
}

/// Reads an `.npy` file.
///
/// # Errors
/// What is wrong.
pub fn decode(bytes: &[u8]) -> Result<Tensor, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("this is not an npy file")?;
    let (header, data) = split_header(rest).ok_or("the header is damaged")?;
    let descr = field(header, "descr").ok_or("the header has no `descr`")?;
    let descr = descr.trim_matches(['\'', '"']);
    let known = DTYPES.iter().find(|(_, numpy)| *numpy == descr).and_then(|(name, _)| DType::from_name(name));
    let dtype = known.ok_or_else(|| format!("element type `{descr}` is not supported"))?;
    if field(header, "fortran_order") != Some("False") {
        return Err("arrays in Fortran order are not supported; save `numpy.ascontiguousarray(x)`".to_string());
    }
    Tensor::from_bytes(dtype, &shape(header)?, data).map_err(|error| error.to_string())
}

/// Header and data; what precedes them is the version and the header's length, which takes 2 bytes in version 1.
fn split_header(rest: &[u8]) -> Option<(&str, &[u8])> {
    let (version, rest) = rest.split_at_checked(2)?;
    let (length, rest) = rest.split_at_checked(if version[0] == 1 { 2 } else { 4 })?;
    let length = length.iter().rev().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    let (header, data) = rest.split_at_checked(length).filter(|_| length <= MAX_HEADER)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// The value of a key whose value has no comma.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let after = header.split_once(&format!("'{key}':"))?.1;
    Some(after.split([',', '}']).next().unwrap_or_default().trim())
}

fn shape(header: &str) -> Result<Vec<usize>, String> {
    let inside = header.split_once("'shape':").and_then(|(_, rest)| rest.split_once('('));
    let inside = inside.and_then(|(_, rest)| rest.split_once(')')).ok_or("the header has no shape")?.0;
    let sizes = inside.split(',').map(str::trim).filter(|word| !word.is_empty());
    sizes.map(|word| word.parse().map_err(|_| format!("`{word}` is not a size"))).collect()
}

/// The bytes of an `.npy` file.
///
/// # Errors
/// [`Err`] for an element type that NumPy does not have.
pub fn encode(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let name = tensor.dtype().name();
    let descr = DTYPES.iter().find(|(ours, _)| *ours == name).map(|(_, numpy)| *numpy);
    let descr = descr.ok_or_else(|| format!("npy files cannot hold {name}"))?;
    let sizes: String = tensor.shape().iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = [MAGIC, &[1, 0]].concat();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(tensor.bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn tensors_survive() {
        for shape in [&[][..], &[3], &[2, 0], &[1, 2, 3]] {
            let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
            let tensor = Tensor::from_slice(&values, shape).unwrap();
            let read = decode(&encode(&tensor).unwrap()).unwrap();
            assert_eq!((read.shape(), read.bytes()), (tensor.shape(), tensor.bytes()));
        }
    }

    #[test]
    fn archives_survive() {
        let tensor = Tensor::from_slice(&[1i64, 2], &[2]).unwrap();
        let mut file = Cursor::new(Vec::new());
        write_archive(&mut file, [("a", &tensor), ("b/c", &tensor)].into_iter()).unwrap();
        let read = read_archive(file).unwrap();
        assert_eq!(read.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b/c"]);
        assert_eq!(read[1].1.bytes(), tensor.bytes());
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = encode(&Tensor::from_slice(&[1u8, 2], &[2]).unwrap()).unwrap();
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end}");
        }
    }
}
