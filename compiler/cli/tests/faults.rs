//! What the program says where names, files, flags or sizes are wrong, and how it shows what is large or takes long.

mod common;

use common::{Workplace, image_model, model, scaled_convolution};
use serde_json::{Value, json};

/// Runs the program, which must refuse its arguments, and gives what it says.
fn refused(place: &Workplace, args: &str) -> String {
    let (code, stdout, stderr) = place.run(args);
    assert_eq!((code, stdout.as_str()), (2, ""), "{args}: {stderr}");
    stderr
}

#[test]
fn names_that_do_not_exist_are_refused_with_a_suggestion() {
    let place = Workplace::with_model();
    place.compile();
    let cases = [
        ("compile model.onnx -o x.lwx --target cpi", "`cpu`"),
        ("compile model.onnx -o x.lwx --target intrep", "`interp`"),
        ("compile model.onnx -o x.lwx --disable-rule layuot", "`layout`"),
        ("compile model.onnx -o x.lwx --emit objekt", "'object'"),
        ("compile model.onnx -o x.lwx --shpe x:1x3", "'--shape'"),
        ("compile model.onnx -o x.lwx --quant q4_kk", "`q4_k`"),
        ("compile model.onnx -o x.lwx --cache f23", "`f32`"),
        ("compile model.onnx -o x.lwx --fp contrakt", "contract"),
        ("bisect model.onnx --disable-rule layuot", "`layout`"),
        ("opt model.onnx --pass optimise", "`optimize`"),
        ("passes optimise", "`optimize`"),
        ("rules --group layuot", "`layout`"),
        ("rules silu_from_sigmoit", "`silu"),
        ("ops matmull", "`matmul`"),
        ("inspect model.lwx --kernel matmul_rellu_0", "`matmul_relu_0`"),
        ("check modle.onnx", "modle.onnx"),
        ("comple model.onnx", "'compile'"),
    ];
    for (args, suggestion) in cases {
        let stderr = refused(&place, args);
        assert!(stderr.contains(suggestion), "{args}: {stderr}");
    }
}

#[test]
fn inputs_outputs_and_devices_are_suggested() {
    let place = Workplace::new();
    place.write("model.onnx", &image_model("image"));
    assert_eq!(place.run("compile model.onnx -o model.lwx").0, 0);
    for args in
        ["run model.lwx -i imagee=1x3x8x8xf32=0", "run model.lwx --shape imagee:1x3x8x8", "run model.onnx --shape imagee:1x3x8x8"]
    {
        let (code, _, stderr) = place.run(args);
        assert!(code != 0 && stderr.contains("did you mean `image`?"), "{args}: {stderr}");
    }
    assert!(refused(&place, "run model.lwx -i image=1x3x8x8xf23=0").contains("`f32`"));
    let (code, _, stderr) = place.run("run model.lwx --device cpi");
    assert!(code == 5 && stderr.contains("did you mean `cpu`?"), "{stderr}");
}

