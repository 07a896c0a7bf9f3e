//! Random kernels beside the reference interpreter; damaged code and plans.

mod common;

use common::{Case, check, compile};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{
    BufferDecl, BufferId, Cond, Kernel, LocalDecl, LocalId, LoopKind, Operand, Place, RowDecl, RowId, Scalar, Stmt, Storage,
    ValueId,
};
use lostwax_ir::number::Number;
use lostwax_ir::random::Random;
use lostwax_ir::scalar::BinaryOp;
use lostwax_ir::types::{DType, TensorType};
use lostwax_target_api::{DeviceError, EmitError, EmitOptions, Prepared};
use std::sync::Arc;

/// Elements of the buffers that are read.
const SIZE: i64 = 64;

/// Iterations of the loop around the vectors.
const STEPS: i64 = 3;

const ITEMS: i64 = 5;

/// Types whose arithmetic here gives the same bits everywhere.
const TYPES: &[DType] = &[DType::F32, DType::F64, DType::F16, DType::I8, DType::U16, DType::I32, DType::I64, DType::U64];

/// Makes the body of a vector loop.
struct Maker {
    random: Random,
    dtype: DType,
    /// What indices may be made of.
    symbols: Vec<Symbol>,
    values: Vec<Operand>,
    next: u32,
}

impl Maker {
    fn dim(&mut self, depth: u32) -> Dim {
        if depth == 0 || self.random.one_in(4) {
            let symbol = self.random.size(0, self.symbols.len() - 1);
            return if self.random.one_in(3) { self.random.int(-9, 9).into() } else { Dim::symbol(&self.symbols[symbol]) };
        }
        let (a, b) = (self.dim(depth - 1), self.dim(depth - 1));
        let constant = self.random.int(1, 9);
        match self.random.int(0, 6) {
            0 => a + b,
            1 => a - b,
            2 => a * constant.into(),
            3 => a.floor_div(constant),
            4 => a.modulo(constant),
            5 => a.minimum(b),
            _ => a.maximum(b),
        }
    }

    fn index(&mut self) -> Dim {
        self.dim(3).modulo(SIZE)
    }

    fn cond(&mut self) -> Cond {
        Cond((0..self.random.size(0, 2)).map(|_| self.dim(2)).collect())
    }

    fn operand(&mut self) -> Operand {
        let constant = self.random.int(-3, 3);
        match self.random.size(0, self.values.len()) {
            0 if self.dtype.is_float() => Operand::float(self.dtype, constant as f64),
            0 => Operand::Int(self.dtype, if self.dtype.is_signed_integer() { constant } else { constant.abs() }),
            position => self.values[position - 1].clone(),
        }
    }

    fn scalar(&mut self) -> Scalar {
        let place = Place::Buffer(BufferId(self.random.int(0, 1) as u32), self.index());
        match self.random.int(0, 6) {
            0 => Scalar::Load(place),
            1 => Scalar::LoadIf { place, valid: self.cond(), otherwise: self.operand() },
            2 => Scalar::SelectIf(self.cond(), self.operand(), self.operand()),
            3 => Scalar::Load(Place::Row(RowId(0), Dim::default(), self.dim(2).modulo(4))),
            4 => Scalar::Index(self.dim(2).modulo(100), self.dtype),
            _ => {
                let ops = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Min, BinaryOp::Max];
                Scalar::Binary(self.random.pick(&ops, BinaryOp::Add), self.operand(), self.operand())
            }
        }
    }

    fn lets(&mut self) -> Vec<Stmt> {
        let count = self.random.size(1, 6);
        (0..count).map(|_| self.let_()).collect()
    }

    fn let_(&mut self) -> Stmt {
        let (id, value) = (ValueId(self.next), self.scalar());
        self.next += 1;
        self.values.push(Operand::Value(id));
        Stmt::Let { id, value }
    }

    /// Lets and a store under a condition on the lane; what is defined there is not visible afterwards.
    fn branch(&mut self, place: &Place) -> Stmt {
        let cond = self.cond();
        let [then, otherwise] = [(), ()].map(|()| {
            let visible = self.values.len();
            let mut block = self.lets();
            block.push(Stmt::Store { place: place.clone(), value: self.operand() });
            self.values.truncate(visible);
            block
        });
        Stmt::If { cond, then, otherwise }
    }
}

fn for_(var: &Symbol, extent: i64, kind: LoopKind, body: Vec<Stmt>) -> Stmt {
    Stmt::For { var: var.clone(), extent: extent.into(), kind, body }
}

