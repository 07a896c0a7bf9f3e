//! What the program leaves in files and on stdout when it is disturbed.
#![cfg(unix)]

mod common;

use common::{Workplace, model, scaled_convolution};
use lostwax::ir::random::Random;
use onnx_protobuf::{Message, ModelProto, TensorProto};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Longer than any of these commands takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(place: &Workplace, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lostwax"));
    command.args(args.split_whitespace()).current_dir(place.path("")).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn mkfifo(place: &Workplace, name: &str) {
    assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
}

fn signal(child: &Child, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
}

/// A model with a constant of some megabytes, so that writing the artifact takes a while.
fn large(value: f32) -> Vec<u8> {
    let mut large = ModelProto::parse_from_bytes(&model("Relu")).unwrap();
    let graph = large.graph.as_mut().unwrap();
    let (rows, columns) = (3, 1 << 19);
    graph.initializer = vec![TensorProto {
        name: "weights".to_string(),
        data_type: 1,
        dims: vec![rows, columns],
        raw_data: value.to_le_bytes().repeat((rows * columns) as usize),
        ..TensorProto::new()
    }];
    let shape = graph.output[0].type_.as_mut().unwrap().mut_tensor_type().shape.as_mut().unwrap();
    shape.dim[1].set_dim_value(columns);
    large.write_to_bytes().unwrap()
}

#[test]
fn compilations_to_one_path_that_are_killed_leave_a_whole_artifact_or_nothing() {
    const AT_ONCE: usize = 10;
    const KILLS: usize = 200;
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let place = Workplace::new();
    let args = |number: usize, output: &str| format!("compile {number}.onnx -o {output} --target interp");
    let start = Instant::now();
    let whole = [0, 1].map(|number| {
        place.write(&format!("{number}.onnx"), &large(number as f32 + 1.0));
        assert!(command(&place, &args(number, "whole.lwx")).status().unwrap().success());
        place.read("whole.lwx")
    });
    assert!(whole[0] != whole[1]);
    let longest = start.elapsed().as_millis() as usize / whole.len() * AT_ONCE / 2;
    let is_whole = || fs::read(place.path("x.lwx")).map_or_else(|_| true, |found| whole.contains(&found));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(is_whole(), "half an artifact is seen");
            }
        });
        let begin = |deadline: usize| {
            let started = Instant::now();
            let child = command(&place, &args(deadline % 2, "x.lwx")).spawn().unwrap();
            (child, started + Duration::from_millis(deadline as u64))
        };
        let mut running: Vec<_> = (0..AT_ONCE).map(|_| begin(random.size(0, longest))).collect();
        let mut kills = 0;
        while kills < KILLS {
            for slot in &mut running {
                let (child, deadline) = slot;
                if child.try_wait().unwrap().is_some() {
                    *slot = begin(random.size(0, longest));
                } else if Instant::now() >= *deadline {
                    signal(child, random.pick(&["KILL", "TERM", "INT", "HUP"], "KILL"));
                    child.wait().unwrap();
                    kills += 1;
                    *slot = begin(random.size(0, longest));
                }
            }
            sleep(Duration::from_millis(1));
        }
        assert!(running.iter_mut().all(|(child, _)| child.kill().and_then(|()| child.wait()).is_ok()));
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
    assert!(is_whole(), "half an artifact is left");
    assert!(command(&place, &args(0, "x.lwx")).status().unwrap().success());
    assert!(place.read("x.lwx") == whole[0]);
}

/// Runs a compilation, sends a signal once it has a temporary file, and gives how it ended.
fn interrupt(place: &Workplace, mut compile: Command, name: &str) -> std::process::ExitStatus {
    let mut child = compile.spawn().unwrap();
    while place.leftovers().is_empty() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    signal(&child, name);
    child.wait().unwrap()
}

