//! Printing.

mod kernel;

pub use kernel::print_kernel;

use crate::attrs::{Attr, Attrs};
use crate::dim::{Symbol, UNBOUNDED};
use crate::graph::{Graph, Value};
use crate::ops::Op;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::sync::Arc;

/// A graph as text, and the large constants that it refers to as `@n`.
#[derive(Clone, Debug)]
pub struct GraphText {
    /// The text.
    pub text: String,
    /// The constants, by their number.
    pub data: Vec<Arc<Tensor>>,
}

/// Constants of up to this many elements are written in place.
const INLINE_LIMIT: usize = 8;

/// Writes a graph as text.
pub fn print_graph(graph: &Graph) -> GraphText {
    let mut printer = Printer { graph, numbers: BTreeMap::new(), data: Vec::new(), text: String::new() };
    printer.graph();
    GraphText { text: printer.text, data: printer.data }
}

impl Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_graph(self).text)
    }
}

struct Printer<'a> {
    graph: &'a Graph,
    numbers: BTreeMap<Value, usize>,
    data: Vec<Arc<Tensor>>,
    text: String,
}

impl Printer<'_> {
    /// Appends a line.
    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}");
    }

    fn graph(&mut self) {
        let symbols: Vec<String> = self.graph.symbols().values().map(symbol).collect();
        if !symbols.is_empty() {
            self.line(format_args!("symbols {{ {} }}", symbols.join(", ")));
        }
        self.line(format_args!("graph {} {{", quoted(&self.graph.name)));
        for (number, value) in self.graph.topological().into_iter().enumerate() {
            self.numbers.insert(value, number);
            self.node(number, value);
        }
        for constraint in self.graph.constraints() {
            let reason = quoted(&constraint.reason);
            self.line(format_args!("  constraint {} == {}, {reason}", constraint.left, constraint.right));
        }
        for output in self.graph.outputs() {
            let name = quoted(&output.name);
            let value = self.name(output.value);
            self.line(format_args!("  output {name} {value}"));
        }
        self.line(format_args!("}}"));
    }

    fn name(&self, value: Value) -> String {
        self.numbers.get(&value).map_or_else(|| "%?".to_string(), |number| format!("%{number}"))
    }

    fn node(&mut self, number: usize, value: Value) {
        let node = self.graph.node(value);
        let operands: Vec<String> = self.graph.operands(value).into_iter().map(|operand| self.name(operand)).collect();
        let operands = if operands.is_empty() { String::new() } else { format!(" {}", operands.join(", ")) };
        let details = match self.graph.as_constant(value).cloned() {
            Some(tensor) if node.op == Op::Constant => format!(" {}", self.constant(&tensor)),
            _ => attributes(&node.attrs),
        };
        self.line(format_args!("  %{number} = {}{operands}{details} : {}", node.op, node.ty));
    }

    fn constant(&mut self, tensor: &Arc<Tensor>) -> String {
        let elements = elements(tensor);
        match elements.first() {
            _ if elements.len() <= INLINE_LIMIT && is_exact(tensor) => format!("[{}]", elements.join(", ")),
            Some(first) if is_exact(tensor) && is_uniform(tensor) => format!("splat({first})"),
            _ => {
                let known = self.data.iter().position(|known| Arc::ptr_eq(known, tensor));
                let number = known.unwrap_or_else(|| {
                    self.data.push(tensor.clone());
                    self.data.len() - 1
                });
                format!("@{number}")
            }
        }
    }
}

/// The first elements of a tensor as text.
fn elements(tensor: &Tensor) -> Vec<String> {
    let size = tensor.dtype().size();
    let few = tensor.len().min(INLINE_LIMIT + 1);
    let head = Tensor::from_bytes(tensor.dtype(), &[few], tensor.bytes().get(..few * size).unwrap_or(&[]));
    let Some(head) = head.filter(|_| tensor.dtype().values_per_unit() == 1) else {
        return vec![String::new(); tensor.len()];
    };
    if tensor.dtype().is_float() {
        return head.to_f64().into_iter().map(float).collect();
    }
    head.to_i64().iter().map(i64::to_string).collect()
}

fn is_uniform(tensor: &Tensor) -> bool {
    let size = tensor.dtype().size();
    let bytes = tensor.bytes();
    bytes.chunks(size).all(|element| Some(element) == bytes.get(..size))
}

/// Whether the first elements survive being written as numbers.
fn is_exact(tensor: &Tensor) -> bool {
    let dtype = tensor.dtype();
    let few = tensor.len().min(INLINE_LIMIT) * dtype.size();
    let bytes = tensor.bytes().get(..few).unwrap_or(&[]);
    let Some(head) = Tensor::from_bytes(dtype, &[few / dtype.size()], bytes) else { return false };
    let copy = if dtype.is_float() {
        Tensor::from_f64(dtype, head.shape(), &head.to_f64().into_iter().map(canonical).collect::<Vec<_>>())
    } else {
        Tensor::from_i64(dtype, head.shape(), &head.to_i64())
    };
    copy.is_some_and(|copy| copy == head)
}

fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn attributes(attrs: &Attrs) -> String {
    let parts: Vec<String> = attrs.iter().map(|(name, attr)| format!("{name} = {}", attribute(attr))).collect();
    if parts.is_empty() { String::new() } else { format!(" {{{}}}", parts.join(", ")) }
}

fn attribute(attr: &Attr) -> String {
    match attr {
        Attr::Int(value) => value.to_string(),
        Attr::Float(bits) => float(f64::from_bits(*bits)),
        Attr::Bool(value) => value.to_string(),
        Attr::Ints(values) => list(values),
        Attr::Dims(dims) => list(dims),
        Attr::DType(dtype) => dtype.to_string(),
        Attr::Text(text) => quoted(text),
    }
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("[{}]", items.join(", "))
}

/// The shortest text that reads as the same number.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() && value.to_bits() != f64::NAN.to_bits() {
        return format!("bits({})", value.to_bits());
    }
    format!("{value:?}")
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A symbol with its range.
pub(super) fn symbol(symbol: &Symbol) -> String {
    let max = if symbol.max() == UNBOUNDED { String::new() } else { format!("={}", symbol.max()) };
    format!("{}: {}..{max}", symbol.name(), symbol.min())
}
