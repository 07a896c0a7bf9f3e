//! Checks shaders in SPIR-V before a driver gets them: drivers need not survive words that are not a shader.

use crate::format::{Language, SPIRV_VERSION};
use std::collections::{HashMap, HashSet};

/// The latest version that is accepted, as headers encode it.
const VERSION: u32 = u32::from_be_bytes([0, SPIRV_VERSION.0, SPIRV_VERSION.1, 0]);

const MAGIC: u32 = 0x0723_0203;
const HEADER_WORDS: usize = 5;

// Opcodes and operands.
const ENTRY_POINT: u32 = 15;
const EXECUTION_MODE: u32 = 16;
const FUNCTION: u32 = 54;
const FUNCTION_END: u32 = 56;
const VARIABLE: u32 = 59;
const DECORATE: u32 = 71;
const COMPUTE: u32 = 5;
const LOCAL_SIZE: u32 = 17;
const BINDING: u32 = 33;
const GROUP: u32 = 34;
const UNIFORM: u32 = 2;
const STORAGE_BUFFER: u32 = 12;

/// The interface of a shader.
#[derive(Default)]
struct Interface {
    /// Model, function, and whether it has the name of the entry point.
    entry_points: Vec<(u32, u32, bool)>,
    /// Function and invocations of a workgroup.
    sizes: Vec<(u32, Vec<u32>)>,
    /// Bindings by variable, and all of them.
    bindings: HashMap<u32, u32>,
    bound: HashSet<u32>,
    /// Storage classes by variable.
    variables: HashMap<u32, u32>,
    /// Whether a variable or a binding comes twice.
    is_ambiguous: bool,
    has_other_groups: bool,
    functions: Vec<u32>,
    /// Whether the last instruction ends a function.
    is_complete: bool,
}

/// The words of a shader: header, whole instructions, one compute entry point with this number of invocations in a workgroup,
/// and at most this number of storage buffers before the parameters.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn read(bytes: &[u8], invocations: u32, buffers: usize) -> Result<Vec<u32>, &'static str> {
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
    let mut interface = Interface::default();
    instructions(code, |operation, operands| interface.see(operation, operands))?;
    if !interface.is_called(invocations) {
        return Err("it lacks the entry point and workgroup of its kernel");
    }
    if interface.binds(buffers) { Ok(words) } else { Err("it binds other buffers than its kernel") }
}

impl Interface {
    fn see(&mut self, operation: u32, operands: &[u32]) {
        self.is_complete = operation == FUNCTION_END;
        match (operation, operands) {
            (ENTRY_POINT, [model, function, name @ ..]) => self.entry_points.push((*model, *function, is_main(name))),
            (EXECUTION_MODE, [function, LOCAL_SIZE, size @ ..]) => self.sizes.push((*function, size.to_vec())),
            (DECORATE, [variable, BINDING, binding]) => self.bind(*variable, *binding),
            (DECORATE, [_, GROUP, group]) => self.has_other_groups |= *group != 0,
            (FUNCTION, [_, function, ..]) => self.functions.push(*function),
            (VARIABLE, [_, variable, class, ..]) => self.is_ambiguous |= self.variables.insert(*variable, *class).is_some(),
            _ => {}
        }
    }

    fn bind(&mut self, variable: u32, binding: u32) {
        let is_bound = self.bindings.insert(variable, binding).is_some();
        self.is_ambiguous |= is_bound | !self.bound.insert(binding);
    }

    fn is_called(&self, invocations: u32) -> bool {
        match (self.entry_points.as_slice(), self.sizes.as_slice()) {
            ([(COMPUTE, function, true)], [(of, size)]) => {
                let is_there = self.is_complete && self.functions.contains(function);
                is_there && function == of && *size == [invocations, 1, 1]
            }
            _ => false,
        }
    }

