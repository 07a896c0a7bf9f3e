//! The code bytes, shared with the target: shaders, one after another, and how they are called.
//!
//! A shader has one or more [`ShaderVariant`]s, which compute the same. The last needs as few [`Feature`]s as the kernel allows;
//! those before it are faster and need more. A GPU takes the first variant whose features it has.
//!
//! A variant is written in each [`Language`] that can express it. It has the entry point [`Language::entry_point`] with
//! [`WORKGROUP`] invocations in a workgroup; the invocation at `(x, y)` of all is work item `y * width + x`, and those past the
//! last do nothing. In a kernel with threads the grid counts workgroups, numbered in the same way, and invocations are threads.
//! Where there are more workgroups than one dimension takes, they go on in the second.
//!
//! A dispatch takes a storage buffer for each piece of each argument, in order, and then a buffer of *parameters*, integers of 32
//! bits: the grid, the values of the symbols, and for each argument the element of its binding at which the argument
//! begins; with zeros up to a multiple of 16 bytes. Almost all arguments are one piece; larger ones are split after every
//! [`PIECE_BYTES`] from the start of the first binding on, so that every GPU can bind them. In WGSL and SPIR-V, which is of version
//! [`SPIRV_VERSION`], these are bindings of group 0, the storage buffers from binding 0 on, the parameters after the last as a
//! uniform buffer.
//!
//! In MSL, which is of version [`METAL_VERSION`] and needs nothing else of lostwax, buffers have slots of the argument table:
//!
//! | `[[buffer(slot)]]` | holds | |
//! |---|---|---|
//! | 0 to *pieces* - 1 | the pieces of the arguments in order | `device` |
//! | *pieces* | the parameters | `constant` |
//! | *pieces* + 1 | the *sizes*: the bytes that each piece's binding has, in order, integers of 32 bits | `constant` |
//!
//! The offset that a piece is set with is a multiple of [`Argument::alignment`] and of 4.
//! Threadgroup memory has an index for each array of [`ShaderVariant::shared`], in order, with its length.
//!
//! `dispatchThreadgroups` gets `(x, y, 1)` threadgroups of [`Shader::invocations`] threads. Indices are clamped to the sizes, so a
//! shader reads and writes nothing but its bindings, whatever the parameters are. The sizes must be true, multiples of 16 where
//! the alignment is 16, and no less than an element and 4. The compiler of Metal must not use fast math, which takes infinities
//! and NaN for impossible. A shader that needs floats of 64 bits, which Metal lacks, has no MSL source.
//!
//! In WGSL, a variant with [`Feature::Subgroups`] lacks the directive `enable subgroups;`, which browsers want before it.
//!
//! Integers in the code bytes are little-endian; texts and lists are preceded by their length, of 32 bits. A shader that is not
//! written in a language has length 0 there.

mod language;
mod limits;

pub use language::Language;
pub use limits::{Limits, Shortage};

use std::collections::BTreeMap;
use std::num::TryFromIntError;
use thiserror::Error;

const MAGIC: &[u8] = b"lostwax shaders 3\n";

/// The version of the shading language of Metal: that of macOS 12 and iOS 15.
pub const METAL_VERSION: (u8, u8) = (2, 4);

/// The version of SPIR-V: what all GPUs with Vulkan 1.1 take.
pub const SPIRV_VERSION: (u8, u8) = (1, 3);

/// The bytes of all but the last piece of an argument: what every GPU can bind, less what alignment may put before it.
pub const PIECE_BYTES: u64 = (128 << 20) - 256;

/// The invocations of one workgroup.
pub const WORKGROUP: u32 = 64;

/// The number of integers in the parameters of a dispatch.
pub fn parameter_words(symbols: usize, arguments: usize) -> usize {
    base_word(symbols, arguments)
}

/// The position of the value of a symbol among the parameters; the grid comes first.
pub fn symbol_word(symbol: usize) -> usize {
    symbol.saturating_add(1)
}

/// The position of the first element of an argument among the parameters.
pub fn base_word(symbols: usize, argument: usize) -> usize {
    symbol_word(symbols).saturating_add(argument)
}

/// What not every GPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Integers of 64 bits.
    Int64,
    /// Floats of 64 bits.
    Float64,
    /// Floats of 16 bits in memory.
    Float16,
    /// Exchange of values between the invocations of a subgroup.
    Subgroups,
    /// Dot products of four bytes as one operation.
    PackedDots,
}

