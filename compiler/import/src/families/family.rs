//! Families as values, and tables of them.

use super::FAMILIES;
use super::common::architecture::Decoder;
use super::common::encoder::Encoder;
use super::common::settings::Settings;
use crate::error::ImportError;
use lostwax_ir::suggest;
use std::sync::{Arc, LazyLock};

/// A family of architectures.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name, for lists.
    pub name: &'static str,
    /// What GGUF files call the architectures, in `general.architecture`.
    pub gguf: &'static [&'static str],
    /// What folders call them, in `architectures`.
    pub folder: &'static [&'static str],
    /// Reads the settings of a model, for a context of some tokens.
    pub read: fn(&Settings, usize) -> Result<Architecture, ImportError>,
}

/// What the graphs of a model depend on.
pub enum Architecture {
    /// Tokens to logits.
    Decoder(Box<Decoder>),
    /// Tokens to a vector.
    Encoder(Box<Encoder>),
}

impl From<Decoder> for Architecture {
    fn from(decoder: Decoder) -> Self {
        Self::Decoder(Box::new(decoder))
    }
}

impl From<Encoder> for Architecture {
    fn from(encoder: Encoder) -> Self {
        Self::Encoder(Box::new(encoder))
    }
}

impl Family {
    /// What one of the two formats calls the architectures.
    fn names(&self, gguf: bool) -> &'static [&'static str] {
        if gguf { self.gguf } else { self.folder }
    }
}

/// The families that an import understands. Copies are cheap.
#[derive(Clone, Debug)]
pub struct Families(Arc<Vec<Family>>);

/// What lostwax ships.
static SHIPPED: LazyLock<Families> = LazyLock::new(|| Families(Arc::new(FAMILIES.to_vec())));

impl Default for Families {
    /// The families that lostwax ships.
    fn default() -> Self {
        SHIPPED.clone()
    }
}

impl Families {
    /// Adds a family.
    ///
    /// # Errors
    /// [`ImportError::DuplicateArchitecture`] when another family has one of its architectures.
    pub fn add(&mut self, family: Family) -> Result<(), ImportError> {
        for gguf in [true, false] {
            for name in family.names(gguf) {
                if let Some(other) = self.iter().find(|other| other.names(gguf).contains(name)) {
                    let architecture = name.to_string();
                    return Err(ImportError::DuplicateArchitecture { architecture, first: other.name, second: family.name });
                }
            }
        }
        Arc::make_mut(&mut self.0).push(family);
        Ok(())
    }

    /// All families, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.0.iter()
    }

    /// The family of a model.
    pub(super) fn of(&self, settings: &Settings) -> Result<&Family, ImportError> {
        let (name, gguf) = (settings.architecture.as_str(), settings.is_gguf());
        let family = self.iter().find(|family| family.names(gguf).contains(&name));
        family.ok_or_else(|| ImportError::unsupported("architecture", name, self.unknown(name, gguf)))
    }

    fn unknown(&self, name: &str, gguf: bool) -> String {
        let known: Vec<&str> = self.iter().flat_map(|family| family.names(gguf)).copied().collect();
        format!("known are {}{}", known.join(", "), suggest::question(name, known.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_architectures_are_distinct() {
        let mut families = Families(Arc::new(Vec::new()));
        assert!(FAMILIES.iter().all(|family| families.add(*family).is_ok()));
    }

    #[test]
    fn two_families_cannot_claim_one_architecture() {
        let error = Families::default().add(Family { name: "mine", gguf: &["mine", "qwen3"], ..FAMILIES[0] }).unwrap_err();
        assert!(error.to_string().contains("`qwen3`") && error.to_string().contains("`mine`"), "{error}");
    }
}
