use crate::error::check_limit;
use crate::hash::{HASH_BYTES, Hash, HashingWriter, hash};
use crate::header::write_header;
use crate::language::check_language_model;
use crate::validate::check_plan;
use crate::{
    CERTIFICATE, CODE, CODE_ALIGNMENT, Certificate, ElementType, FORMAT_VERSION, FormatError, INDEX, Index, LANGUAGE_MODEL,
    LanguageModel, MAX_MESSAGE_BYTES, MAX_TOKENIZER_BYTES, OS, PADDING, PLACEMENT, PLAN, PREFIX, Plan, Section, TOKENIZER,
    Variant, WEIGHT_ALIGNMENT, Weight,
};
use prost::Message;
use safetensors::tensor::{Dtype, TensorInfo};
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Read, Write};

/// The contents of a weight.
pub enum WeightData<'a> {
    /// In memory.
    Bytes(Cow<'a, [u8]>),
    /// Computed when the file is written, so that not all weights are in memory at once. Must return the same bytes each time.
    Later(Box<dyn Fn() -> io::Result<Vec<u8>> + 'a>),
}

/// Makes an artifact: collects weights and code, then writes them with a plan.
#[derive(Default)]
pub struct Writer<'a> {
    producer: String,
    features: Vec<String>,
    weights: Vec<(Weight, WeightData<'a>)>,
    weight_bytes: u64,
    sections: Vec<(String, Cow<'a, [u8]>)>,
    names: HashSet<String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// Name and bytes of each tensor, in the order of the file.
    pub sections: Vec<(String, u64)>,
    /// SHA-256 of the index, which covers all other bytes but the padding: equal for equal contents.
    pub id: [u8; HASH_BYTES],
}

impl<'a> Writer<'a> {
    /// An artifact without contents. `producer` names the program that writes, with its version, such as `lostwax 0.1.0`.
    pub fn new(producer: impl Into<String>) -> Self {
        Self { producer: producer.into(), ..Self::default() }
    }

    /// Adds a weight and returns its first byte in the weight region. Dims count values, also for block formats.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if the name is reserved or taken, the element type is unknown, or the bytes do not fit the dims.
    pub fn weight(&mut self, name: &str, dtype: &str, dims: &[u64], data: WeightData<'a>) -> Result<u64, FormatError> {
        let problem = |text: &str| FormatError::invalid(format!("weight `{name}`"), text);
        if name.is_empty() || name.starts_with(PREFIX) || name == "__metadata__" {
            return Err(problem("the name is reserved"));
        }
        let element = ElementType::from_name(dtype).ok_or_else(|| problem(&format!("unknown element type `{dtype}`")))?;
        let bytes = element.byte_count(dims).ok_or_else(|| problem("the shape is out of range"))?;
        if let WeightData::Bytes(contents) = &data
            && contents.len() as u64 != bytes
        {
            return Err(problem(&format!("has {} bytes, its shape takes {bytes}", contents.len())));
        }
        self.take_name(name)?;
        let offset = self.weight_bytes.checked_next_multiple_of(WEIGHT_ALIGNMENT).ok_or_else(|| problem("out of range"))?;
        self.weight_bytes = offset.checked_add(bytes).ok_or_else(|| problem("out of range"))?;
        self.weights.push((Weight { name: name.into(), dtype: dtype.into(), dims: dims.to_vec(), offset, bytes }, data));
        Ok(offset)
    }

    /// Adds code and returns the name for [`crate::Variant::code_section`].
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if there is code for this device, architecture and variant already.
    pub fn code(
        &mut self,
        device: &str,
        arch: &str,
        variant: &str,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<String, FormatError> {
        let name = format!("{CODE}{device}/{arch}/{variant}");
        self.take_name(&name)?;
        self.sections.push((name.clone(), bytes.into()));
        Ok(name)
    }

    /// Sets the certificate; replaces one that was set before.
    pub fn certificate(&mut self, certificate: &Certificate) {
        self.sections.retain(|(name, _)| name != CERTIFICATE);
        self.sections.push((CERTIFICATE.into(), certificate.encode_to_vec().into()));
    }

    /// Sets the description of the language model; replaces an earlier one. `tokenizer` is a `tokenizer.json`.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if a token is not in the vocabulary, [`FormatError::LimitExceeded`] if a reader would refuse the
    /// sizes.
    pub fn language_model(&mut self, model: &LanguageModel, tokenizer: impl Into<Cow<'a, [u8]>>) -> Result<(), FormatError> {
        let tokenizer = tokenizer.into();
        check_language_model(model)?;
        check_limit(LANGUAGE_MODEL, model.encoded_len(), MAX_MESSAGE_BYTES)?;
        check_limit(TOKENIZER, tokenizer.len(), MAX_TOKENIZER_BYTES)?;
        self.sections.retain(|(name, _)| name != LANGUAGE_MODEL && name != TOKENIZER);
        self.sections.push((LANGUAGE_MODEL.into(), model.encode_to_vec().into()));
        self.sections.push((TOKENIZER.into(), tokenizer));
        Ok(())
    }

    /// Adds a section of another kind as `__lostwax__/NAME`. Readers that do not know it skip it.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if the name is taken or belongs to the format itself.
    pub fn section(&mut self, name: &str, bytes: impl Into<Cow<'a, [u8]>>) -> Result<(), FormatError> {
        let full = format!("{PREFIX}{name}");
        let reserved = [INDEX, PLAN, CERTIFICATE, LANGUAGE_MODEL, TOKENIZER];
        if reserved.contains(&full.as_str()) || full.starts_with(CODE) || full.starts_with(PADDING) {
            return Err(FormatError::invalid(format!("section `{name}`"), "the name is reserved"));
        }
        self.take_name(&full)?;
        self.sections.push((full, bytes.into()));
        Ok(())
    }

    /// Requires readers to support `feature`.
    pub fn feature(&mut self, feature: impl Into<String>) {
        self.features.push(feature.into());
    }

    /// Writes the artifact. [`Plan::weights`] is filled in from the weights that were added.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if the plan breaks a rule of the format; [`FormatError::Io`].
    pub fn write(&self, plan: &Plan, out: impl Write) -> Result<Written, FormatError> {
        let plan = self.complete(plan)?;
        let layout = self.layout(&plan)?;
        let header = write_header(layout.tensors())?;
        layout.write(&header, self.index(&header, &plan), out)
    }

    fn take_name(&mut self, name: &str) -> Result<(), FormatError> {
        let new = self.names.insert(name.to_owned());
        if new { Ok(()) } else { Err(FormatError::invalid(format!("`{name}`"), "the name is taken")) }
    }

    fn complete(&self, plan: &Plan) -> Result<Plan, FormatError> {
        let mut plan = plan.clone();
        plan.weights = self.weights.iter().map(|(weight, _)| weight.clone()).collect();
        check_plan(&plan)?;
        for variant in &plan.variants {
            if !self.names.contains(&variant.code_section) {
                return Err(FormatError::invalid("plan", format!("there is no code `{}`", variant.code_section)));
            }
        }
        check_limit(PLAN, plan.encoded_len(), MAX_MESSAGE_BYTES)?;
        Ok(plan)
    }

    fn index(&self, header: &[u8], plan: &Plan) -> Index {
        let any = |has: fn(&Variant) -> bool| plan.variants.iter().any(has);
        let placement = any(|variant| !variant.fallback_steps.is_empty()).then_some(PLACEMENT);
        let os = any(|variant| !["", "linux"].contains(&variant.os.as_str())).then_some(OS);
        let needed = placement.into_iter().chain(os).map(str::to_owned);
        Index {
            format_version: FORMAT_VERSION,
            features: self.features.iter().cloned().chain(needed).collect(),
            producer: self.producer.clone(),
            header_sha256: hash(header).to_vec(),
            sections: Vec::new(),
        }
    }

    fn layout<'b>(&'b self, plan: &Plan) -> Result<Layout<'b>, FormatError> {
        let mut layout = Layout::default();
        let is_code = |name: &str| name.starts_with(CODE);
        for (name, bytes) in self.sections.iter().filter(|(name, _)| is_code(name)) {
            layout.place_bytes(name, Cow::Borrowed(bytes), CODE_ALIGNMENT)?;
        }
        layout.place_bytes(PLAN, Cow::Owned(plan.encode_to_vec()), WEIGHT_ALIGNMENT)?;
        for (name, bytes) in self.sections.iter().filter(|(name, _)| !is_code(name)) {
            layout.place_bytes(name, Cow::Borrowed(bytes), WEIGHT_ALIGNMENT)?;
        }
        layout.align(CODE_ALIGNMENT)?;
        for (weight, data) in &self.weights {
            layout.place_weight(weight, data)?;
        }
        layout.place_index(self.index(&[], plan))?;
        Ok(layout)
    }
}

enum Source<'a> {
    Bytes(Cow<'a, [u8]>),
    Weight(&'a WeightData<'a>),
    Padding,
    Index,
}

struct Piece<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: u64,
    source: Source<'a>,
}

