//! Statements: control flow, definitions, and which lanes run.

use crate::builder::Value;
use crate::fault::{Emit, Fault};
use crate::kernel::{Binding, Emitter, Lanes, Typed};
use crate::survey::takes_quads;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{Cond, LoopKind, Operand, RowId, Stmt};
use lostwax_ir::types::DType;
use naga::{Barrier, BinaryOperator, Block, Scalar, Statement};
use std::collections::HashMap;

/// The most lanes that a vector loop may have.
const MAX_LANES: i64 = 64;

/// The most iterations that an expanded loop may have.
const MAX_UNROLLED: i64 = 4096;

impl Emitter<'_> {
    /// Writes statements; what they define goes out of scope after them.
    pub(crate) fn block(&mut self, body: &[Stmt]) -> Emit<()> {
        let defined = self.defined.len();
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
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Emit<()> {
        match stmt {
            Stmt::For { var, extent, kind: LoopKind::Serial, body } => self.serial(var, extent, body),
            Stmt::For { var, kind: LoopKind::Threads, body, .. } => self.each_thread(var, body),
            Stmt::For { var, extent, kind: LoopKind::Unrolled, body } => self.unrolled(var, extent, body),
            Stmt::For { var, extent, kind: kind @ LoopKind::Vector { active }, body } => {
                let quads = takes_quads(extent, kind, body).then(|| var.clone());
                self.vector(var, extent, active.as_ref(), quads, body)
            }
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
            Stmt::Prefetch(..) => Ok(()),
            Stmt::Store { place, value } => self.store(place, value),
            Stmt::Reduce { op, local, stride } => self.reduce(*op, *local, *stride),
            Stmt::If { cond, then, otherwise } => self.branches(cond, then, otherwise),
        }
    }

    fn restore(&mut self, symbol: &Symbol, binding: Option<Binding>) {
        match binding {
            Some(binding) => self.symbols.insert(symbol.clone(), binding),
            None => self.symbols.remove(symbol),
        };
    }

    /// Writes `body` with `symbol` standing for something.
    fn with_symbol(&mut self, symbol: &Symbol, binding: Binding, body: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        let before = self.symbols.insert(symbol.clone(), binding);
        let result = body(self);
        self.restore(symbol, before);
        result
    }

    /// Writes into a block of its own.
    pub(crate) fn nested(&mut self, body: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<Block> {
        self.builder.open();
        self.sums.push(HashMap::new());
        let result = body(self);
        self.sums.pop();
        let block = self.builder.close();
        result.map(|()| block)
    }

    /// Writes `body` for where a condition holds.
    pub(crate) fn run_if(&mut self, condition: Value, body: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        let accept = self.nested(body)?;
        self.builder.push(Statement::If { condition, accept, reject: Block::new() });
        Ok(())
    }

    fn serial(&mut self, var: &Symbol, extent: &Dim, body: &[Stmt]) -> Emit<()> {
        if self.lanes.is_some() {
            return Fault::invalid("a loop inside a vector loop");
        }
        let extent = self.resolve(extent);
        match extent.as_constant() {
            Some(count) if count <= 0 => Ok(()),
            Some(1) => self.with_symbol(var, Binding::Constant(0), |this| this.block(body)),
            _ => self.counted(var, &extent, body),
        }
    }

    /// What each thread does, and then a barrier.
    fn each_thread(&mut self, var: &Symbol, body: &[Stmt]) -> Emit<()> {
        let Some(thread) = self.thread else { return Fault::invalid("threads without a number") };
        self.with_symbol(var, Binding::Value(0, thread), |this| this.block(body))?;
        let storage = if self.rereads { Barrier::STORAGE } else { Barrier::empty() };
        self.builder.push(Statement::ControlBarrier(Barrier::WORK_GROUP | storage));
        Ok(())
    }

    fn counted(&mut self, var: &Symbol, extent: &Dim, body: &[Stmt]) -> Emit<()> {
        let limit = self.integer(extent, 0)?;
        self.repeat(limit, |this, value| {
            this.with_symbol(var, Binding::Value(this.builder.level(), value), |this| this.block(body))
        })
    }

    /// Writes `body` for the numbers from 0 up to before a limit.
    pub(crate) fn repeat(&mut self, limit: Value, body: impl FnOnce(&mut Self, Value) -> Emit<()>) -> Emit<()> {
        let int = self.builder.scalar_type(Scalar::I32);
        let counter = self.builder.variable(int);
        let (zero, one) = (self.builder.int(0), self.builder.int(1));
        self.builder.store(counter, zero);
        let block = self.nested(|this| {
            let value = this.builder.load(counter);
            this.leave_loop_at(value, limit)?;
            body(this, value)
        })?;
        let continuing = self.nested(|this| {
            let value = this.builder.load(counter);
            let next = this.builder.binary(BinaryOperator::Add, value, one);
            this.builder.store(counter, next);
            Ok(())
        })?;
        self.builder.push(Statement::Loop { body: block, continuing, break_if: None });
        Ok(())
    }

    fn leave_loop_at(&mut self, value: Value, limit: Value) -> Emit<()> {
        let done = self.builder.binary(BinaryOperator::GreaterEqual, value, limit);
        self.builder.when(done, |builder| {
            builder.push(Statement::Break);
            Ok(())
        })
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

    fn vector(&mut self, var: &Symbol, extent: &Dim, active: Option<&Dim>, quads: Option<Symbol>, body: &[Stmt]) -> Emit<()> {
        let extent = self.resolve(extent);
        let count = extent.as_constant().filter(|count| (1..=MAX_LANES).contains(count) && count.count_ones() == 1);
        let Some(count) = count else {
            return Fault::invalid(format!("the vector loop over `{var:?}` has {extent} lanes"));
        };
        if self.lanes.is_some() {
            return Fault::invalid("a vector loop inside a vector loop");
        }
        let active = active.map(|active| self.resolve(active)).filter(|active| active.bounds().0 < count);
        let mask = active.map(|active| self.mask(&active, count)).transpose()?;
        self.lanes = Some(Lanes { count: count as usize, mask, quads });
        let result = self.with_symbol(var, Binding::Lane, |this| this.block(body));
        self.lanes = None;
        result
    }

    fn mask(&mut self, active: &Dim, count: i64) -> Emit<Vec<Value>> {
        let lanes = (0..count).map(|lane| {
            let runs = Cond(vec![active.clone() - Dim::constant(lane + 1)]);
            let runs = self.condition(&runs, 0)?;
            Ok(runs.unwrap_or_else(|| self.builder.bool(true)))
        });
        lanes.collect()
    }

    /// The lanes of the enclosing vector loop, or 1.
    pub(crate) fn lane_count(&self) -> usize {
        self.lanes.as_ref().map_or(1, |lanes| lanes.count)
    }

    /// Whether a lane runs; `None` if it always does.
    pub(crate) fn running(&self, lane: usize) -> Option<Value> {
        self.lanes.as_ref()?.mask.as_ref()?.get(lane).copied()
    }

    fn let_index(&mut self, symbol: &Symbol, operand: &Operand) -> Emit<()> {
        let value = self.operand(operand)?;
        let lanes: Emit<Vec<Value>> = value.lanes.iter().map(|lane| self.as_index(value.dtype, *lane)).collect();
        let level = self.builder.level();
        let binding = match lanes?.as_slice() {
            [single] => Binding::Value(level, *single),
            lanes => {
                let names = (0..lanes.len()).map(|lane| format!("{}.{lane}", symbol.name()));
                let symbols: Vec<Symbol> = names.map(|name| Symbol::new(name, symbol.min(), symbol.max())).collect();
                for (symbol, value) in symbols.iter().zip(lanes) {
                    self.symbols.insert(symbol.clone(), Binding::Value(level, *value));
                }
                Binding::PerLane(symbols)
            }
        };
        self.forget_sums();
        self.symbols.insert(symbol.clone(), binding);
        Ok(())
    }

    /// Forgets values of an earlier symbol of the same name.
    fn forget_sums(&mut self) {
        if let Some(sums) = self.sums.last_mut() {
            sums.clear();
        }
    }

    fn as_index(&mut self, dtype: DType, value: Value) -> Emit<Value> {
        match dtype {
            DType::I32 => Ok(value),
            DType::I64 => self.builder.call("index_of_long", &[value]),
            _ => Fault::invalid(format!("a value of type {dtype} is not an index")),
        }
    }

    fn set_row(&mut self, id: RowId, at: &Dim, offset: &Dim, valid: &Cond) -> Emit<()> {
        if self.lanes.is_some() {
            return Fault::invalid("a row address is set inside a vector loop");
        }
        let (row, _) = self.row(id, at)?;
        let offset = self.integer(offset, 0)?;
        let exists = self.condition(valid, 0)?;
        let exists = exists.unwrap_or_else(|| self.builder.bool(true));
        self.builder.store(row.offset, offset);
        self.builder.store(row.exists, exists);
        Ok(())
    }

    fn branches(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) -> Emit<()> {
        if cond.0.iter().any(|part| self.varies(part)) {
            return self.lane_branches(cond, then, otherwise);
        }
        let Some(condition) = self.condition(cond, 0)? else { return self.block(then) };
        let accept = self.nested(|this| this.block(then))?;
        let reject = self.nested(|this| this.block(otherwise))?;
        self.builder.push(Statement::If { condition, accept, reject });
        Ok(())
    }

    /// Both blocks, each for the lanes that it is for.
    fn lane_branches(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) -> Emit<()> {
        let Some(whole) = self.lanes.clone() else { return Fault::invalid("a condition on lanes without lanes") };
        let (mut holding, mut failing) = (Vec::new(), Vec::new());
        for lane in 0..whole.count {
            let holds = self.condition(cond, lane)?.unwrap_or_else(|| self.builder.bool(true));
            let fails = self.builder.unary(naga::UnaryOperator::LogicalNot, holds);
            let running = self.running(lane);
            holding.extend(self.both(running, Some(holds)));
            failing.extend(self.both(running, Some(fails)));
        }
        for (mask, body) in [(holding, then), (failing, otherwise)] {
            self.lanes = Some(Lanes { mask: Some(mask), quads: None, ..whole.clone() });
            self.block(body)?;
        }
        self.lanes = Some(whole);
        Ok(())
    }

    /// One value, or one for each lane.
    pub(crate) fn each_lane(
        &mut self,
        differs: bool,
        mut make: impl FnMut(&mut Self, usize) -> Emit<(DType, Value)>,
    ) -> Emit<Typed> {
        let (dtype, first) = make(self, 0)?;
        let mut lanes = vec![first];
        for lane in 1..if differs { self.lane_count() } else { 1 } {
            lanes.push(make(self, lane)?.1);
        }
        Ok(Typed { dtype, lanes })
    }
}
