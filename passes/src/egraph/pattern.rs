//! The text form of rule sides.
//!
//! `(mul ?x (sigmoid ?x))` is an op with its operands. Ops that declare attributes have them as first argument: a variable
//! (`(transpose ?p ?x)`), literal values (`(clip {min=0, max=6} ?x)`) or, on the right side only, a call of a function of
//! [`super::functions`] (`(transpose (compose ?p ?q) ?x)`).

use super::language::{ENode, Head, has_attrs};
use egg::{ENodeOrVar, Id, PatternAst, Var};
use lostwax_ir::attrs::{Attr, AttrKind, Attrs};
use lostwax_ir::ops::{AttrSpec, Op, Operands};
use std::sync::Arc;

/// An argument of a guard or attribute function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// A variable, by number.
    Var(u32),
    /// A number.
    Number(f64),
}

/// The attributes of an op in a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrTerm {
    /// A variable, by number.
    Var(u32),
    /// These values.
    Literal(Arc<Attrs>),
    /// What a function of [`super::functions`] gives.
    Call(String, Vec<Arg>),
}

/// One side of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A variable, by number.
    Var(u32),
    /// An op with attributes and operands.
    Op(Op, Option<AttrTerm>, Vec<Term>),
}

/// The variables of a rule, in order of appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Names {
    /// The number of a variable, which becomes known if it was not.
    pub fn number(&mut self, name: &str) -> u32 {
        let position = self.position(name).unwrap_or_else(|| {
            self.0.push(name.to_string());
            self.0.len() - 1
        });
        position as u32
    }

    /// The number of a known variable.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }
}

struct Parser<'a> {
    rest: &'a str,
    names: &'a mut Names,
}

/// Reads one side of a rule.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_term(text: &str, names: &mut Names) -> Result<Term, String> {
    let mut parser = Parser { rest: text, names };
    let term = parser.term()?;
    if parser.peek().is_some() { Err(format!("`{}` is left over", parser.rest)) } else { Ok(term) }
}

/// Reads a guard: a name and its arguments, as in `splat(?c, 0.5)`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_guard(text: &str, names: &mut Names) -> Result<(String, Vec<Arg>), String> {
    let (name, rest) = text.split_once('(').ok_or("a guard is written `name(arguments)`")?;
    let body = rest.strip_suffix(')').ok_or("`)` is missing")?;
    let spaced = body.replace(',', " ");
    let mut parser = Parser { rest: &spaced, names };
    let mut args = Vec::new();
    while parser.peek().is_some() {
        args.push(parser.arg()?);
    }
    Ok((name.to_string(), args))
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        match self.peek() {
            Some(found) if found == wanted => {
                self.rest = &self.rest[found.len_utf8()..];
                Ok(())
            }
            found => Err(format!("`{wanted}` expected, {found:?} found")),
        }
    }

    fn word(&mut self) -> &str {
        self.peek();
        let end = self.rest.find(|c: char| c.is_whitespace() || "(){}".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn arg(&mut self) -> Result<Arg, String> {
        let word = self.word().to_string();
        match word.strip_prefix('?') {
            Some(name) => Ok(Arg::Var(self.names.number(name))),
            None => word.parse().map(Arg::Number).map_err(|_| format!("`{word}` is not a number")),
        }
    }

    fn term(&mut self) -> Result<Term, String> {
        if self.peek() == Some('?') {
            return match self.arg()? {
                Arg::Var(number) => Ok(Term::Var(number)),
                Arg::Number(number) => Err(format!("{number} is not an operand")),
            };
        }
        self.expect('(')?;
        let name = self.word().to_string();
        let op = Op::from_name(&name).ok_or_else(|| format!("there is no op `{name}`"))?;
        let attrs = if has_attrs(op) { Some(self.attrs(op)?) } else { None };
        let mut operands = Vec::new();
        while self.peek() != Some(')') {
            operands.push(self.term()?);
        }
        self.expect(')')?;
        if let Operands::Fixed(names) = op.def().operands
            && names.len() != operands.len()
        {
            return Err(format!("`{name}` has {} operands", names.len()));
        }
        Ok(Term::Op(op, attrs, operands))
    }

    fn attrs(&mut self, op: Op) -> Result<AttrTerm, String> {
        match self.peek() {
            Some('{') => self.literal(op),
            Some('(') => self.call(),
            Some('?') => match self.arg()? {
                Arg::Var(number) => Ok(AttrTerm::Var(number)),
                Arg::Number(_) => Err("attributes expected".to_string()),
            },
            found => Err(format!("attributes of `{op}` expected, {found:?} found")),
        }
    }

    fn call(&mut self) -> Result<AttrTerm, String> {
        self.expect('(')?;
        let name = self.word().to_string();
        let mut args = Vec::new();
        while self.peek() != Some(')') {
            args.push(self.arg()?);
        }
        self.expect(')')?;
        Ok(AttrTerm::Call(name, args))
    }

    fn literal(&mut self, op: Op) -> Result<AttrTerm, String> {
        self.expect('{')?;
        let (body, rest) = self.rest.split_once('}').ok_or("`}` is missing")?;
        self.rest = rest;
        let mut attrs = Attrs::new();
        for entry in body.split(',').filter(|entry| !entry.trim().is_empty()) {
            let (name, value) = entry.split_once('=').ok_or_else(|| format!("`{entry}` is not `name=value`"))?;
            let spec = attr_spec(op, name.trim()).ok_or_else(|| format!("`{op}` has no attribute `{name}`"))?;
            let value =
                literal_value(spec.kind, value.trim()).ok_or_else(|| format!("`{value}` is not of type {:?}", spec.kind))?;
            attrs = attrs.with(spec.name, value);
        }
        Ok(AttrTerm::Literal(Arc::new(attrs)))
    }
}

fn attr_spec(op: Op, name: &str) -> Option<&'static AttrSpec> {
    op.def().attrs.iter().find(|spec| spec.name == name)
}