#[test]
fn signals_leave_nothing() {
    let place = Workplace::new();
    place.write("slow.onnx", &scaled_convolution());
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let status = interrupt(&place, command(&place, "compile slow.onnx -o x.lwx"), name);
        assert_eq!(status.signal(), Some(number), "{name}: {status}");
        assert!(place.leftovers().is_empty() && !place.path("x.lwx").exists(), "{name}");
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    let place = Workplace::new();
    place.write("slow.onnx", &scaled_convolution());
    let mut shell = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_lostwax");
    shell.args(["-c", &format!("trap '' HUP; exec {program} compile slow.onnx -o x.lwx")]).current_dir(place.path(""));
    shell.stdout(Stdio::null()).stderr(Stdio::null());
    assert!(interrupt(&place, shell, "HUP").success());
    assert!(place.leftovers().is_empty() && place.path("x.lwx").exists());
}

fn to_device(place: &Workplace, args: &str, device: &str) -> Output {
    let device = File::options().write(true).open(device).unwrap();
    command(place, args).stdout(device).stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn a_full_disk_is_an_error() {
    let place = Workplace::with_model();
    place.compile();
    for (args, name) in [
        ("compile model.onnx -o /dev/full", "/dev/full"),
        ("run model.lwx -o full.npz", "full.npz"),
        ("run model.lwx -o full.npy", "full.npy"),
        ("opt model.onnx -o full.ir", "full.ir"),
    ] {
        let _ = symlink("/dev/full", place.path(name));
        let (code, _, stderr) = place.run(args);
        assert!(
            code == 2 && stderr.contains(&format!("{name}: ")) && stderr.contains("No space left"),
            "{args} {code}: {stderr}"
        );
        assert!(fs::metadata(place.path(name)).unwrap().file_type().is_char_device(), "{args}");
    }
    for args in ["ops", "ops --json", "inspect model.lwx", "compile model.onnx -o -", "run model.lwx -o -"] {
        let Output { status, stderr, .. } = to_device(&place, args, "/dev/full");
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(2) && stderr.contains("standard output: No space left"), "{args} {status}: {stderr}");
    }
    assert!(to_device(&place, "ops", "/dev/null").status.success());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Workplace::with_model();
    for args in ["ops", "ops --json", "compile model.onnx -o -"] {
        let mut child = command(&place, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert!(status.success() && stderr.is_empty(), "{args} {status}: {}", String::from_utf8_lossy(&stderr));
    }
}

#[test]
fn results_go_to_stdout() {
    let place = Workplace::with_model();
    place.compile();
    let written = |args: &str| {
        let output = command(&place, args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success() && !output.stderr.is_empty(), "{args}");
        output.stdout
    };
    assert_eq!(written("compile model.onnx -o -"), place.read("model.lwx"));
    assert_eq!(place.run("run model.lwx -i x=2x3xf32=1 -o y.npz").0, 0);
    assert_eq!(written("run model.lwx -i x=2x3xf32=1 -o -"), place.read("y.npz"));
    assert_eq!(place.run("opt model.onnx -o -").1, place.run("opt model.onnx").1);
    for args in ["compile model.onnx -o - --json", "run model.lwx -o - --json", "compile model.onnx -o - --emit asm"] {
        assert_eq!(place.run(args).0, 2, "{args}");
    }
}

#[test]
fn streams_and_links_are_written_through() {
    let place = Workplace::with_model();
    place.compile();
    mkfifo(&place, "fifo");
    let mut reader = Command::new("cat").arg(place.path("fifo")).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(place.run("compile model.onnx -o fifo").0, 0);
    let mut read = Vec::new();
    reader.stdout.take().unwrap().read_to_end(&mut read).unwrap();
    assert!(reader.wait().unwrap().success() && read == place.read("model.lwx"));
    assert!(fs::metadata(place.path("fifo")).unwrap().file_type().is_fifo());
    fs::create_dir(place.path("inner")).unwrap();
    symlink("inner/x.lwx", place.path("link.lwx")).unwrap();
    for _ in 0..2 {
        assert_eq!(place.run("compile model.onnx -o link.lwx").0, 0);
        assert!(place.path("link.lwx").is_symlink() && place.read("inner/x.lwx") == read);
    }
    assert_eq!(
        command(&place, "compile model.onnx -o /dev/stdout").stdout(Stdio::piped()).output().unwrap().stdout[..read.len()],
        read
    );
}

#[test]
fn where_nothing_can_be_written_nothing_is_compiled() {
    let place = Workplace::with_model();
    place.compile();
    let read_only = |name: &str| {
        let mut permissions = fs::metadata(place.path(name)).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(place.path(name), permissions).unwrap();
    };
    place.write("kept.lwx", b"kept");
    fs::create_dir(place.path("folder")).unwrap();
    ["kept.lwx", "folder"].into_iter().for_each(read_only);
    // Nothing stops root but a file system that has no place for files.
    for output in ["kept.lwx", "folder", "nowhere/x.lwx", "/sys/x.lwx"] {
        let (code, _, stderr) = place.run(&format!("compile model.onnx -o {output}"));
        assert!(code == 2 && stderr.contains(&format!("{output}: ")), "{output} {code}: {stderr}");
    }
    assert_eq!(place.read("kept.lwx"), b"kept");
}

#[test]
fn inputs_that_are_no_regular_files_are_refused_at_once() {
    let place = Workplace::with_model();
    place.compile();
    for name in ["x.onnx", "x.gguf", "x.lwx", "x", "x.npy", "x.npz", "x.png", "x.ir"] {
        mkfifo(&place, name);
    }
    for args in [
        "check x.onnx",
        "compile x.onnx -o y.lwx",
        "compile x.gguf -o y.lwx",
        "run x.lwx",
        "inspect x",
        "run model.lwx -i x=@x.npy",
        "run model.lwx -i x=@x.npz",
        "opt x.ir",
        "run /dev/zero",
    ] {
        let output = place.command().args(args.split_whitespace()).timeout(PATIENCE).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && stderr.contains("not a regular file"), "{args} {}: {stderr}", output.status);
    }
}

