//! Each op on random operands: its reference implementation agrees with the definition that it lowers to.

use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::{Bindings, Dim, Symbol, product};
use lostwax_ir::eval::{eval_compute, eval_node};
use lostwax_ir::ops::{Class, Op, Sample, Tolerance, Work};
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};

const CASES: u64 = 300;

fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 1.0 / 1024.0,
        DType::BF16 => 1.0 / 128.0,
        DType::F32 => f64::from(f32::EPSILON),
        _ => f64::EPSILON,
    }
}

fn assert_close(expected: &Tensor, actual: &Tensor, tolerance: Tolerance, context: &str) {
    assert_eq!(expected.ty(), actual.ty(), "{context}");
    let units = match tolerance {
        Tolerance::Exact => 0.0,
        Tolerance::Rounding => 8.0,
        Tolerance::Accumulation => 256.0,
    };
    let units = if expected.dtype().is_float() { units * epsilon(expected.dtype()) } else { 0.0 };
    // What is left of terms that cancel is as exact as the terms, which are about as large as the largest result.
    let largest =
        expected.to_f64().into_iter().filter(|value| value.is_finite()).fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let size = |value: f64| if tolerance == Tolerance::Accumulation { largest } else { value.abs() };
    for (position, (a, b)) in expected.to_f64().iter().zip(actual.to_f64()).enumerate() {
        let same = *a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= units * (1.0 + size(*a));
        assert!(same, "{context}: element {position} is {b}, expected {a}");
    }
}

struct Case {
    sample: Sample,
    ty: TensorType,
    tensors: Vec<Tensor>,
}

fn case(op: Op, random: &mut Random) -> Case {
    let sample = (op.def().sample)(random);
    let types: Vec<&TensorType> = sample.operands.iter().collect();
    let ty = op.infer(&types, &sample.attrs).unwrap_or_else(|error| panic!("{error}: {sample:?}"));
    let mut tensors: Vec<Tensor> = sample.operands.iter().map(|ty| random.tensor(ty).expect("operands are small")).collect();
    if op.def().class == Class::Elementwise {
        tensors = tensors.iter().map(|tensor| with_special_values(random, tensor)).collect();
    }
    Case { sample, ty, tensors }
}

/// The tensor with now and then a zero, an infinity, a NaN or a number of extreme size in place of a float.
fn with_special_values(random: &mut Random, tensor: &Tensor) -> Tensor {
    let special = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e30, -1e30, 1e-30];
    let value = |value: f64, random: &mut Random| if random.one_in(6) { random.pick(&special, 0.0) } else { value };
    if !tensor.dtype().is_float() {
        return tensor.clone();
    }
    let values: Vec<f64> = tensor.to_f64().into_iter().map(|x| value(x, random)).collect();
    Tensor::from_f64(tensor.dtype(), tensor.shape(), &values).expect("the count fits")
}

fn evaluate(op: Op, case: &Case) -> Tensor {
    let tensors: Vec<&Tensor> = case.tensors.iter().collect();
    let result = eval_node(op, &case.sample.attrs, &tensors, &case.ty, &Bindings::new());
    result.unwrap_or_else(|error| panic!("{error}: {:?}", case.sample))
}

fn check_lowering(op: Op, case: &Case, expected: &Tensor, sample: &Sample, ty: &TensorType, bindings: &Bindings) {
    let types: Vec<&TensorType> = sample.operands.iter().collect();
    let compute = (op.def().lower)(&types, &sample.attrs, ty).expect("the op lowers");
    let tensors: Vec<&Tensor> = case.tensors.iter().collect();
    let context = format!("{op} {sample:?} with {bindings:?}");
    let actual = eval_compute(&compute, &tensors, bindings).unwrap_or_else(|| panic!("{context}: {compute:#?}"));
    assert_close(expected, &actual, op.def().tolerance, &context);
}

