//! How rotary positions reach beyond the context that a model was first trained for.
//!
//! Formulas are those of `modeling_rope_utils.py` in Hugging Face Transformers, with `context` for the number of tokens where a
//! formula asks for it.

use super::rope::Rope;
use super::settings::{CONTEXT, Key, Object, Settings};
use crate::ImportError;
use lostwax_ir::tensor::Tensor;
use std::f64::consts::PI;

const BASE: Key = Key { gguf: "rope.freq_base", folder: "rope_theta" };
const ROTARY: Key = Key { gguf: "rope.dimension_count", folder: "" };
const ROTARY_PART: Key = Key { gguf: "", folder: "partial_rotary_factor" };
const KIND: Key = Key { gguf: "rope.scaling.type", folder: "rope_type" };
const ORIGINAL: Key = Key { gguf: "rope.scaling.original_context_length", folder: "original_max_position_embeddings" };
const FACTOR: Key = Key { gguf: "rope.scaling.factor", folder: "factor" };
const ATTENTION: Key = Key { gguf: "rope.scaling.attn_factor", folder: "attention_factor" };

/// The base where a model names none.
const DEFAULT_BASE: f64 = 10000.0;

/// Where folders keep settings of rotary positions.
const OBJECTS: [&str; 2] = ["rope_parameters", "rope_scaling"];

/// Tensors of GGUF files by what they hold.
const DIVISORS: &str = "rope_freqs.weight";
const LONG: (&str, &str) = ("rope_factors_long.weight", "long_factor");
const SHORT: (&str, &str) = ("rope_factors_short.weight", "short_factor");

/// Tensors of GGUF files that are read here.
pub const TENSORS: [&str; 3] = [DIVISORS, LONG.0, SHORT.0];

/// Names of scalings, and what they do to the frequencies.
type Scaling = fn(&RopeReader, Rope) -> Result<Rope, ImportError>;
const SCALINGS: &[(&[&str], Scaling)] = &[
    (&["", "default", "none"], |_, rope| Ok(rope)),
    (&["linear"], linear),
    (&["dynamic"], dynamic),
    (&["llama3"], llama3),
    (&["yarn"], yarn),
    (&["longrope", "su"], longrope),
];

/// The rotary positions of a model for a context, with heads of `size` elements.
///
/// # Errors
/// [`ImportError`] naming the setting.
pub fn read(settings: &Settings, context: usize, size: usize) -> Result<Rope, ImportError> {
    RopeReader::new(settings, context)?.read(size)
}

/// Reads the settings of rotary positions.
pub struct RopeReader<'a> {
    settings: &'a Settings,
    object: Option<&'a Object>,
    context: usize,
}

impl<'a> RopeReader<'a> {
    /// From where a model's settings usually are.
    pub fn new(settings: &'a Settings, context: usize) -> Result<Self, ImportError> {
        let mut object = None;
        for key in OBJECTS.iter().rev() {
            object = settings.config().map(|config| config.find::<&Object>(key)).transpose()?.flatten().or(object);
        }
        Ok(Self { settings, object, context })
    }

    /// The same settings, those of one kind of layers where folders tell them apart.
    pub fn of_layers(&self, kind: &str) -> Self {
        let object = self.object.and_then(|object| object.get(kind)).and_then(|value| value.as_object()).or(self.object);
        Self { settings: self.settings, object, context: self.context }
    }

    /// Whether folders tell kinds of layers apart.
    pub fn has_layers(&self) -> bool {
        self.object.is_some_and(|object| object.values().any(|value| value.is_object()))
    }

    fn read(&self, size: usize) -> Result<Rope, ImportError> {
        self.with_base(self.base()?, size)
    }

    /// The rotary positions with another base.
    pub fn with_base(&self, base: f64, size: usize) -> Result<Rope, ImportError> {
        let rope = Rope::new(base, self.rotary(size)?);
        let rope = self.divided(rope)?;
        let kind = self.kind()?;
        let scaling = SCALINGS.iter().find(|(names, _)| names.contains(&kind.as_str()));
        let (_, scale) =
            scaling.ok_or_else(|| self.settings.unsupported(KIND, format!("rotary positions scaled by `{kind}`")))?;
        let rope = scale(self, rope)?;
        let is_usable = |number: &f64| number.is_finite() && *number >= 0.0;
        if !is_usable(&rope.factor) || !rope.frequencies.iter().all(is_usable) {
            return Err(self.settings.invalid(KIND, "the settings of rotary positions give no frequencies"));
        }
        Ok(rope)
    }