#[test]
fn arrays_are_read_from_stdin() {
    let place = Workplace::with_model();
    place.write("eye.onnx", &model("Identity"));
    place.compile();
    assert_eq!(place.run("run model.lwx -i x=3x3xf32=1 -o y.npy").0, 0);
    let from_file = place.run("run eye.onnx -i product=@y.npy").0;
    let input = place.read("y.npy");
    let ran = place.command().args(["run", "eye.onnx", "-i", "product=@-"]).write_stdin(input).output().unwrap();
    assert_eq!(ran.status.code(), Some(from_file));
}

#[test]
fn names_have_no_control_characters_on_a_terminal() {
    const NAME: &str = "a\u{1b}]0;owned\u{7}\u{9b}2Jb\u{202e}";
    let place = Workplace::new();
    for (op, file) in [("Relu", "fine.onnx"), ("Frobnicate\u{1b}[1m", "strange.onnx")] {
        let mut strange = ModelProto::parse_from_bytes(&model(op)).unwrap();
        let graph = strange.graph.as_mut().unwrap();
        graph.name = NAME.to_string();
        graph.input[0].name = NAME.to_string();
        graph.node[0].input[0] = NAME.to_string();
        graph.node[1].name = NAME.to_string();
        place.write(file, &strange.write_to_bytes().unwrap());
    }
    for (args, code) in [
        ("check strange.onnx", 3),
        ("check strange.onnx --json", 3),
        ("compile strange.onnx -o x.lwx", 3),
        ("compile strange.onnx -o x.lwx --json", 3),
        ("compile fine.onnx -o x.lwx", 0),
        ("inspect x.lwx --plan", 0),
        ("inspect x.lwx --json", 0),
        ("run x.lwx", 0),
        ("opt fine.onnx", 0),
    ] {
        let (found, stdout, stderr) = place.run(args);
        assert_eq!(found, code, "{args}: {stderr}");
        let active = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
        assert!(!stdout.contains(active) && !stderr.contains(active), "{args}: {stdout:?} {stderr:?}");
    }
    let report = place.json("check strange.onnx", 3);
    assert_eq!(report["inputs"][0]["name"], NAME);
}
