//! The program as its users see it: output, files and exit codes.

mod common;

use common::{Workplace, model, scaled_convolution};
use serde_json::json;

const VERBS: &[&str] = &[
    "check",
    "compile",
    "run",
    "bench",
    "verify",
    "inspect",
    "generate",
    "chat",
    "tokenize",
    "perplexity",
    "embed",
    "serve",
    "opt",
    "bisect",
    "targets",
    "devices",
    "ops",
    "rules",
    "passes",
    "completions",
    "manual",
];

#[test]
fn every_verb_explains_itself_with_examples() {
    let place = Workplace::new();
    for verb in VERBS {
        let (code, help, _) = place.run(&format!("{verb} --help"));
        assert_eq!(code, 0);
        assert!(help.contains(&format!("lostwax {verb}")) && help.contains("Examples:"), "{help}");
    }
}

#[test]
fn lists_are_not_empty() {
    let place = Workplace::new();
    for list in ["targets", "devices", "ops", "rules", "passes"] {
        assert!(!place.json(list, 0)[list].as_array().unwrap().is_empty(), "{list}");
    }
    assert!(!place.json("ops --onnx", 0)["onnx"].as_array().unwrap().is_empty());
}

#[test]
fn misuse_is_told_from_failure() {
    let place = Workplace::with_model();
    place.write("strange.onnx", &model("Frobnicate"));
    place.write("deep.onnx", &model("Softmax"));
    place.compile();
    let artifact = place.read("model.lwx");
    place.write("damaged.lwx", &artifact[..artifact.len() - 1]);
    let cases = [
        ("melt model.onnx", 2),
        ("check", 2),
        ("check missing.onnx", 2),
        ("compile model.onnx -o x.lwx --target toaster", 2),
        ("compile model.onnx -o x.lwx --shape x", 2),
        ("run model.lwx -i z=1x3xf32=0", 2),
        ("run model.lwx -i x=1x4xf32=0", 2),
        ("run model.lwx -o y.txt", 2),
        ("opt model.onnx --pass frobnicate", 2),
        ("check strange.onnx", 3),
        ("compile strange.onnx -o x.lwx", 3),
        ("run damaged.lwx", 4),
        ("inspect damaged.lwx", 4),
        ("run model.lwx --device toaster", 5),
        ("compile deep.onnx -o x.lwx --max-memory 0", 6),
        ("compile model.onnx -o x.lwx --max-size 100", 6),
        ("run model.lwx --max-memory 1", 6),
        ("compile model.onnx -o x.lwx --target interp --emit object", 3),
        ("compile model.onnx -o x.lwx --emit wool", 2),
        ("compile model.onnx -o x.lwx -O4", 2),
    ];
    for (args, expected) in cases {
        let (code, _, stderr) = place.run(args);
        assert_eq!(code, expected, "{args}: {stderr}");
        assert!(!stderr.is_empty() || args.starts_with("check"), "{args}");
    }
}

#[test]
fn an_unsupported_model_is_reported_whole() {
    let place = Workplace::new();
    place.write("strange.onnx", &model("Frobnicate"));
    let report = place.json("check strange.onnx", 3);
    assert_eq!(report["supported"], false);
    let ops = report["ops"].as_array().unwrap();
    let strange = ops.iter().find(|op| op["op"] == "Frobnicate").unwrap();
    assert_eq!((strange["status"].as_str(), strange["nodes"][0].as_str()), (Some("unsupported"), Some("the_y")));
    let failed = place.json("compile strange.onnx -o x.lwx", 3);
    assert_eq!((failed["exit_code"].as_u64(), &failed["report"]), (Some(3), &report));
}

