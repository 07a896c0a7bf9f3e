//! Integer expressions: where they are computed, and how they depend on the lane.
//!
//! Every loop opens a scope with an insertion point at its start for what does not change within one iteration. An expression is split by
//! the deepest scope that each of its terms depends on; partial sums and partial addresses are computed there, once.

use crate::emitter::{Binding, Emitter, Position, Scope, ZEROS_ALIGNMENT};
use crate::fault::{Emit, Fault};
use crate::ir::{V, as_int, is_constant, lanes_of, widen_type};
use inkwell::IntPredicate;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{IntValue, PointerValue};
use lostwax_ir::dim::{Atom, Dim, Monomial, Symbol};
use lostwax_ir::kernel::{BufferId, RowId};
use std::collections::HashMap;

/// How an index depends on the lane.
pub(crate) enum LaneIndex {
    /// Not at all.
    Uniform(Dim),
    /// `coefficient * lane + rest`, with a coefficient other than 0.
    Affine { coefficient: i64, rest: Dim },
    /// Otherwise: the index of each lane.
    PerLane(Vec<Dim>),
}

impl<'c> Emitter<'_, 'c, '_> {
    /// Ends the current block and opens a scope that lasts until [`Emitter::close_scope`].
    pub(crate) fn open_scope(&mut self) -> Emit<()> {
        let body = self.new_block();
        let insertion_point = self.ir.builder.build_unconditional_branch(body)?;
        self.scopes.push(Scope { insertion_point, sums: HashMap::new(), addresses: HashMap::new() });
        self.continue_in(body);
        Ok(())
    }

    pub(crate) fn close_scope(&mut self) {
        self.scopes.pop();
    }

    /// Replaces the variables of expanded loops by what they stand for.
    pub(crate) fn resolve(&self, dim: &Dim) -> Dim {
        dim.substitute(&|symbol| match self.symbols.get(symbol) {
            Some(Binding::Constant(value)) => Some(Dim::constant(*value)),
            Some(Binding::Shifted(base, distance)) => Some(Dim::symbol(base) + Dim::constant(*distance)),
            _ => None,
        })
    }

    /// Where the address `at` of a row array is kept.
    pub(crate) fn row_slot(&mut self, id: RowId, at: &Dim) -> Emit<(PointerValue<'c>, BufferId)> {
        let Some(decl) = self.kernel.rows.get(id.0 as usize) else {
            return Fault::invalid(format!("there is no row array {}", id.0));
        };
        let at = self.resolve(at);
        if at.as_constant().is_some_and(|at| at < 0 || at >= decl.len.into()) {
            return Fault::invalid(format!("row {at} of `{}` does not exist", decl.name));
        }
        let index = self.integer(&at)?;
        let slot = self.ir.offset(self.ir.pointer_type().into(), self.rows[id.0 as usize], index)?;
        Ok((slot, decl.buffer))
    }

