//! Shaders in SPIR-V, looked at before a driver gets them: drivers need not survive words that are no shader.

use crate::format::Language;

/// The latest version that is taken, as headers hold it.
pub(crate) const VERSION: u32 = 0x0001_0300;

const MAGIC: u32 = 0x0723_0203;
const HEADER_WORDS: usize = 5;
const ENTRY_POINT: u32 = 15;
const EXECUTION_MODE: u32 = 16;
const COMPUTE: u32 = 5;
const LOCAL_SIZE: u32 = 17;

/// The words of a shader: header, whole instructions, and one entry point that computes with so many invocations in a workgroup.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn read(bytes: &[u8], invocations: u32) -> Result<Vec<u32>, &'static str> {
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("its words are not whole");
    }
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (header, code) = words.split_first_chunk::<HEADER_WORDS>().ok_or("it has no header")?;
    let [magic, version, _, ids, schema] = *header;
    if magic != MAGIC || version > VERSION || ids == 0 || schema != 0 {
        return Err("its header is damaged");
    }
    let mut entry_points = Vec::new();
    let mut sizes = Vec::new();
    instructions(code, |operation, operands| match (operation, operands) {
        (ENTRY_POINT, [model, function, name @ ..]) => entry_points.push((*model, *function, is_main(name))),
        (EXECUTION_MODE, [function, LOCAL_SIZE, size @ ..]) => sizes.push((*function, size == [invocations, 1, 1])),
        _ => {}
    })?;
    match (entry_points.as_slice(), sizes.as_slice()) {
        ([(COMPUTE, function, true)], [(of, true)]) if function == of => Ok(words),
        _ => Err("it has not the entry point and workgroup of its kernel"),
    }
}

/// Goes through whole instructions.
fn instructions(mut code: &[u32], mut see: impl FnMut(u32, &[u32])) -> Result<(), &'static str> {
    while let Some(first) = code.first() {
        let (operation, count) = (first & 0xffff, (first >> 16) as usize);
        let (instruction, rest) = code.split_at_checked(count).ok_or("it ends within an instruction")?;
        let operands = instruction.get(1..).ok_or("it has an instruction without words")?;
        see(operation, operands);
        code = rest;
    }
    Ok(())
}

/// Whether words begin with the name of the entry point and its end.
fn is_main(words: &[u32]) -> bool {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.take_while(|byte| *byte != 0).eq(Language::Spirv.entry_point().bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shader() -> Vec<u32> {
        let main = u32::from_le_bytes(*b"main");
        let mut words = vec![MAGIC, VERSION, 0, 9, 0];
        words.extend([5 << 16 | ENTRY_POINT, COMPUTE, 7, main, 0]);
        words.extend([6 << 16 | EXECUTION_MODE, 7, LOCAL_SIZE, 64, 1, 1]);
        words
    }

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn words_are_read_as_they_are() {
        assert_eq!(read(&bytes(&shader()), 64).unwrap(), shader());
        assert!(read(&bytes(&shader()), 32).is_err());
    }

    #[test]
    fn what_is_no_shader_is_refused() {
        let whole = bytes(&shader());
        for end in 0..whole.len() {
            assert!(read(&whole[..end], 64).is_err(), "{end} bytes are taken");
        }
        let damages: [(usize, u32); 9] = [
            (0, 0),
            (1, VERSION + 1),
            (3, 0),
            (4, 1),
            (5, ENTRY_POINT),
            (5, 12 << 16 | ENTRY_POINT),
            (6, 4),
            (8, 0),
            (13, 18),
        ];
        for (position, word) in damages {
            let mut words = shader();
            words[position] = word;
            assert!(read(&bytes(&words), 64).is_err(), "word {position} may be {word}");
        }
    }
}
