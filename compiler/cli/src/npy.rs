//! NumPy's file formats: one tensor (`.npy`), or a zip file of them (`.npz`).
//!
//! Errors are texts that say what is wrong with the bytes.

use lostwax_runtime::files::read_to_limit;
use lostwax_runtime::{DType, Tensor};
use npyz::npz::{array_name_from_file_name, file_name_from_array_name};
use npyz::{Endianness, NpyHeader, Order, WriteOptions, WriterBuilder};
use std::io::{self, Read, Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The longest header that is read.
const MAX_HEADER_BYTES: u64 = 1 << 16;

/// The bytes in front of the text of a header in version 2 and later; version 1 has two less.
const PREFIX_BYTES: usize = 12;

/// How deep brackets of a header may be nested.
const MAX_NESTING: usize = 8;

/// What all compressed members of an archive may take together. The others take what they take in the file.
const MAX_INFLATED_BYTES: u64 = 4 << 30;

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

/// Whether NumPy's files can hold elements of this type.
pub fn holds(dtype: &str) -> bool {
    DTYPES.iter().any(|(ours, _)| *ours == dtype)
}

/// Reads all tensors of an `.npz` file with their names.
///
/// # Errors
/// What is wrong, and with which tensor; compressed tensors of more than 4 GiB together are refused.
pub fn read_archive(file: impl Read + Seek) -> Result<Vec<(String, Tensor)>, String> {
    let mut archive = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let (mut tensors, mut allowed) = (Vec::new(), MAX_INFLATED_BYTES);
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|error| error.to_string())?;
        let file_name = member.name().to_string();
        let name = array_name_from_file_name(&file_name).ok_or_else(|| format!("`{file_name}` is not an array"))?;
        let bytes = match member.compression() {
            CompressionMethod::Stored => read_to_limit(member, u64::MAX),
            _ => read_to_limit(member, allowed).inspect(|bytes| allowed -= bytes.len() as u64),
        };
        let tensor = bytes.map_err(|error| error.to_string()).and_then(|bytes| decode(&bytes));
        tensors.push((name.to_string(), tensor.map_err(|problem| format!("`{name}`: {problem}"))?));
    }
    Ok(tensors)
}

/// Writes an `.npz` file.
///
/// # Errors
/// What cannot be written.
pub fn write_archive<'a>(file: impl Write + Seek, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<(), String> {
    let mut archive = ZipWriter::new(file);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for (name, tensor) in tensors {
        archive.start_file(file_name_from_array_name(name), options).map_err(|error| error.to_string())?;
        write(tensor, &mut archive)?;
    }
    archive.finish().map(drop).map_err(|error| error.to_string())
}