    /// The base of the frequencies.
    pub fn base(&self) -> Result<f64, ImportError> {
        let base = self.float(BASE)?.unwrap_or(DEFAULT_BASE);
        if base > 1.0 && base.is_finite() { Ok(base) } else { Err(self.settings.invalid(BASE, format!("{base}"))) }
    }

    /// The elements of a head that are turned.
    fn rotary(&self, size: usize) -> Result<usize, ImportError> {
        let part = self.float(ROTARY_PART)?.map(|part| (size as f64 * part) as usize);
        let rotary = self.settings.find(ROTARY)?.or(part).unwrap_or(size);
        let fits = rotary >= 2 && rotary <= size && rotary.is_multiple_of(2);
        if fits {
            Ok(rotary)
        } else {
            Err(self.settings.invalid(ROTARY, format!("{rotary} of {size} elements cannot be turned")))
        }
    }

    fn kind(&self) -> Result<String, ImportError> {
        let named = |key: &str| self.object?.get(key)?.as_str();
        match named("rope_type").or(named("type")) {
            Some(kind) => Ok(kind.to_string()),
            None if self.settings.weights().get(LONG.0).is_some() => Ok("longrope".to_string()),
            None if self.settings.is_gguf() => Ok(self.settings.text(KIND)?.unwrap_or_default().to_string()),
            None => Ok(String::new()),
        }
    }

    /// A number, in the object or beside it.
    fn float(&self, key: Key) -> Result<Option<f64>, ImportError> {
        match self.object.and_then(|object| object.get(key.folder)).filter(|value| !value.is_null()) {
            Some(value) => value.as_f64().map(Some).ok_or_else(|| self.settings.invalid(key, "expected a number")),
            None => self.settings.find(key),
        }
    }

    fn number(&self, folder: &'static str, otherwise: f64) -> Result<f64, ImportError> {
        Ok(self.float(Key { gguf: "", folder })?.unwrap_or(otherwise))
    }

    fn factor(&self) -> Result<f64, ImportError> {
        let factor = self.float(FACTOR)?.unwrap_or(1.0);
        if factor > 0.0 && factor.is_finite() { Ok(factor) } else { Err(self.settings.invalid(FACTOR, format!("{factor}"))) }
    }

    /// The context that the model was first trained for.
    fn original(&self) -> Result<f64, ImportError> {
        let at_last = || self.settings.get::<usize>(CONTEXT).map(|context| context as f64);
        let found = match self.object.and_then(|object| object.get(ORIGINAL.folder)).and_then(|value| value.as_f64()) {
            Some(original) => Some(original),
            None => self.settings.find::<usize>(ORIGINAL)?.map(|original| original as f64),
        };
        let original = found.map_or_else(at_last, Ok)?;
        if original >= 1.0 { Ok(original) } else { Err(self.settings.invalid(ORIGINAL, format!("{original}"))) }
    }

    /// Divides by what a GGUF file stores for each frequency.
    fn divided(&self, rope: Rope) -> Result<Rope, ImportError> {
        if !self.settings.is_gguf() || self.settings.weights().get(DIVISORS).is_none() {
            return Ok(rope);
        }
        let divisors = self.tensor(DIVISORS)?;
        self.divide(rope, &divisors)
    }

    fn divide(&self, rope: Rope, divisors: &[f64]) -> Result<Rope, ImportError> {
        if divisors.len() != rope.frequencies.len() || divisors.iter().any(|divisor| !divisor.is_normal()) {
            let problem = format!("{} numbers other than 0 expected, not {divisors:?}", rope.frequencies.len());
            return Err(ImportError::invalid("setting", "divisors of rotary frequencies", problem));
        }
        let frequencies = rope.frequencies.iter().zip(divisors).map(|(frequency, divisor)| frequency / divisor).collect();
        Ok(Rope { frequencies, ..rope })
    }

    fn tensor(&self, name: &str) -> Result<Vec<f64>, ImportError> {
        Ok(Tensor::to_f64(&self.settings.weights().tensor(name)?.to_tensor()?))
    }

