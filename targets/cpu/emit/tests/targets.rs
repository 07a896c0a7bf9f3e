//! Every variant of every architecture: all operations compile to an image that stands alone.

mod common;

use common::elementwise::elementwise;
use common::gemm::gemm;
use common::value;
use lostwax_device_cpu::format::Image;
use lostwax_ir::kernel::{Kernel, Scalar};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use lostwax_target_api::{EmitOptions, Variant};

fn all_variants() -> Vec<Variant> {
    let target = lostwax_target_cpu::target();
    ["x86_64", "aarch64", "riscv64"].iter().flat_map(|arch| target.variants(arch).unwrap()).collect()
}

/// All operations on types of every kind, a few lanes wide.
fn all_operations() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    let mut add = |inputs: &[DType], output: DType, scalar: Scalar| kernels.push(elementwise(inputs, output, &scalar, 4));
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for op in UnaryOp::ALL.iter().filter(|op| **op != UnaryOp::Not) {
            add(&[dtype], dtype, Scalar::Unary(*op, value(0)));
        }
        for op in BinaryOp::ALL.iter().filter(|op| !matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor)) {
            let output = if op.is_comparison() { DType::Bool } else { dtype };
            add(&[dtype, dtype], output, Scalar::Binary(*op, value(0), value(1)));
        }
        add(&[dtype], dtype, Scalar::MulAdd(value(0), value(0), value(0)));
    }
    for dtype in [DType::I8, DType::U16, DType::I32, DType::I64, DType::U64] {
        for op in BinaryOp::ALL.iter().filter(|op| **op != BinaryOp::Pow) {
            let output = if op.is_comparison() { DType::Bool } else { dtype };
            add(&[dtype, dtype], output, Scalar::Binary(*op, value(0), value(1)));
        }
    }
    for (from, to) in DType::scalars().flat_map(|from| DType::scalars().map(move |to| (from, to))) {
        kernels.push(elementwise(&[from], to, &Scalar::Cast(to, value(0)), 4));
    }
    kernels
}

#[test]
fn all_operations_compile_for_all_variants() {
    let mut kernels = all_operations();
    kernels.push(gemm(13, 40, 7));
    for variant in all_variants() {
        let emitted = lostwax_target_cpu::target().emit(&variant, &kernels, &EmitOptions::default());
        let emitted = emitted.unwrap_or_else(|error| panic!("{}: {error}", variant.info.name));
        let image = Image::parse(&emitted.code).unwrap();
        assert_eq!(image.entries.len(), kernels.len());
        assert_eq!(image.arch.name(), variant.info.arch);
    }
}

#[test]
fn code_is_the_same_every_time() {
    let kernels: Vec<Kernel> = (1..=20).map(|n| gemm(n, 33, 5)).collect();
    for variant in all_variants() {
        let emit = || lostwax_target_cpu::target().emit(&variant, &kernels, &EmitOptions::default()).unwrap().code;
        assert_eq!(emit(), emit(), "{}", variant.info.name);
    }
}

#[test]
fn listings_hold_every_kernel() {
    let variant = &lostwax_target_cpu::target().variants("x86_64+x86-64-v3").unwrap()[0];
    let plain = lostwax_target_cpu::target().emit(variant, &[gemm(6, 16, 64)], &EmitOptions::default()).unwrap();
    let listed = lostwax_target_cpu::target().emit(variant, &[gemm(6, 16, 64)], &EmitOptions { listing: true }).unwrap();
    assert_eq!(plain.code, listed.code);
    assert!(listed.listing.unwrap().contains("vfmadd231ps"));
}