/// All tensors of the file, without holes.
#[derive(Default)]
struct Layout<'a> {
    pieces: Vec<Piece<'a>>,
    end: u64,
}

impl<'a> Layout<'a> {
    fn push(&mut self, name: String, dtype: Dtype, shape: Vec<usize>, bytes: u64, source: Source<'a>) -> Result<(), FormatError> {
        let end = self.end.checked_add(bytes).filter(|end| usize::try_from(*end).is_ok());
        self.end = end.ok_or_else(|| FormatError::invalid(name.as_str(), "the file would be too large"))?;
        self.pieces.push(Piece { name, dtype, shape, bytes, source });
        Ok(())
    }

    fn align(&mut self, alignment: u64) -> Result<(), FormatError> {
        let bytes = (alignment - self.end % alignment) % alignment;
        if bytes == 0 {
            return Ok(());
        }
        let name = format!("{PADDING}{}", self.pieces.len());
        self.push(name, Dtype::U8, vec![bytes as usize], bytes, Source::Padding)
    }

    fn place_bytes(&mut self, name: &str, contents: Cow<'a, [u8]>, alignment: u64) -> Result<(), FormatError> {
        self.align(alignment)?;
        self.push(name.into(), Dtype::U8, vec![contents.len()], contents.len() as u64, Source::Bytes(contents))
    }

