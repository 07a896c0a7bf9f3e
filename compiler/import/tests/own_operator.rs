//! An operator that is registered from outside.

use lostwax_import::onnx::{Importer, Node, NodeError, Operator, Results};
use lostwax_import::{ImportError, ImportOptions, Registry};
use lostwax_ir::eval::eval_graph;
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};
use protobuf::MessageField;

const FLOAT: i32 = 1;

/// `x * sigmoid(beta * x)`
fn swish(importer: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    if !importer.dtype(x).is_float() {
        return Err(NodeError::Unsupported("Swish2 of integers".to_string()));
    }
    let scaled = importer.with_scalar(Op::Mul, x, node.float("beta", 1.0))?;
    let gate = importer.unary(Op::Sigmoid, &scaled)?;
    Ok(vec![importer.mul(x, &gate)?])
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.operators.add(Operator::new("com.example", "Swish2", swish)).unwrap();
    registry
}

fn vector(name: &str, size: i64) -> ValueInfoProto {
    let dim = vec![Dimension { value: Some(dimension::Value::DimValue(size)), ..Dimension::new() }];
    let shape = MessageField::some(TensorShapeProto { dim, ..TensorShapeProto::new() });
    let tensor = type_proto::Tensor { elem_type: FLOAT, shape, ..type_proto::Tensor::new() };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::new() };
    ValueInfoProto { name: name.to_string(), type_: MessageField::some(ty), ..ValueInfoProto::new() }
}

/// `y = Swish2(x)` with an operator of that name.
fn model(op_type: &str) -> Vec<u8> {
    let beta = AttributeProto { name: "beta".to_string(), f: 2.0, ..AttributeProto::new() };
    let node = NodeProto {
        op_type: op_type.to_string(),
        domain: "com.example".to_string(),
        input: vec!["x".to_string()],
        output: vec!["y".to_string()],
        attribute: vec![beta],
        ..NodeProto::new()
    };
    let graph = GraphProto { node: vec![node], input: vec![vector("x", 3)], output: vec![vector("y", 3)], ..GraphProto::new() };
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_string(), version, ..OperatorSetIdProto::new() };
    let opset_import = vec![opset("", 17), opset("com.example", 1)];
    let model = ModelProto { ir_version: 8, opset_import, graph: MessageField::some(graph), ..ModelProto::new() };
    model.write_to_bytes().unwrap()
}

fn import(registry: &Registry, op_type: &str) -> Result<Graph, ImportError> {
    registry.onnx_bytes(&model(op_type), None, &ImportOptions::default())
}

#[test]
fn a_model_with_an_own_operator_is_imported() {
    let graph = import(&registry(), "Swish2").unwrap();
    let values = [-1.0, 0.0, 2.0f32];
    let inputs = [("x".to_string(), Tensor::f32(&[3], &values).unwrap())];
    let outputs = eval_graph(&graph, &inputs.into()).unwrap();
    for (x, y) in values.iter().zip(outputs["y"].to_f64()) {
        let x = f64::from(*x);
        assert!((y - x / (1.0 + (-2.0 * x).exp())).abs() < 1e-6, "{x} gives {y}");
    }
}

#[test]
fn only_that_registry_knows_it() {
    let text = import(&Registry::default(), "Swish2").unwrap_err().to_string();
    assert!(text.contains("com.example::Swish2") && text.contains("register the operator"), "{text}");
}

#[test]
fn a_misspelt_operator_is_unknown() {
    let text = import(&registry(), "Swish").unwrap_err().to_string();
    assert!(text.contains("did you mean `Swish2`?"), "{text}");
}
