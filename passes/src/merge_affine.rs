//! Brings chains of additions of and multiplications by constants into the form `x * scale + shift`.

use crate::canonicalize::constant_values;
use crate::error::PassError;
use crate::pass::{Changed, Context, Pass};
use crate::tier::Tier;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::Op;
use std::collections::{HashMap, HashSet};

/// See [`merge_affine`].
pub const PASS: Pass = Pass {
    name: "merge_affine",
    doc: "Merges chains of additions of and multiplications by constants into one multiplication and one addition.",
    run: merge_affine,
};

/// A value as `base * scale + shift`.
#[derive(Clone, Copy)]
struct Affine {
    base: Value,
    scale: Option<Value>,
    shift: Option<Value>,
    length: usize,
}

/// Merges chains in which only the last value has other users, where the tier allows it.
pub fn merge_affine(graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
    if ctx.tier < Tier::Reassociate {
        return Ok(Changed::No);
    }
    let mut merger = Merger { constants: constant_values(graph), chains: HashMap::new(), graph };
    let changed = merger.run().map_err(|source| PassError::InvalidNode { pass: PASS.name, source })?;
    graph.set_origin([]);
    graph.remove_dead();
    Ok(changed.into())
}

struct Merger<'a> {
    graph: &'a mut Graph,
    constants: HashSet<Value>,
    chains: HashMap<Value, Affine>,
}

impl Merger<'_> {
    fn run(&mut self) -> Result<bool, TypeError> {
        let order = self.graph.topological();
        for value in &order {
            if let Some(chain) = self.extend(*value)? {
                self.chains.insert(*value, chain);
            }
        }
        let mut changed = false;
        for value in order {
            let ends = !self.is_inner(value);
            if let Some(chain) = self.chains.get(&value).copied().filter(|chain| ends && chain.length > chain.merged_length()) {
                self.graph.set_origin(self.graph.node(value).origin.clone());
                let merged = self.emit(chain)?;
                self.graph.replace_uses(value, merged);
                changed = true;
            }
        }
        Ok(changed)
    }

    /// The chain that ends at `value`.
    fn extend(&mut self, value: Value) -> Result<Option<Affine>, TypeError> {
        let operands = self.graph.operands(value);
        let [x, c] = operands.as_slice() else { return Ok(None) };
        let op = self.graph.op(value);
        let same_type = self.graph.ty(*x) == self.graph.ty(value) && self.graph.ty(*x).dtype.is_float();
        if !matches!(op, Op::Add | Op::Mul) || self.constants.contains(x) || !self.constants.contains(c) || !same_type {
            return Ok(None);
        }
        let start = Affine { base: *x, scale: None, shift: None, length: 0 };
        let chain = self.chains.get(x).copied().filter(|_| self.is_inner(*x)).unwrap_or(start);
        let (base, length) = (chain.base, chain.length + 1);
        Ok(Some(if op == Op::Add {
            Affine { base, scale: chain.scale, shift: Some(self.combine(Op::Add, chain.shift, *c)?), length }
        } else {
            let shift = chain.shift.map(|shift| self.combine(Op::Mul, Some(shift), *c)).transpose()?;
            Affine { base, scale: Some(self.combine(Op::Mul, chain.scale, *c)?), shift, length }
        }))
    }

    fn combine(&mut self, op: Op, left: Option<Value>, right: Value) -> Result<Value, TypeError> {
        let Some(left) = left else { return Ok(right) };
        let value = self.graph.add(op, Attrs::new(), &[left, right])?;
        self.constants.insert(value);
        Ok(value)
    }

    /// Whether the only user of a value continues its chain.
    fn is_inner(&self, value: Value) -> bool {
        let uses = self.graph.uses(value);
        let is_output = self.graph.outputs().iter().any(|output| output.value == value);
        let continues = |user: &Value| match self.graph.operands(*user).as_slice() {
            [x, c] => {
                let fits = matches!(self.graph.op(*user), Op::Add | Op::Mul);
                fits && *x == value && self.constants.contains(c) && self.graph.ty(value) == self.graph.ty(*user)
            }
            _ => false,
        };
        !is_output && uses.len() == 1 && uses.iter().all(|(user, _)| continues(user))
    }

    fn emit(&mut self, chain: Affine) -> Result<Value, TypeError> {
        let mut value = chain.base;
        for (op, constant) in [(Op::Mul, chain.scale), (Op::Add, chain.shift)] {
            if let Some(constant) = constant {
                value = self.graph.add(op, Attrs::new(), &[value, constant])?;
            }
        }
        Ok(value)
    }
}

impl Affine {
    /// The operations of the merged chain.
    fn merged_length(&self) -> usize {
        usize::from(self.scale.is_some()) + usize::from(self.shift.is_some())
    }
}
