//! Runs hand-written kernels on every variant that this machine can run, in memory that ends at an inaccessible page, and
//! on those of other architectures that an emulator is installed for.
#![allow(dead_code)]

pub mod elementwise;
pub mod foreign;
pub mod gemm;

use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::*;
use lostwax_ir::scalar::BinaryOp;
use lostwax_ir::types::DType;
use lostwax_target_api::{BufferRef, Dispatch, EmitOptions, Io, Prepared, Region, Variant};
use std::sync::{Arc, OnceLock};

/// Memory whose last byte is followed by a page that traps.
struct Guarded {
    base: *mut u8,
    mapped: usize,
    bytes: usize,
}

const PAGE: usize = 4096;

impl Guarded {
    fn new(content: &[u8]) -> Self {
        let mapped = content.len().next_multiple_of(PAGE) + PAGE;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping; the last page loses all permissions before anyone sees it.
        let base = unsafe {
            let base = libc::mmap(std::ptr::null_mut(), mapped, protection, flags, -1, 0).cast::<u8>();
            assert_eq!(libc::mprotect(base.add(mapped - PAGE).cast(), PAGE, libc::PROT_NONE), 0);
            base
        };
        let mut guarded = Self { base, mapped, bytes: content.len() };
        guarded.bytes_mut().copy_from_slice(content);
        guarded
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped readable and borrowed from `self`.
        unsafe { std::slice::from_raw_parts(self.base.add(self.mapped - PAGE - self.bytes), self.bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range is mapped writable and borrowed from `self`.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(self.mapped - PAGE - self.bytes), self.bytes) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping.
        unsafe { libc::munmap(self.base.cast(), self.mapped) };
    }
}

/// Elements that tests put into buffers.
pub trait Element: Copy {
    const DTYPE: DType;
    fn put(self, bytes: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! elements {
    ($($type:ty = $dtype:ident)*) => {
        $(impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn put(self, bytes: &mut Vec<u8>) { bytes.extend(self.to_le_bytes()); }
            fn get(bytes: &[u8]) -> Self { Self::from_le_bytes(bytes.try_into().unwrap()) }
        })*
    };
}

elements! { f32 = F32 f64 = F64 i8 = I8 i16 = I16 i32 = I32 i64 = I64 u8 = U8 u16 = U16 u32 = U32 u64 = U64
half::f16 = F16 half::bf16 = BF16 }

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
    fn get(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}

pub fn to_bytes<T: Element>(values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| value.put(&mut bytes));
    bytes
}

pub fn from_bytes<T: Element>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(T::DTYPE.size()).map(T::get).collect()
}

/// The variants of this machine's architecture that it can run.
pub fn runnable() -> Vec<Variant> {
    let device = lostwax_device_cpu::device();
    let all = lostwax_target_cpu::target().variants("").unwrap();
    all.into_iter().filter(|variant| device.select(std::slice::from_ref(&variant.info)).is_some()).collect()
}

