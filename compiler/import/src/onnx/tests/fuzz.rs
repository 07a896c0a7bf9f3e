//! Damaged models give errors, never panics, and take little memory.

use super::model::{FLOAT, INT64, Model, Value, floats, ints};
use crate::ImportOptions;
use crate::Registry;
use crate::onnx::Operator;

fn sample() -> Vec<u8> {
    Model::new(13)
        .input("x", FLOAT, &["n", "2", "8", "w"])
        .constant(floats("w", &[4, 2, 3, 3], &[0.5; 72]))
        .constant(ints("shape", &[2], &[0, -1]))
        .constant(ints("fill", &[2], &[2, 3]))
        .constant(ints("one", &[1], &[1]))
        .constant(ints("three", &[1], &[3]))
        .node("Conv", &["x", "w"], &["c"], &[("pads", Value::Ints(&[1, 1, 1, 1])), ("group", Value::Int(1))])
        .node("MaxPool", &["c"], &["p"], &[("kernel_shape", Value::Ints(&[2, 2])), ("ceil_mode", Value::Int(1))])
        .node("Shape", &["p"], &["s"], &[])
        .node("Slice", &["s", "one", "three"], &["t"], &[])
        .node("ConstantOfShape", &["fill"], &["f"], &[])
        .node("Reshape", &["p", "shape"], &["r"], &[])
        .node("Softmax", &["r"], &["y"], &[("axis", Value::Int(-1)), ("alpha", Value::Float(0.5))])
        .output("y")
        .output("t")
        .bytes()
}

fn options() -> ImportOptions {
    ImportOptions { max_expanded_bytes: 1 << 20, ..ImportOptions::default() }
}

fn feed(bytes: &[u8]) {
    drop(Registry::default().onnx_bytes(bytes, None, &options()));
    drop(Registry::default().check_onnx_bytes(bytes, None, &options()));
}

#[test]
fn truncated_models() {
    let bytes = sample();
    assert!(Registry::default().onnx_bytes(&bytes, None, &options()).is_ok());
    (0..bytes.len()).for_each(|length| feed(&bytes[..length]));
}

#[test]
fn changed_bytes() {
    let bytes = sample();
    for position in 0..bytes.len() {
        for mask in [0x01, 0x02, 0x08, 0x10, 0x40, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[position] ^= mask;
            feed(&changed);
        }
    }
}

#[test]
fn extreme_numbers() {
    let extremes = [i64::MIN, i64::MIN + 1, -(1 << 40), -1, 0, 1 << 31, 1 << 40, i64::MAX / 4, i64::MAX];
    for value in extremes {
        for other in extremes {
            let model = Model::new(13)
                .input("x", FLOAT, &["n", "8"])
                .constant(ints("a", &[1], &[value]))
                .constant(ints("b", &[1], &[other]))
                .constant(ints("pads", &[4], &[value, 0, other, 0]))
                .node("Slice", &["x", "a", "b"], &["s"], &[])
                .node("Slice", &["x", "a", "b", "one", "b"], &["s2"], &[])
                .constant(ints("one", &[1], &[1]))
                .node("Pad", &["x", "pads"], &["p"], &[])
                .node("Shape", &["x"], &["shape"], &[])
                .node("Mul", &["shape", "a"], &["m"], &[])
                .node("Div", &["m", "b"], &["d"], &[])
                .node("Reshape", &["x", "d"], &["r"], &[])
                .node("Tile", &["x", "d"], &["t"], &[])
                .node("Expand", &["x", "m"], &["e"], &[])
                .node("Range", &["a", "b", "one"], &["i"], &[])
                .node("Gather", &["shape", "a"], &["g"], &[])
                .node("ReduceSum", &["x", "b"], &["sum"], &[])
                .node("Unsqueeze", &["x", "a"], &["u"], &[])
                .node("Flatten", &["x"], &["fl"], &[("axis", Value::Int(value))])
                .node("Shape", &["x"], &["part"], &[("start", Value::Int(value)), ("end", Value::Int(other))])
                .node("Split", &["x"], &["l", "r2"], &[("num_outputs", Value::Int(value))])
                .node("LRN", &["x"], &["n"], &[("size", Value::Int(other))])
                .node("EyeLike", &["x"], &["eye"], &[("k", Value::Int(value))])
                .output("s");
            feed(&model.bytes());
        }
    }
}

