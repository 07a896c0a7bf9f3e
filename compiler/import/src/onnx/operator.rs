//! Operators as values, and tables of them.

use super::importer::Importer;
use super::node::Node;
use super::node_error::NodeResult;
use super::operand::Operand;
use super::operators;
use crate::error::ImportError;
use indexmap::IndexMap;
use indexmap::map::Entry;
use lostwax_ir::suggest;
use std::sync::{Arc, LazyLock};

/// The results of a node, in order. Optional ones may be left out at the end.
pub type Results = NodeResult<Vec<Operand>>;

/// The name of the standard domain, which is written as an empty string too.
const STANDARD: &str = "ai.onnx";

/// An ONNX operator that can be imported.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// The domain; empty for the standard one.
    pub domain: &'static str,
    /// The name, such as `Relu`.
    pub name: &'static str,
    /// Imports one node: adds what it computes to the graph and gives its results.
    pub import: fn(&mut Importer, &Node) -> Results,
}

impl Operator {
    /// An operator of a domain.
    pub const fn new(domain: &'static str, name: &'static str, import: fn(&mut Importer, &Node) -> Results) -> Self {
        Self { domain, name, import }
    }

    /// An operator of the standard domain.
    pub const fn standard(name: &'static str, import: fn(&mut Importer, &Node) -> Results) -> Self {
        Self::new("", name, import)
    }
}

/// The operators that an import understands. Copies are cheap.
#[derive(Clone, Debug)]
pub struct Operators(Arc<IndexMap<(&'static str, &'static str), Operator>>);

/// What lostwax ships.
static SHIPPED: LazyLock<Operators> = LazyLock::new(|| {
    let entries = operators::all().map(|operator| ((operator.domain, operator.name), *operator));
    Operators(Arc::new(entries.collect()))
});

impl Default for Operators {
    /// The operators that lostwax ships.
    fn default() -> Self {
        SHIPPED.clone()
    }
}

impl Operators {
    /// Adds an operator.
    ///
    /// # Errors
    /// [`ImportError::DuplicateOperator`] when there is one of the same domain and name.
    pub fn add(&mut self, operator: Operator) -> Result<(), ImportError> {
        let operator = Operator { domain: canonical_domain(operator.domain), ..operator };
        match Arc::make_mut(&mut self.0).entry((operator.domain, operator.name)) {
            Entry::Occupied(_) => Err(ImportError::DuplicateOperator { operator: full_name(operator.domain, operator.name) }),
            Entry::Vacant(slot) => {
                slot.insert(operator);
                Ok(())
            }
        }
    }

    /// The operator of a domain, which is empty or `ai.onnx` for the standard one.
    pub fn get(&self, domain: &str, name: &str) -> Option<Operator> {
        let table: &IndexMap<(&str, &str), Operator> = &self.0;
        table.get(&(canonical_domain(domain), name)).copied()
    }

    /// All operators, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Operator> {
        self.0.values()
    }

    /// Why a node whose operator is not in the table cannot be imported, and the way out.
    pub(super) fn unknown(&self, domain: &str, name: &str) -> String {
        let way_out = match (domain, name) {
            ("", "NonMaxSuppression" | "NonZero" | "Unique") => {
                "export the model without its post-processing, and do that in the program".to_string()
            }
            ("", _) => "simplify the model, or express it with other operators".to_string(),
            _ => "export the model with standard operators only, or register the operator".to_string(),
        };
        let names = self.iter().filter(|operator| operator.domain == domain).map(|operator| operator.name);
        format!("{} is not supported; {way_out}{}", full_name(domain, name), suggest::question(name, names))
    }
}

/// The domain as tables have it: empty for the standard one.
pub(super) fn canonical_domain(domain: &str) -> &str {
    if domain == STANDARD { "" } else { domain }
}

/// The name of an operator with its domain, unless that is the standard one.
fn full_name(domain: &str, name: &str) -> String {
    if domain.is_empty() { name.to_string() } else { format!("{domain}::{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &mut Importer, _: &Node) -> Results {
        Ok(Vec::new())
    }

    #[test]
    fn shipped_names_are_distinct() {
        assert_eq!(Operators::default().iter().count(), operators::all().count());
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut table = Operators::default();
        let own = Operator::new("com.example", "Relu", nothing);
        assert!(table.add(own).is_ok() && table.get("com.example", "Relu").is_some());
        assert!(table.add(own).unwrap_err().to_string().contains("`com.example::Relu`"));
        assert!(table.add(Operator::new("ai.onnx", "Relu", nothing)).unwrap_err().to_string().contains("`Relu`"));
        assert!(Operators::default().get("com.example", "Relu").is_none());
    }

    #[test]
    fn similar_names_are_suggested() {
        assert!(Operators::default().unknown("", "LayerNormalisation").ends_with("did you mean `LayerNormalization`?"));
    }
}