fn literal_value(kind: AttrKind, text: &str) -> Option<Attr> {
    match kind {
        AttrKind::Int => text.parse().ok().map(Attr::Int),
        AttrKind::Float => text.parse().ok().map(Attr::float),
        AttrKind::Bool => text.parse().ok().map(Attr::Bool),
        AttrKind::Text => Some(Attr::Text(text.to_string())),
        AttrKind::DType => lostwax_ir::types::DType::from_name(text).map(Attr::DType),
        AttrKind::Ints | AttrKind::Dims => None,
    }
}

impl Term {
    /// The term in all orders of the operands of commutative ops. Variables for which `constant` holds stay last, as
    /// constant operands always are.
    pub fn orders(&self, constant: &dyn Fn(u32) -> bool) -> Vec<Term> {
        let Term::Op(op, attrs, operands) = self else { return vec![self.clone()] };
        let mut lists: Vec<Vec<Term>> = vec![Vec::new()];
        for operand in operands {
            let orders = operand.orders(constant);
            lists = lists
                .iter()
                .flat_map(|list| orders.iter().map(|last| [list.as_slice(), std::slice::from_ref(last)].concat()))
                .collect();
        }
        let ends_constant = matches!(operands.last(), Some(Term::Var(number)) if constant(*number));
        if op.def().commutative && !ends_constant {
            let swapped: Vec<Vec<Term>> = lists.iter().map(|list| list.iter().rev().cloned().collect()).collect();
            lists.extend(swapped.into_iter().filter(|list| !lists.contains(list)).collect::<Vec<_>>());
        }
        lists.into_iter().map(|operands| Term::Op(*op, attrs.clone(), operands)).collect()
    }

    /// The term as a pattern to search for; `None` if it calls a function.
    pub fn pattern(&self) -> Option<PatternAst<ENode>> {
        let mut ast = PatternAst::default();
        self.append(&mut ast)?;
        Some(ast)
    }

    fn append(&self, ast: &mut PatternAst<ENode>) -> Option<Id> {
        match self {
            Term::Var(number) => Some(ast.add(ENodeOrVar::Var(Var::from_u32(*number)))),
            Term::Op(op, attrs, operands) => {
                let mut children = Vec::new();
                match attrs {
                    Some(AttrTerm::Var(number)) => children.push(ast.add(ENodeOrVar::Var(Var::from_u32(*number)))),
                    Some(AttrTerm::Literal(attrs)) => {
                        children.push(ast.add(ENodeOrVar::ENode(ENode::leaf(Head::Attrs(attrs.clone())))));
                    }
                    Some(AttrTerm::Call(..)) => return None,
                    None => (),
                }
                for operand in operands {
                    children.push(operand.append(ast)?);
                }
                Some(ast.add(ENodeOrVar::ENode(ENode { head: Head::Op(*op), children })))
            }
        }
    }
}
