//! Statements: control flow, definitions, and which lanes run.

use crate::emitter::{Binding, Emitter, Lanes, Typed};
use crate::fault::{Emit, Fault};
use crate::ir::{V, as_int, as_pointer, is_constant};
use inkwell::IntPredicate;
use inkwell::basic_block::BasicBlock;
use inkwell::values::IntValue;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferId, Cond, LoopKind, Operand, Place, RowId, Stmt};
use lostwax_ir::types::DType;

/// The most lanes that a vector loop may have.
const MAX_LANES: i64 = 64;

/// The most iterations that an expanded loop may have.
const MAX_UNROLLED: i64 = 4096;

/// Definitions and stores that all copies of a loop body may come to.
const COPIES_BUDGET: usize = 192;

/// The most iterations that are taken at a time.
const MAX_COPIES: i64 = 4;

/// The values of a loop variable: from the first up to before the last, several at a time.
pub(crate) struct Range<'c> {
    pub(crate) first: IntValue<'c>,
    pub(crate) last: IntValue<'c>,
    pub(crate) copies: i64,
}

impl<'c> Emitter<'_, 'c, '_> {
    /// Writes statements; what they define goes out of scope after them.
    pub(crate) fn block(&mut self, body: &[Stmt]) -> Emit<()> {
        let (defined, scopes) = (self.defined.len(), self.scopes.len());
        let mut symbols = Vec::new();
        for stmt in body {
            if let Stmt::LetIndex { symbol, .. } = stmt {
                symbols.push((symbol, self.symbols.get(symbol).cloned()));
            }
            self.stmt(stmt)?;
        }
        for (symbol, binding) in symbols.into_iter().rev() {
            self.restore(symbol, binding);
        }
        for id in self.defined.split_off(defined) {
            self.values.remove(&id);
        }
        self.scopes.truncate(scopes);
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Emit<()> {
        match stmt {
            Stmt::For { var, extent, kind: LoopKind::Serial, body } => self.serial(var, extent, body),
            Stmt::For { var, extent, kind: LoopKind::Unrolled, body } => self.unrolled(var, extent, body),
            Stmt::For { var, extent, kind: LoopKind::Vector { active }, body } => self.vector(var, extent, active.as_ref(), body),
            Stmt::For { kind: LoopKind::Threads, .. } | Stmt::Reduce { .. } => Fault::unsupported("workgroups of threads"),
            Stmt::Let { id, value } => {
                let value = self.scalar(value)?;
                if self.values.insert(*id, value).is_some() {
                    return Fault::invalid(format!("value {} is defined twice", id.0));
                }
                self.defined.push(*id);
                Ok(())
            }
            Stmt::LetIndex { symbol, value } => self.let_index(symbol, value),
            Stmt::SetRow { row, at, offset, valid } => self.set_row(*row, at, offset, valid),
            Stmt::Prefetch(buffer, index) => self.prefetch(*buffer, index),
            Stmt::Store { place, value } => self.store(place, value),
            Stmt::If { cond, then, otherwise } => self.branches(cond, then, otherwise),
        }
    }

    fn restore(&mut self, symbol: &Symbol, binding: Option<Binding<'c>>) {
        match binding {
            Some(binding) => self.symbols.insert(symbol.clone(), binding),
            None => self.symbols.remove(symbol),
        };
    }

    /// Writes `body` with `symbol` standing for something.
    fn with_symbol(&mut self, symbol: &Symbol, binding: Binding<'c>, body: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        let before = self.symbols.insert(symbol.clone(), binding);
        let result = body(self);
        self.restore(symbol, before);
        result
    }

    fn serial(&mut self, var: &Symbol, extent: &Dim, body: &[Stmt]) -> Emit<()> {
        if self.lanes.is_some() {
            return Fault::invalid("a loop inside a vector loop");
        }
        let extent = self.resolve(extent);
        let copies = copies(body);
        match extent.as_constant() {
            Some(count) if count <= 0 => return Ok(()),
            Some(1) => return self.with_symbol(var, Binding::Constant(0), |this| this.block(body)),
            Some(count) if count <= copies => return self.unrolled(var, &extent, body),
            _ => {}
        }
        let whole = extent.floor_div(copies) * copies.into();
        self.steps(var, &0.into(), &whole, copies, body)?;
        self.steps(var, &whole, &extent, 1, body)
    }

    /// A loop from `begin` to `end` that takes `copies` iterations at a time.
    fn steps(&mut self, var: &Symbol, begin: &Dim, end: &Dim, copies: i64, body: &[Stmt]) -> Emit<()> {
        let (least, most) = (end.clone() - begin.clone()).bounds();
        if most <= 0 {
            return Ok(());
        }
        let (first, last) = (self.integer(begin)?, self.integer(end)?);
        let after = self.new_block();
        if least < 1 {
            self.skip_unless(IntPredicate::SLT, first, last, after)?;
        }
        self.counted_loop(var, Range { first, last, copies }, after, body)
    }

    /// Branches to `after` unless the comparison of `a` and `b` holds.
    pub(crate) fn skip_unless(
        &mut self,
        predicate: IntPredicate,
        a: IntValue<'c>,
        b: IntValue<'c>,
        after: BasicBlock<'c>,
    ) -> Emit<()> {
        let goes_on = self.ir.builder.build_int_compare(predicate, a, b, "")?;
        let next = self.new_block();
        self.branch(goes_on, next, after)?;
        self.continue_in(next);
        Ok(())
    }

    /// A loop that runs at least once and goes on in `after`.
    pub(crate) fn counted_loop(&mut self, var: &Symbol, range: Range<'c>, after: BasicBlock<'c>, body: &[Stmt]) -> Emit<()> {
        let (before, header) = (self.current_block()?, self.new_block());
        self.jump_to(header)?;
        self.continue_in(header);
        let phi = self.ir.builder.build_phi(self.ir.int_type(64), "")?;
        let counter = phi.as_basic_value().into_int_value();
        let binding = Binding::Value(self.scopes.len(), counter);
        self.open_scope()?;
        match range.copies {
            1 => self.with_symbol(var, binding, |this| this.block(body))?,
            copies => self.copies(var, binding, copies, body)?,
        }
        self.close_scope();
        let next = self.ir.builder.build_int_nsw_add(counter, self.ir.i64(range.copies), "")?;
        let goes_on = self.ir.builder.build_int_compare(IntPredicate::SLT, next, range.last, "")?;
        phi.add_incoming(&[(&range.first, before), (&next, self.current_block()?)]);
        self.branch(goes_on, header, after)?;
        self.continue_in(after);
        Ok(())
    }

    /// Several iterations; `binding` stands for the first.
    fn copies(&mut self, var: &Symbol, binding: Binding<'c>, copies: i64, body: &[Stmt]) -> Emit<()> {
        let base = Symbol::new(format!("{}.base", var.name()), var.min(), var.max());
        self.with_symbol(&base.clone(), binding, |this| {
            let copy = |step| Binding::Shifted(base.clone(), step);
            (0..copies).try_for_each(|step| this.with_symbol(var, copy(step), |this| this.block(body)))
        })
    }

    fn current_block(&self) -> Emit<BasicBlock<'c>> {
        self.ir.builder.get_insert_block().ok_or_else(|| Fault::Generator("no block is open".into()))
    }