    /// Whether storage buffers come before the parameters and nothing after, one at each binding.
    fn binds(&self, buffers: usize) -> bool {
        let fits = |(variable, binding): (&u32, &u32)| match self.variables.get(variable) {
            Some(&STORAGE_BUFFER) => (*binding as usize) < buffers,
            Some(&UNIFORM) => *binding as usize == buffers,
            _ => false,
        };
        !self.has_other_groups && !self.is_ambiguous && self.bindings.iter().all(fits)
    }
}

/// Iterates over whole instructions.
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
    use std::time::{Duration, Instant};

    fn shader() -> Vec<u32> {
        let main = u32::from_le_bytes(*b"main");
        let mut words = vec![MAGIC, VERSION, 0, 9, 0];
        words.extend([5 << 16 | ENTRY_POINT, COMPUTE, 7, main, 0]);
        words.extend([6 << 16 | EXECUTION_MODE, 7, LOCAL_SIZE, 64, 1, 1]);
        words.extend([4 << 16 | DECORATE, 3, GROUP, 0, 4 << 16 | DECORATE, 3, BINDING, 0, 4 << 16 | DECORATE, 4, BINDING, 1]);
        words.extend([4 << 16 | VARIABLE, 1, 3, STORAGE_BUFFER, 4 << 16 | VARIABLE, 2, 4, UNIFORM]);
        words.extend([5 << 16 | FUNCTION, 5, 7, 0, 6, 1 << 16 | FUNCTION_END]);
        words
    }

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn words_are_read_as_they_are() {
        assert_eq!(read(&bytes(&shader()), 64, 1).unwrap(), shader());
        assert!(read(&bytes(&shader()), 32, 1).is_err());
        assert!(read(&bytes(&shader()), 64, 0).is_err() && read(&bytes(&shader()), 64, 2).is_err());
    }

    /// The shader with more words at its beginning.
    fn with(words: &[u32]) -> Vec<u8> {
        let mut shader = shader();
        shader.splice(HEADER_WORDS..HEADER_WORDS, words.iter().copied());
        bytes(&shader)
    }

    #[test]
    fn what_is_bound_twice_is_refused() {
        let (variable, binding) = (4 << 16 | VARIABLE, 4 << 16 | DECORATE);
        let fresh = [variable, 1, 5, STORAGE_BUFFER];
        assert!(read(&with(&fresh), 64, 2).is_err() && read(&with(&fresh), 64, 1).is_ok());
        assert!(read(&with(&[fresh, [binding, 5, BINDING, 0]].concat()), 64, 1).is_err(), "two variables have a binding");
        assert!(read(&with(&[binding, 3, BINDING, 0]), 64, 1).is_err(), "a variable has two bindings");
        assert!(read(&with(&[variable, 1, 3, UNIFORM]), 64, 1).is_err(), "a variable has two classes");
    }

    #[test]
    fn many_variables_and_bindings_are_read_at_once() {
        let many = 1 << 18;
        let variables = (10..10 + many).flat_map(|variable| [4 << 16 | VARIABLE, 1, variable, STORAGE_BUFFER]);
        let bindings = (10..10 + many).flat_map(|variable| [4 << 16 | DECORATE, variable, BINDING, variable]);
        let words: Vec<u32> = variables.chain(bindings).collect();
        let start = Instant::now();
        assert!(read(&with(&words), 64, usize::MAX).is_err());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    #[test]
    fn what_is_no_shader_is_refused() {
        let whole = bytes(&shader());
        for end in 0..whole.len() {
            assert!(read(&whole[..end], 64, 1).is_err(), "{end} bytes are taken");
        }
        let damages = [
            (0, 0),
            (1, VERSION + 1),
            (3, 0),
            (4, 1),
            (5, ENTRY_POINT),
            (5, 12 << 16 | ENTRY_POINT),
            (6, 4),
            (8, 0),
            (12, 18),
            (13, 32),
            (19, 1),
            (23, 1),
            (27, 2),
            (31, UNIFORM),
            (38, 8),
        ];
        for (position, word) in damages {
            let mut words = shader();
            words[position] = word;
            assert!(read(&bytes(&words), 64, 1).is_err(), "word {position} may be {word}");
        }
    }
}
