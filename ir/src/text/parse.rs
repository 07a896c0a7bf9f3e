//! Reading.

mod kernel;

pub use kernel::parse_kernel;

use super::ParseError;
use super::cursor::{Cursor, Symbols};
use crate::attrs::{Attr, AttrKind, Attrs};
use crate::graph::{Graph, Value};
use crate::number::Number;
use crate::ops::Op;
use crate::random::Random;
use crate::tensor::{Tensor, element_count};
use crate::types::TensorType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Constants that a text describes rather than lists hold at most this many elements.
const CONSTANT_LIMIT: usize = 1 << 26;

/// Reads a graph; `data` holds the constants that it refers to as `@n`.
///
/// # Errors
/// [`ParseError`] where the text breaks the form, or where a node breaks the rules of its op.
pub fn parse_graph(text: &str, data: &[Arc<Tensor>]) -> Result<Graph, ParseError> {
    let mut cursor = Cursor::new(text);
    let mut symbols = Symbols::new();
    if cursor.accept_word("symbols") {
        for symbol in cursor.list("{", "}", Cursor::symbol)? {
            symbols.insert(symbol.name().to_string(), symbol);
        }
    }
    cursor.expect_word("graph")?;
    let name = cursor.string()?;
    cursor.expect("{")?;
    let mut parser = Parser { cursor, symbols, data, graph: Graph::new(name), values: BTreeMap::new() };
    while !parser.cursor.accept("}") {
        parser.statement()?;
    }
    if parser.cursor.at_end() { Ok(parser.graph) } else { parser.cursor.error("the end is expected") }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    symbols: Symbols,
    data: &'a [Arc<Tensor>],
    graph: Graph,
    values: BTreeMap<u32, Value>,
}

