//! The program, a folder for its files, and small ONNX models.

use assert_cmd::Command;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};
use protobuf::MessageField;
use serde_json::Value;
use std::path::{Path, PathBuf};
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
        let output = lostwax(self.0.path()).args(args.split_whitespace()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs the program with `--json` and gives what it prints, which must be JSON; the exit code must be `code`.
    pub fn json(&self, args: &str, code: i32) -> Value {
        let (found, stdout, stderr) = self.run(&format!("{args} --json"));
        assert_eq!(found, code, "{args}: {stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// Compiles `model.onnx` to `model.lwx`.
    pub fn compile(&self) {
        let (code, _, stderr) = self.run("compile model.onnx -o model.lwx");
        assert_eq!(code, 0, "{stderr}");
    }
}

fn lostwax(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lostwax"));
    command.current_dir(folder);
    command
}

/// `y = OP(x * weights)` as the bytes of an ONNX file.
pub fn model(op: &str) -> Vec<u8> {
    let weights = TensorProto {
        name: "weights".to_string(),
        data_type: FLOAT,
        dims: vec![3, 2],
        float_data: vec![1.0, -1.0, 2.0, -2.0, 0.5, 4.0],
        ..TensorProto::new()
    };
    let graph = GraphProto {
        name: "tiny".to_string(),
        node: vec![node("MatMul", &["x", "weights"], "product"), node(op, &["product"], "y")],
        initializer: vec![weights],
        input: vec![value("x", 3)],
        output: vec![value("y", 2)],
        ..GraphProto::new()
    };
    let opset = OperatorSetIdProto { version: 13, ..OperatorSetIdProto::new() };
    let graph = MessageField::some(graph);
    ModelProto { ir_version: 8, opset_import: vec![opset], graph, ..ModelProto::new() }.write_to_bytes().unwrap()
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

/// An f32 tensor of any number of rows.
fn value(name: &str, columns: i64) -> ValueInfoProto {
    let size = |value| Dimension { value: Some(value), ..Dimension::new() };
    let dims = [dimension::Value::DimParam("rows".to_string()), dimension::Value::DimValue(columns)].map(size);
    let shape = MessageField::some(TensorShapeProto { dim: dims.to_vec(), ..TensorShapeProto::new() });
    let tensor = type_proto::Tensor { elem_type: FLOAT, shape, ..type_proto::Tensor::new() };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::new() };
    ValueInfoProto { name: name.to_string(), type_: MessageField::some(ty), ..ValueInfoProto::new() }
}