impl Feature {
    /// All features, in the order of their bits in code bytes.
    pub const ALL: [Feature; 5] = [Feature::Int64, Feature::Float64, Feature::Float16, Feature::Subgroups, Feature::PackedDots];

    /// The name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int64 => "integers of 64 bits",
            Self::Float64 => "floats of 64 bits",
            Self::Float16 => "floats of 16 bits",
            Self::Subgroups => "subgroups",
            Self::PackedDots => "dot products of packed bytes",
        }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Whether the kernel writes to it.
    pub writable: bool,
    /// Bytes of one element: 1, 2, 4 or 8.
    pub element: u8,
    /// The alignment of its first byte: the bytes of an element, or 16.
    pub alignment: u8,
    /// The number of bindings that it takes, at least 1.
    pub pieces: u8,
}

/// One kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shader {
    /// A name for reports.
    pub name: String,
    /// The number of symbols.
    pub symbols: u32,
    /// The threads of a workgroup, if the grid counts workgroups; 0 if it counts work items, [`WORKGROUP`] to a workgroup.
    pub threads: u32,
    /// The arguments in order.
    pub arguments: Vec<Argument>,
    /// The variants, the preferred one first; never empty.
    pub variants: Vec<ShaderVariant>,
}

/// One implementation of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShaderVariant {
    /// The features that it needs.
    pub features: Vec<Feature>,
    /// The bytes of each array that the invocations of a workgroup share; multiples of 16.
    pub shared: Vec<u32>,
    /// The shader in each language that can express it.
    pub sources: BTreeMap<Language, Vec<u8>>,
}

impl ShaderVariant {
    /// The source in a textual language, if there is one.
    pub fn text(&self, language: Language) -> Option<&str> {
        str::from_utf8(self.sources.get(&language)?).ok()
    }
}

impl Shader {
    /// The variant that needs the fewest features.
    pub fn plainest(&self) -> Option<&ShaderVariant> {
        self.variants.last()
    }

    /// The limits that a variant needs, as far as they do not depend on a dispatch; the others are 0.
    pub fn needs(&self, variant: &ShaderVariant) -> Limits {
        Limits {
            storage_buffers: self.bindings() as u64,
            workgroup_bytes: variant.shared.iter().map(|bytes| u64::from(*bytes)).sum(),
            invocations: self.invocations().into(),
            ..Limits::default()
        }
    }

    /// The storage buffers that the shader takes.
    pub fn bindings(&self) -> usize {
        self.arguments.iter().map(|argument| usize::from(argument.pieces)).sum()
    }

    /// The invocations of a workgroup.
    pub fn invocations(&self) -> u32 {
        if self.threads == 0 { WORKGROUP } else { self.threads }
    }
}