#[test]
fn drivers_do_not_complain_about_the_environment() {
    let place = Workplace::new();
    let output = place.command().args(["devices"]).env_remove("XDG_RUNTIME_DIR").output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn values_are_part_of_the_result() {
    let place = Workplace::with_model();
    place.compile();
    let ran = place.json("run model.lwx -i x=2x3xf32=1,0,0,0,0,2", 0);
    let expected = json!({ "dtype": "f32", "shape": [2, 2], "values": [1.0, 0.0, 1.0, 8.0], "complete": true });
    assert_eq!(ran["outputs"]["y"], expected);
    let first = place.json("run model.lwx -i x=2x3xf32=1,0,0,0,0,2 --values 1", 0);
    assert_eq!((&first["outputs"]["y"]["values"], &first["outputs"]["y"]["complete"]), (&json!([1.0]), &json!(false)));
    let (_, text, _) = place.run("run model.lwx -i x=2x3xf32=1,0,0,0,0,2 --values 2");
    assert!(text.contains("[1.000000, 0.000000, ...]"), "{text}");
}

#[test]
fn reports_hold_what_they_show() {
    let place = Workplace::with_model();
    let compiled = place.json("compile model.onnx -o model.lwx --certify", 0);
    let inspected = place.json("inspect model.lwx", 0);
    for report in [&compiled, &inspected] {
        assert_eq!(report["entry_points"][0]["inputs"][0]["name"], "x");
        assert_eq!(report["symbols"][0], json!({ "name": "rows", "min": 1, "max": null }));
    }
    assert!(compiled["certificate"][0]["outputs"][0]["max_abs"].is_number());
    let kernel = inspected["plan"]["steps"][0]["kernels"][0].as_str().unwrap();
    let page = place.json(&format!("inspect model.lwx --kernel {kernel}"), 0);
    assert_eq!(page["variants"][0]["steps"][0]["step"], 0);
}

#[test]
fn wrong_usage_is_json_too() {
    let place = Workplace::with_model();
    for args in ["melt model.onnx", "check", "compile model.onnx -o x.lwx -O4", "compile model.onnx -o x.lwx --target toaster"] {
        let failed = place.json(args, 2);
        assert_eq!(failed["exit_code"], 2, "{args}");
        assert!(failed["error"].as_str().is_some_and(|error| !error.is_empty() && !error.starts_with("error")), "{failed}");
    }
    let (code, help, _) = place.run("run --json --help");
    assert!(code == 0 && help.contains("Usage:"), "{help}");
}

#[test]
fn files_that_are_no_models_are_called_what_they_are() {
    let place = Workplace::with_model();
    place.write("README.md", b"# lostwax\n\nA compiler.\n");
    place.write("settings.json", b"{\"a\": 1}");
    place.write("weights.pt", b"PK\x03\x04and so on");
    place.write("empty", b"");
    place.write("image.png", b"\x89PNG\r\n");
    let weights = [&40u64.to_le_bytes()[..], b"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", &[b' '; 20]].concat();
    place.write("weights.safetensors", &weights);
    let files = [
        ("README.md", "a text file"),
        ("settings.json", "a JSON file"),
        ("weights.pt", "PyTorch"),
        ("empty", "an empty file"),
        ("image.png", "an image"),
        ("weights.safetensors", "without a graph"),
    ];
    for (file, what) in files {
        for verb in ["run FILE", "check FILE", "compile FILE -o x.lwx", "bench FILE", "inspect FILE", "opt FILE", "verify FILE"] {
            let stderr = refused(&place, &verb.replace("FILE", file));
            assert!(stderr.contains(what) && !stderr.contains("compiling"), "{verb}: {stderr}");
        }
    }
    let (code, _, stderr) = place.run("verify model.onnx");
    assert!(code == 2 && stderr.contains("an ONNX model") && stderr.contains("lostwax compile"), "{stderr}");
}

#[test]
fn models_are_known_by_their_contents() {
    let place = Workplace::with_model();
    place.compile();
    place.write("model", &place.read("model.onnx"));
    place.write("artifact", &place.read("model.lwx"));
    let (code, _, stderr) = place.run("run model -i x=1x3xf32=0");
    assert!(code == 0 && stderr.contains("model is an ONNX model: compiling it in memory first"), "{stderr}");
    let (code, _, stderr) = place.run("run artifact -i x=1x3xf32=0");
    assert!(code == 0 && !stderr.contains("compiling"), "{stderr}");
}

#[test]
fn graphs_as_text_are_models() {
    let place = Workplace::with_model();
    assert_eq!(place.run("opt model.onnx -o model.ir").0, 0);
    let input = "-i x=2x3xf32=1,0,0,0,0,2";
    assert_eq!(place.json(&format!("run model.ir {input}"), 0)["outputs"]["y"]["values"], json!([1.0, 0.0, 1.0, 8.0]));
    assert_eq!(place.run("compile model.ir -o text.lwx").0, 0);
    assert_eq!(place.json("verify text.lwx model.ir --shape x:5x3", 0)["ok"], true);
    assert!(place.json("bench model.ir --shape x:5x3 --iters 2", 0)["median_ms"].is_number());
    assert!(refused(&place, "compile model.ir -o x.lwx --shape x:5x3").contains("--shape"));
}

#[test]
fn language_models_are_checked() {
    let place = Workplace::new();
    place.write("strange.gguf", &gguf("frobnicator"));
    let checked = place.json("check strange.gguf", 3);
    assert_eq!((&checked["format"], &checked["supported"]), (&json!("gguf"), &json!(false)));
    assert_eq!((&checked["architecture"], &checked["family"]), (&json!("frobnicator"), &Value::Null));
    assert!(checked["problem"].as_str().unwrap().contains("frobnicator"));
    std::fs::create_dir(place.path("folder")).unwrap();
    assert!(refused(&place, "check folder").contains("config.json"));
}

/// A GGUF file of an architecture, without tensors.
fn gguf(architecture: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let header = [&b"GGUF"[..], &3u32.to_le_bytes(), &0u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
    let pair = [text("general.architecture"), 8u32.to_le_bytes().to_vec(), text(architecture)].concat();
    let mut file = [header, pair].concat();
    file.resize(file.len().next_multiple_of(32) + 32, 0);
    file
}

#[test]
fn lists_fit_the_terminal_and_have_pages() {
    let place = Workplace::with_model();
    place.compile();
    for list in ["rules", "ops", "ops --onnx", "passes", "targets", "devices", "inspect model.lwx --plan --kernels --sections"] {
        let output = place.command().args(list.split_whitespace()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let narrow = place.command().args(list.split_whitespace()).env("COLUMNS", "80").output().unwrap();
        let narrow = String::from_utf8(narrow.stdout).unwrap();
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest(&text) <= 120, "{list}: {}", widest(&text));
        if !list.starts_with("inspect") {
            assert!(widest(&narrow) <= 80, "{list}: {}", widest(&narrow));
        }
    }
    let rule = place.json("rules", 0)["rules"][0]["name"].as_str().unwrap().to_string();
    for page in [format!("rules {rule}"), "ops matmul".to_string(), "passes optimize".to_string()] {
        let (code, text, _) = place.run(&page);
        assert!(code == 0 && text.contains(page.split(' ').next_back().unwrap()), "{page}: {text}");
    }
    assert_eq!(place.json(&format!("rules {rule}"), 0)["rules"].as_array().unwrap().len(), 1);
}

#[test]
fn shells_complete_and_manuals_are_written() {
    let place = Workplace::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = place.run(&format!("completions {shell}"));
        assert!(code == 0 && script.contains("compile") && script.contains("max-memory"), "{shell}");
    }
    assert!(refused(&place, "completions basch").contains("'bash'"));
    let pages = place.json("manual man", 0);
    assert!(pages["pages"].as_array().unwrap().contains(&json!("lostwax-compile.1")), "{pages}");
    assert!(String::from_utf8(place.read("man/lostwax-compile.1")).unwrap().contains(".TH"));
}

#[test]
fn quiet_and_verbose_mean_something() {
    let place = Workplace::with_model();
    let (_, _, normal) = place.run("run model.onnx -i x=1x3xf32=0");
    let (code, quiet_out, quiet) = place.run("run model.onnx -i x=1x3xf32=0 -q");
    let (_, _, verbose) = place.run("-v run model.onnx -i x=1x3xf32=0");
    assert_eq!((code, quiet.as_str()), (0, ""));
    assert!(quiet_out.starts_with("y:"), "{quiet_out}");
    assert!(normal.contains("compiling") && !normal.contains(" s\n"), "{normal}");
    for stage in ["importing: ", "optimize: ", "emit: ", "running: "] {
        assert!(verbose.contains(stage), "{stage}: {verbose}");
    }
    assert!(refused(&place, "devices -q -v").contains("--verbose"));
    let (code, _, stderr) = place.run("-q run missing.lwx");
    assert!(code == 2 && stderr.starts_with("error: "), "{stderr}");
}

#[test]
fn the_reference_interpreter_shows_its_stages() {
    let place = Workplace::with_model();
    place.compile();
    let (_, _, stderr) = place.run("verify model.lwx model.onnx -v");
    assert!(stderr.contains("running the reference interpreter: "), "{stderr}");
}

#[test]
fn bytes_have_units() {
    let place = Workplace::with_model();
    place.write("norm.onnx", &scaled_convolution());
    let (code, _, stderr) = place.run("compile norm.onnx -o x.lwx --max-size 1KiB");
    assert!(code == 6 && stderr.contains(" KiB") && stderr.contains("1.0 KiB are allowed"), "{stderr}");
    place.compile();
    let (code, _, stderr) = place.run("run model.lwx -i x=1000x3xf32=0 --max-memory 2KiB");
    assert!(code == 6 && stderr.contains("takes 7.8 KiB, more than the limit of 2.0 KiB"), "{stderr}");
    let (code, text, _) = place.run("bench model.lwx --iters 1");
    assert!(code == 0 && text.contains("device decides"), "{text}");
}

/// The peak of the report is the number that the limit is compared with.
#[test]
fn memory_has_one_definition() {
    let place = Workplace::new();
    place.write("norm.onnx", &scaled_convolution());
    let memory = &place.json("compile norm.onnx -o norm.lwx", 0)["memory"];
    let (peak, at) = (memory["arena_bytes"].as_u64().unwrap(), memory["at"].as_array().unwrap());
    assert!(at.contains(&json!("n = 1")) && at.contains(&json!("h = 64")), "{at:?}");
    assert_eq!(place.run(&format!("compile norm.onnx -o norm.lwx --max-memory {peak}")).0, 0);
    let (code, _, stderr) = place.run("compile norm.onnx -o norm.lwx --max-memory 1");
    assert!(code == 6 && stderr.contains("h = 64") && stderr.contains("n = 1") && stderr.contains("iB"), "{stderr}");
}

#[test]
fn images_keep_their_own_size() {
    let place = Workplace::new();
    place.write("any.onnx", &image_model("x"));
    image::RgbImage::from_pixel(40, 24, image::Rgb([255, 0, 0])).save(place.path("red.png")).unwrap();
    let ran = place.json("run any.onnx -i x=@red.png --values 0", 0);
    assert_eq!(ran["outputs"]["y"]["shape"], json!([1, 3, 24, 40]));
    let (code, text, stderr) = place.run("run any.onnx -i x=@red.png --shape x:1x3x16*hx16*w");
    assert!(code == 0 && text.contains("[1, 3, 16, 32]"), "{text}");
    assert!(stderr.contains("red.png is scaled to the input `x`, f32[1, 3, 16, 32]"), "{stderr}");
    let fixed = place.json("run any.onnx -i x=@red.png --shape x:1x3x8x8", 0);
    assert_eq!(fixed["outputs"]["y"]["shape"], json!([1, 3, 8, 8]));
}

#[test]
fn a_run_takes_the_shapes_that_compile_takes() {
    let place = Workplace::with_model();
    assert_eq!(place.run("run model.onnx --shape x:1..8x3 -i x=2x3xf32=0").0, 0);
    assert_eq!(place.run("run model.onnx --shape x:2*nx3 -i x=4x3xf32=0").0, 0);
    assert_eq!(place.run("run model.onnx --shape x:1..8x3").0, 0);
    place.compile();
    assert_eq!(place.run("run model.lwx --shape x:1..8x3 -i x=2x3xf32=0").0, 0);
    let stderr = refused(&place, "run model.lwx --shape x:1..8x3 -i x=9x3xf32=0");
    assert!(stderr.contains("[9, 3]") && stderr.contains("--shape x:1..8,3"), "{stderr}");
}

#[test]
fn flags_for_compiling_are_refused_for_artifacts() {
    let place = Workplace::with_model();
    place.compile();
    for flags in
        ["bench model.lwx -O1", "bench model.lwx --fp fast", "bench model.lwx --context 7", "run model.lwx --constant x=1"]
    {
        assert!(refused(&place, flags).contains("compiled already"), "{flags}");
    }
}

#[test]
fn dims_are_printed_as_they_are_written() {
    let place = Workplace::new();
    place.write("two.onnx", &common::sum_of_two());
    let (code, _, stderr) = place.run("compile two.onnx -o x.lwx --shape a:2*nx3 --shape b:1..8x3");
    assert!(code == 3 && stderr.contains("`rows` is given as both `2*n` and `1..8`"), "{stderr}");
}

#[test]
fn files_that_cannot_hold_a_result_are_refused_before_the_run() {
    let place = Workplace::new();
    place.write("half.onnx", &common::cast_to_bfloat16());
    let (code, _, stderr) = place.run("run half.onnx -i x=2x3xf32=1 -o y.npy -v");
    assert!(code == 2 && stderr.contains("bf16") && !stderr.contains("running"), "{stderr}");
    assert_eq!(place.json("run half.onnx -i x=2x3xf32=1", 0)["outputs"]["y"]["values"], json!(vec![1.0; 6]));
}

#[test]
fn passes_use_the_costs_of_the_target() {
    let place = Workplace::new();
    place.write("norm.onnx", &scaled_convolution());
    for (target, level) in [("cpu", 3), ("gpu", 3), ("interp", 1)] {
        let flags = format!("--target {target} -O{level}");
        assert_eq!(place.run(&format!("compile norm.onnx -o norm.lwx {flags} --dump-ir dump")).0, 0);
        let (code, printed, stderr) = place.run(&format!("opt norm.onnx {flags}"));
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(printed.trim(), String::from_utf8(place.read("dump/optimized.ir")).unwrap().trim(), "{flags}");
    }
    let limited = place.json("compile norm.onnx -o norm.lwx", 0)["memory"]["arena_bytes"].as_u64().unwrap();
    assert_eq!(place.run(&format!("opt norm.onnx -O3 --max-memory {limited}")).0, 0);
    assert_eq!(place.run("opt norm.onnx -O3 --max-memory 1").0, 6);
    refused(&place, "opt norm.onnx --max-memory 1MiB");
    refused(&place, "opt norm.onnx -O3 --pass optimize");
    refused(&place, "bisect norm.onnx --max-memory 1MiB");
}

#[test]
fn bisect_takes_inputs_and_refuses_what_says_nothing() {
    let place = Workplace::with_model();
    place.write("root.onnx", &model("Sqrt"));
    assert_eq!(place.json("bisect model.onnx -i x=2x3xf32=-1,0,2,3,-4,5", 0)["ok"], true);
    assert!(refused(&place, "bisect model.onnx -i z=2x3xf32=0").contains("`z`"));
    let stderr = refused(&place, "bisect root.onnx -i x=1x3xf32=0,-1,-10");
    assert!(stderr.contains("no output is finite"), "{stderr}");
}

#[test]
fn chat_and_generate_know_the_usual_words() {
    let place = Workplace::new();
    let (_, help, _) = place.run("generate --help");
    for flag in ["--temp", "--repeat-penalty", "--top-k", "-n,", "-c,", "-t,", "-s,"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    for flags in ["--temp 0 -n 1 -c 8", "--predict 1 --ctx-size 8 --repeat-penalty 1.1", "--n-predict 1 --top-k 1"] {
        let (code, _, stderr) = place.run(&format!("generate missing.lwx -p hi {flags}"));
        assert!(code == 2 && stderr.contains("missing.lwx"), "{flags}: {stderr}");
    }
}
