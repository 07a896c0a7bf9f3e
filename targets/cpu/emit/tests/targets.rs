//! Every variant of every architecture: all operations compile to an image that stands alone.

mod common;

use common::elementwise::elementwise;
use common::gemm::gemm;
use common::value;
use lostwax_device_cpu::format::Image;
use lostwax_ir::kernel::{Kernel, Scalar};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use lostwax_target_api::{EmitOptions, OutputKind, Variant};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol};
use std::process::Command;

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
        for op in
            BinaryOp::ALL.iter().filter(|op| !matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::ShiftRight))
        {
            let output = if op.is_comparison() { DType::Bool } else { dtype };
            add(&[dtype, dtype], output, Scalar::Binary(*op, value(0), value(1)));
        }
        add(&[dtype], dtype, Scalar::MulAdd(value(0), value(0), value(0)));
    }
    add(&[DType::U32, DType::U32, DType::I32], DType::I32, Scalar::Dot4(value(0), value(1), value(2)));
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
    let listed = lostwax_target_cpu::target()
        .emit(variant, &[gemm(6, 16, 64)], &EmitOptions { outputs: [OutputKind::Listing].into() })
        .unwrap();
    assert_eq!(plain.code, listed.code);
    assert!(String::from_utf8_lossy(&listed.outputs[&OutputKind::Listing]).contains("vfmadd231ps"));
}

/// A C program that calls a function of the object through the header.
const PROGRAM: &str = r#"
#include "kernels.h"
#include <stdio.h>
int main(void) {
  float a[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, b[16], y[16] = {0};
  int64_t count = 16;
  for (int i = 0; i < 16; i++) b[i] = 100;
  void *buffers[] = {a, b, y};
  FUNCTION(buffers, &count, 0, 1);
  for (int i = 0; i < 16; i++) printf("%g ", y[i]);
  return 0;
}
"#;

#[test]
fn objects_link_statically_by_their_header() {
    let target = lostwax_target_cpu::target();
    let mut kernel = elementwise(&[DType::F32, DType::F32], DType::F32, &Scalar::Binary(BinaryOp::Add, value(0), value(1)), 16);
    kernel.name = "sum_0".to_string();
    let Some(variant) = common::runnable().pop() else { return };
    let options = EmitOptions { outputs: [OutputKind::Object, OutputKind::Header].into() };
    let emitted = target.emit(&variant, &[kernel], &options).unwrap();
    let folder = std::env::temp_dir().join(format!("lostwax-object-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let function = format!("lostwax_{}_sum_0", variant.info.name.replace('-', "_"));
    let header = &emitted.outputs[&OutputKind::Header];
    assert!(String::from_utf8_lossy(header).contains(&format!("void {function}(")));
    std::fs::write(folder.join("kernels.h"), header).unwrap();
    std::fs::write(folder.join("kernels.o"), &emitted.outputs[&OutputKind::Object]).unwrap();
    std::fs::write(folder.join("main.c"), PROGRAM.replace("FUNCTION", &function)).unwrap();
    let linked = Command::new("cc").args(["-Wall", "-Werror", "main.c", "kernels.o", "-o", "main"]).current_dir(&folder).status();
    let printed = linked.unwrap().success().then(|| Command::new(folder.join("main")).output().unwrap().stdout);
    std::fs::remove_dir_all(&folder).unwrap();
    let expected: String = (1..=16).map(|i| format!("{} ", i + 100)).collect();
    assert_eq!(String::from_utf8(printed.unwrap()).unwrap(), expected);
}

#[test]
fn objects_refer_to_nothing_outside() {
    let options = EmitOptions { outputs: [OutputKind::Object].into() };
    let kernels: Vec<Kernel> = (1..=9).map(|n| Kernel { name: format!("gemm_{n}"), ..gemm(n, 33, 5) }).collect();
    for variant in all_variants() {
        let emitted = lostwax_target_cpu::target().emit(&variant, &kernels, &options).unwrap();
        let object = ElfFile64::<Endianness>::parse(emitted.outputs[&OutputKind::Object].as_slice()).unwrap();
        let (defined, missing): (Vec<_>, Vec<_>) = object.symbols().filter(|s| s.is_global()).partition(|s| !s.is_undefined());
        let missing: Vec<_> = missing.iter().filter_map(|symbol| symbol.name().ok()).collect();
        assert_eq!((defined.len(), missing.len()), (9, 0), "{}: {missing:?}", variant.info.name);
        let twice = [kernels[0].clone(), kernels[0].clone()];
        assert!(lostwax_target_cpu::target().emit(&variant, &twice, &options).is_err());
    }
}