    /// Numbers that GGUF files keep in a tensor and folders in a list.
    fn list(&self, (tensor, key): (&str, &'static str)) -> Result<Vec<f64>, ImportError> {
        if self.settings.is_gguf() {
            return self.tensor(tensor);
        }
        let values = self.object.and_then(|object| object.get(key)?.as_array());
        let numbers = values.and_then(|values| values.iter().map(|value| value.as_f64()).collect());
        numbers.ok_or_else(|| self.settings.invalid(Key { gguf: "", folder: key }, "expected a list of numbers"))
    }
}

/// Chen et al., "Extending Context Window of Large Language Models via Positional Interpolation", 2023.
fn linear(reader: &RopeReader, rope: Rope) -> Result<Rope, ImportError> {
    let factor = reader.factor()?;
    Ok(Rope { frequencies: rope.frequencies.iter().map(|frequency| frequency / factor).collect(), ..rope })
}

/// A base that grows with the context ("dynamic NTK").
fn dynamic(reader: &RopeReader, rope: Rope) -> Result<Rope, ImportError> {
    let (factor, original, context) = (reader.factor()?, reader.original()?, reader.context as f64);
    let rotary = 2 * rope.frequencies.len();
    let growth = factor * context / original - (factor - 1.0);
    if context <= original || rotary <= 2 {
        return Ok(rope);
    }
    Ok(Rope::new(reader.base()? * growth.powf(rotary as f64 / (rotary as f64 - 2.0)), rotary))
}

/// Llama 3.1: long waves are stretched, short ones kept, those between blended.
fn llama3(reader: &RopeReader, rope: Rope) -> Result<Rope, ImportError> {
    let (factor, original) = (reader.factor()?, reader.original()?);
    let (low, high) = (reader.number("low_freq_factor", 1.0)?, reader.number("high_freq_factor", 4.0)?);
    let stretched = |frequency: &f64| {
        let turns = original * frequency / (2.0 * PI);
        let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        frequency * (kept + (1.0 - kept) / factor)
    };
    Ok(Rope { frequencies: rope.frequencies.iter().map(stretched).collect(), ..rope })
}

/// Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", 2023.
fn yarn(reader: &RopeReader, rope: Rope) -> Result<Rope, ImportError> {
    let (factor, original, base) = (reader.factor()?, reader.original()?, reader.base()?);
    let half = rope.frequencies.len() as f64;
    let pair_of = |turns: f64| half * (original / (turns * 2.0 * PI)).ln() / base.ln();
    let low = pair_of(reader.number("beta_fast", 32.0)?).floor().max(0.0);
    let high = pair_of(reader.number("beta_slow", 1.0)?).ceil().min(2.0 * half - 1.0);
    let stretched = |(pair, frequency): (usize, &f64)| {
        let share = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        frequency * (1.0 - share + share / factor)
    };
    let frequencies = rope.frequencies.iter().enumerate().map(stretched).collect();
    Ok(Rope { frequencies, factor: yarn_attention(reader, factor)? })
}

/// The factor of queries and keys that YaRN asks for.
fn yarn_attention(reader: &RopeReader, factor: f64) -> Result<f64, ImportError> {
    let by = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    if reader.settings.is_gguf() {
        return Ok(by(1.0) * reader.float(ATTENTION)?.unwrap_or(1.0));
    }
    let (some, all) = (reader.number("mscale", 0.0)?, reader.number("mscale_all_dim", 0.0)?);
    let computed = if some != 0.0 && all != 0.0 { by(some) / by(all) } else { by(1.0) };
    Ok(reader.float(ATTENTION)?.unwrap_or(computed))
}

/// Ding et al., "LongRoPE: Extending LLM Context Window Beyond 2 Million Tokens", 2024.
fn longrope(reader: &RopeReader, rope: Rope) -> Result<Rope, ImportError> {
    let (original, context) = (reader.original()?, reader.context as f64);
    let trained = reader.settings.get::<usize>(CONTEXT)? as f64;
    let divisors = reader.list(if context > original { LONG } else { SHORT })?;
    let growth = reader.float(FACTOR)?.filter(|_| !reader.settings.is_gguf()).unwrap_or(trained / original);
    let computed = if growth <= 1.0 { 1.0 } else { (1.0 + growth.ln() / original.ln()).sqrt() };
    let factor = reader.float(ATTENTION)?.unwrap_or(computed);
    reader.divide(Rope { factor, ..rope }, &divisors)
}