impl Parser<'_> {
    fn statement(&mut self) -> Result<(), ParseError> {
        if self.cursor.accept_word("output") {
            let name = self.cursor.string()?;
            let value = self.value()?;
            self.graph.output(&name, value);
            return Ok(());
        }
        if self.cursor.accept_word("constraint") {
            return self.constraint();
        }
        let start = self.cursor.here();
        let number = self.cursor.count_after("%")?;
        self.cursor.expect("=")?;
        let value = self.node()?;
        match self.values.insert(number, value) {
            None => Ok(()),
            Some(_) => self.cursor.error_at(start, format!("%{number} is defined twice")),
        }
    }

    fn value(&mut self) -> Result<Value, ParseError> {
        let start = self.cursor.here();
        let number = self.cursor.count_after("%")?;
        self.values.get(&number).copied().map_or_else(|| self.cursor.error_at(start, format!("%{number} is unknown")), Ok)
    }

    fn constraint(&mut self) -> Result<(), ParseError> {
        let start = self.cursor.here();
        let left = self.cursor.dim(&self.symbols)?;
        self.cursor.expect("==")?;
        let right = self.cursor.dim(&self.symbols)?;
        self.cursor.expect(",")?;
        let reason = self.cursor.string()?;
        self.graph.require_equal(&left, &right, &reason).or_else(|error| self.cursor.error_at(start, error.to_string()))
    }

    fn node(&mut self) -> Result<Value, ParseError> {
        let start = self.cursor.here();
        let name = self.cursor.word();
        let Some(op) = Op::from_name(name) else { return self.cursor.error_at(start, format!("unknown op `{name}`")) };
        if op == Op::Constant {
            return self.constant();
        }
        let mut operands = Vec::new();
        while self.cursor.accept("%") {
            operands.push(self.operand()?);
            if !self.cursor.accept(",") {
                break;
            }
        }
        let attrs = self.attributes(op)?;
        let value = self.graph.add(op, attrs, &operands).or_else(|error| self.cursor.error_at(start, error.to_string()))?;
        if self.cursor.accept(":") {
            let ty = self.ty()?;
            let inferred = self.graph.ty(value);
            if ty != *inferred {
                return self.cursor.error_at(start, format!("the type is {inferred}, not {ty}"));
            }
        }
        Ok(value)
    }

    /// The number after a `%` that has been read.
    fn operand(&mut self) -> Result<Value, ParseError> {
        let start = self.cursor.here();
        let number = self.cursor.count_after("")?;
        self.values.get(&number).copied().map_or_else(|| self.cursor.error_at(start, format!("%{number} is unknown")), Ok)
    }

    fn attributes(&mut self, op: Op) -> Result<Attrs, ParseError> {
        let mut attrs = Attrs::new();
        if !self.cursor.accept("{") {
            return Ok(attrs);
        }
        while !self.cursor.accept("}") {
            let start = self.cursor.here();
            let name = self.cursor.word();
            let Some(spec) = op.def().attrs.iter().find(|spec| spec.name == name) else {
                return self.cursor.error_at(start, format!("`{op}` has no attribute `{name}`"));
            };
            self.cursor.expect("=")?;
            attrs = attrs.with(spec.name, self.attribute(spec.kind)?);
            if !self.cursor.accept(",") {
                self.cursor.expect("}")?;
                break;
            }
        }
        Ok(attrs)
    }

    fn attribute(&mut self, kind: AttrKind) -> Result<Attr, ParseError> {
        let (cursor, symbols) = (&mut self.cursor, &self.symbols);
        Ok(match kind {
            AttrKind::Int => Attr::Int(cursor.integer()?),
            AttrKind::Float => Attr::float(cursor.float()?),
            AttrKind::Bool => {
                let value = cursor.accept_word("true");
                if !value {
                    cursor.expect_word("false")?;
                }
                Attr::Bool(value)
            }
            AttrKind::Ints => Attr::Ints(cursor.list("[", "]", Cursor::integer)?),
            AttrKind::Dims => Attr::Dims(cursor.list("[", "]", |cursor| cursor.dim(symbols))?),
            AttrKind::DType => Attr::DType(cursor.dtype()?),
            AttrKind::Text => Attr::Text(cursor.string()?),
        })
    }

    fn ty(&mut self) -> Result<TensorType, ParseError> {
        let dtype = self.cursor.dtype()?;
        let symbols = &self.symbols;
        Ok(TensorType { dtype, dims: self.cursor.list("[", "]", |cursor| cursor.dim(symbols))? })
    }

    fn constant(&mut self) -> Result<Value, ParseError> {
        let start = self.cursor.here();
        let constant = self.constant_source()?;
        self.cursor.expect(":")?;
        let ty = self.ty()?;
        let tensor = self.fill(constant, &ty).filter(|tensor| tensor.ty() == ty);
        let Some(tensor) = tensor else {
            return self.cursor.error_at(start, format!("the constant does not fit the type {ty}"));
        };
        self.graph.constant(tensor).or_else(|error| self.cursor.error_at(start, error.to_string()))
    }

    fn constant_source(&mut self) -> Result<ConstantSource, ParseError> {
        if self.cursor.accept("@") {
            return Ok(ConstantSource::Table(self.cursor.count()?));
        }
        if self.cursor.accept("splat(") {
            let value = self.element()?;
            self.cursor.expect(")")?;
            return Ok(ConstantSource::Splat(value));
        }
        if self.cursor.accept("seed(") {
            let seed = self.cursor.integer()?;
            self.cursor.expect(")")?;
            return Ok(ConstantSource::Seed(seed));
        }
        self.cursor.expect("[")?;
        let mut elements = Vec::new();
        while !self.cursor.accept("]") {
            if !elements.is_empty() {
                self.cursor.expect(",")?;
            }
            elements.push(self.element()?);
        }
        Ok(ConstantSource::Elements(elements))
    }

    fn element(&mut self) -> Result<Element, ParseError> {
        let start = self.cursor.here();
        let value = self.cursor.float()?;
        let text = self.cursor.since(start);
        Ok(Element { float: value, int: text.parse().ok() })
    }

    fn fill(&self, constant: ConstantSource, ty: &TensorType) -> Option<Arc<Tensor>> {
        let shape = ty.static_shape()?;
        let count = element_count(&shape).filter(|count| *count <= CONSTANT_LIMIT)?;
        match constant {
            ConstantSource::Table(number) => self.data.get(number as usize).cloned(),
            ConstantSource::Splat(value) => tensor(ty, &shape, &vec![value; count]),
            ConstantSource::Elements(values) => tensor(ty, &shape, &values),
            ConstantSource::Seed(seed) => Random::new(seed as u64).tensor(ty).map(Arc::new),
        }
    }
}

/// How a constant is written.
enum ConstantSource {
    Table(u32),
    Splat(Element),
    Seed(i64),
    Elements(Vec<Element>),
}

/// A number that is read before its type is known.
#[derive(Clone, Copy)]
struct Element {
    float: f64,
    int: Option<i64>,
}

fn tensor(ty: &TensorType, shape: &[usize], values: &[Element]) -> Option<Arc<Tensor>> {
    if ty.dtype.is_float() {
        let values: Vec<f64> = values.iter().map(|value| value.float).collect();
        return Tensor::from_f64(ty.dtype, shape, &values).map(Arc::new);
    }
    let fits = |value: &Element| value.int.filter(|int| Number::int(ty.dtype, i128::from(*int)).to_bits() as i64 == *int);
    let values: Vec<i64> = values.iter().map(fits).collect::<Option<_>>()?;
    Tensor::from_i64(ty.dtype, shape, &values).map(Arc::new)
}