    fn unrolled(&mut self, var: &Symbol, extent: &Dim, body: &[Stmt]) -> Emit<()> {
        if self.lanes.is_some() {
            return Fault::invalid("a loop inside a vector loop");
        }
        let extent = self.resolve(extent);
        let Some(count) = extent.as_constant().filter(|count| *count <= MAX_UNROLLED) else {
            return Fault::invalid(format!("the loop over `{var:?}` cannot be expanded: its extent is {extent}"));
        };
        (0..count).try_for_each(|step| self.with_symbol(var, Binding::Constant(step), |this| this.block(body)))
    }

    fn vector(&mut self, var: &Symbol, extent: &Dim, active: Option<&Dim>, body: &[Stmt]) -> Emit<()> {
        let extent = self.resolve(extent);
        let count = extent.as_constant().filter(|count| (1..=MAX_LANES).contains(count) && count.count_ones() == 1);
        let Some(count) = count else {
            return Fault::invalid(format!("the vector loop over `{var:?}` has {extent} lanes"));
        };
        if self.lanes.is_some() {
            return Fault::invalid("a vector loop inside a vector loop");
        }
        let active = active.map(|active| self.resolve(active)).filter(|active| active.bounds().0 < count);
        match active {
            _ if count == 1 && active.is_none() => self.with_symbol(var, Binding::Constant(0), |this| this.block(body)),
            None => self.lanes(var, count as u32, None, body),
            Some(active) => self.partly_active(var, count, &active, body),
        }
    }