/// Runs a kernel once per variant. Buffers that the kernel writes start with the content given; the result holds all buffers
/// for each variant.
pub fn run_all(kernel: &Kernel, buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<(String, Vec<Vec<u8>>)> {
    let elsewhere = emulated().iter().map(|(variant, emulator)| {
        let result = foreign::run(emulator, &emit(variant, kernel), buffers, symbols, grid);
        (variant.info.name.clone(), result)
    });
    run_here(kernel, buffers, symbols, grid).into_iter().chain(elsewhere).collect()
}

/// As [`run_all`], without emulators.
pub fn run_here(kernel: &Kernel, buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<(String, Vec<Vec<u8>>)> {
    let run = |variant: Variant| {
        let result = run_code(&emit(&variant, kernel), kernel, buffers, symbols, grid);
        (variant.info.name, result)
    };
    runnable().into_iter().map(run).collect()
}

fn emit(variant: &Variant, kernel: &Kernel) -> Vec<u8> {
    let emitted = lostwax_target_cpu::target().emit(variant, std::slice::from_ref(kernel), &EmitOptions::default());
    emitted.unwrap_or_else(|error| panic!("{}: {error}", variant.info.name)).code
}

/// The variants of other architectures that an emulator can run, with the emulator.
fn emulated() -> &'static [(Variant, String)] {
    static EMULATED: OnceLock<Vec<(Variant, String)>> = OnceLock::new();
    EMULATED.get_or_init(|| {
        let others = ["aarch64", "riscv64"].into_iter().filter(|arch| *arch != std::env::consts::ARCH);
        let installed = others.filter_map(|arch| Some((arch, foreign::emulator(arch)?)));
        let variants = |arch| lostwax_target_cpu::target().variants(arch).unwrap();
        installed.flat_map(|(arch, name)| variants(arch).into_iter().map(move |variant| (variant, name.clone()))).collect()
    })
}

fn run_code(code: &[u8], kernel: &Kernel, buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<Vec<u8>> {
    let program = lostwax_device_cpu::device().load(code, Arc::new(Vec::<u8>::new())).unwrap();
    let mut executor = program.executor(2).unwrap();
    let mut memory: Vec<Guarded> = buffers.iter().map(|buffer| Guarded::new(buffer)).collect();
    let writable: Vec<bool> = kernel.buffers.iter().map(|buffer| buffer.writable).collect();
    let (mut input_bytes, mut output_bytes, mut refs) = (Vec::new(), Vec::new(), Vec::new());
    for (buffer, writable) in buffers.iter().zip(&writable) {
        let (sizes, bytes) = (if *writable { &mut output_bytes } else { &mut input_bytes }, buffer.len() as u64);
        let position = sizes.len() as u32;
        let region = if *writable { Region::Output(position) } else { Region::Input(position) };
        refs.push(BufferRef { region, offset: 0, bytes });
        sizes.push(bytes);
    }
    let dispatch = Dispatch { kernel: 0, buffers: refs, symbols: symbols.to_vec(), grid };
    executor.prepare(&Prepared { input_bytes, output_bytes, dispatches: vec![dispatch], ..Prepared::default() }).unwrap();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (guarded, writable) in memory.iter_mut().zip(&writable) {
        if *writable { outputs.push(guarded.bytes_mut()) } else { inputs.push(&*guarded.bytes_mut()) }
    }
    executor.run(&mut Io { inputs: &inputs, outputs: &mut outputs }).unwrap();
    memory.iter().map(|guarded| guarded.bytes().to_vec()).collect()
}

/// A buffer declaration.
pub fn buffer(name: &str, dtype: DType, writable: bool) -> BufferDecl {
    BufferDecl { name: name.into(), dtype, writable, pieces: 1 }
}

/// A kernel without locals and rows.
pub fn kernel(item: &Symbol, symbols: &[Symbol], buffers: Vec<BufferDecl>, body: Vec<Stmt>) -> Kernel {
    Kernel {
        name: "test".into(),
        symbols: symbols.to_vec(),
        item: item.clone(),
        grid: 1.into(),
        buffers,
        locals: Vec::new(),
        rows: Vec::new(),
        body,
    }
}

pub fn value(id: u32) -> Operand {
    Operand::Value(ValueId(id))
}

pub fn let_(id: u32, value: Scalar) -> Stmt {
    Stmt::Let { id: ValueId(id), value }
}

pub fn load(id: u32, buffer: u32, index: Dim) -> Stmt {
    let_(id, Scalar::Load(Place::Buffer(BufferId(buffer), index)))
}

pub fn binary(id: u32, op: BinaryOp, a: u32, b: u32) -> Stmt {
    let_(id, Scalar::Binary(op, value(a), value(b)))
}

pub fn store(buffer: u32, index: Dim, id: u32) -> Stmt {
    Stmt::Store { place: Place::Buffer(BufferId(buffer), index), value: value(id) }
}

pub fn for_(var: &Symbol, extent: impl Into<Dim>, kind: LoopKind, body: Vec<Stmt>) -> Stmt {
    Stmt::For { var: var.clone(), extent: extent.into(), kind, body }
}

pub fn vector(var: &Symbol, lanes: i64, body: Vec<Stmt>) -> Stmt {
    for_(var, lanes, LoopKind::Vector { active: None }, body)
}

pub fn masked(var: &Symbol, lanes: i64, active: Dim, body: Vec<Stmt>) -> Stmt {
    for_(var, lanes, LoopKind::Vector { active: Some(active) }, body)
}

/// A loop variable in `0..extent`.
pub fn index(name: &str, extent: i64) -> Symbol {
    Symbol::index(name, &extent.into())
}

pub fn dim(symbol: &Symbol) -> Dim {
    Dim::symbol(symbol)
}

pub fn times(symbol: &Symbol, factor: i64) -> Dim {
    Dim::symbol(symbol) * Dim::constant(factor)
}
