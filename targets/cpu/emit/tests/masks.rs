//! Conditions on lanes: random kernels with masks that are constant, constant in part or variable, beside the reference
//! interpreter, for every variant that this machine can run.
//!
//! Buffers end where the interpreter makes its last access. A page that traps follows, so that lanes that should not run are
//! noticed when they load, too.

mod common;

use common::*;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::*;
use lostwax_ir::scalar::BinaryOp;
use lostwax_ir::types::DType;

const ITEMS: i64 = 3;

const DTYPES: [DType; 8] = [DType::F32, DType::F64, DType::BF16, DType::F16, DType::I8, DType::I16, DType::I32, DType::I64];

/// A sequence of numbers that looks random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as i64
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as i64) as usize].clone()
    }
}

/// One random kernel and what it runs on.
struct Case {
    random: Random,
    dtype: DType,
    lanes: i64,
    item: Symbol,
    lane: Symbol,
    symbols: [Symbol; 2],
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let lanes = random.one_of(&[2, 4, 8, 16, 32, 64]);
        let symbols = ["m", "n"].map(|name| Symbol::new(name, -200, 200));
        Self { dtype: random.one_of(&DTYPES), lanes, item: index("item", ITEMS), lane: index("lane", lanes), symbols, random }
    }

    fn symbol(&mut self) -> Dim {
        dim(&self.random.one_of(&self.symbols))
    }

    /// A bound within the lanes, most often where halves and quarters of vectors meet.
    fn bound(&mut self) -> Dim {
        let (lanes, any) = (self.lanes, self.random.below(self.lanes + 1));
        self.random.one_of(&[lanes / 2, lanes / 4, lanes / 2 + 1, lanes - 1, any]).into()
    }

    /// What is at least 0 for some lanes, or for some values of symbols.
    fn part(&mut self) -> Dim {
        let (lane, item, bound) = (dim(&self.lane), dim(&self.item), self.bound());
        match self.random.below(10) {
            0 => lane - bound,
            1 | 2 => bound - 1.into() - lane,
            3 | 4 => self.symbol(),
            5 => self.symbol() - lane,
            6 => lane - self.symbol() * item,
            7 => lane.modulo(self.random.below(5) + 2) * self.random.below(3).into() - 1.into(),
            8 => Dim::constant(self.random.below(3)) - lane.modulo(self.random.below(4) + 2),
            _ => self.symbol() - lane.floor_div(self.random.below(3) + 2) * item,
        }
    }

    fn cond(&mut self) -> Cond {
        Cond((0..=self.random.below(3)).map(|_| self.part()).collect())
    }

    fn number(&mut self) -> Operand {
        let value = self.random.one_of(&[0, 0, 7]);
        if self.dtype.is_float() { Operand::float(self.dtype, value as f64) } else { Operand::Int(self.dtype, value) }
    }

    /// Where a lane accesses memory; different lanes access different elements.
    fn index(&mut self) -> Dim {
        let (lane, item) = (dim(&self.lane), dim(&self.item) * (2 * self.lanes).into());
        match self.random.below(6) {
            0 => item + lane * 2.into(),
            1 => item - lane + (self.lanes - 1).into(),
            2 => item + lane.clone() + lane.floor_div(2),
            _ => item + lane,
        }
    }

    fn load(&mut self, id: u32) -> Stmt {
        let uniform = dim(&self.item) + 5.into();
        let index = if self.random.below(8) == 0 { uniform } else { self.index() };
        let place = Place::Buffer(BufferId(0), index);
        let value = match self.random.below(4) {
            0 => Scalar::Load(place),
            _ => Scalar::LoadIf { place, valid: self.cond(), otherwise: self.number() },
        };
        let_(id, value)
    }

    fn choice(&mut self, cond: Cond, then: Vec<Stmt>, otherwise: Vec<Stmt>) -> Stmt {
        match self.random.below(2) {
            0 => Stmt::If { cond, then, otherwise },
            _ => Stmt::If { cond, then, otherwise: Vec::new() },
        }
    }

    /// A padded copy, which is the shortest way from a load to a store.
    fn copy(&mut self) -> Vec<Stmt> {
        let store = Stmt::Store { place: Place::Buffer(BufferId(1), self.index()), value: value(0) };
        vec![self.load(0), store]
    }

    /// Loads, choices and stores under conditions.
    fn mixture(&mut self) -> Vec<Stmt> {
        let local = |lane: &Symbol| Place::Local(LocalId(0), dim(lane));
        let (lane, number) = (self.lane.clone(), self.number());
        let mut body = vec![self.load(0), self.load(1)];
        body.push(let_(2, Scalar::SelectIf(self.cond(), value(0), value(1))));
        body.push(binary(3, BinaryOp::Lt, 0, 1));
        let uniform = Scalar::Load(Place::Buffer(BufferId(0), dim(&self.item)));
        body.push(let_(4, uniform));
        body.push(let_(5, Scalar::Binary(BinaryOp::Lt, value(4), number.clone())));
        let both = self.random.one_of(&[BinaryOp::And, BinaryOp::Or, BinaryOp::Xor]);
        body.push(binary(6, both, 3, 5));
        body.push(let_(7, Scalar::Select(value(6), value(2), value(0))));
        body.push(Stmt::Store { place: local(&lane), value: value(1) });
        let kept = vec![Stmt::Store { place: local(&lane), value: value(7) }];
        let cleared = vec![Stmt::Store { place: local(&lane), value: number.clone() }];
        let cond = self.cond();
        body.push(self.choice(cond, kept, cleared));
        body.push(let_(8, Scalar::Load(local(&lane))));
        let place = Place::Buffer(BufferId(1), self.index());
        let then = vec![self.load(9), binary(10, BinaryOp::Max, 8, 9), Stmt::Store { place: place.clone(), value: value(10) }];
        let cond = self.cond();
        body.push(self.choice(cond, then, vec![Stmt::Store { place, value: number }]));
        body
    }

    fn kernel(&mut self) -> Kernel {
        let lane = self.lane.clone();
        let body = if self.random.below(2) == 0 { self.copy() } else { self.mixture() };
        let body = match self.random.below(3) {
            0 => masked(&lane, self.lanes, self.symbol(), body),
            1 => masked(&lane, self.lanes, self.bound(), body),
            _ => vector(&lane, self.lanes, body),
        };
        let buffers = vec![buffer("x", self.dtype, false), buffer("y", self.dtype, true)];
        let mut kernel = kernel(&self.item, &self.symbols, buffers, vec![body]);
        kernel.grid = ITEMS.into();
        kernel.locals =
            vec![LocalDecl { name: "l".into(), dtype: self.dtype, len: self.lanes as u32, storage: Storage::Registers }];
        kernel
    }

    /// Numbers other than 0, of small magnitude.
    fn content(&self, count: usize) -> Vec<u8> {
        let number = |at: usize| (at % 100) as i32 + 1;
        let bytes = |at: usize| match self.dtype {
            DType::F32 => (number(at) as f32).to_le_bytes().to_vec(),
            DType::F64 => f64::from(number(at)).to_le_bytes().to_vec(),
            DType::F16 => half::f16::from_f32(number(at) as f32).to_le_bytes().to_vec(),
            DType::BF16 => half::bf16::from_f32(number(at) as f32).to_le_bytes().to_vec(),
            other => i64::from(number(at)).to_le_bytes()[..other.size()].to_vec(),
        };
        (0..count).flat_map(bytes).collect()
    }
}