/// What is wrong with code bytes.
#[derive(Debug, Error)]
pub enum FormatError {
    /// They are not shaders, or of another version.
    #[error("it does not begin with `lostwax shaders 3`")]
    Magic,
    /// They end too early.
    #[error("it ends after {0} bytes, in the middle of a shader")]
    End(usize),
    /// They go on after the last shader.
    #[error("{0} bytes follow the last shader")]
    Trailing(usize),
    /// A text is not UTF-8.
    #[error("a text is damaged: {0}")]
    Text(#[from] std::string::FromUtf8Error),
    /// A field has a value that is not allowed.
    #[error("{0}")]
    Value(String),
    /// A length does not fit the memory of this machine.
    #[error("a length is too large: {0}")]
    Length(#[from] TryFromIntError),
}

/// The code bytes of these shaders.
pub fn write(shaders: &[Shader]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put_length(&mut bytes, shaders.len());
    for shader in shaders {
        put_bytes(&mut bytes, shader.name.as_bytes());
        bytes.extend(shader.symbols.to_le_bytes());
        bytes.extend(shader.threads.to_le_bytes());
        put_length(&mut bytes, shader.arguments.len());
        bytes.extend(shader.arguments.iter().flat_map(argument_bytes));
        put_length(&mut bytes, shader.variants.len());
        shader.variants.iter().for_each(|variant| put_variant(&mut bytes, variant));
    }
    bytes
}

fn argument_bytes(argument: &Argument) -> [u8; 4] {
    [u8::from(argument.writable), argument.element, argument.alignment, argument.pieces]
}

fn put_variant(bytes: &mut Vec<u8>, variant: &ShaderVariant) {
    bytes.push(feature_bits(&variant.features));
    put_length(bytes, variant.shared.len());
    bytes.extend(variant.shared.iter().flat_map(|array| array.to_le_bytes()));
    for language in Language::ALL {
        put_bytes(bytes, variant.sources.get(&language).map_or(&[], Vec::as_slice));
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend((length as u32).to_le_bytes());
}

fn put_bytes(bytes: &mut Vec<u8>, content: &[u8]) {
    put_length(bytes, content.len());
    bytes.extend(content);
}

fn feature_bits(features: &[Feature]) -> u8 {
    let bit = |(at, feature): (usize, &Feature)| u8::from(features.contains(feature)) << at;
    Feature::ALL.iter().enumerate().map(bit).sum()
}

/// The shaders in code bytes.
///
/// # Errors
/// What is wrong with the bytes. That a shader is valid is not checked.
pub fn read(code: &[u8]) -> Result<Vec<Shader>, FormatError> {
    let rest = code.strip_prefix(MAGIC).ok_or(FormatError::Magic)?;
    let mut reader = Reader { total: code.len(), rest };
    let count = reader.length()?;
    let mut shaders = Vec::new();
    for _ in 0..count {
        shaders.push(reader.shader()?);
    }
    if reader.rest.is_empty() { Ok(shaders) } else { Err(FormatError::Trailing(reader.rest.len())) }
}

struct Reader<'a> {
    total: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(FormatError::End(self.total))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, FormatError> {
        self.take(1)?.first().copied().ok_or(FormatError::End(self.total))
    }

    fn word(&mut self) -> Result<u32, FormatError> {
        let bytes = self.take(4)?.first_chunk().ok_or(FormatError::End(self.total))?;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn length(&mut self) -> Result<usize, FormatError> {
        Ok(self.word()?.try_into()?)
    }

    fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, FormatError> {
        Ok(String::from_utf8(self.bytes()?.to_vec())?)
    }

    fn shader(&mut self) -> Result<Shader, FormatError> {
        Ok(Shader {
            name: self.text()?,
            symbols: self.word()?,
            threads: self.word()?,
            arguments: self.arguments()?,
            variants: self.variants()?,
        })
    }

    fn variants(&mut self) -> Result<Vec<ShaderVariant>, FormatError> {
        let count = self.length()?;
        let mut variants = Vec::new();
        for _ in 0..count {
            variants.push(ShaderVariant { features: self.features()?, shared: self.words()?, sources: self.sources()? });
        }
        if variants.is_empty() { Err(FormatError::Value("a shader has no variant".into())) } else { Ok(variants) }
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, FormatError> {
        let count = self.length()?;
        let bytes = self.take(count.saturating_mul(4))?;
        let argument = |fields: &[u8]| match fields {
            [writable @ (0 | 1), element @ (1 | 2 | 4 | 8), alignment, pieces @ 1..=u8::MAX]
                if alignment == element || *alignment == 16 =>
            {
                Ok(Argument { writable: *writable == 1, element: *element, alignment: *alignment, pieces: *pieces })
            }
            other => Err(FormatError::Value(format!("there is no argument {other:?}"))),
        };
        bytes.chunks(4).map(argument).collect()
    }

    fn features(&mut self) -> Result<Vec<Feature>, FormatError> {
        let bits = self.byte()?;
        if u32::from(bits) >> Feature::ALL.len() != 0 {
            return Err(FormatError::Value(format!("the features {bits:#b} are not known")));
        }
        Ok(Feature::ALL.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, feature)| *feature).collect())
    }

    fn words(&mut self) -> Result<Vec<u32>, FormatError> {
        let count = self.length()?;
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
    }

    fn sources(&mut self) -> Result<BTreeMap<Language, Vec<u8>>, FormatError> {
        let mut sources = BTreeMap::new();
        for language in Language::ALL {
            let source = if language.is_text() { self.text()?.into_bytes() } else { self.bytes()?.to_vec() };
            if !source.is_empty() {
                sources.insert(language, source);
            }
        }
        Ok(sources)
    }
}
