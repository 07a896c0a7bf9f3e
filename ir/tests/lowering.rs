//! The form of the definitions that ops lower to, which schedules rely on.

use lostwax_ir::compute::{Compute, Step};
use lostwax_ir::graph::Graph;
use lostwax_ir::text::parse_graph;

fn compute(symbols: &str, body: &str) -> Compute {
    let text = format!("symbols {{ {symbols} }} graph \"g\" {{\n{body}\noutput \"y\" %9\n}}");
    let graph: Graph = parse_graph(&text, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let value = graph.outputs()[0].value;
    let operands: Vec<_> = graph.operands(value).into_iter().map(|operand| graph.ty(operand)).collect();
    let node = graph.node(value);
    (node.op.def().lower)(&operands, &node.attrs, &node.ty).expect("the op lowers")
}

fn input(number: u32, dims: &str) -> String {
    format!("%{number} = input {{name = \"{number}\", dtype = f32, dims = {dims}}}\n")
}

/// The loads of a definition as `input[coords] if conditions`.
fn loads(compute: &Compute) -> Vec<String> {
    let reduced = compute.reduction.iter().flat_map(|reduction| &reduction.value.steps);
    let describe = |step: &Step| match step {
        Step::Load { input, coords, valid, .. } if valid.always() => Some(format!("{input}{coords:?}")),
        Step::Load { input, coords, valid, .. } => Some(format!("{input}{coords:?} if {:?}", valid.0)),
        _ => None,
    };
    reduced.chain(&compute.result.steps).filter_map(describe).collect()
}

fn axes(compute: &Compute) -> Vec<String> {
    let inner = compute.reduction.iter().flat_map(|reduction| &reduction.axes);
    compute.axes.iter().chain(inner).map(|axis| format!("{:?}<{}", axis.symbol, axis.extent)).collect()
}

fn conv(x: &str, w: &str, pad: i64, stride: i64, groups: i64) -> Compute {
    let attrs = format!(
        "strides = [{stride}, {stride}], dilations = [1, 1], before = [{pad}, {pad}], after = [{pad}, {pad}], \
         groups = {groups}, channels_last = true"
    );
    compute("h: 3..=1000", &format!("{}{}%9 = conv %0, %1 {{{attrs}}}", input(0, x), input(1, w)))
}

#[test]
fn convolution_without_padding_has_no_conditions() {
    let compute = conv("[1, h, h, 8]", "[3, 3, 8, 16]", 0, 2, 1);
    assert_eq!(loads(&compute), ["0[0, %r0 + 2*%o1, %r1 + 2*%o2, %r2]", "1[%r0, %r1, %r2, %o3]"]);
}

#[test]
fn pointwise_convolution_is_a_matrix_product() {
    let compute = conv("[1, h, 7, 8]", "[1, 1, 8, 16]", 0, 1, 1);
    assert_eq!(axes(&compute), ["%o0<1", "%o1<h", "%o2<7", "%o3<16", "%r2<8"]);
    assert_eq!(loads(&compute), ["0[0, %o1, %o2, %r2]", "1[0, 0, %r2, %o3]"]);
}

#[test]
fn padding_is_tested_where_it_is() {
    let compute = conv("[1, 9, 9, 8]", "[3, 3, 8, 16]", 1, 1, 1);
    let conditions = "[%r1 + %o2 - 1, %r0 + %o1 - 1, -%r1 - %o2 + 9, -%r0 - %o1 + 9]";
    let [x, _] = &loads(&compute)[..] else { panic!("two loads expected") };
    let mut parts: Vec<&str> = conditions.trim_matches(['[', ']']).split(", ").collect();
    parts.retain(|part| x.contains(part));
    assert_eq!(parts.len(), 4, "{x}");
}

#[test]
fn depthwise_convolution_has_one_channel_axis() {
    let compute = conv("[1, 9, 9, 8]", "[3, 3, 1, 8]", 0, 1, 8);
    assert_eq!(axes(&compute), ["%o0<1", "%o1<7", "%o2<7", "%o3<8", "%r0<3", "%r1<3"]);
    assert_eq!(loads(&compute), ["0[0, %r0 + %o1, %r1 + %o2, %o3]", "1[%r0, %r1, 0, %o3]"]);
}

#[test]
fn groups_are_an_axis() {
    let compute = conv("[1, 9, 9, 8]", "[1, 1, 4, 6]", 0, 1, 2);
    assert_eq!(axes(&compute), ["%o0<1", "%o1<9", "%o2<9", "%o3<2", "%o4<3", "%r2<4"]);
    assert_eq!(format!("{:?}", compute.coords), "[0, %o1, %o2, %o4 + 3*%o3]");
}

#[test]
fn upsampling_convolution_has_one_tap() {
    let attrs = "strides = [2, 2], dilations = [1, 1], before = [0, 0], after = [0, 0], output_padding = [0, 0], \
                 groups = 1, channels_last = true";
    let body = format!("{}{}%9 = conv_transpose %0, %1 {{{attrs}}}", input(0, "[1, h, 5, 8]"), input(1, "[2, 2, 8, 4]"));
    let compute = compute("h: 1..=1000", &body);
    assert_eq!(axes(&compute), ["%o0<1", "%o1<h", "%o2<2", "%o3<5", "%o4<2", "%o5<4", "%r2<8"]);
    assert_eq!(loads(&compute), ["0[0, %o1, %o3, %r2]", "1[%o2, %o4, %r2, %o5]"]);
}

#[test]
fn doubling_repeats_elements() {
    let attrs = "dims = [1, 2*h, 6], factors = [0, 2, 2], scale_bits = [0, 0, 0], mode = \"nearest\", \
                 coordinate = \"half_pixel\", nearest = \"round_prefer_floor\", cubic_a = -0.75";
    let compute = compute("h: 1..=1000", &format!("{}%9 = resize %0 {{{attrs}}}", input(0, "[1, h, 3]")));
    assert_eq!(loads(&compute), ["0[0, floordiv(%o1, 2), floordiv(%o2, 2)]"]);
}

#[test]
fn reshapes_keep_unrelated_axes() {
    let reshape = |from: &str, to: &str| {
        loads(&compute("h: 1..=100, w: 1..=100", &format!("{}%9 = reshape %0 {{dims = {to}}}", input(0, from))))
    };
    assert_eq!(reshape("[h, 6, w]", "[h, 2, 3, w]"), ["0[%o0, %o2 + 3*%o1, %o3]"]);
    assert_eq!(reshape("[h, w, 4]", "[h, 1, w, 4]"), ["0[%o0, %o2, %o3]"]);
    assert_eq!(reshape("[h, 2, w]", "[2*h, w]"), ["0[floordiv(%o0, 2), -2*floordiv(%o0, 2) + %o0, %o1]"]);
    assert_eq!(reshape("[1, h, 1, w]", "[h, w, 1]"), ["0[0, %o0, 0, %o1]"]);
}
