//! The symbols that a kernel takes from outside.

use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{Cond, Kernel, LoopKind, Place, Scalar, Stmt};
use std::collections::BTreeSet;

/// The symbols that the body uses and does not define, sorted.
pub(super) fn free_symbols(kernel: &Kernel) -> Vec<Symbol> {
    let mut scan = Scan { used: BTreeSet::new(), defined: BTreeSet::from([kernel.item.clone()]) };
    scan.dim(&kernel.grid);
    scan.block(&kernel.body);
    scan.used.difference(&scan.defined).cloned().collect()
}

struct Scan {
    used: BTreeSet<Symbol>,
    defined: BTreeSet<Symbol>,
}

impl Scan {
    fn dim(&mut self, dim: &Dim) {
        dim.for_each_symbol(&mut |symbol| {
            self.used.insert(symbol.clone());
        });
    }

    fn cond(&mut self, cond: &Cond) {
        cond.0.iter().for_each(|part| self.dim(part));
    }

    fn place(&mut self, place: &Place) {
        match place {
            Place::Buffer(_, index) | Place::Local(_, index) => self.dim(index),
            Place::Row(_, at, index) => {
                self.dim(at);
                self.dim(index);
            }
        }
    }

    fn block(&mut self, block: &[Stmt]) {
        block.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                self.defined.insert(var.clone());
                self.dim(extent);
                if let LoopKind::Vector { active: Some(active) } = kind {
                    self.dim(active);
                }
                self.block(body);
            }
            Stmt::Let { value, .. } => self.scalar(value),
            Stmt::LetIndex { symbol, .. } => {
                self.defined.insert(symbol.clone());
            }
            Stmt::SetRow { at, offset, valid, .. } => {
                self.dim(at);
                self.dim(offset);
                self.cond(valid);
            }
            Stmt::Prefetch(_, index) => self.dim(index),
            Stmt::Store { place, .. } => self.place(place),
            Stmt::Reduce { .. } => {}
            Stmt::If { cond, then, otherwise } => {
                self.cond(cond);
                self.block(then);
                self.block(otherwise);
            }
        }
    }

    fn scalar(&mut self, scalar: &Scalar) {
        match scalar {
            Scalar::Load(place) => self.place(place),
            Scalar::LoadIf { place, valid, .. } => {
                self.place(place);
                self.cond(valid);
            }
            Scalar::Index(dim, _) => self.dim(dim),
            Scalar::SelectIf(cond, _, _) => self.cond(cond),
            Scalar::Unary(..)
            | Scalar::Binary(..)
            | Scalar::MulAdd(..)
            | Scalar::Dot4(..)
            | Scalar::Select(..)
            | Scalar::Cast(..)
            | Scalar::Bitcast(..)
            | Scalar::ShiftLeft(..)
            | Scalar::ShiftRight(..) => {}
        }
    }
}