    /// One copy of the body for when all lanes run, another for when some do.
    fn partly_active(&mut self, var: &Symbol, count: i64, active: &Dim, body: &[Stmt]) -> Emit<()> {
        let running = self.integer(active)?;
        let (full, partial, after) = (self.new_block(), self.new_block(), self.new_block());
        let all = self.ir.builder.build_int_compare(IntPredicate::SGE, running, self.ir.i64(count), "")?;
        if active.bounds().1 >= count {
            self.branch(all, full, partial)?;
            self.continue_in(full);
            self.lanes(var, count as u32, None, body)?;
            self.jump_to(after)?;
        } else {
            self.jump_to(partial)?;
            self.continue_in(full);
            self.jump_to(after)?;
        }
        self.continue_in(partial);
        self.skip_unless(IntPredicate::SGT, running, self.ir.i64(0), after)?;
        self.lanes(var, count as u32, Some(active), body)?;
        self.jump_to(after)?;
        self.continue_in(after);
        Ok(())
    }

    fn lanes(&mut self, var: &Symbol, count: u32, active: Option<&Dim>, body: &[Stmt]) -> Emit<()> {
        self.lanes = Some(Lanes { var: var.clone(), count, mask: None });
        let mask = active.map(|active| self.lanes_against(IntPredicate::SLT, active.clone())).transpose()?;
        self.lanes = Some(Lanes { var: var.clone(), count, mask });
        self.with_symbol(var, Binding::Lane, |this| this.block(body))?;
        self.lanes = None;
        Ok(())
    }

    fn let_index(&mut self, symbol: &Symbol, operand: &Operand) -> Emit<()> {
        let Typed { dtype, value } = self.operand(operand)?;
        if !matches!(dtype, DType::I32 | DType::I64) {
            return Fault::invalid(format!("`{symbol:?}` stands for a value of type {dtype}"));
        }
        let wide = self.convert(DType::I64, Typed { dtype, value })?.value;
        let level = self.scopes.len();
        if let V::VectorValue(_) = wide {
            let symbols = (0..self.lane_count()).map(|lane| self.lane_symbol(symbol, lane)).collect::<Vec<_>>();
            for (lane, symbol) in symbols.iter().enumerate() {
                let value = as_int(self.ir.lane(wide, lane as u32)?)?;
                self.symbols.insert(symbol.clone(), Binding::Value(level, value));
            }
            self.symbols.insert(symbol.clone(), Binding::PerLane(symbols));
        } else {
            self.symbols.insert(symbol.clone(), Binding::Value(level, as_int(wide)?));
        }
        self.open_scope()
    }

    fn lane_symbol(&self, symbol: &Symbol, lane: u32) -> Symbol {
        Symbol::new(format!("{}.{lane}", symbol.name()), symbol.min(), symbol.max())
    }

    /// Prefetches an element into the second-level cache.
    fn prefetch(&mut self, buffer: BufferId, index: &Dim) -> Emit<()> {
        const READ: u64 = 0;
        const SECOND_LEVEL: u64 = 2;
        const DATA: u64 = 1;
        let address = self.buffer_address(buffer, index)?;
        let settings = [READ, SECOND_LEVEL, DATA].map(|setting| self.ir.int_type(32).const_int(setting, false).into());
        self.ir.intrinsic_call(
            "llvm.prefetch",
            &[address.get_type().into()],
            &[&[address.into()], settings.as_slice()].concat(),
        )?;
        Ok(())
    }

    fn set_row(&mut self, row: RowId, at: &Dim, offset: &Dim, valid: &Cond) -> Emit<()> {
        let (slot, buffer) = self.row_slot(row, at)?;
        let mut address = self.buffer_address(buffer, offset)?;
        if let Some(valid) = self.condition(valid)? {
            address = as_pointer(self.ir.select(valid, address.into(), self.zeros.into())?)?;
        }
        self.ir.store(address.into(), slot, 8)
    }