/// Work items with a local for each lane, which a loop changes and which is stored at the end; a row exists in some of them.
fn random_case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let (dtype, lanes) = (random.pick(TYPES, DType::F32), random.pick(&[1, 2, 4, 8, 16], 8));
    let [item, step, lane] = [("item", ITEMS), ("step", STEPS), ("lane", lanes)].map(|(name, n)| Symbol::new(name, 0, n - 1));
    let size = Symbol::new("batch size", 0, ITEMS * 16);
    let (local, at) = (Place::Local(LocalId(0), Dim::symbol(&lane)), Dim::symbol(&item) * lanes.into() + Dim::symbol(&lane));
    let active = (!random.one_in(3)).then(|| Dim::symbol(&size) - Dim::symbol(&item) * lanes.into());
    let symbols =
        [vec![size.clone(), item.clone()], if lanes > 1 { vec![step.clone(), lane.clone()] } else { vec![step.clone()] }];
    let mut maker = Maker { random, dtype, symbols: symbols.concat(), values: Vec::new(), next: 0 };
    let start = Stmt::Store { place: local.clone(), value: maker.operand() };
    let mut body = maker.lets();
    body.push(Stmt::Store { place: local.clone(), value: maker.operand() });
    body.push(maker.branch(&local));
    let id = ValueId(maker.next);
    let last = Stmt::Let { id, value: Scalar::Load(local) };
    let end = vec![last, Stmt::Store { place: Place::Buffer(BufferId(2), at), value: Operand::Value(id) }];
    let vector = |body| for_(&lane, lanes, LoopKind::Vector { active: active.clone() }, body);
    let kind = maker.random.pick(&[0, 1], 0);
    let kind = if kind == 0 { LoopKind::Serial } else { LoopKind::Unrolled };
    let row = Stmt::SetRow {
        row: RowId(0),
        at: Dim::default(),
        offset: Dim::symbol(&item) * 2.into(),
        valid: Cond(vec![Dim::symbol(&item) - 2.into()]),
    };
    let body = vec![row, vector(vec![start]), for_(&step, STEPS, kind, vec![vector(body)]), vector(end)];
    let buffer = |writable| BufferDecl { name: "buffer".into(), dtype, writable, pieces: 1 };
    let kernel = Kernel {
        name: format!("random_{seed}"),
        symbols: vec![size],
        item,
        grid: ITEMS.into(),
        buffers: vec![buffer(false), buffer(false), buffer(true)],
        locals: vec![LocalDecl { name: "sums".into(), dtype, len: 16, storage: Storage::Registers }],
        rows: vec![RowDecl { name: "row".into(), buffer: BufferId(0), len: 1, extent: 4 }],
        body,
    };
    let mut input = || maker.random.tensor(&TensorType::new(dtype, [SIZE])).unwrap().bytes().to_vec();
    let buffers = vec![input(), input(), vec![0; (ITEMS * 16) as usize * dtype.size()]];
    Case { kernel, buffers, symbols: vec![maker.random.int(0, ITEMS * lanes)], grid: ITEMS as u64 }
}

fn is_same(found: Number, expected: Number) -> bool {
    found == expected || found.as_f64().is_nan() && expected.as_f64().is_nan()
}

#[test]
fn random_kernels_compute_what_the_interpreter_does() {
    let cases: Vec<Case> = (0..200).map(random_case).collect();
    check(&cases, is_same);
}

#[test]
fn the_same_kernels_give_the_same_bytes() {
    let target = lostwax_c::target();
    let (variants, kernel) = (target.variants("").unwrap(), random_case(1).kernel);
    let code = || target.emit(&variants[0], std::slice::from_ref(&kernel), &EmitOptions::default()).unwrap().code;
    assert_eq!(code(), code());
}

#[test]
fn damaged_code_is_refused() {
    let target = lostwax_c::target();
    let variants = target.variants("").unwrap();
    let code = target.emit(&variants[0], &[random_case(1).kernel], &EmitOptions::default()).unwrap().code;
    for end in (0..code.len()).step_by(97).chain(0..64) {
        let error = lostwax_c::device().load(&code[..end], Arc::new(Vec::new())).err().unwrap();
        assert!(matches!(error, DeviceError::InvalidCode { .. }), "{end}: {error}");
    }
}

#[test]
fn kernels_that_threads_share_are_refused_by_name() {
    let mut kernel = random_case(1).kernel;
    let var = Symbol::new("thread", 0, 31);
    kernel.body = vec![for_(&var, 32, LoopKind::Threads, Vec::new())];
    let target = lostwax_c::target();
    let error = target.check(&target.variants("").unwrap()[0], &kernel).unwrap_err();
    assert!(matches!(error, EmitError::Unsupported { .. }) && error.to_string().contains("`random_1`"), "{error}");
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let mut executor = compile(&[random_case(1).kernel]).executor(1).unwrap();
    let prepared = |prepared: Prepared| executor.prepare(&prepared).is_ok();
    let dispatch = lostwax_target_api::Dispatch { kernel: 1, ..Default::default() };
    let missing = Prepared { dispatches: vec![dispatch], ..Prepared::default() };
    let mut prepared = prepared;
    assert!(prepared(Prepared::default()) && !prepared(missing));
}
