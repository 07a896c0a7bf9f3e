//! Expected values of the intricate ops, calculated with ONNX Runtime.

use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::{Bindings, Dim};
use lostwax_ir::eval::{eval_graph, eval_node};
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::text::parse_graph;
use std::collections::BTreeMap;

/// Elements that are easy to make anywhere: multiples of 0.5, from -2 on.
fn ramp(shape: &[usize], operand: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| (((i * (7 + 2 * operand)) % (11 + operand)) as f32 - 4.0) * 0.5;
    Tensor::f32(shape, &(0..count).map(value).collect::<Vec<f32>>()).expect("the count fits")
}

fn assert_close(actual: &Tensor, expected: &[f32]) {
    let actual = actual.as_slice::<f32>();
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
    assert!(actual.len() == expected.len() && actual.iter().zip(expected).all(close), "{actual:?} is not {expected:?}");
}

/// Applies `op` to ramps of the given shapes, with the images' channels first and last where the op knows both.
fn check(op: Op, attrs: &str, shapes: &[&[usize]], shape: &[usize], expected: &[f32]) {
    let mut text = "graph \"case\" {\n".to_string();
    for (i, shape) in shapes.iter().enumerate() {
        text += &format!("%{i} = input {{name = \"{i}\", dtype = f32, dims = {shape:?}}}\n");
    }
    let operands: Vec<String> = (0..shapes.len()).map(|i| format!("%{i}")).collect();
    text += &format!("%9 = {op} {} {{{attrs}}}\noutput \"y\" %9\n}}", operands.join(", "));
    let graph = parse_graph(&text, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let inputs = shapes.iter().enumerate().map(|(i, shape)| (i.to_string(), ramp(shape, i))).collect::<BTreeMap<_, _>>();
    let outputs = eval_graph(&graph, &inputs).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(outputs["y"].shape(), shape);
    assert_close(&outputs["y"], expected);
    if attrs.contains("channels_last") {
        check_channels_last(&graph, op, shapes, expected);
    }
}

fn permuted(tensor: &Tensor, perm: &[i64]) -> Tensor {
    let attrs = Attrs::new().with("perm", perm);
    let dims = perm.iter().map(|axis| Dim::constant(tensor.shape()[*axis as usize] as i64)).collect();
    let ty = lostwax_ir::types::TensorType { dtype: tensor.dtype(), dims };
    eval_node(Op::Transpose, &attrs, &[tensor], &ty, &Bindings::new()).expect("the permutation fits")
}

fn check_channels_last(graph: &Graph, op: Op, shapes: &[&[usize]], expected: &[f32]) {
    let rank = shapes[0].len() as i64;
    let to_last: Vec<i64> = [0].into_iter().chain(2..rank).chain([1]).collect();
    let to_first: Vec<i64> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let ends = if op == Op::ConvTranspose { [0, 1] } else { [1, 0] };
    let weights: Vec<i64> = (2..rank).chain(ends).collect();
    let tensors: Vec<Tensor> =
        shapes.iter().zip([to_last, weights]).enumerate().map(|(i, (shape, perm))| permuted(&ramp(shape, i), &perm)).collect();
    let attrs = graph.node(graph.outputs()[0].value).attrs.clone().with("channels_last", Attr::Bool(true));
    let types: Vec<_> = tensors.iter().map(Tensor::ty).collect();
    let ty = op.infer(&types.iter().collect::<Vec<_>>(), &attrs).expect("the layout does not matter");
    let tensors: Vec<&Tensor> = tensors.iter().collect();
    let result = eval_node(op, &attrs, &tensors, &ty, &Bindings::new()).expect("the op has a value");
    assert_close(&permuted(&result, &to_first), expected);
}

macro_rules! cases {
    ($($name:ident: $op:ident $shapes:expr, $attrs:expr => $shape:expr, $values:expr;)*) => {
        $(#[test]
        fn $name() {
            check(Op::$op, $attrs, &$shapes, &$shape, &$values);
        })*
    };
}

cases! {
    conv_padding: Conv [&[1, 2, 4, 3], &[2, 2, 3, 3]],
        "strides = [1, 1], dilations = [1, 1], before = [1, 1], after = [1, 1], groups = 1, channels_last = false"
        => [1, 2, 4, 3], [
        3.0, 7.75, 5.75, -10.75, 14.0, 5.25, 0.0, 0.75, 5.25, 2.0, -16.0, 5.25, 7.5, -11.75, -3.25, 5.75, 5.0, -11.25,
        3.0, 8.25, -14.25, -1.0, 17.0, -6.75
        ];
    conv_uneven_padding_and_strides: Conv [&[1, 1, 5, 6], &[2, 1, 3, 2]],
        "strides = [2, 3], dilations = [1, 1], before = [0, 1], after = [2, 1], groups = 1, channels_last = false"
        => [1, 2, 3, 3], [
        -2.5, 2.5, -5.0, 2.25, -6.0, -4.5, -1.25, -4.5, -1.0, 6.5, 8.5, 5.5, 0.75, 0.0, 0.0, 0.25, 1.5, 0.5
        ];
    conv_groups: Conv [&[2, 4, 3, 3], &[2, 2, 2, 2]],
        "strides = [1, 1], dilations = [1, 1], before = [0, 0], after = [0, 0], groups = 2, channels_last = false"
        => [2, 2, 2, 2], [
        8.0, -9.75, -4.0, 3.0, 2.0, 3.5, -1.75, 8.0, -4.0, 3.0, -5.0, 2.0, -1.75, 8.0, 16.5, -4.0
        ];
    conv_depthwise: Conv [&[1, 3, 4, 4], &[3, 1, 3, 3]],
        "strides = [2, 2], dilations = [1, 1], before = [1, 1], after = [1, 1], groups = 3, channels_last = false"
        => [1, 3, 2, 2], [
        9.25, 4.5, 9.75, -1.25, -4.0, 2.5, 0.0, 0.5, 9.5, -5.25, -5.75, -6.5
        ];
    conv_depthwise_multiplier: Conv [&[1, 2, 3, 3], &[4, 1, 2, 2]],
        "strides = [1, 1], dilations = [1, 1], before = [0, 0], after = [0, 0], groups = 2, channels_last = false"
        => [1, 4, 2, 2], [
        10.25, -2.75, -1.25, -3.25, 10.25, -2.75, -1.25, -3.25, -2.25, -7.0, -2.75, 6.25, -2.25, -7.0, -2.75, 6.25
        ];
    conv_dilated: Conv [&[1, 1, 6, 7], &[1, 1, 3, 2]],
        "strides = [1, 2], dilations = [2, 3], before = [1, 0], after = [0, 2], groups = 1, channels_last = false"
        => [1, 1, 3, 3], [
        -0.75, 0.75, -8.0, 13.25, -3.75, -1.5, -2.25, 0.0, 2.0
        ];
    conv_1d: Conv [&[2, 2, 7], &[3, 2, 3]],
        "strides = [2], dilations = [1], before = [1], after = [1], groups = 1, channels_last = false"
        => [2, 3, 4], [
        -8.25, -4.5, 3.25, 8.5, -0.75, -6.0, 1.75, 1.0, -8.25, -4.5, 3.25, 8.5, 3.5, -5.25, -8.5, 9.5, -2.5, -6.75,
        6.5, -1.0, 3.5, -5.25, -8.5, 9.5
        ];
    conv_3d: Conv [&[1, 1, 3, 3, 4], &[1, 1, 2, 2, 2]],
        "strides = [1, 2, 1], dilations = [1, 1, 2], before = [0, 1, 0], after = [0, 0, 1], groups = 1, channels_last = \
        false"
        => [1, 1, 2, 2, 3], [
        -1.75, -1.0, 2.5, 9.0, -3.25, -8.0, -1.0, 2.5, 4.0, -3.25, -7.25, 1.5
        ];
    conv_transpose_plain: ConvTranspose [&[1, 2, 2, 3], &[2, 1, 3, 2]],
        "strides = [1, 1], dilations = [1, 1], before = [0, 0], after = [0, 0], output_padding = [0, 0], groups = 1, \
        channels_last = false"
        => [1, 1, 4, 4], [
        6.5, -8.75, 3.0, -0.5, -11.0, 12.25, 5.5, -5.0, 5.5, -4.25, 5.5, -5.0, -4.0, 4.5, 2.5, -1.5
        ];
    conv_transpose_kernel_equals_stride: ConvTranspose [&[1, 2, 2, 2], &[2, 2, 2, 2]],
        "strides = [2, 2], dilations = [1, 1], before = [0, 0], after = [0, 0], output_padding = [0, 0], groups = 1, \
        channels_last = false"
        => [1, 2, 4, 4], [
        2.0, -2.5, -1.0, 1.25, -1.0, 0.5, 0.5, -0.25, -4.0, 5.0, -7.0, 8.75, 2.0, -1.0, 3.5, -1.75, 2.0, -2.5, -1.0,
        1.25, -1.0, 0.5, 0.5, -0.25, -4.0, 5.0, -7.0, 8.75, 2.0, -1.0, 3.5, -1.75
        ];
    conv_transpose_strided: ConvTranspose [&[1, 1, 3, 2], &[1, 2, 4, 3]],
        "strides = [2, 3], dilations = [1, 1], before = [1, 0], after = [1, 1], output_padding = [0, 0], groups = 1, \
        channels_last = false"
        => [1, 2, 6, 5], [
        1.0, 4.0, -5.0, -0.75, -3.0, -1.0, -0.25, 3.5, -4.5, 6.75, -4.75, -1.0, -0.25, 2.25, -4.5, -2.5, 2.75, 2.0,
        5.0, -4.0, -1.75, -2.5, 2.75, 8.0, 5.0, 1.0, -0.5, -2.0, -1.0, 0.5, 1.0, 4.0, -5.0, -0.75, -3.0, -1.0, -0.25,
        3.5, -4.5, 6.75, -4.75, -1.0, -0.25, 2.25, -4.5, -2.5, 2.75, 2.0, 5.0, -4.0, -1.75, -2.5, 2.75, 8.0, 5.0, 1.0,
        -0.5, -2.0, -1.0, 0.5
        ];
    conv_transpose_output_padding: ConvTranspose [&[1, 1, 2, 3], &[1, 1, 3, 3]],
        "strides = [2, 2], dilations = [1, 1], before = [1, 1], after = [1, 1], output_padding = [1, 1], groups = 1, \
        channels_last = false"
        => [1, 1, 4, 6], [
        4.0, -5.75, -3.0, 4.0, 1.0, -1.25, 8.5, 6.5, 1.75, -0.5, -2.25, 0.0, -6.0, 7.0, -2.0, 3.0, 2.0, -2.5, -1.5,
        -5.0, -0.5, -3.0, 0.5, 2.0
        ];
    conv_transpose_groups: ConvTranspose [&[1, 4, 2, 2], &[4, 1, 2, 2]],
        "strides = [2, 1], dilations = [1, 1], before = [0, 0], after = [0, 1], output_padding = [0, 0], groups = 2, \
        channels_last = false"
        => [1, 2, 4, 2], [
        2.0, -3.5, -1.0, 1.0, -4.0, -2.0, 2.0, 2.5, 0.0, -3.0, 0.0, 1.5, -6.0, 9.5, 3.0, -2.5
        ];
    conv_transpose_dilated: ConvTranspose [&[1, 1, 3, 3], &[1, 1, 2, 3]],
        "strides = [2, 1], dilations = [2, 2], before = [1, 1], after = [0, 1], output_padding = [0, 0], groups = 1, \
        channels_last = false"
        => [1, 1, 6, 5], [
        0.0, 0.0, 0.0, 0.0, 0.0, -2.75, 13.75, -0.5, -3.5, 4.75, 0.0, 0.0, 0.0, 0.0, 0.0, -1.5, 3.75, -0.75, 8.25,
        3.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.25, -4.25, -1.0, 9.25, 1.25
        ];
    conv_transpose_dilated_strided: ConvTranspose [&[1, 1, 4], &[1, 1, 3]],
        "strides = [3], dilations = [2], before = [1], after = [2], output_padding = [1], groups = 1, channels_last = \
        false"
        => [1, 1, 12], [
        0.0, -5.0, -3.0, -2.0, 3.75, 1.0, 1.5, -1.25, -6.0, -0.5, 7.5, 0.0
        ];
    max_pool_padded: MaxPool [&[1, 2, 4, 5]],
        "kernel = [3, 3], strides = [2, 2], dilations = [1, 1], before = [1, 1], after = [1, 1], channels_last = false"
        => [1, 2, 2, 3], [
        2.5, 3.0, 3.0, 2.5, 2.5, 3.0, 3.0, 2.5, 2.5, 3.0, 3.0, 2.5
        ];
    max_pool_dilated: MaxPool [&[1, 1, 6, 6]],
        "kernel = [2, 3], strides = [1, 2], dilations = [3, 2], before = [0, 2], after = [0, 1], channels_last = false"
        => [1, 1, 3, 3], [
        2.0, 2.0, 2.0, 2.5, 2.5, 2.5, 3.0, 3.0, 3.0
        ];
    avg_pool_without_padding_counted: AvgPool [&[1, 2, 4, 5]],
        "kernel = [3, 3], strides = [2, 2], dilations = [1, 1], before = [1, 1], after = [1, 1], channels_last = false, \
        count_include_pad = false"
        => [1, 2, 2, 3], [
        0.25, 0.9166667, 1.125, -0.083333336, 0.2777778, 0.33333334, 1.5, 0.33333334, 1.0, 1.1666666, 0.6111111,
        0.6666667
        ];
    avg_pool_with_padding_counted: AvgPool [&[1, 2, 4, 5]],
        "kernel = [3, 3], strides = [2, 2], dilations = [1, 1], before = [1, 1], after = [1, 1], channels_last = false, \
        count_include_pad = true"
        => [1, 2, 2, 3], [
        0.11111111, 0.6111111, 0.5, -0.055555556, 0.2777778, 0.22222222, 0.6666667, 0.22222222, 0.44444445, 0.7777778,
        0.6111111, 0.44444445
        ];
    avg_pool_uneven: AvgPool [&[1, 1, 5, 4]],
        "kernel = [2, 3], strides = [1, 2], dilations = [1, 1], before = [1, 0], after = [0, 2], channels_last = false, \
        count_include_pad = false"
        => [1, 1, 5, 2], [
        -0.33333334, 1.25, 0.25, 1.375, 0.5, 0.25, 0.75, 0.5, 1.0, 0.75
        ];
    avg_pool_dilated: AvgPool [&[1, 1, 7]],
        "kernel = [3], strides = [2], dilations = [2], before = [2], after = [1], channels_last = false, \
        count_include_pad = false"
        => [1, 1, 3], [
        -1.25, -0.5, 1.0
        ];
    resize_nearest_doubled: Resize [&[1, 1, 2, 3]],
        "dims = [1, 1, 4, 6], factors = [1, 1, 2, 2], scale_bits = [0, 0, 0, 0], mode = \"nearest\", coordinate = \
        \"asymmetric\", nearest = \"floor\", cubic_a = -0.75"
        => [1, 1, 4, 6], [
        -2.0, -2.0, 1.5, 1.5, -0.5, -0.5, -2.0, -2.0, 1.5, 1.5, -0.5, -0.5, 3.0, 3.0, 1.0, 1.0, -1.0, -1.0, 3.0, 3.0,
        1.0, 1.0, -1.0, -1.0
        ];
    resize_nearest_half_pixel: Resize [&[1, 1, 2, 3]],
        "dims = [1, 1, 6, 6], factors = [1, 1, 3, 2], scale_bits = [0, 0, 0, 0], mode = \"nearest\", coordinate = \
        \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 6, 6], [
        -2.0, -2.0, 1.5, 1.5, -0.5, -0.5, -2.0, -2.0, 1.5, 1.5, -0.5, -0.5, -2.0, -2.0, 1.5, 1.5, -0.5, -0.5, 3.0,
        3.0, 1.0, 1.0, -1.0, -1.0, 3.0, 3.0, 1.0, 1.0, -1.0, -1.0, 3.0, 3.0, 1.0, 1.0, -1.0, -1.0
        ];
    resize_nearest_down: Resize [&[1, 1, 5, 7]],
        "dims = [1, 1, 3, 4], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"nearest\", coordinate = \
        \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 3, 4], [
        -2.0, -0.5, 1.0, 2.5, 3.0, -1.0, 0.5, 2.0, 2.5, -1.5, 0.0, 1.5
        ];
    resize_nearest_ceil: Resize [&[1, 1, 4, 5]],
        "dims = [1, 1, 7, 3], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"nearest\", coordinate = \
        \"half_pixel\", nearest = \"ceil\", cubic_a = -0.75"
        => [1, 1, 7, 3], [
        1.5, -0.5, 1.0, 2.5, 0.5, 2.0, 2.5, 0.5, 2.0, -2.0, 1.5, 3.0, -1.0, 2.5, -1.5, -1.0, 2.5, -1.5, -1.0, 2.5,
        -1.5
        ];
    resize_nearest_align_corners: Resize [&[1, 1, 4, 4]],
        "dims = [1, 1, 7, 3], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"nearest\", coordinate = \
        \"align_corners\", nearest = \"floor\", cubic_a = -0.75"
        => [1, 1, 7, 3], [
        -2.0, 1.5, 3.0, -2.0, 1.5, 3.0, 1.0, -1.0, 0.5, 1.0, -1.0, 0.5, -1.5, 2.0, -2.0, -1.5, 2.0, -2.0, 1.5, -0.5,
        1.0
        ];
    resize_nearest_scaled: Resize [&[1, 1, 4, 6]],
        "dims = [1, 1, 2, 7], factors = [1, 1, 0, 0], scale_bits = [0, 0, 4603579539312869376, 4608533498473480192], mode \
        = \"nearest\", coordinate = \"asymmetric\", nearest = \"floor\", cubic_a = -0.75"
        => [1, 1, 2, 7], [
        -2.0, -2.0, 1.5, -0.5, 3.0, 3.0, 1.0, 2.5, 2.5, 0.5, -1.5, 2.0, 2.0, 0.0
        ];
    resize_linear_doubled: Resize [&[1, 1, 2, 3]],
        "dims = [1, 1, 4, 6], factors = [1, 1, 2, 2], scale_bits = [0, 0, 0, 0], mode = \"linear\", coordinate = \
        \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 4, 6], [
        -2.0, -1.125, 0.625, 1.0, 0.0, -0.5, -0.75, -0.21875, 0.84375, 0.875, -0.125, -0.625, 1.75, 1.59375, 1.28125,
        0.625, -0.375, -0.875, 3.0, 2.5, 1.5, 0.5, -0.5, -1.0
        ];
    resize_linear_down: Resize [&[1, 1, 5, 6]],
        "dims = [1, 1, 3, 4], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"linear\", coordinate = \
        \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 3, 4], [
        -0.083333395, -0.3333333, 2.1666665, -0.83333325, 1.0, 2.125, 0.5, 1.625, 0.24999994, 1.375, -0.25000006,
        0.87499994
        ];
    resize_linear_align_corners: Resize [&[1, 1, 3, 4]],
        "dims = [1, 1, 5, 3], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"linear\", coordinate = \
        \"align_corners\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 5, 3], [
        -2.0, 0.5, 3.0, -0.5, 0.625, 1.75, 1.0, 0.75, 0.5, -0.25, 0.875, -0.75, -1.5, 1.0, -2.0
        ];
    resize_linear_asymmetric: Resize [&[1, 1, 3, 3]],
        "dims = [1, 1, 5, 4], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"linear\", coordinate = \
        \"asymmetric\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 5, 4], [
        -2.0, 0.625, 0.5, -0.5, 1.0000001, 1.1500001, 0.19999999, -0.8, 2.9, 1.4, -0.100000024, -1.1, 2.6, 1.0999999,
        -0.4, -1.4, 2.5, 1.0, -0.5, -1.5
        ];
    resize_linear_scaled: Resize [&[1, 1, 4, 4]],
        "dims = [1, 1, 2, 6], factors = [1, 1, 0, 0], scale_bits = [0, 0, 4603579539312869376, 4610334938753925120], mode \
        = \"linear\", coordinate = \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 2, 6], [
        -1.0, -0.36274517, 0.61764705, 0.5735294, 0.74509776, 1.7254902, -1.5, -0.16176486, 1.8970587, 0.8823528,
        -0.29411745, -1.4705882
        ];
    resize_linear_pytorch: Resize [&[1, 1, 4, 3]],
        "dims = [1, 1, 1, 5], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"linear\", coordinate = \
        \"pytorch_half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 1, 5], [
        -2.0, -0.5999999, 1.5, 0.2999997, -0.5
        ];
    resize_linear_symmetric: Resize [&[1, 1, 4, 4]],
        "dims = [1, 1, 2, 5], factors = [1, 1, 0, 0], scale_bits = [0, 0, 4603579539312869376, 4608533498473480192], mode \
        = \"linear\", coordinate = \"half_pixel_symmetric\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 2, 5], [
        5.9604645e-08, -0.12179491, 0.6666667, 1.4551282, 1.3333333, -0.50000024, 0.71794885, 1.0833333, 0.46153808,
        -1.0000002
        ];
    resize_cubic_doubled: Resize [&[1, 1, 3, 4]],
        "dims = [1, 1, 6, 8], factors = [1, 1, 2, 2], scale_bits = [0, 0, 0, 0], mode = \"cubic\", coordinate = \
        \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 6, 8], [
        -2.746727, -1.3013077, 1.1113968, 1.4660034, -0.5187378, -0.16413116, 2.2485733, 3.6939926, -1.4497452,
        -0.7458725, 0.42040253, 0.8392105, 0.22930145, 0.7191086, 1.991127, 2.759201, 0.72467804, 0.18212128,
        -0.74666595, -0.22211456, 1.4745255, 2.2120743, 1.6005173, 1.2505646, 0.89069366, 0.3481369, -0.5806503,
        0.008102417, 1.8331451, 1.9643478, 0.3541031, -0.60219574, -1.0454483, -0.34157562, 0.8246994, 1.3998566,
        1.1026459, 0.11582184, -1.0442581, -1.7528152, -2.1939926, -0.7485733, 1.6641312, 2.2324905, 0.6752548,
        -0.9889145, -1.9012527, -2.4746094
        ];
    resize_cubic_down: Resize [&[1, 1, 5, 5]],
        "dims = [1, 1, 3, 4], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"cubic\", coordinate = \
        \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.5"
        => [1, 1, 3, 4], [
        -1.4146231, 1.390209, 0.91332114, 1.3031508, -0.19189453, -0.8486328, 0.08886719, 2.6923828, 1.5753038,
        -0.61597556, 0.7392761, -0.7651011
        ];
    resize_cubic_align_corners: Resize [&[1, 1, 3, 4]],
        "dims = [1, 1, 5, 6], factors = [0, 0, 0, 0], scale_bits = [0, 0, 0, 0], mode = \"cubic\", coordinate = \
        \"align_corners\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 5, 6], [
        -2.0, 0.35800064, 1.4000007, -0.4000003, 0.642, 3.0, -0.265625, -0.25887498, 0.19600071, 0.94525003,
        1.6620625, 1.984375, 1.0, -0.6020004, -0.5279995, 2.0280004, 2.102, 0.5, 0.03125, 0.03799992, 0.5712498,
        1.5556251, 0.6918746, -0.984375, -1.5, 0.8580005, 2.031999, 0.62799966, -0.9920008, -2.0
        ];
    resize_cubic_scaled: Resize [&[1, 1, 4, 4]],
        "dims = [1, 1, 3, 5], factors = [1, 1, 0, 0], scale_bits = [0, 0, 4605380979056443392, 4608533498473480192], mode \
        = \"cubic\", coordinate = \"asymmetric\", nearest = \"round_prefer_floor\", cubic_a = -0.75"
        => [1, 1, 3, 5], [
        -2.0, 0.98076856, 0.36333728, 0.28402185, 3.1720512, 0.64453125, -0.5305618, 1.0992248, 1.695575, -0.56237775,
        -0.234375, 0.7454233, 1.4681776, 0.7171291, -0.8326903
        ];
    pad_reflect: Pad [&[3, 4]],
        "before = [2, 1], after = [1, 3], mode = \"reflect\", value = 0.0"
        => [6, 8], [
        2.0, -1.5, 2.0, 0.0, -2.0, 0.0, 2.0, -1.5, -1.0, 1.0, -1.0, 2.5, 0.5, 2.5, -1.0, 1.0, 1.5, -2.0, 1.5, -0.5,
        3.0, -0.5, 1.5, -2.0, -1.0, 1.0, -1.0, 2.5, 0.5, 2.5, -1.0, 1.0, 2.0, -1.5, 2.0, 0.0, -2.0, 0.0, 2.0, -1.5,
        -1.0, 1.0, -1.0, 2.5, 0.5, 2.5, -1.0, 1.0
        ];
    pad_edge: Pad [&[2, 3]],
        "before = [0, 2], after = [1, 1], mode = \"edge\", value = 0.0"
        => [3, 6], [
        -2.0, -2.0, -2.0, 1.5, -0.5, -0.5, 3.0, 3.0, 3.0, 1.0, -1.0, -1.0, 3.0, 3.0, 3.0, 1.0, -1.0, -1.0
        ];
    cumsum_reverse_exclusive: Cumsum [&[2, 5]],
        "axis = 1, exclusive = true, reverse = true"
        => [2, 5], [
        5.0, 3.5, 4.0, 1.0, 0.0, 3.5, 1.0, 0.5, 2.0, 0.0
        ];
    softplus: Softplus [&[8]],
        ""
        => [8], [
        0.126928, 1.7014133, 0.474077, 3.0485873, 1.3132617, 0.3132617, 2.5788898, 0.974077
        ];
    hard_swish: HardSwish [&[11]],
        ""
        => [11], [
        -0.3333333, 1.125, -0.20833333, 3.0, 0.6666667, -0.3333333, 2.2916667, 0.29166666, -0.375, 1.6666667, 0.0
        ];
    elu: Elu [&[9]],
        "alpha = 1.25"
        => [9], [
        -1.0808309, 1.5, -0.49183667, 3.0, 1.0, -0.7901507, 2.5, 0.5, -0.9710873
        ];
    matmul_broadcast: MatMul [&[2, 2, 3], &[1, 3, 2]],
        ""
        => [2, 2, 2], [
        6.5, -7.0, -3.0, 4.5, -1.5, 2.25, 0.0, 0.0
        ];
    gelu_by_parts: Erf [&[9]],
        ""
        => [9], [
        -0.9953223, 0.96610516, -0.5204999, 0.9999779, 0.8427008, -0.8427008, 0.9995931, 0.5204999, -0.96610516
        ];
    gelu: Gelu [&[10]],
        ""
        => [10], [
        -0.04550028, 1.3997892, -0.15426877, 2.9959502, 0.8413447, -0.15865526, 2.484476, 0.34573123, -0.100210816,
        1.9544997
        ];
    gelu_tanh: GeluTanh [&[10]],
        ""
        => [10], [
        -0.045402348, 1.3995715, -0.154286, 2.9963627, 0.841192, -0.15880796, 2.4849157, 0.345714, -0.10042843,
        1.9545977
        ];
}