    fn place_weight(&mut self, weight: &Weight, data: &'a WeightData<'a>) -> Result<(), FormatError> {
        self.align(WEIGHT_ALIGNMENT)?;
        let stored = ElementType::from_name(&weight.dtype).and_then(|element| element.stored(&weight.dims));
        let (dtype, shape) = stored.ok_or_else(|| FormatError::invalid(weight.name.as_str(), "the shape is out of range"))?;
        self.push(weight.name.clone(), dtype, shape, weight.bytes, Source::Weight(data))
    }

    fn place_index(&mut self, mut index: Index) -> Result<(), FormatError> {
        self.align(WEIGHT_ALIGNMENT)?;
        let named = self.pieces.iter().filter(|piece| !matches!(piece.source, Source::Padding));
        index.sections = named.map(|piece| section(&piece.name, Hash::default())).collect();
        let bytes = index.encoded_len() + HASH_BYTES;
        self.push(INDEX.into(), Dtype::U8, vec![bytes], bytes as u64, Source::Index)
    }

    fn tensors(&self) -> Vec<(String, TensorInfo)> {
        let mut start = 0;
        let tensors = self.pieces.iter().map(|piece| {
            let data_offsets = (start, start + piece.bytes as usize);
            start = data_offsets.1;
            (piece.name.clone(), TensorInfo { dtype: piece.dtype, shape: piece.shape.clone(), data_offsets })
        });
        tensors.collect()
    }

    fn write(self, header: &[u8], mut index: Index, out: impl Write) -> Result<Written, FormatError> {
        let mut out = HashingWriter::new(out);
        out.write_all(header)?;
        let mut hashed = Vec::new();
        for piece in &self.pieces {
            out.take();
            let start = out.written();
            match &piece.source {
                Source::Bytes(bytes) => out.write_all(bytes)?,
                Source::Weight(data) => write_weight(piece, data, &mut out)?,
                Source::Padding => write_zeros(piece.bytes, &mut out)?,
                Source::Index => continue,
            }
            if !matches!(piece.source, Source::Padding) {
                hashed.push((start, out.written(), section(&piece.name, out.take())));
            }
        }
        index.sections = in_file_order(hashed);
        let id = write_index(&index, &mut out)?;
        out.flush()?;
        let sections = self.pieces.into_iter().map(|piece| (piece.name, piece.bytes)).collect();
        Ok(Written { bytes: out.written(), sections, id })
    }
}

/// The order in which a reader sees them: tensors without bytes share a place and are ordered by name.
fn in_file_order(mut hashed: Vec<(u64, u64, Section)>) -> Vec<Section> {
    hashed.sort_by(|a, b| (a.0, a.1, &a.2.name).cmp(&(b.0, b.1, &b.2.name)));
    hashed.into_iter().map(|(_, _, section)| section).collect()
}

fn write_zeros(bytes: u64, out: &mut impl Write) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(bytes), out).map(drop)
}

fn section(name: &str, sha256: Hash) -> Section {
    Section { name: name.into(), sha256: sha256.to_vec() }
}

fn write_weight(piece: &Piece<'_>, data: &WeightData<'_>, out: &mut impl Write) -> Result<(), FormatError> {
    let contents = match data {
        WeightData::Bytes(bytes) => Cow::Borrowed(bytes.as_ref()),
        WeightData::Later(make) => Cow::Owned(make()?),
    };
    if contents.len() as u64 != piece.bytes {
        let problem = format!("has {} bytes, its shape takes {}", contents.len(), piece.bytes);
        return Err(FormatError::invalid(format!("weight `{}`", piece.name), problem));
    }
    Ok(out.write_all(&contents)?)
}

fn write_index(index: &Index, out: &mut impl Write) -> Result<Hash, FormatError> {
    let message = index.encode_to_vec();
    let id = hash(&message);
    out.write_all(&message)?;
    out.write_all(&id)?;
    Ok(id)
}
