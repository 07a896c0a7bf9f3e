use crate::error::check_limit;
use crate::hash::{HASH_BYTES, hash};
use crate::header::{Entry, read_header};
use crate::language::check_language_model;
use crate::validate::{check_plan, check_weights};
use crate::{
    CERTIFICATE, CODE, Certificate, FEATURES, FORMAT_VERSION, FormatError, INDEX, Index, LANGUAGE_MODEL, LanguageModel,
    MAX_MESSAGE_BYTES, MAX_TOKENIZER_BYTES, OLDEST_FORMAT_VERSION, PADDING, PLAN, PREFIX, Plan, TOKENIZER,
};
use prost::Message;
use std::ops::Range;

/// A checked artifact: its plan, and where everything lies in the bytes that it was parsed from.
pub struct Artifact {
    index: Index,
    plan: Plan,
    certificate: Certificate,
    language_model: Option<LanguageModel>,
    entries: Vec<Entry>,
    weights: Range<usize>,
    code: Vec<Range<usize>>,
    id: [u8; HASH_BYTES],
}

impl Artifact {
    /// Checks the bytes of a file. Header, plan, certificate, language model, tokenizer and code are checked against their
    /// hashes; only [`Artifact::verify`] checks weights and other sections.
    ///
    /// In a parsed artifact every position in the plan exists, names are unique, the weights are where the plan says, and each
    /// variant has code.
    ///
    /// # Errors
    /// [`FormatError::Incompatible`] if the file is of another version, [`FormatError::LimitExceeded`] if the plan is too large, and
    /// [`FormatError::Invalid`] for everything else. No bytes make this panic.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let (header, entries) = read_header(bytes)?;
        let (index, id) = read_index(bytes, &entries)?;
        check_compatible(&index)?;
        check_sections(&index, header, &entries)?;
        for (entry, section) in hashed(&entries).zip(&index.sections) {
            if is_checked_early(&entry.name) {
                check_hash(entry, bytes, &section.sha256)?;
            }
        }
        let plan = read_plan(bytes, &entries)?;
        let certificate = read_certificate(bytes, &entries)?;
        let language_model = read_language_model(bytes, &entries)?;
        let weights = check_weights(&plan, &entries)?;
        let code = find_code(&plan, &entries)?;
        Ok(Self { index, plan, certificate, language_model, entries, weights, code, id })
    }

    /// Checks every byte: hashes of all sections, and padding.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] naming the first damaged section.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), FormatError> {
        for (entry, section) in hashed(&self.entries).zip(&self.index.sections) {
            check_hash(entry, bytes, &section.sha256)?;
        }
        self.entries.iter().filter(|entry| entry.name.starts_with(PADDING)).try_for_each(|entry| check_zeros(entry, bytes))
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Version, features and producer of the file.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The certificate; without cases if the file has none.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The description of the language model, if the model is one.
    pub fn language_model(&self) -> Option<&LanguageModel> {
        self.language_model.as_ref()
    }

    /// The tokenizer, in bytes of the file; there is one exactly if there is a [`Artifact::language_model`].
    pub fn tokenizer(&self) -> Option<Range<usize>> {
        find(&self.entries, TOKENIZER).map(|entry| entry.range.clone())
    }

    /// SHA-256 of the index, which covers all other bytes but the padding: equal for equal contents.
    pub fn id(&self) -> [u8; HASH_BYTES] {
        self.id
    }

    /// The weight region, in bytes of the file.
    pub fn weights(&self) -> Range<usize> {
        self.weights.clone()
    }

    /// The code of a variant of the plan, in bytes of the file.
    pub fn code(&self, variant: usize) -> Option<Range<usize>> {
        self.code.get(variant).cloned()
    }

    /// The section that [`crate::Writer::section`] wrote under this name, in bytes of the file. Not checked against its hash.
    pub fn section(&self, name: &str) -> Option<Range<usize>> {
        let is_wanted = |entry: &&Entry| entry.name.strip_prefix(PREFIX) == Some(name);
        self.entries.iter().find(is_wanted).map(|entry| entry.range.clone())
    }

    /// Name and place of every tensor of the file, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.range.clone()))
    }
}

fn hashed(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.name != INDEX && !entry.name.starts_with(PADDING))
}

fn is_checked_early(name: &str) -> bool {
    [PLAN, CERTIFICATE, LANGUAGE_MODEL, TOKENIZER].contains(&name) || name.starts_with(CODE)
}

fn contents<'a>(entry: &Entry, bytes: &'a [u8]) -> Result<&'a [u8], FormatError> {
    bytes.get(entry.range.clone()).ok_or_else(|| FormatError::invalid(entry.name.as_str(), "it is not in the file"))
}

fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.name == name)
}

fn check_hash(entry: &Entry, bytes: &[u8], expected: &[u8]) -> Result<(), FormatError> {
    let equal = hash(contents(entry, bytes)?) == expected;
    if equal {
        Ok(())
    } else {
        Err(FormatError::invalid(entry.name.as_str(), "the bytes do not have the hash that the index gives"))
    }
}