/// Attributes that many operators have, with a number for integers and its repetition for lists.
fn common_attributes(value: i64, list: &[i64]) -> Vec<(&'static str, Value<'_>)> {
    const NUMBERS: &[&str] = &[
        "axis",
        "batch_dims",
        "block_size",
        "blocksize",
        "direction",
        "group",
        "k",
        "keepdims",
        "kv_num_heads",
        "num_groups",
        "num_heads",
        "num_scan_inputs",
        "output_height",
        "output_width",
        "p",
        "q_num_heads",
        "sampling_ratio",
        "size",
        "time_axis",
    ];
    const LISTS: &[&str] = &[
        "axes",
        "dilations",
        "kernel_shape",
        "output_padding",
        "output_shape",
        "pads",
        "perm",
        "qkv_hidden_sizes",
        "scan_input_axes",
        "split",
        "strides",
    ];
    let numbers = NUMBERS.iter().map(|name| (*name, Value::Int(value)));
    numbers.chain(LISTS.iter().map(|name| (*name, Value::Ints(list)))).collect()
}

/// Every operator with operands of many ranks, numbers and types, and with attributes that do not fit.
#[test]
fn any_operands() {
    const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let dims = |rank: usize| vec!["2"; rank];
    let shape = |rank: usize| vec![2i64; rank];
    for Operator { domain, name: op, .. } in Registry::default().operators.iter() {
        for (case, (first, second)) in (0..36usize).map(|i| (i, (i / 6, i % 6))) {
            let rank = |i: usize| {
                if i == 0 {
                    first
                } else if i == 1 {
                    second
                } else {
                    (second + i) % 4
                }
            };
            let mut model = Model::new(if case % 2 == 0 { 22 } else { 13 });
            for (i, name) in NAMES.iter().enumerate() {
                let count = 1 << rank(i);
                model = match (i + case) % 3 {
                    0 => model.input(name, FLOAT, &dims(rank(i))),
                    1 => model.input(name, INT64, &dims(rank(i))),
                    _ => model.constant(ints(name, &shape(rank(i)), &vec![case as i64 % 5 - 1; count])),
                };
            }
            for (i, value) in [0, 1, -1, 2, 3, i64::MAX].into_iter().enumerate() {
                let list = vec![value; (first + i) % 5];
                let attributes = if i == 0 { Vec::new() } else { common_attributes(value, &list) };
                let mut node = super::model::node(op, &NAMES[..case % 9 + 1], &["y", "z"], &attributes);
                node.domain = domain.to_string();
                let mut whole = Model(model.0.clone());
                whole.0.graph.mut_or_insert_default().node.push(node);
                feed(&whole.output("y").output("z").bytes());
            }
        }
    }
}

/// Products of sums that would have exponentially many terms.
#[test]
fn exploding_shapes() {
    let mut model = Model::new(13).input("x", FLOAT, &["a", "b"]).constant(ints("one", &[1], &[1]));
    model = model.node("Shape", &["x"], &["s0"], &[]).node("Add", &["s0", "one"], &["t0"], &[]);
    for i in 0..64 {
        let (from, to) = (format!("t{i}"), format!("t{}", i + 1));
        model = model.node("Mul", &[&from, &from], &[&to], &[]);
    }
    feed(&model.node("Expand", &["x", "t64"], &["y"], &[]).output("y").bytes());
    let mut model = Model::new(13).input("x", FLOAT, &["a", "b"]).node("Shape", &["x"], &["t0"], &[]);
    for i in 0..64 {
        let (from, to) = (format!("t{i}"), format!("t{}", i + 1));
        model = model.node("Concat", &[&from, &from], &[&to], &[("axis", Value::Int(0))]);
    }
    feed(&model.node("Reshape", &["x", "t64"], &["y"], &[]).output("y").bytes());
}
