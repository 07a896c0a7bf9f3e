//! A builder of ONNX models.

use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use protobuf::MessageField;

/// The value of an attribute.
pub(super) enum Value<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
    Graph(&'a GraphProto),
}

pub(super) const FLOAT: i32 = 1;
pub(super) const INT64: i32 = 7;
pub(super) const BOOL: i32 = 9;

/// A model that is put together step by step.
pub(super) struct Model(pub(super) ModelProto);

fn dimension(text: &str) -> Dimension {
    let value = match text.parse() {
        Ok(size) => dimension::Value::DimValue(size),
        Err(_) => dimension::Value::DimParam(text.to_string()),
    };
    Dimension { value: Some(value), ..Dimension::new() }
}

fn info(name: &str, elem_type: i32, dims: &[&str]) -> ValueInfoProto {
    let shape = TensorShapeProto { dim: dims.iter().map(|dim| dimension(dim)).collect(), ..TensorShapeProto::new() };
    let tensor = type_proto::Tensor { elem_type, shape: MessageField::some(shape), ..type_proto::Tensor::new() };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::new() };
    ValueInfoProto { name: name.to_string(), type_: MessageField::some(ty), ..ValueInfoProto::new() }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| name.to_string()).collect()
}

/// A tensor of 64-bit integers.
pub(super) fn ints(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    let (dims, int64_data) = (dims.to_vec(), values.to_vec());
    TensorProto { name: name.to_string(), data_type: INT64, dims, int64_data, ..TensorProto::new() }
}

/// A tensor of 32-bit floats.
pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let (dims, float_data) = (dims.to_vec(), values.to_vec());
    TensorProto { name: name.to_string(), data_type: FLOAT, dims, float_data, ..TensorProto::new() }
}

/// A node.
pub(super) fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Value)]) -> NodeProto {
    let attribute = attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    NodeProto { op_type: op.to_string(), input: names(inputs), output: names(outputs), attribute, ..NodeProto::new() }
}

fn attribute(name: &str, value: &Value) -> AttributeProto {
    let mut proto = AttributeProto { name: name.to_string(), ..AttributeProto::new() };
    match value {
        Value::Int(value) => proto.i = *value,
        Value::Ints(values) => proto.ints = values.to_vec(),
        Value::Float(value) => proto.f = *value,
        Value::Text(text) => proto.s = text.as_bytes().to_vec(),
        Value::Graph(graph) => proto.g = MessageField::some((*graph).clone()),
    }
    proto
}

impl Model {
    /// An empty model.
    pub(super) fn new(opset: i64) -> Self {
        let set = OperatorSetIdProto { version: opset, ..OperatorSetIdProto::new() };
        let graph = MessageField::some(GraphProto { name: "test".to_string(), ..GraphProto::new() });
        Self(ModelProto { ir_version: 8, opset_import: vec![set], graph, ..ModelProto::new() })
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.mut_or_insert_default()
    }

    pub(super) fn input(mut self, name: &str, elem_type: i32, dims: &[&str]) -> Self {
        self.graph().input.push(info(name, elem_type, dims));
        self
    }

    pub(super) fn constant(mut self, tensor: TensorProto) -> Self {
        self.graph().initializer.push(tensor);
        self
    }

    pub(super) fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Value)]) -> Self {
        self.graph().node.push(node(op, inputs, outputs, attributes));
        self
    }

    pub(super) fn output(mut self, name: &str) -> Self {
        self.graph().output.push(ValueInfoProto { name: name.to_string(), ..ValueInfoProto::new() });
        self
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.write_to_bytes().unwrap_or_default()
    }
}

/// A subgraph without operands.
pub(super) fn subgraph(nodes: Vec<NodeProto>, output: &str) -> GraphProto {
    let output = vec![ValueInfoProto { name: output.to_string(), ..ValueInfoProto::new() }];
    GraphProto { node: nodes, output, ..GraphProto::new() }
}