fn check_zeros(entry: &Entry, bytes: &[u8]) -> Result<(), FormatError> {
    let zeros = contents(entry, bytes)?.iter().all(|byte| *byte == 0);
    if zeros { Ok(()) } else { Err(FormatError::invalid(entry.name.as_str(), "the padding is not zero")) }
}

fn read_index(bytes: &[u8], entries: &[Entry]) -> Result<(Index, [u8; HASH_BYTES]), FormatError> {
    let problem = |text: &str| FormatError::invalid(INDEX, text);
    let missing = || problem("it is missing: this is not a lostwax artifact; `lostwax compile MODEL -o FILE` makes one");
    let entry = find(entries, INDEX).ok_or_else(missing)?;
    let (message, id) = contents(entry, bytes)?.split_last_chunk().ok_or_else(|| problem("it is too short"))?;
    if hash(message) != *id {
        return Err(problem("the bytes do not have their hash"));
    }
    Ok((decode_message(entry, message)?, *id))
}

fn check_compatible(index: &Index) -> Result<(), FormatError> {
    let unknown = index.features.iter().find(|feature| !FEATURES.contains(&feature.as_str()));
    let supported = (OLDEST_FORMAT_VERSION..=FORMAT_VERSION).contains(&index.format_version);
    let needs = match unknown {
        _ if !supported => format!("format version {}", index.format_version),
        Some(feature) => format!("the feature `{feature}`"),
        None => return Ok(()),
    };
    let ours = env!("CARGO_PKG_VERSION");
    Err(FormatError::Incompatible {
        needs,
        producer: if index.producer.is_empty() { "an unknown program".into() } else { index.producer.clone() },
        ours,
        reads: format!("format versions {OLDEST_FORMAT_VERSION} to {FORMAT_VERSION} and the features {FEATURES:?}"),
        help: format!("Compile the model again with `lostwax compile MODEL -o FILE` of version {ours}, or update lostwax"),
    })
}

fn check_sections(index: &Index, header: &[u8], entries: &[Entry]) -> Result<(), FormatError> {
    if hash(header) != *index.header_sha256 {
        return Err(FormatError::invalid("safetensors header", "the bytes do not have the hash that the index gives"));
    }
    let listed = index.sections.iter().map(|section| section.name.as_str());
    let present = hashed(entries).map(|entry| entry.name.as_str());
    let equal = listed.eq(present);
    if equal { Ok(()) } else { Err(FormatError::invalid(INDEX, "it does not list the tensors of the file")) }
}

fn read_plan(bytes: &[u8], entries: &[Entry]) -> Result<Plan, FormatError> {
    let entry = find(entries, PLAN).ok_or_else(|| FormatError::invalid(PLAN, "it is missing"))?;
    let plan: Plan = decode(entry, bytes)?;
    check_plan(&plan)?;
    Ok(plan)
}

fn read_certificate(bytes: &[u8], entries: &[Entry]) -> Result<Certificate, FormatError> {
    find(entries, CERTIFICATE).map_or_else(|| Ok(Certificate::default()), |entry| decode(entry, bytes))
}

fn read_language_model(bytes: &[u8], entries: &[Entry]) -> Result<Option<LanguageModel>, FormatError> {
    let (model, tokenizer) = match (find(entries, LANGUAGE_MODEL), find(entries, TOKENIZER)) {
        (None, None) => return Ok(None),
        (Some(model), Some(tokenizer)) => (model, tokenizer),
        (Some(_), None) => return Err(FormatError::invalid(LANGUAGE_MODEL, "there is no tokenizer")),
        (None, Some(_)) => return Err(FormatError::invalid(TOKENIZER, "there is not a language model")),
    };
    check_limit(TOKENIZER, tokenizer.range.len(), MAX_TOKENIZER_BYTES)?;
    let model = decode(model, bytes)?;
    check_language_model(&model)?;
    Ok(Some(model))
}

fn decode<M: Message + Default>(entry: &Entry, bytes: &[u8]) -> Result<M, FormatError> {
    decode_message(entry, contents(entry, bytes)?)
}

fn decode_message<M: Message + Default>(entry: &Entry, message: &[u8]) -> Result<M, FormatError> {
    check_limit(&entry.name, message.len(), MAX_MESSAGE_BYTES)?;
    M::decode(message).map_err(|error| FormatError::invalid(entry.name.as_str(), error.to_string()))
}

fn find_code(plan: &Plan, entries: &[Entry]) -> Result<Vec<Range<usize>>, FormatError> {
    let code = plan.variants.iter().map(|variant| {
        let entry = find(entries, &variant.code_section).filter(|entry| entry.name.starts_with(CODE));
        let missing = || {
            FormatError::invalid(PLAN, format!("the code `{}` of variant `{}` is missing", variant.code_section, variant.name))
        };
        entry.map(|entry| entry.range.clone()).ok_or_else(missing)
    });
    code.collect()
}