    /// Whether all parts of a condition hold, as one bit or one per lane; `None` when they always do.
    pub(crate) fn condition(&mut self, cond: &Cond) -> Emit<Option<V<'c>>> {
        let mut all = None;
        for part in &cond.0 {
            let part = self.resolve(part);
            if part.bounds().0 >= 0 {
                continue;
            }
            let holds = self.is_nonnegative(&part)?;
            all = self.both(all, Some(holds))?;
        }
        Ok(all)
    }

    /// The conjunction of two optional conditions.
    pub(crate) fn both(&self, a: Option<V<'c>>, b: Option<V<'c>>) -> Emit<Option<V<'c>>> {
        match (a, b) {
            (Some(a), Some(b)) => {
                let (a, b) = self.ir.align(a, b)?;
                let (a, b) = match (is_constant(a), is_constant(b)) {
                    (true, false) => (self.opaque_mask(a)?, b),
                    (false, true) => (a, self.opaque_mask(b)?),
                    _ => (a, b),
                };
                Ok(Some(self.ir.and(a, b)?))
            }
            _ => Ok(a.or(b)),
        }
    }

    fn branches(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) -> Emit<()> {
        match self.condition(cond)? {
            None => self.block(then),
            Some(V::VectorValue(mask)) => {
                let inverse = self.ir.not(mask.into())?;
                self.where_lanes(mask.into(), then)?;
                self.where_lanes(inverse, otherwise)
            }
            Some(condition) => self.branch_to(as_int(condition)?, then, otherwise),
        }
    }

    fn branch_to(&mut self, condition: IntValue<'c>, then: &[Stmt], otherwise: &[Stmt]) -> Emit<()> {
        let (yes, no, after) = (self.new_block(), self.new_block(), self.new_block());
        self.branch(condition, yes, no)?;
        for (start, body) in [(yes, then), (no, otherwise)] {
            self.continue_in(start);
            self.block(body)?;
            self.jump_to(after)?;
        }
        self.continue_in(after);
        Ok(())
    }

    /// Writes statements that only the lanes in `mask` run.
    fn where_lanes(&mut self, mask: V<'c>, body: &[Stmt]) -> Emit<()> {
        if body.is_empty() {
            return Ok(());
        }
        if body.iter().any(|stmt| !matches!(stmt, Stmt::Let { .. } | Stmt::Store { .. } | Stmt::LetIndex { .. })) {
            return Fault::invalid("a condition on lanes around more than definitions and stores");
        }
        let Some(lanes) = self.lanes.clone() else { return Fault::invalid("a condition on lanes outside of a vector loop") };
        let mask = self.both(lanes.mask, Some(mask))?;
        self.lanes = Some(Lanes { mask, ..lanes.clone() });
        self.block(body)?;
        self.lanes = Some(lanes);
        Ok(())
    }

    fn store(&mut self, place: &Place, operand: &Operand) -> Emit<()> {
        let value = self.operand(operand)?;
        match place {
            Place::Buffer(buffer, index) => self.store_buffer(*buffer, index, value),
            Place::Local(local, index) => self.store_local(*local, index, value),
            Place::Row(..) => Fault::invalid("a store through a row address"),
        }
    }
}

/// How many iterations of a loop to take at a time: several where the body is small and has no loops that stay loops.
fn copies(body: &[Stmt]) -> i64 {
    match weight(body) {
        Some(weight) if weight * 4 <= COPIES_BUDGET => MAX_COPIES,
        Some(weight) if weight * 2 <= COPIES_BUDGET => 2,
        _ => 1,
    }
}

/// The number of definitions and stores that statements expand to; `None` when there are loops or branches among them.
fn weight(body: &[Stmt]) -> Option<usize> {
    body.iter().map(stmt_weight).sum()
}

fn stmt_weight(stmt: &Stmt) -> Option<usize> {
    match stmt {
        Stmt::For { kind: LoopKind::Serial | LoopKind::Threads, .. } | Stmt::Reduce { .. } | Stmt::If { .. } => None,
        Stmt::For { kind: LoopKind::Vector { .. }, body, .. } => weight(body),
        Stmt::For { kind: LoopKind::Unrolled, extent, body, .. } => {
            Some(weight(body)?.saturating_mul(usize::try_from(extent.as_constant()?).ok()?))
        }
        Stmt::Let { .. } | Stmt::LetIndex { .. } | Stmt::SetRow { .. } | Stmt::Prefetch(..) | Stmt::Store { .. } => Some(1),
    }
}
