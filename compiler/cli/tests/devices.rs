//! Devices as users choose them, and what they are told where there is none.

mod common;

use common::Workplace;

/// A folder with `model.lwx`, which has code for the CPU and the GPU.
fn compiled() -> Workplace {
    let place = Workplace::with_model();
    let (code, _, stderr) = place.run("compile model.onnx -o model.lwx --target cpu --target gpu");
    assert_eq!(code, 0, "{stderr}");
    place
}

#[test]
fn every_adapter_that_is_listed_runs() {
    let place = compiled();
    let devices = place.json("devices", 0)["devices"].as_array().unwrap().clone();
    assert!(devices.len() >= 3 && devices.iter().all(|device| device["variant"].is_string()), "{devices:?}");
    let adapters: Vec<_> = devices.iter().flat_map(|device| device["adapters"].as_array().unwrap()).collect();
    assert!(adapters.len() >= 2, "{devices:?}");
    let names: Vec<&str> = adapters.iter().map(|adapter| adapter["device"].as_str().unwrap()).collect();
    assert!(names.contains(&"cpu") && names.contains(&"gpu:0"), "{names:?}");
    let (_, text, _) = place.run("devices");
    for (adapter, name) in adapters.iter().zip(names) {
        assert!(text.contains(name) && text.contains(adapter["name"].as_str().unwrap()), "{text}");
        assert_eq!(place.json(&format!("verify model.lwx model.onnx --shape x:7x3 --device {name}"), 0)["ok"], true);
    }
    let bindings = &devices[1]["adapters"][0]["properties"]["largest_binding"];
    assert!(bindings.as_u64().unwrap() >= 128 << 20);
}

#[test]
fn what_is_not_there_is_a_missing_device() {
    let place = compiled();
    for (device, expected) in [
        ("abacus", "cpu, gpu, interp"),
        ("gpu:abacus", "is none of: 0, "),
        ("gpu:99", "is none of: 0, "),
        ("cpu:1", "takes none"),
    ] {
        let (code, _, stderr) = place.run(&format!("run model.lwx --device {device}"));
        assert!(code == 5 && stderr.contains(expected), "{code} {stderr}");
    }
    let mut command = place.command();
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    let output = command.args(["run", "model.lwx", "--device", "gpu"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(5) && stderr.contains("there is no gpu device"), "{stderr}");
    let mut command = place.command();
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    assert!(command.args(["devices"]).output().unwrap().status.success());
}

#[test]
fn a_profile_has_the_times_and_peaks_of_the_device() {
    let place = compiled();
    let report = place.json("bench model.lwx --shape x:512x3 --iters 1 --warmup 0 --profile --device gpu", 0);
    let profile = &report["profile"];
    assert!(profile["peak_gflops"].as_f64().unwrap() > 0.0 && profile["peak_gbps"].as_f64().unwrap() > 0.0);
    let steps = profile["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step["ms"].as_f64().unwrap() > 0.0), "{steps:?}");
}
