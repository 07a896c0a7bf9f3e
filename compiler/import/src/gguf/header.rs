//! Everything before the data of the tensors.

use super::{Cursor, Metadata, Value, types};
use crate::ImportError;
use crate::weights::{Entry, byte_count};
use indexmap::IndexMap;

/// The fewest bytes that a key with a value, and that a tensor, can take.
const PAIR_BYTES: usize = 13;
const TENSOR_BYTES: usize = 24;

/// The maximum number of dims of a tensor, as in ggml (`GGML_MAX_DIMS`).
const MAX_DIMS: u32 = 4;

const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u32 = 32;

/// The tensors of a file, in its order.
type Entries = IndexMap<String, Entry>;

/// Reads and checks the header of a file.
pub(super) fn read(bytes: &[u8]) -> Result<(Metadata, Entries), ImportError> {
    let mut cursor = Cursor::new(bytes);
    check_version(&mut cursor)?;
    let tensors = cursor.count(TENSOR_BYTES)?;
    let pairs = cursor.count(PAIR_BYTES)?;
    let metadata = read_metadata(&mut cursor, pairs)?;
    let alignment = alignment(&metadata)?;
    let mut entries = read_tensors(&mut cursor, tensors, alignment)?;
    place(&mut entries, cursor.position().checked_next_multiple_of(alignment), bytes.len())?;
    check_overlap(&entries)?;
    Ok((metadata, entries))
}

fn check_version(cursor: &mut Cursor) -> Result<(), ImportError> {
    if cursor.take(4)? != b"GGUF" {
        return Err(cursor.invalid("this is not a GGUF file"));
    }
    match cursor.u32()? {
        2 | 3 => Ok(()),
        1 => Err(cursor.unsupported("version 1 of GGUF; convert the model anew with llama.cpp")),
        version if (1..=0xffff).contains(&version.swap_bytes()) => {
            Err(cursor.unsupported("big-endian GGUF; convert it to little endian"))
        }
        version => Err(cursor.unsupported(format!("version {version} of GGUF; versions 2 and 3 are supported"))),
    }
}

fn read_metadata(cursor: &mut Cursor, count: usize) -> Result<Metadata, ImportError> {
    let mut metadata = Metadata::default();
    for number in 0..count {
        cursor.enter("metadata key number", &number.to_string());
        let key = cursor.string()?;
        cursor.enter("metadata key", key);
        let value = Value::read(cursor)?;
        if metadata.0.insert(key.to_string(), value).is_some() {
            return Err(cursor.invalid("it occurs twice"));
        }
    }
    Ok(metadata)
}

fn alignment(metadata: &Metadata) -> Result<usize, ImportError> {
    let alignment = metadata.find::<u32>(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    let problem = || ImportError::invalid("metadata key", ALIGNMENT_KEY, format!("{alignment} is not a power of two"));
    if alignment.is_power_of_two() { Ok(alignment as usize) } else { Err(problem()) }
}

/// Reads the descriptions of the tensors. Their ranges count from the start of the data.
fn read_tensors(cursor: &mut Cursor, count: usize, alignment: usize) -> Result<Entries, ImportError> {
    let mut entries = Entries::new();
    for number in 0..count {
        cursor.enter("tensor number", &number.to_string());
        let name = cursor.string()?;
        cursor.enter("tensor", name);
        let entry = read_tensor(cursor, alignment)?;
        if entries.insert(name.to_string(), entry).is_some() {
            return Err(cursor.invalid("the name occurs twice"));
        }
    }
    Ok(entries)
}

fn read_tensor(cursor: &mut Cursor, alignment: usize) -> Result<Entry, ImportError> {
    let rank = cursor.u32()?;
    if rank > MAX_DIMS {
        return Err(cursor.limit(format!("{rank} dims; at most {MAX_DIMS} are supported")));
    }
    let sizes = (0..rank).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
    let shape: Option<Vec<usize>> = sizes.iter().rev().map(|size| usize::try_from(*size).ok()).collect();
    let dtype = types::read(cursor)?;
    let size = shape.as_ref().and_then(|shape| byte_count(dtype, shape));
    let problem = || format!("dims {sizes:?}, innermost first, do not make a tensor of {dtype}");
    let (shape, size) = shape.zip(size).ok_or_else(|| cursor.invalid(problem()))?;
    let offset = cursor.u64()?;
    let start = usize::try_from(offset).ok().filter(|start| start.is_multiple_of(alignment));
    let range = start.and_then(|start| Some(start..start.checked_add(size)?));
    let range =
        range.ok_or_else(|| cursor.invalid(format!("offset {offset} is not a multiple of {alignment} inside the file")))?;
    Ok(Entry { dtype, shape, range })
}

/// Makes ranges count from the start of the file, and checks that they lie in it.
fn place(entries: &mut Entries, start: Option<usize>, length: usize) -> Result<(), ImportError> {
    for (name, entry) in entries {
        let place = start.and_then(|start| Some(start.checked_add(entry.range.start)?..start.checked_add(entry.range.end)?));
        let problem = || format!("its {} bytes lie outside of the file, which may be incomplete", entry.range.len());
        let inside = place.filter(|range| range.end <= length || range.is_empty());
        entry.range = inside.ok_or_else(|| ImportError::invalid("tensor", name, problem()))?;
        if entry.range.is_empty() {
            entry.range = 0..0;
        }
    }
    Ok(())
}

fn check_overlap(entries: &Entries) -> Result<(), ImportError> {
    let mut ranges: Vec<_> = entries.iter().map(|(name, entry)| (entry.range.start, entry.range.end, name)).collect();
    ranges.sort_unstable();
    let pairs = ranges.iter().zip(ranges.iter().skip(1));
    let overlap = pairs.into_iter().find(|((_, end, _), (start, _, _))| end > start);
    overlap.map_or(Ok(()), |((_, _, first), (_, _, second))| {
        Err(ImportError::invalid("tensor", second, format!("its data overlap those of tensor `{first}`")))
    })
}
