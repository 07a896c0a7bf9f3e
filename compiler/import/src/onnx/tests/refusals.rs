//! What cannot be imported is told completely.

use super::model::{FLOAT, INT64, Model, Value, floats, ints};
use crate::Registry;
use crate::{ImportError, ImportOptions, Status};
use onnx_protobuf::{StringStringEntryProto, TensorProto};
use protobuf::EnumOrUnknown;

fn error(model: &Model) -> ImportError {
    Registry::default().onnx_bytes(&model.bytes(), None, &ImportOptions::default()).expect_err("an error")
}

#[test]
fn all_unsupported_operators_are_reported() {
    let model = Model::new(13)
        .input("x", FLOAT, &["4", "4"])
        .node("Det", &["x"], &["a"], &[])
        .node("NonZero", &["x"], &["b"], &[])
        .node("Det", &["x"], &["c"], &[])
        .node("Relu", &["a"], &["d"], &[])
        .node("Reshape", &["x", "b"], &["e"], &[])
        .node("Pad", &["x", "pads"], &["f"], &[("mode", Value::Text("mirror"))])
        .constant(ints("pads", &[4], &[0, 0, 1, 1]))
        .output("d");
    let ImportError::UnsupportedOperators(report) = error(&model) else { panic!("unsupported operators") };
    let problems: Vec<_> = report.problems().map(|op| (op.name.as_str(), op.count, op.status, op.nodes.len())).collect();
    let expected = [("Det", 2, Status::Unsupported, 2), ("NonZero", 1, Status::Unsupported, 1), ("Pad", 1, Status::Partial, 1)];
    assert_eq!(problems, expected);
    assert!(report.to_string().contains("Det_0, Det_2"), "{report}");
    let checked = Registry::default().check_onnx_bytes(&model.bytes(), None, &ImportOptions::default()).expect("a report");
    assert_eq!(checked, *report);
    assert!(!checked.is_supported());
}

#[test]
fn broken_models_are_refused() {
    let base = || Model::new(13).input("x", FLOAT, &["2", "3"]);
    let relu = |model: Model| model.node("Relu", &["x"], &["y"], &[]).output("y");
    let cases = [
        ("depends on itself", base().node("Add", &["x", "b"], &["a"], &[]).node("Relu", &["a"], &["b"], &[])),
        ("defined twice", base().node("Relu", &["x"], &["y"], &[]).node("Exp", &["x"], &["y"], &[])),
        ("operand 0 is missing", base().node("Relu", &[], &["y"], &[])),
        ("does not fit rank", base().node("Softmax", &["x"], &["y"], &[("axis", Value::Int(7))])),
        ("can never be equal", relu(base()).constant(floats("w", &[2, 2], &[0.0; 4])).node("Add", &["x", "w"], &["z"], &[])),
        ("does not fit its type", base().constant(floats("w", &[5], &[1.0])).node("Add", &["x", "w"], &["z"], &[])),
        ("opset 99", Model::new(99)),
        ("two outputs", relu(base()).output("y")),
        ("two inputs", base().input("x", FLOAT, &[])),
    ];
    for (expected, model) in cases {
        let text = error(&model).to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn huge_constants_are_refused() {
    let model = Model::new(13).constant(ints("shape", &[3], &[1 << 20, 1 << 20, 1 << 10]));
    let model = model.node("ConstantOfShape", &["shape"], &["y"], &[]).output("y");
    assert!(matches!(error(&model), ImportError::LimitExceeded { .. } | ImportError::Invalid { .. }));
    let model = Model::new(13).constant(ints("shape", &[2], &[1 << 20, 1 << 20]));
    let model = model.node("ConstantOfShape", &["shape"], &["y"], &[]).output("y");
    assert!(matches!(error(&model), ImportError::LimitExceeded { .. }));
}

#[test]
fn external_data_stays_in_the_folder_of_the_model() {
    let folder = std::env::temp_dir().join(format!("lostwax-external-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("inner")).expect("a folder");
    std::fs::write(folder.join("secret"), [0; 8]).expect("a file");
    std::fs::write(folder.join("inner/data"), [0, 0, 128, 63, 0, 0, 0, 64]).expect("a file");
    let import = |location: &str| {
        let entry = StringStringEntryProto { key: "location".into(), value: location.into(), ..Default::default() };
        let tensor = TensorProto {
            name: "w".into(),
            data_type: FLOAT,
            dims: vec![2],
            external_data: vec![entry],
            data_location: EnumOrUnknown::from_i32(1),
            ..TensorProto::new()
        };
        let model = Model::new(13).constant(tensor).node("Identity", &["w"], &["y"], &[]).output("y");
        Registry::default().onnx_bytes(&model.bytes(), Some(&folder.join("inner")), &ImportOptions::default())
    };
    let graph = import("data").expect("a valid model");
    let constant = graph.outputs().first().and_then(|output| graph.as_constant(output.value));
    assert_eq!(constant.map(|tensor| tensor.to_f64()), Some(vec![1.0, 2.0]));
    let outside = folder.join("secret");
    for location in ["../secret", "missing", "", outside.to_str().unwrap_or("/")] {
        assert!(import(location).is_err(), "{location}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&outside, folder.join("inner/link")).expect("a link");
        let fifo = std::process::Command::new("mkfifo").arg(folder.join("inner/fifo")).status();
        assert!(fifo.is_ok_and(|status| status.success()));
        for (location, problem) in [("link", "must lie in the folder"), ("fifo", "a FIFO"), (".", "a folder")] {
            let found = import(location).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(found.contains(problem), "{location}: {found}");
        }
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

#[test]
fn inputs_that_are_constants_too_are_constants() {
    let model = Model::new(13).input("x", FLOAT, &["2"]).input("w", FLOAT, &["2"]).constant(floats("w", &[2], &[1.0, 2.0]));
    let model = model.node("Add", &["x", "w"], &["y"], &[]).input("shape", INT64, &["1"]).output("y");
    let graph = Registry::default().onnx_bytes(&model.bytes(), None, &ImportOptions::default()).expect("a valid model");
    assert_eq!(graph.inputs().len(), 2);
}