#[test]
fn a_model_becomes_an_artifact_that_runs() {
    let place = Workplace::with_model();
    assert_eq!(place.json("check model.onnx", 0)["supported"], true);
    place.compile();
    let ran = place.json("run model.lwx -i x=2x3xf32=1,0,0,0,0,2 -o y.npz", 0);
    assert_eq!((&ran["outputs"]["y"]["dtype"], &ran["outputs"]["y"]["shape"]), (&json!("f32"), &json!([2, 2])));
    let values: Vec<u8> = [1.0f32, 0.0, 1.0, 8.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let written = place.read("y.npz");
    assert!(written.windows(values.len()).any(|window| window == values));
}

#[test]
fn results_can_be_read_back() {
    let place = Workplace::with_model();
    place.write("eye.onnx", &model("Identity"));
    assert_eq!(place.run("run model.onnx -i x=3x3xf32=1 -o y.npy").0, 0);
    assert_eq!(place.run("run eye.onnx -i x=@y.npy").0, 2);
    assert_eq!(place.run("run eye.onnx -i @y.npy").0, 2);
    assert_eq!(place.run("run eye.onnx -i x=@y.npy -i x=3x3xf32=1").0, 0);
    assert_eq!(place.run("run model.onnx -i x=@missing.npy").0, 2);
}

#[test]
fn one_artifact_serves_all_sizes() {
    let place = Workplace::with_model();
    place.compile();
    for rows in [1, 2, 7, 64] {
        let verified = place.json(&format!("verify model.lwx model.onnx --shape x:{rows}x3 --seed {rows}"), 0);
        assert_eq!(verified["ok"], true);
        assert!(verified["outputs"]["y"]["max_rel"].as_f64().unwrap() < 1e-5);
    }
}

#[test]
fn an_artifact_runs_on_every_device_that_it_has_code_for() {
    let place = Workplace::with_model();
    assert_eq!(place.run("compile model.onnx -o both.lwx --target cpu --target interp").0, 0);
    assert_eq!(place.run("compile model.onnx -o one.lwx --target interp").0, 0);
    for (args, device) in [("both.lwx", "cpu"), ("both.lwx", "interp"), ("one.lwx", "interp")] {
        assert_eq!(place.json(&format!("verify {args} model.onnx --shape x:7x3 --device {device}"), 0)["ok"], true);
        assert_eq!(place.run(&format!("run {args} --device {device} -i x=2x3xf32=1,0,0,0,0,2 -o {device}.npz")).0, 0);
    }
    assert_eq!(place.read("cpu.npz"), place.read("interp.npz"));
    assert_eq!(place.run("run one.lwx --device cpu").0, 5);
    let (code, _, stderr) = place.run("run one.lwx");
    assert!(code == 0 && stderr.contains("interp"), "{stderr}");
    assert_eq!(place.run("compile model.onnx -o x.lwx --target interp:fast").0, 2);
}

#[test]
fn only_language_models_speak() {
    let place = Workplace::with_model();
    place.compile();
    place.write("text.txt", b"some text");
    for verb in [
        "generate model.lwx -p hi",
        "chat model.lwx",
        "tokenize model.lwx hi",
        "perplexity model.lwx -f text.txt",
        "embed model.lwx hi",
        "serve model.lwx --port 0",
    ] {
        let (code, stdout, stderr) = place.run(verb);
        assert_eq!((code, stdout.as_str()), (2, ""), "{verb}: {stderr}");
        assert!(stderr.contains("is not a language model") && stderr.contains("lostwax compile"), "{stderr}");
        assert_eq!(place.run(&verb.replace("model.lwx", "missing.lwx")).0, 2);
    }
}

#[test]
fn another_model_does_not_verify() {
    let place = Workplace::with_model();
    place.write("other.onnx", &model("Neg"));
    place.compile();
    assert_eq!(place.json("verify model.lwx other.onnx", 1)["ok"], false);
}

#[test]
fn a_certificate_is_kept_and_checked() {
    let place = Workplace::with_model();
    assert_eq!(place.run("compile model.onnx -o model.lwx --certify").0, 0);
    let verified = place.json("verify model.lwx", 0);
    assert_eq!((&verified["certificate"], &verified["ok"]), (&true.into(), &true.into()));
    assert!(verified["outputs"]["y"]["max_abs"].is_number());
    assert!(place.leftovers().is_empty());
}

#[test]
fn a_refused_artifact_is_not_written() {
    let place = Workplace::with_model();
    assert_eq!(place.run("compile model.onnx -o x.lwx --max-size 100").0, 6);
    assert!(!place.path("x.lwx").exists() && place.leftovers().is_empty());
    assert_eq!(place.run("compile model.onnx -o x.lwx --max-size 1MiB").0, 0);
    assert!(place.path("x.lwx").exists() && place.leftovers().is_empty());
    assert_eq!(place.run("compile model.onnx -o nowhere/x.lwx").0, 2);
}

#[test]
fn every_level_computes_the_same() {
    let place = Workplace::with_model();
    place.write("norm.onnx", &scaled_convolution());
    for level in 0..=3 {
        assert_eq!(place.run(&format!("compile norm.onnx -o norm.lwx -O{level}")).0, 0);
        assert_eq!(place.json("verify norm.lwx norm.onnx --shape x:2x3x9x7", 0)["ok"], true, "-O{level}");
    }
}

#[test]
fn each_level_does_more() {
    let place = Workplace::with_model();
    place.write("norm.onnx", &scaled_convolution());
    let optimized = |level: u8| {
        let target = "--target interp";
        assert_eq!(place.run(&format!("compile norm.onnx -o norm.lwx -O{level} {target} --dump-ir o{level}")).0, 0);
        String::from_utf8(place.read(&format!("o{level}/optimized.ir"))).unwrap()
    };
    let signs = [" sigmoid ", " silu ", " mul ", " transpose ", " pad "];
    let found = |level| signs.map(|sign| optimized(level).contains(sign));
    assert_eq!(found(0), [true, false, true, false, false]);
    assert_eq!(found(1), [false, true, true, false, false]);
    assert_eq!(found(2), [false, true, false, true, false]);
    assert_eq!(found(3), [false, true, false, true, true]);
    let steps = |level: u8| place.json(&format!("compile model.onnx -o model.lwx -O{level}"), 0)["steps"].as_u64().unwrap();
    assert!(steps(3) <= steps(0));
}

#[test]
fn what_is_slow_is_told_or_refused() {
    let place = Workplace::with_model();
    place.write("norm.onnx", &scaled_convolution());
    assert_eq!(place.json("compile model.onnx -o x.lwx --strict", 0)["warnings"].as_array().unwrap().len(), 0);
    let level = "--target cpu:x86_64+x86-64-v2";
    let warned = place.json(&format!("compile model.onnx -o x.lwx {level}"), 0);
    let can_do_better = std::env::consts::ARCH == "x86_64" && place.json("targets", 0).to_string().contains("x86-64-v3");
    if can_do_better && is_warned(&warned) {
        let (code, _, stderr) = place.run(&format!("compile model.onnx -o strict.lwx {level} --strict"));
        assert!(code == 3 && stderr.contains("x86-64-v2"), "{stderr}");
        assert!(!place.path("strict.lwx").exists());
    }
    assert!(!is_warned(&place.json("compile model.onnx -o x.lwx --target cpu:riscv64 --strict", 0)));
}

fn is_warned(report: &serde_json::Value) -> bool {
    !report["warnings"].as_array().unwrap().is_empty()
}

#[test]
fn kernels_are_written_for_other_linkers() {
    let place = Workplace::with_model();
    let target = "--target cpu:x86_64+x86-64-v2 --target cpu:aarch64";
    let report = place.json(&format!("compile model.onnx -o model.lwx {target} --emit object,header,asm,ir"), 0);
    assert_eq!(report["emitted"].as_array().unwrap().len(), 8);
    for variant in ["x86-64-v2", "armv8-a"] {
        let header = String::from_utf8(place.read(&format!("model.{variant}.h"))).unwrap();
        let declared = header.lines().find_map(|line| line.strip_prefix("void ")?.split_once('(')).unwrap().0;
        assert!(header.contains("symbols: rows") && declared.starts_with("lostwax_"), "{header}");
        let object = place.read(&format!("model.{variant}.o"));
        assert!(object.starts_with(b"\x7fELF") && object.windows(declared.len()).any(|window| window == declared.as_bytes()));
        assert!(String::from_utf8(place.read(&format!("model.{variant}.kernels"))).unwrap().starts_with("kernel "));
    }
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let place = Workplace::with_model();
    place.compile();
    let first = place.read("model.lwx");
    place.compile();
    assert_eq!(first, place.read("model.lwx"));
}

#[test]
fn inspection_shows_what_is_inside() {
    let place = Workplace::with_model();
    place.compile();
    let inspected = place.json("inspect model.lwx --shape x:5x3", 0);
    assert_eq!(inspected["entry_points"][0]["inputs"][0]["dims"][1], "3");
    assert!(!inspected["sections"].as_array().unwrap().is_empty());
    assert!(!inspected["plan"]["steps"].as_array().unwrap().is_empty());
    assert!(inspected["memory"]["arena_bytes"].as_u64() >= inspected["memory"]["arena_lower_bound_bytes"].as_u64());
    place.write("deep.onnx", &model("Softmax"));
    let formula = place.json("inspect deep.onnx", 0)["memory"]["arena_formula"].as_str().unwrap().to_string();
    assert!(formula.contains("*rows") && !formula.contains("floordiv"), "{formula}");
    let (_, text, _) = place.run("inspect model.lwx --plan --kernels --sections");
    assert!(text.contains("__lostwax__/plan") && text.contains("kernel"));
}

/// Weights lie in an artifact once, code once for each target, in all languages of the target.
#[test]
fn inspection_tells_weights_and_code_apart() {
    let place = Workplace::with_model();
    place.compile();
    assert_eq!(place.run("compile model.onnx -o both.lwx --target cpu --target gpu").0, 0);
    let weights = |file: &str| place.json(&format!("inspect {file}"), 0)["memory"]["weight_bytes"].as_u64().unwrap();
    assert_eq!(weights("both.lwx"), weights("model.lwx"));
    let inspected = place.json("inspect both.lwx", 0);
    let variants = inspected["plan"]["variants"].as_array().unwrap();
    let (of_processor, shaders) = (variants.first().unwrap(), variants.last().unwrap());
    assert_eq!(of_processor["contents"], json!([]));
    let contents = shaders["contents"].as_array().unwrap();
    let names: Vec<&str> = contents.iter().map(|content| content["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["WGSL", "SPIR-V", "MSL"]);
    let bytes = || contents.iter().map(|content| content["bytes"].as_u64().unwrap());
    assert!(bytes().all(|bytes| bytes > 100) && bytes().sum::<u64>() < shaders["code_bytes"].as_u64().unwrap());
    let (_, text, _) = place.run("inspect both.lwx");
    assert_eq!(text.matches("weights ").count(), 1, "{text}");
    assert!(text.contains("variant    gpu shader native: 1 kernels") && text.contains("SPIR-V "), "{text}");
}

#[test]
fn listings_show_every_language() {
    let place = Workplace::with_model();
    assert_eq!(place.run("compile model.onnx -o model.lwx --target gpu:metal --emit asm --strict").0, 0);
    let text = String::from_utf8(place.read("model.metal.s")).unwrap();
    for part in [", WGSL\n", ", MSL\n", ", HLSL\n", "@compute", "kernel void main_(", "[numthreads("] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, _, stderr) = place.run("compile model.onnx -o x.lwx --target gpu:toaster");
    assert!(code == 2 && stderr.contains("`webgpu-default`") && stderr.contains("`vulkan`"), "{stderr}");
}

#[test]
fn bench_measures() {
    let place = Workplace::with_model();
    place.compile();
    let measured = place.json("bench model.lwx --threads 1,2 --iters 5 --profile", 0);
    for field in ["load_ms", "first_ms", "median_ms", "p90_ms", "p99_ms", "threads", "arena_bytes", "arena_lower_bound_bytes"] {
        assert!(measured[field].is_number(), "{field}");
    }
    assert_eq!(measured["runs"].as_array().unwrap().len(), 2);
    assert!(measured["profile"]["steps"][0]["ms"].is_number());
}

#[test]
fn graphs_survive_as_text() {
    let place = Workplace::with_model();
    assert_eq!(place.run("opt model.onnx -o model.ir").0, 0);
    let (code, text, stderr) = place.run("opt model.ir");
    assert_eq!((code, text.trim()), (0, String::from_utf8(place.read("model.ir")).unwrap().trim()), "{stderr}");
    let optimized = place.json("opt model.ir --pass canonicalize,optimize,remove_dead", 0);
    assert!(optimized["text"].as_str().unwrap().contains("matmul"));
}

#[test]
fn the_passes_can_be_bisected() {
    let place = Workplace::with_model();
    place.write("norm.onnx", &scaled_convolution());
    for (args, passes) in [("model.onnx", 9), ("norm.onnx --shape x:1x3x8x9", 9), ("norm.onnx -O0", 3)] {
        let found = place.json(&format!("bisect {args}"), 0);
        assert_eq!((&found["ok"], &found["pass"]), (&true.into(), &serde_json::Value::Null));
        assert_eq!(found["steps"].as_array().unwrap().len(), passes);
    }
    let found = place.json("bisect norm.onnx --rtol=-1", 1);
    assert_eq!((&found["pass"], &found["rule"]), (&"fold_constants".into(), &serde_json::Value::Null));
    assert_eq!(place.run("bisect missing.onnx").0, 2);
}

#[test]
fn intermediate_forms_can_be_dumped() {
    let place = Workplace::with_model();
    assert_eq!(place.run("compile model.onnx -o model.lwx -O0 --dump-ir dump").0, 0);
    let names: Vec<String> =
        std::fs::read_dir(place.path("dump")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for wanted in ["imported.ir", "optimized.ir"] {
        assert!(names.iter().any(|name| name == wanted), "{names:?}");
    }
    assert!(names.iter().any(|name| name.ends_with(".kernels")) && names.iter().any(|name| name.ends_with(".s")));
}

#[test]
fn rules_groups_and_passes_that_do_not_exist_are_errors() {
    let place = Workplace::with_model();
    for (command, message) in [
        ("compile model.onnx -o x.lwx --disable-rule layot", "there is no rule or rule group `layot`; did you mean `layout`?"),
        ("opt model.onnx --disable-rule siluu", "there is no rule or rule group `siluu`; did you mean `silu`?"),
        ("opt model.onnx --pass canonicalise", "there is no pass `canonicalise`; did you mean `canonicalize`?"),
        ("rules --group nogroup", "there is no rule group `nogroup`; known: algebra, "),
    ] {
        let (code, _, stderr) = place.run(command);
        assert_eq!(code, 2, "{command}: {stderr}");
        assert!(stderr.contains(message), "{command}: {stderr}");
    }
}
