//! Activation functions.

use super::elementwise::unary;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::{NodeResult, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Celu", celu),
    Operator::standard("Clip", clip),
    Operator::standard("Elu", |cx, node| with_alpha(cx, node, Op::Elu, 1.0)),
    Operator::standard("Gelu", gelu),
    Operator::new("com.microsoft", "Gelu", |cx, node| unary(cx, node, Op::Gelu)),
    Operator::standard("HardSigmoid", hard_sigmoid),
    Operator::standard("HardSwish", |cx, node| unary(cx, node, Op::HardSwish)),
    Operator::standard("LeakyRelu", |cx, node| with_alpha(cx, node, Op::LeakyRelu, 0.01)),
    Operator::standard("Mish", mish),
    Operator::standard("PRelu", prelu),
    Operator::standard("Relu", |cx, node| unary(cx, node, Op::Relu)),
    Operator::standard("Selu", selu),
    Operator::standard("Shrink", shrink),
    Operator::standard("Sigmoid", |cx, node| unary(cx, node, Op::Sigmoid)),
    Operator::standard("Softplus", |cx, node| unary(cx, node, Op::Softplus)),
    Operator::standard("Softsign", |cx, node| unary(cx, node, Op::Softsign)),
    Operator::standard("Swish", swish),
    Operator::standard("ThresholdedRelu", thresholded_relu),
    Operator::new("com.microsoft", "QuickGelu", quick_gelu),
];

fn with_alpha(cx: &mut Importer, node: &Node, op: Op, default: f32) -> Results {
    let alpha = node.float("alpha", default);
    one(cx.op(op, Attrs::new().with("alpha", alpha), &[node.input(0)?])?)
}

fn celu(cx: &mut Importer, node: &Node) -> Results {
    let alpha = node.float("alpha", 1.0);
    let scaled = cx.with_scalar(Op::Div, node.input(0)?, alpha)?;
    let elu = cx.op(Op::Elu, Attrs::new().with("alpha", 1.0), &[&scaled])?;
    one(cx.with_scalar(Op::Mul, &elu, alpha)?)
}

fn clip(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (min, max) = if node.opset < 11 {
        let bound = |name: &str| node.has(name).then(|| cx.scalar_like(x, node.float(name, 0.0))).transpose();
        (bound("min")?, bound("max")?)
    } else {
        (node.optional(1)?.cloned(), node.optional(2)?.cloned())
    };
    let constant = |bound: &Option<Operand>, none: f64| match bound {
        None => Some(none),
        Some(item) => item.floats().and_then(|values| values.first().copied()).filter(|value| !value.is_nan()),
    };
    let bounds = (constant(&min, f64::NEG_INFINITY), constant(&max, f64::INFINITY));
    if let ((Some(low), Some(high)), true) = (bounds, cx.dtype(x).is_float()) {
        return one(cx.op(Op::Clip, Attrs::new().with("min", low).with("max", high), &[x])?);
    }
    let mut result = x.clone();
    for (op, bound) in [(Op::Maximum, min), (Op::Minimum, max)] {
        if let Some(bound) = bound {
            result = cx.binary(op, &result, &bound)?;
        }
    }
    one(result)
}

fn gelu(cx: &mut Importer, node: &Node) -> Results {
    match node.text("approximate", "none").as_str() {
        "none" => unary(cx, node, Op::Gelu),
        "tanh" => unary(cx, node, Op::GeluTanh),
        other => unsupported(format!("the approximation `{other}` is not supported")),
    }
}

fn hard_sigmoid(cx: &mut Importer, node: &Node) -> Results {
    let attrs = Attrs::new().with("alpha", node.float("alpha", 0.2)).with("beta", node.float("beta", 0.5));
    one(cx.op(Op::HardSigmoid, attrs, &[node.input(0)?])?)
}

fn mish(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let inner = cx.unary(Op::Softplus, x)?;
    let inner = cx.unary(Op::Tanh, &inner)?;
    one(cx.mul(x, &inner)?)
}

fn prelu(cx: &mut Importer, node: &Node) -> Results {
    const NUMPY_BROADCASTING_SINCE: i64 = 7;
    let (x, mut slope) = (node.input(0)?, node.input(1)?.clone());
    if node.opset < NUMPY_BROADCASTING_SINCE && cx.rank(&slope) == 1 {
        let mut dims = cx.dims(&slope);
        dims.resize(cx.rank(x).saturating_sub(1).max(1), 1.into());
        slope = cx.reshape(&slope, &dims)?;
    }
    let scaled = cx.mul(x, &slope)?;
    let negative = cx.with_scalar(Op::Less, x, 0.0)?;
    one(cx.select(&negative, &scaled, x)?)
}

fn selu(cx: &mut Importer, node: &Node) -> Results {
    let alpha = node.float("alpha", 1.673_263_2);
    let elu = cx.op(Op::Elu, Attrs::new().with("alpha", alpha), &[node.input(0)?])?;
    one(cx.with_scalar(Op::Mul, &elu, node.float("gamma", 1.050_701))?)
}

fn shrink(cx: &mut Importer, node: &Node) -> Results {
    let (limit, bias) = (node.float("lambd", 0.5), node.float("bias", 0.0));
    let x = node.input(0)?;
    let zero = cx.scalar_like(x, 0.0)?;
    let (raised, lowered) = (cx.with_scalar(Op::Add, x, bias)?, cx.with_scalar(Op::Sub, x, bias)?);
    let below = cx.with_scalar(Op::Less, x, -limit)?;
    let above = cx.scalar_with(Op::Less, limit, x)?;
    let upper = cx.select(&above, &lowered, &zero)?;
    one(cx.select(&below, &raised, &upper)?)
}

fn sigmoid_product(cx: &mut Importer, x: &Operand, alpha: f64) -> NodeResult<Operand> {
    if alpha == 1.0 {
        return cx.unary(Op::Silu, x);
    }
    let scaled = cx.with_scalar(Op::Mul, x, alpha)?;
    let gate = cx.unary(Op::Sigmoid, &scaled)?;
    cx.mul(x, &gate)
}

fn swish(cx: &mut Importer, node: &Node) -> Results {
    one(sigmoid_product(cx, node.input(0)?, node.float("alpha", 1.0))?)
}

fn quick_gelu(cx: &mut Importer, node: &Node) -> Results {
    one(sigmoid_product(cx, node.input(0)?, node.float("alpha", 1.702))?)
}

fn thresholded_relu(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let above = cx.scalar_with(Op::Less, node.float("alpha", 1.0), x)?;
    let zero = cx.scalar_like(x, 0.0)?;
    one(cx.select(&above, x, &zero)?)
}