/// The case with one size replaced by a symbol, if the op accepts that.
fn symbolic(op: Op, case: &Case, random: &mut Random) -> Option<(Sample, TensorType, Bindings)> {
    let sizes: Vec<i64> = case.sample.operands.iter().flat_map(|ty| &ty.dims).filter_map(Dim::as_constant).collect();
    let size = random.pick(&sizes, 0);
    let symbol = Dim::symbol(&Symbol::new("s", 1, 64));
    let replace = |dim: &Dim| if dim.is(size) && size > 1 { symbol.clone() } else { dim.clone() };
    let all = random.one_in(2);
    let mut sample = case.sample.clone();
    for ty in sample.operands.iter_mut().take(if all { usize::MAX } else { 1 }) {
        ty.dims = ty.dims.iter().map(replace).collect();
    }
    for name in ["dims", "sizes"] {
        if let Some(Attr::Dims(dims)) = sample.attrs.get(name).cloned() {
            sample.attrs = sample.attrs.with(name, dims.iter().map(replace).collect::<Vec<Dim>>());
        }
    }
    let ty = op.infer(&sample.operands.iter().collect::<Vec<_>>(), &sample.attrs).ok()?;
    let bindings = Bindings::from([("s".to_string(), size)]);
    (size > 1 && ty.bind(&bindings) == case.ty && sample.operands != case.sample.operands).then_some((sample, ty, bindings))
}

fn check(op: Op) {
    let mut symbolic_cases = 0;
    for seed in 0..CASES {
        let mut random = Random::new(seed * 1000 + op as u64);
        let case = case(op, &mut random);
        let expected = evaluate(op, &case);
        check_lowering(op, &case, &expected, &case.sample, &case.ty, &Bindings::new());
        if let Some((sample, ty, bindings)) = symbolic(op, &case, &mut random) {
            symbolic_cases += 1;
            check_lowering(op, &case, &expected, &sample, &ty, &bindings);
        }
    }
    let has_sizes = op.def().operands != lostwax_ir::ops::Operands::Fixed(&[]);
    assert!(symbolic_cases > 20 || !has_sizes, "{op}: {symbolic_cases} symbolic cases");
}

fn check_class(class: Class) {
    for op in Op::ALL.iter().filter(|op| op.def().class == class) {
        check(*op);
    }
}

#[test]
fn elementwise_ops() {
    check_class(Class::Elementwise);
}

#[test]
fn movements() {
    check_class(Class::Movement);
    check_class(Class::Concatenation);
    check_class(Class::Update);
    check_class(Class::Decode);
}

#[test]
fn reductions() {
    check_class(Class::Reduce);
}

#[test]
fn contractions() {
    check_class(Class::Contraction);
}

#[test]
fn windows() {
    check_class(Class::Window);
}

#[test]
fn other_ops() {
    check_class(Class::Other);
}

#[test]
fn leaves_are_not_evaluated() {
    for op in Op::ALL.iter().filter(|op| op.def().class == Class::Leaf) {
        let sample = (op.def().sample)(&mut Random::new(1));
        assert!((op.def().eval)(&[], &sample.attrs, &TensorType::scalar(DType::F32)).is_none());
    }
}

#[test]
fn names_are_unique_and_found() {
    for op in Op::ALL {
        assert_eq!(Op::from_name(op.name()), Some(*op));
    }
}

#[test]
fn undeclared_attributes_are_refused() {
    let x = TensorType::new(DType::F32, [2i64]);
    assert!(Op::Exp.infer(&[&x], &Attrs::new().with("axis", 0)).is_err());
    assert!(Op::Exp.infer(&[&x, &x], &Attrs::new()).is_err());
    assert!(Op::ReduceSum.infer(&[&x], &Attrs::new()).is_err());
}

#[test]
fn multiply_adds_are_those_of_the_definition() {
    let mut random = Random::new(11);
    for op in [Op::MatMul, Op::Conv] {
        let Work::MultiplyAdds(loops) = op.def().work else { panic!("`{op}` is a contraction") };
        for _ in 0..40 {
            let Case { sample, ty, .. } = case(op, &mut random);
            let types: Vec<&TensorType> = sample.operands.iter().collect();
            let compute = (op.def().lower)(&types, &sample.attrs, &ty).expect("a definition");
            let axes = compute.axes.iter().chain(compute.reduction.iter().flat_map(|reduction| &reduction.axes));
            let points = product(axes.map(|axis| &axis.extent));
            assert_eq!(product(&loops(&types, &sample.attrs, &ty)), points, "`{op}` {sample:?}");
        }
    }
}