/// Reads an `.npy` file.
///
/// # Errors
/// What is wrong.
pub fn decode(bytes: &[u8]) -> Result<Tensor, String> {
    check_header(bytes).ok_or("the header is damaged")?;
    let mut data = bytes;
    let header = NpyHeader::from_reader(&mut data).map_err(|error| error.to_string())?;
    let (dtype, endianness) = element_type(&header)?;
    if header.order() != Order::C {
        return Err("arrays in Fortran order are not supported; save `numpy.ascontiguousarray(x)`".to_string());
    }
    let shape: Result<Vec<usize>, _> = header.shape().iter().map(|size| usize::try_from(*size)).collect();
    let shape = shape.map_err(|_| "a size does not fit this machine")?;
    let mut tensor = Tensor::from_bytes(dtype, &shape, data).map_err(|error| error.to_string())?;
    if endianness == Endianness::Big {
        let size = header.dtype().num_bytes().filter(|size| *size > 0).ok_or("elements have no size")?;
        tensor.bytes_mut().chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    Ok(tensor)
}

/// Looks at what the parser counts on: that a header is short, that its brackets are not nested deeply, and that the product of its
/// sizes does not overflow.
fn check_header(bytes: &[u8]) -> Option<()> {
    let (prefix, _) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let length = match prefix {
        [_, _, _, _, _, _, 1, _, low, high, _, _] => u64::from(u16::from_le_bytes([*low, *high])),
        [_, _, _, _, _, _, _, _, rest @ ..] => u64::from(u32::from_le_bytes(*rest)),
    };
    let end = PREFIX_BYTES + usize::try_from(length).ok().filter(|_| length <= MAX_HEADER_BYTES)?;
    let text = bytes.get(PREFIX_BYTES..end.min(bytes.len()))?;
    (has_small_product(text) && nesting(text) <= MAX_NESTING).then_some(())
}

/// How deep brackets are nested.
fn nesting(text: &[u8]) -> usize {
    let depths = text.iter().scan(0usize, |depth, byte| {
        match byte {
            b'(' | b'[' | b'{' => *depth += 1,
            b')' | b']' | b'}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    depths.max().unwrap_or(0)
}

/// Whether all numbers that are not 0 have a product of 64 bits.
fn has_small_product(text: &[u8]) -> bool {
    let numbers = text.split(|byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let numbers = numbers.map(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    numbers.filter(|number| *number != Some(0)).try_fold(1u64, |product, number| product.checked_mul(number?)).is_some()
}

/// Our name for the type of elements, and the order of their bytes.
fn element_type(header: &NpyHeader) -> Result<(DType, Endianness), String> {
    let unsupported = || format!("element type {} is not supported", header.dtype().descr());
    let npyz::DType::Plain(found) = header.dtype() else { return Err(unsupported()) };
    let is_same = |numpy: &str| {
        let known = numpy.parse::<npyz::TypeStr>();
        known.is_ok_and(|known| known.type_char() == found.type_char() && known.size_field() == found.size_field())
    };
    let name = DTYPES.iter().find(|(_, numpy)| is_same(numpy)).and_then(|(name, _)| DType::from_name(name));
    Ok((name.ok_or_else(unsupported)?, found.endianness()))
}

/// The bytes of an `.npy` file.
///
/// # Errors
/// As [`write()`].
pub fn encode(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    write(tensor, &mut bytes)?;
    Ok(bytes)
}

/// Writes an `.npy` file.
///
/// # Errors
/// An element type that NumPy does not have, and what cannot be written.
pub fn write(tensor: &Tensor, out: &mut dyn Write) -> Result<(), String> {
    let name = tensor.dtype().name();
    let numpy = DTYPES.iter().find(|(ours, _)| *ours == name).and_then(|(_, numpy)| numpy.parse().ok());
    let numpy = numpy.ok_or_else(|| format!("npy files cannot hold {name}"))?;
    let shape: Vec<u64> = tensor.shape().iter().map(|size| *size as u64).collect();
    let header = WriteOptions::new_header_only().dtype(npyz::DType::new_scalar(numpy)).shape(&shape).writer(&mut *out);
    let written = header.write_header_only().and_then(|out| out.write_all(tensor.bytes()));
    written.map_err(|error: io::Error| error.to_string())
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

    /// An `.npy` file of version 1.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let read = |descr: &str, shape: &str, data: &[u8]| {
            decode(&file(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}      \n"), data))
        };
        let big = read("'>i4'", "(2,)", &[0, 0, 1, 2, 255, 255, 255, 254]).unwrap();
        assert_eq!(big.as_view().view::<i32>().unwrap(), [258, -2]);
        assert_eq!(read("'<f8'", "()", &1.5f64.to_le_bytes()).unwrap().as_view().view::<f64>().unwrap(), [1.5]);
        for descr in ["'<c8'", "'|O'", "'<M8[ns]'", "[('a', '<f4')]"] {
            assert!(read(descr, "(1,)", &[0; 8]).is_err_and(|problem| problem.contains("is not supported")), "{descr}");
        }
        let fortran = file("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }\n", &[0; 4]);
        assert!(decode(&fortran).is_err_and(|problem| problem.contains("ascontiguousarray")));
    }

    #[test]
    fn headers_that_do_harm_are_refused() {
        let header = |inside: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {inside}}}\n");
        for inside in
            ["(".repeat(60_000), "(4294967296, 4294967296, 4294967296)".to_string(), format!("({})", "9".repeat(40_000))]
        {
            assert!(decode(&file(&header(&inside), &[])).is_err());
        }
        let long = [b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..], &[b' '; 100]].concat();
        assert_eq!(decode(&long).unwrap_err(), "the header is damaged");
    }

    #[test]
    fn compressed_archives_are_read() {
        let tensor = Tensor::from_slice(&[0i64; 1000], &[1000]).unwrap();
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("x.npy", SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        archive.write_all(&encode(&tensor).unwrap()).unwrap();
        let read = read_archive(archive.finish().unwrap()).unwrap();
        assert_eq!((read[0].0.as_str(), read[0].1.bytes()), ("x", tensor.bytes()));
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = encode(&Tensor::from_slice(&[1u8, 2], &[2]).unwrap()).unwrap();
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end}");
        }
    }
}
