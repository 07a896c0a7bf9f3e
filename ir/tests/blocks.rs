//! Block formats and panels.

use lostwax_ir::attrs::Attrs;
use lostwax_ir::blocks::{BLOCK_FORMATS, BlockFormat, Code, Factor, Packed};
use lostwax_ir::ops::Op;
use lostwax_ir::panels::PANEL_ROWS;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};
use proptest::prelude::*;

/// Blocks that the package gguf decoded and encoded.
const GOLDEN: &str = include_str!("../../tests/golden/blocks.txt");

fn format(name: &str) -> &'static BlockFormat {
    BLOCK_FORMATS.iter().find(|format| format.name == name).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn floats(hex: &str) -> Vec<f32> {
    bytes(hex).chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The lines of one kind, as format, first and second column.
fn golden(kind: &str) -> impl Iterator<Item = (&'static BlockFormat, &'static str, &'static str)> {
    let columns = GOLDEN.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    columns.filter(move |columns| columns[0] == kind).map(|columns| (format(columns[1]), columns[2], columns[3]))
}

fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.bits() as u8).collect()
}

#[test]
fn decodes_as_ggml_does() {
    let covered: std::collections::BTreeSet<&str> = golden("decode").map(|(format, _, _)| format.name).collect();
    assert_eq!(covered.len(), BLOCK_FORMATS.len());
    for (format, block, values) in golden("decode") {
        assert_eq!(bits(&format.decode_block(&bytes(block)).unwrap()), bits(&floats(values)), "{}", format.name);
    }
}

#[test]
fn encodes_as_ggml_does() {
    assert!(["q8_0", "q4_0", "q4_1"].iter().all(|name| golden("encode").any(|(format, _, _)| format.name == *name)));
    for (format, values, block) in golden("encode") {
        assert_eq!(format.encode_block(&floats(values)), Some(bytes(block)), "{}", format.name);
    }
}

#[test]
fn every_bit_is_used_once() {
    for format in BLOCK_FORMATS {
        let mut used = vec![0u8; format.bytes as usize];
        let mut mark = |byte: usize, mask: u8| {
            assert_eq!(used[byte] & mask, 0, "{} byte {byte}", format.name);
            used[byte] |= mask;
        };
        let mut mark_all = |packed: &Packed, count: usize| {
            for (field, i) in packed.fields.iter().flat_map(|field| (0..count).map(move |i| (field, i))) {
                mark(field.byte.at(i), (((1u32 << field.width) - 1) << field.shift.at(i)) as u8);
            }
        };
        mark_all(&format.quant, format.values as usize);
        let mut plain = 0;
        for factor in format.scale.iter().chain(format.min.iter().flat_map(|min| min.factors)) {
            match factor {
                Factor::Packed(packed) => mark_all(packed, format.groups()),
                Factor::F16(_) => plain += 2,
                Factor::HalfE8M0(_) => plain += 1,
            }
        }
        assert_eq!(used.iter().filter(|bits| **bits == 0xff).count() + plain, format.bytes as usize, "{}", format.name);
    }
}

#[test]
fn wrong_sizes_are_refused() {
    for format in BLOCK_FORMATS {
        for size in [0, 1, format.bytes as usize - 1, format.bytes as usize + 1] {
            assert_eq!(format.decode_block(&vec![0; size]), None);
        }
        assert_eq!(format.decode_value(&vec![0; format.bytes as usize], format.values as usize), None);
        assert_eq!(format.encode_block(&[0.0; 31]), None);
    }
}

#[test]
fn tensors_are_decoded() {
    let dtype = DType::from_name("q8_0").unwrap();
    let values: Vec<f64> = (0..64).map(|i| f64::from(i - 30)).collect();
    let tensor = Tensor::from_f64(dtype, &[1, 64], &values).unwrap();
    let decoded = tensor.to_f64();
    assert!(decoded.iter().zip(&values).all(|(decoded, value)| (decoded - value).abs() < 0.3));
    assert!((0..64).all(|i| tensor.element(i).map(|number| number.as_f64()) == Some(decoded[i])));
    assert_eq!(tensor.element(64), None);
    assert!(Tensor::zeros(dtype, &[2, 16]).is_none());
}