/// The second buffer after a run of the interpreter; nothing when it makes an access outside.
fn reference(kernel: &Kernel, buffers: &[Vec<u8>; 2], symbols: &[i64]) -> Option<Vec<u8>> {
    let mut copies = buffers.clone();
    let mut slices: Vec<&mut [u8]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
    eval_kernel(kernel, &mut slices, symbols).ok()?;
    copies.into_iter().next_back()
}

/// The buffers cut after what the interpreter accesses.
fn shortened(kernel: &Kernel, mut buffers: [Vec<u8>; 2], symbols: &[i64]) -> [Vec<u8>; 2] {
    for position in 0..buffers.len() {
        let size = kernel.buffers[position].dtype.size();
        let whole = buffers[position].clone();
        let (mut least, mut enough) = (0, whole.len() / size);
        while least < enough {
            let count = least.midpoint(enough);
            buffers[position] = whole[..count * size].to_vec();
            if reference(kernel, &buffers, symbols).is_some() { enough = count } else { least = count + 1 }
        }
        buffers[position] = whole[..enough * size].to_vec();
    }
    buffers
}

fn check(seed: u64) {
    let mut case = Case::new(seed);
    let kernel = case.kernel();
    let count = (ITEMS * 2 * case.lanes + 8) as usize;
    let symbols = [case.random.below(2 * case.lanes) - case.lanes / 2, case.random.below(3) - 1];
    let whole = [case.content(count), vec![0x55; count * case.dtype.size()]];
    let buffers = shortened(&kernel, whole, &symbols);
    let expected = reference(&kernel, &buffers, &symbols).expect("the buffers are large enough");
    for (variant, result) in run_here(&kernel, &buffers, &symbols, ITEMS as u64) {
        assert_eq!(result[1], expected, "{variant}, case {seed} with {symbols:?}:\n{kernel}");
    }
}

#[test]
fn lanes_that_do_not_run_touch_nothing() {
    (0..250).for_each(check);
}