    /// The value of an expression that does not depend on the lane.
    pub(crate) fn integer(&mut self, dim: &Dim) -> Emit<IntValue<'c>> {
        let dim = self.resolve(dim);
        self.resolved_integer(&dim)
    }

    fn resolved_integer(&mut self, dim: &Dim) -> Emit<IntValue<'c>> {
        if let Some(value) = dim.as_constant() {
            return Ok(self.ir.i64(value));
        }
        let level = self.level_of(dim)?;
        if let Some(known) = self.scopes[level].sums.get(dim) {
            return Ok(*known);
        }
        let value = self.hoisted(level, |this| this.sum(dim, level))?;
        self.scopes[level].sums.insert(dim.clone(), value);
        Ok(value)
    }

    /// Runs `compute` with instructions going to the start of the scope of that level.
    fn hoisted<T>(&mut self, level: usize, compute: impl FnOnce(&mut Self) -> Emit<T>) -> Emit<T> {
        let position = match (self.position, self.ir.builder.get_insert_block()) {
            (Position::End(_), Some(block)) => Position::End(block),
            (position, _) => position,
        };
        self.move_to(Position::Hoisted(level));
        let result = compute(self);
        self.move_to(position);
        result
    }

    fn sum(&mut self, dim: &Dim, level: usize) -> Emit<IntValue<'c>> {
        let (outer, inner) = self.split_by_level(dim, level)?;
        let mut total = if outer.is(0) { None } else { Some(self.resolved_integer(&outer)?) };
        for (monomial, coefficient) in inner.terms() {
            let term = self.term(monomial, *coefficient, level)?;
            total = Some(match total {
                Some(total) => self.ir.builder.build_int_add(total, term, "")?,
                None => term,
            });
        }
        Ok(total.unwrap_or_else(|| self.ir.i64(0)))
    }

    /// The terms that scopes outside of `level` can compute, and the others.
    fn split_by_level(&self, dim: &Dim, level: usize) -> Emit<(Dim, Dim)> {
        let (mut outer, mut inner) = (Dim::default(), Dim::default());
        for (monomial, coefficient) in dim.terms() {
            let term = monomial_dim(monomial) * Dim::constant(*coefficient);
            let target = if self.level_of_monomial(monomial)? < level { &mut outer } else { &mut inner };
            *target = std::mem::take(target) + term;
        }
        Ok((outer, inner))
    }

    fn term(&mut self, monomial: &Monomial, coefficient: i64, level: usize) -> Emit<IntValue<'c>> {
        let (mut outer, mut product) = (Dim::constant(coefficient), None);
        for atom in monomial {
            if self.level_of_atom(atom)? < level {
                outer = outer * atom_dim(atom);
                continue;
            }
            let factor = self.atom(atom)?;
            product = Some(match product {
                Some(product) => self.ir.builder.build_int_mul(product, factor, "")?,
                None => factor,
            });
        }
        match product {
            Some(product) if outer.is(1) => Ok(product),
            Some(product) => {
                let outer = self.resolved_integer(&outer)?;
                Ok(self.ir.builder.build_int_mul(product, outer, "")?)
            }
            None => self.resolved_integer(&outer),
        }
    }

    fn atom(&mut self, atom: &Atom) -> Emit<IntValue<'c>> {
        match atom {
            Atom::Symbol(symbol) => match self.symbols.get(symbol) {
                Some(Binding::Value(_, value)) => Ok(*value),
                _ => Fault::invalid(format!("`{symbol:?}` has no single value here")),
            },
            Atom::FloorDiv(pair) => self.floor_div(&pair.0, &pair.1),
            Atom::Min(pair) => self.smaller_or_larger("llvm.smin", &pair.0, &pair.1),
            Atom::Max(pair) => self.smaller_or_larger("llvm.smax", &pair.0, &pair.1),
        }
    }

    fn smaller_or_larger(&mut self, name: &str, a: &Dim, b: &Dim) -> Emit<IntValue<'c>> {
        let (a, b) = (self.resolved_integer(a)?, self.resolved_integer(b)?);
        as_int(self.ir.binary(name, a.into(), b.into())?)
    }

    fn floor_div(&mut self, numerator: &Dim, divisor: &Dim) -> Emit<IntValue<'c>> {
        let (a, mut b) = (self.resolved_integer(numerator)?, self.resolved_integer(divisor)?);
        if divisor.as_constant().is_none() {
            b = as_int(self.ir.binary("llvm.smax", b.into(), self.ir.i64(1).into())?)?;
        }
        if numerator.bounds().0 >= 0 {
            return Ok(self.ir.builder.build_int_unsigned_div(a, b, "")?);
        }
        let quotient = self.ir.builder.build_int_signed_div(a, b, "")?;
        let product = self.ir.builder.build_int_mul(quotient, b, "")?;
        let rest = self.ir.builder.build_int_sub(a, product, "")?;
        let sign = self.ir.builder.build_right_shift(rest, self.ir.i64(63), true, "")?;
        Ok(self.ir.builder.build_int_add(quotient, sign, "")?)
    }

    fn level_of(&self, dim: &Dim) -> Emit<usize> {
        dim.terms().iter().try_fold(0, |level, (monomial, _)| Ok(level.max(self.level_of_monomial(monomial)?)))
    }

    fn level_of_monomial(&self, monomial: &Monomial) -> Emit<usize> {
        monomial.iter().try_fold(0, |level, atom| Ok(level.max(self.level_of_atom(atom)?)))
    }

    fn level_of_atom(&self, atom: &Atom) -> Emit<usize> {
        match atom {
            Atom::Symbol(symbol) => match self.symbols.get(symbol) {
                Some(Binding::Value(level, _)) => Ok(*level),
                Some(Binding::Constant(_)) => Ok(0),
                Some(_) => Fault::invalid(format!("`{symbol:?}` depends on the lane where that is not allowed")),
                None => Fault::invalid(format!("`{symbol:?}` is not in scope")),
            },
            Atom::FloorDiv(pair) | Atom::Min(pair) | Atom::Max(pair) => Ok(self.level_of(&pair.0)?.max(self.level_of(&pair.1)?)),
        }
    }

    /// The address of an element of a buffer, by an index that does not depend on the lane.
    pub(crate) fn buffer_address(&mut self, buffer: BufferId, index: &Dim) -> Emit<PointerValue<'c>> {
        let element = self.memory_type(self.buffer(buffer)?.dtype)?;
        let index = self.resolve(index);
        let constant = constant_term(&index);
        let address = self.hoisted_address(buffer, element, &(index - constant.into()))?;
        if constant == 0 { Ok(address) } else { self.ir.offset(element, address, self.ir.i64(constant)) }
    }

    fn hoisted_address(&mut self, buffer: BufferId, element: BasicTypeEnum<'c>, index: &Dim) -> Emit<PointerValue<'c>> {
        if index.is(0) {
            return Ok(self.buffers[buffer.0 as usize]);
        }
        let level = self.level_of(index)?;
        if let Some(known) = self.scopes[level].addresses.get(&(buffer, index.clone())) {
            return Ok(*known);
        }
        let (outer, inner) = self.split_by_level(index, level)?;
        let base = self.hoisted_address(buffer, element, &outer)?;
        let distance = self.resolved_integer(&inner)?;
        let address = self.hoisted(level, |this| this.ir.offset(element, base, distance))?;
        self.scopes[level].addresses.insert((buffer, index.clone()), address);
        Ok(address)
    }

    /// How `dim` depends on the lane.
    pub(crate) fn lane_index(&self, dim: &Dim) -> LaneIndex {
        let dim = self.resolve(dim);
        let Some(lanes) = &self.lanes else { return LaneIndex::Uniform(dim) };
        let mut per_lane = false;
        dim.for_each_symbol(&mut |symbol| per_lane |= matches!(self.symbols.get(symbol), Some(Binding::PerLane(_))));
        if !per_lane && !dim.mentions(&lanes.var) {
            return LaneIndex::Uniform(dim);
        }
        match dim.affine_in(&lanes.var).and_then(|(coefficient, rest)| Some((coefficient.as_constant()?, rest))) {
            Some((coefficient, rest)) if !per_lane => LaneIndex::Affine { coefficient, rest },
            _ => LaneIndex::PerLane((0..lanes.count).map(|lane| self.in_lane(&dim, &lanes.var, lane)).collect()),
        }
    }

    fn in_lane(&self, dim: &Dim, var: &Symbol, lane: u32) -> Dim {
        dim.substitute(&|symbol| match self.symbols.get(symbol) {
            _ if symbol == var => Some(Dim::constant(lane.into())),
            Some(Binding::PerLane(symbols)) => symbols.get(lane as usize).map(Dim::symbol),
            _ => None,
        })
    }

    /// An expression as a 64-bit integer or a vector of them.
    pub(crate) fn index_value(&mut self, dim: &Dim) -> Emit<V<'c>> {
        match self.lane_index(dim) {
            LaneIndex::Uniform(dim) => Ok(self.resolved_integer(&dim)?.into()),
            LaneIndex::Affine { coefficient, rest } => self.ramp(coefficient, &rest),
            LaneIndex::PerLane(dims) => {
                let lanes: Emit<Vec<V>> = dims.iter().map(|dim| Ok(self.resolved_integer(dim)?.into())).collect();
                self.ir.gather(&lanes?)
            }
        }
    }

    fn ramp(&mut self, coefficient: i64, rest: &Dim) -> Emit<V<'c>> {
        let count = self.lane_count();
        let numbers = self.ir.lane_numbers(64, count);
        let steps = self.ir.mul(numbers, self.ir.int_of(numbers.get_type(), coefficient))?;
        let rest = self.resolved_integer(rest)?;
        self.ir.add(steps, self.ir.splat(rest.into(), count)?)
    }

    pub(crate) fn lane_count(&self) -> u32 {
        self.lanes.as_ref().map_or(1, |lanes| lanes.count)
    }

    /// Whether an expression is at least 0: one bit, or one per lane.
    pub(crate) fn is_nonnegative(&mut self, dim: &Dim) -> Emit<V<'c>> {
        match self.lane_index(dim) {
            LaneIndex::Uniform(dim) => {
                let value = self.resolved_integer(&dim)?.into();
                self.ir.icmp(IntPredicate::SGE, value, self.ir.i64(0).into())
            }
            LaneIndex::Affine { coefficient, rest } if coefficient > 0 => {
                let first = (-rest).ceil_div(coefficient);
                self.lanes_against(IntPredicate::SGE, first)
            }
            LaneIndex::Affine { coefficient, rest } => {
                let end = rest.floor_div(coefficient.saturating_neg()) + 1.into();
                self.lanes_against(IntPredicate::SLT, end)
            }
            LaneIndex::PerLane(dims) => {
                let bits = dims.iter().map(|dim| self.is_nonnegative(dim)).collect::<Emit<Vec<V>>>()?;
                let mask = self.ir.gather(&bits)?;
                if bits.iter().any(|bit| is_constant(*bit)) { self.opaque_mask(mask) } else { Ok(mask) }
            }
        }
    }

    /// Compares the index of each lane with a bound.
    pub(crate) fn lanes_against(&mut self, predicate: IntPredicate, bound: Dim) -> Emit<V<'c>> {
        let count = self.lane_count();
        let bits = self.mask_bits(count);
        let bound = self.integer(&bound.maximum(0).minimum(i64::from(count)))?;
        let narrow = self.ir.builder.build_int_truncate(bound, self.ir.int_type(bits), "")?;
        let bound = self.ir.splat(narrow.into(), count)?;
        self.ir.icmp(predicate, self.ir.lane_numbers(bits, count), bound)
    }

    /// The width of the integers whose comparisons make masks: 32 as long as that takes few registers.
    fn mask_bits(&self, lanes: u32) -> u32 {
        if lanes * 4 > 2 * self.machine.vector_bytes { 8 } else { 32 }
    }

    /// The same mask, hidden from LLVM's constant folding on machines where it miscompiles masked loads with constant lanes: adds
    /// the lanes in which memory that holds zeros is negative.
    pub(crate) fn opaque_mask(&self, mask: V<'c>) -> Emit<V<'c>> {
        let Some(lanes) = lanes_of(mask).filter(|_| self.machine.confuses_constant_lanes) else { return Ok(mask) };
        let of = widen_type(self.ir.int_type(self.mask_bits(lanes)).into(), Some(lanes));
        let zeros = self.ir.load(of, self.zeros, ZEROS_ALIGNMENT)?;
        let none = self.ir.icmp(IntPredicate::SLT, zeros, of.const_zero())?;
        self.ir.or(mask, none)
    }
}

fn constant_term(dim: &Dim) -> i64 {
    dim.terms().iter().find(|(monomial, _)| monomial.is_empty()).map_or(0, |(_, value)| *value)
}

fn monomial_dim(monomial: &Monomial) -> Dim {
    monomial.iter().fold(1.into(), |product, atom| product * atom_dim(atom))
}

fn atom_dim(atom: &Atom) -> Dim {
    match atom {
        Atom::Symbol(symbol) => Dim::symbol(symbol),
        Atom::FloorDiv(pair) => pair.0.floor_div(pair.1.clone()),
        Atom::Min(pair) => pair.0.minimum(pair.1.clone()),
        Atom::Max(pair) => pair.0.maximum(pair.1.clone()),
    }
}