proptest! {
    #[test]
    fn any_bytes_decode(seed: u64) {
        for format in BLOCK_FORMATS {
            let blocks = random_bytes(seed, 2 * format.bytes as usize);
            let values = format.decode(&blocks).unwrap();
            prop_assert_eq!(values.len(), 2 * format.values as usize);
            let single: Option<Vec<f32>> = (0..values.len()).map(|i| format.decode_value(&blocks, i)).collect();
            prop_assert_eq!(bits(&single.unwrap()), bits(&values));
        }
    }

    #[test]
    fn values_are_scale_times_quant_plus_min(seed: u64) {
        for format in BLOCK_FORMATS {
            let block = random_bytes(seed, format.bytes as usize);
            let (values, unpacked) = (format.decode_block(&block).unwrap(), format.unpack_block(&block).unwrap());
            for (i, value) in values.iter().enumerate() {
                let group = i / format.group as usize;
                let scaled = f64::from(unpacked.scales[group]) * f64::from(unpacked.quants[i]);
                let min = unpacked.mins.get(group).copied().map_or(0.0, f64::from);
                let slack = 2.0 * f64::from(f32::EPSILON) * scaled.abs().max(min.abs());
                let exact = scaled + min;
                prop_assert!((f64::from(*value) - exact).abs() <= slack || !value.is_finite(), "{} {i}", format.name);
            }
        }
    }

    #[test]
    fn encoded_values_are_close(values in proptest::collection::vec(-100f32..100.0, 32)) {
        let extremes = values.iter().fold((0f32, 0f32), |(low, high), value| (low.min(*value), high.max(*value)));
        let (largest, range) = (extremes.1.max(-extremes.0), extremes.1 - extremes.0);
        for (name, step) in [
            ("q8_0", largest / 127.0), ("q4_0", largest / 8.0), ("q5_0", largest / 16.0), ("q4_1", range / 15.0),
            ("q5_1", range / 31.0),
        ] {
            let block = format(name).encode_block(&values).unwrap();
            let decoded = format(name).decode_block(&block).unwrap();
            let worst = decoded.iter().zip(&values).fold(0f32, |worst, (x, y)| worst.max((x - y).abs()));
            let clipped = if name.ends_with('0') && name != "q8_0" { 1.0 } else { 0.5 };
            prop_assert!(worst <= step * clipped + largest / 500.0, "{name}: {worst} of {step}");
        }
    }

    #[test]
    fn any_values_encode(words in proptest::collection::vec(any::<u32>(), 32)) {
        let values: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        for format in BLOCK_FORMATS {
            let values = values.repeat(format.values as usize / values.len());
            prop_assert_eq!(format.encode_block(&values).is_some(), !matches!(format.quant.code, Code::Table(_)));
        }
    }
}

#[test]
fn components_hold_all_that_blocks_hold() {
    let mut random = Random::new(11);
    for format in BLOCK_FORMATS {
        let shape = [2, 19, 2 * format.values as usize];
        let blocks: Vec<u8> = (0..shape[0] * shape[1] * 2 * format.bytes as usize).map(|_| random.int(0, 255) as u8).collect();
        let components = format.split(&shape, &blocks).unwrap();
        let attrs = Attrs::new().with("format", format.name).with("rows", 19);
        let types: Vec<TensorType> = components.iter().map(Tensor::ty).collect();
        let ty = Op::Dequantize.infer(&types.iter().collect::<Vec<_>>(), &attrs).unwrap();
        let whole = (Op::Dequantize.def().eval)(&components.iter().collect::<Vec<_>>(), &attrs, &ty).unwrap();
        let expected = format.decode(&blocks).unwrap();
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        assert!(whole.as_slice::<f32>().iter().zip(&expected).all(same), "{}", format.name);
        assert_eq!(whole.len(), expected.len());
    }
}

#[test]
fn no_components_of_damaged_tensors() {
    let format = &BLOCK_FORMATS[0];
    for (shape, bytes) in [(vec![1, 32], 17), (vec![1, 33], 18), (vec![], 0), (vec![32], 18), (vec![usize::MAX, 32], 18)] {
        assert!(format.split(&shape, &vec![0; bytes]).is_none(), "{shape:?}");
    }
}

/// Sums of four random numbers, which are nearly normal.
fn normal_values(count: usize) -> Vec<f32> {
    let mut random = Random::new(7);
    (0..count).map(|_| (0..4).map(|_| random.float(-1.0, 1.0)).sum::<f64>() as f32).collect()
}

#[test]
fn more_bits_are_closer() {
    let values = normal_values(4096);
    let error = |name: &str| {
        let format = format(name);
        let decoded = format.decode(&format.encode(&values).unwrap()).unwrap();
        let squares = |differences: &mut dyn Iterator<Item = f32>| differences.map(|x| f64::from(x) * f64::from(x)).sum::<f64>();
        let difference = squares(&mut decoded.iter().zip(&values).map(|(x, y)| x - y));
        (difference / squares(&mut values.iter().copied())).sqrt()
    };
    for (name, most) in [("q8_0", 0.006), ("q6_k", 0.02), ("q5_k", 0.04), ("q4_k", 0.08), ("q3_k", 0.16), ("q2_k", 0.32)] {
        let found = error(name);
        assert!(found < most && found > most / 3.0, "{name}: {found}");
    }
    assert!(error("q4_k") < error("q4_0") && error("q5_k") < error("q5_0"));
}

#[test]
fn panels_hold_rows_side_by_side() {
    let (shape, depth) = ([2, 19, 3], 3);
    let matrix = Tensor::f32(&shape, &(0..2 * 19 * 3).map(|value| value as f32).collect::<Vec<_>>()).unwrap();
    let panels = matrix.in_panels().unwrap();
    assert_eq!(panels.shape(), [2, 2, 3, PANEL_ROWS]);
    let (outer, row, at) = (1, 17, 2);
    let position = ((outer * 2 + row / PANEL_ROWS) * depth + at) * PANEL_ROWS + row % PANEL_ROWS;
    assert_eq!(panels.element(position), matrix.element((outer * 19 + row) * depth + at));
    assert_eq!(panels.element(position + 5).map(|value| value.as_f64()), Some(0.0));
    assert!(Tensor::f32(&[3], &[0.0; 3]).unwrap().in_panels().is_none());
}
