//! The program, a folder for its files, and small ONNX models.

#![allow(dead_code)]

use assert_cmd::Command;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto, type_proto,
};
use protobuf::MessageField;
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

const FLOAT: i32 = 1;

/// A folder that the program runs in.
pub struct Workplace(TempDir);

impl Workplace {
    /// An empty folder.
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A folder with `model.onnx`, which computes `y = relu(x * 3x2 weights)` for any number of rows.
    pub fn with_model() -> Self {
        let place = Self::new();
        place.write("model.onnx", &model("Relu"));
        place
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs the program and gives exit code, stdout and stderr. Arguments are separated by spaces.
    pub fn run(&self, args: &str) -> (i32, String, String) {
        self.run_on(args, "")
    }

    /// Runs the program on an input.
    pub fn run_on(&self, args: &str, input: &str) -> (i32, String, String) {
        let output = self.command().args(args.split_whitespace()).write_stdin(input).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The program in this folder, which is also where it keeps what it remembers.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostwax"));
        command.current_dir(self.0.path()).env("XDG_STATE_HOME", self.0.path());
        command
    }

    /// Runs the program with `--json` and gives what it prints, which must be JSON; the exit code must be `code`.
    pub fn json(&self, args: &str, code: i32) -> Value {
        let (found, stdout, stderr) = self.run(&format!("{args} --json"));
        assert_eq!(found, code, "{args}: {stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// The temporary files of the program that are left in this folder.
    pub fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".lostwax-")).collect()
    }

    /// Compiles `model.onnx` to `model.lwx`.
    pub fn compile(&self) {
        let (code, _, stderr) = self.run("compile model.onnx -o model.lwx");
        assert_eq!(code, 0, "{stderr}");
    }
}

/// `y = OP(x * weights)` as the bytes of an ONNX file.
pub fn model(op: &str) -> Vec<u8> {
    let weights = constant("weights", &[3, 2], vec![1.0, -1.0, 2.0, -2.0, 0.5, 4.0]);
    let nodes = vec![node("MatMul", &["x", "weights"], "product"), node(op, &["product"], "y")];
    let rows = |columns| vec![dynamic("rows"), fixed(columns)];
    bytes(nodes, vec![weights], value("x", rows(3)), value("y", rows(2)))
}

/// Two convolutions with a border of zeros, from 3 to 32 channels, scaled and with the activation `z * sigmoid(z)` in between.
pub fn scaled_convolution() -> Vec<u8> {
    let values = |count: i32| (0..count).map(|i| (i * 7 % 11) as f32 / 20.0 - 0.25).collect();
    let first = constant("first", &[32, 3, 3, 3], values(864));
    let second = constant("second", &[32, 32, 3, 3], values(9216));
    let scale = constant("scale", &[1, 32, 1, 1], (0..32).map(|i| 0.5 + i as f32 / 8.0).collect());
    let nodes = vec![
        conv(&["x", "first"], "c"),
        node("Mul", &["c", "scale"], "z"),
        node("Sigmoid", &["z"], "gate"),
        node("Mul", &["z", "gate"], "active"),
        conv(&["active", "second"], "y"),
    ];
    let image = |channels| vec![dynamic("n"), fixed(channels), dynamic("h"), dynamic("w")];
    bytes(nodes, vec![first, second, scale], value("x", image(3)), value("y", image(32)))
}

/// `y = relu(x)` of images with three channels and any size.
pub fn image_model(input: &str) -> Vec<u8> {
    let dims = || vec![dynamic("n"), fixed(3), dynamic("h"), dynamic("w")];
    bytes(vec![node("Relu", &[input], "y")], Vec::new(), value(input, dims()), value("y", dims()))
}

/// `y = a + b`, which have the same number of rows.
pub fn sum_of_two() -> Vec<u8> {
    let rows = || vec![dynamic("rows"), fixed(3)];
    let mut model = ModelProto::parse_from_bytes(&bytes(
        vec![node("Add", &["a", "b"], "y")],
        Vec::new(),
        value("a", rows()),
        value("y", rows()),
    ))
    .unwrap();
    model.graph.as_mut().unwrap().input.push(value("b", rows()));
    model.write_to_bytes().unwrap()
}

/// `y = x` in bfloat16.
pub fn cast_to_bfloat16() -> Vec<u8> {
    const BFLOAT16: i32 = 16;
    let type_ = attribute_proto::AttributeType::INT.into();
    let to = AttributeProto { name: "to".to_string(), i: i64::from(BFLOAT16), type_, ..AttributeProto::new() };
    let cast = NodeProto { attribute: vec![to], ..node("Cast", &["x"], "y") };
    let rows = || vec![dynamic("rows"), fixed(3)];
    let mut output = value("y", rows());
    output.type_.as_mut().unwrap().mut_tensor_type().elem_type = BFLOAT16;
    bytes(vec![cast], Vec::new(), value("x", rows()), output)
}

/// A transpose with steps that need more than 32 bits.
pub fn transposed() -> Vec<u8> {
    let type_ = attribute_proto::AttributeType::INTS.into();
    let perm = AttributeProto { name: "perm".to_string(), ints: vec![2, 1, 0], type_, ..AttributeProto::new() };
    let transpose = NodeProto { attribute: vec![perm], ..node("Transpose", &["x"], "y") };
    let (x, y) = (vec![fixed(3), dynamic("rows"), fixed(1 << 32)], vec![fixed(1 << 32), dynamic("rows"), fixed(3)]);
    bytes(vec![transpose], Vec::new(), value("x", x), value("y", y))
}

fn conv(inputs: &[&str], output: &str) -> NodeProto {
    let type_ = attribute_proto::AttributeType::INTS.into();
    let pads = AttributeProto { name: "pads".to_string(), ints: vec![1; 4], type_, ..AttributeProto::new() };
    NodeProto { attribute: vec![pads], ..node("Conv", inputs, output) }
}

fn bytes(node: Vec<NodeProto>, initializer: Vec<TensorProto>, input: ValueInfoProto, output: ValueInfoProto) -> Vec<u8> {
    let (input, output) = (vec![input], vec![output]);
    let graph = GraphProto { name: "tiny".to_string(), node, initializer, input, output, ..GraphProto::new() };
    let opset = OperatorSetIdProto { version: 13, ..OperatorSetIdProto::new() };
    let graph = MessageField::some(graph);
    ModelProto { ir_version: 8, opset_import: vec![opset], graph, ..ModelProto::new() }.write_to_bytes().unwrap()
}

fn constant(name: &str, dims: &[i64], float_data: Vec<f32>) -> TensorProto {
    TensorProto { name: name.to_string(), data_type: FLOAT, dims: dims.to_vec(), float_data, ..TensorProto::new() }
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: format!("the_{output}"),
        op_type: op.to_string(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.to_string()],
        ..NodeProto::new()
    }
}

fn dynamic(name: &str) -> Dimension {
    Dimension { value: Some(dimension::Value::DimParam(name.to_string())), ..Dimension::new() }
}

fn fixed(size: i64) -> Dimension {
    Dimension { value: Some(dimension::Value::DimValue(size)), ..Dimension::new() }
}

/// An f32 tensor.
fn value(name: &str, dim: Vec<Dimension>) -> ValueInfoProto {
    let shape = MessageField::some(TensorShapeProto { dim, ..TensorShapeProto::new() });
    let tensor = type_proto::Tensor { elem_type: FLOAT, shape, ..type_proto::Tensor::new() };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::new() };
    ValueInfoProto { name: name.to_string(), type_: MessageField::some(ty), ..ValueInfoProto::new() }
}
