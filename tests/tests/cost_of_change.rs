//! What a change costs: an op, a pass and a target are added to a copy of the sources, which must then compile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of the sources without build products, removed at the end.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn copy_sources(name: &str) -> Copy {
    let target = std::env::temp_dir().join(format!("lostwax-{name}-{}", std::process::id()));
    let files = Command::new("git").args(["ls-files"]).current_dir(checkout()).output().unwrap();
    for file in String::from_utf8(files.stdout).unwrap().lines() {
        let to = target.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(checkout().join(file), to).unwrap();
    }
    Copy(target)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// A change under construction; counts new files and new lines in old files.
struct Change<'a> {
    copy: &'a Copy,
    files: usize,
    lines: usize,
}

impl<'a> Change<'a> {
    fn new(copy: &'a Copy) -> Self {
        Self { copy, files: 0, lines: 0 }
    }

    fn file(&mut self, path: &str, text: &str) {
        let path = self.copy.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.files += 1;
    }

    fn line_after(&mut self, path: &str, anchor: &str, line: &str) {
        let path = self.copy.0.join(path);
        let text = fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once(anchor).unwrap_or_else(|| panic!("`{anchor}` is not in {}", path.display()));
        fs::write(path, format!("{before}{anchor}{line}\n{after}")).unwrap();
        self.lines += 1;
    }

    /// Copies a folder with other names in its files; counts the folder as one file.
    fn folder(&mut self, from: &str, to: &str, names: &[(&str, &str)]) {
        let root = self.copy.0.join(from);
        for path in files_below(&root) {
            let text = names.iter().fold(fs::read_to_string(&path).unwrap(), |text, (old, new)| text.replace(old, new));
            let target = self.copy.0.join(to).join(path.strip_prefix(&root).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, text).unwrap();
        }
        self.files += 1;
    }

    fn compiles(&self, package: &str) {
        self.cargo(&["check", "-p", package]);
    }

    /// The package compiles and its tests pass.
    fn works(&self, package: &str) {
        self.cargo(&["test", "-p", package]);
    }

    fn cargo(&self, arguments: &[&str]) {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
        let mut command = Command::new("cargo");
        command.args(arguments).args(["--release", "--quiet"]).current_dir(&self.copy.0);
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        let output = command.env("CARGO_TARGET_DIR", target.join("cost-of-change")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_op_is_one_file_and_one_line() {
    let copy = copy_sources("op");
    let mut change = Change::new(&copy);
    let exp = fs::read_to_string(copy.0.join("ir/src/ops/exp.rs")).unwrap();
    change.file("ir/src/ops/power_of_e.rs", &exp.replace("\"exp\"", "\"power_of_e\"").replace("(Op::Exp", "(Op::PowerOfE"));
    change.line_after("ir/src/ops/mod.rs", "    exp Exp,\n", "    power_of_e PowerOfE,");
    change.compiles("lostwax-passes");
    assert_eq!((change.files, change.lines), (1, 1));
}

#[test]
fn a_pass_is_one_file_and_one_line() {
    let copy = copy_sources("pass");
    let mut change = Change::new(&copy);
    let text = fs::read_to_string(copy.0.join("passes/src/remove_dead.rs")).unwrap();
    change.file("passes/src/remove_dead_again.rs", &text.replace("\"remove_dead\"", "\"remove_dead_again\""));
    change.line_after("passes/src/lib.rs", "    remove_dead,\n", "    remove_dead_again,");
    change.compiles("lostwax-passes");
    assert_eq!((change.files, change.lines), (1, 1));
}

/// The list has one line per target; the other line makes the folder a dependency, for which cargo has no pattern.
#[test]
fn a_target_is_one_folder_and_one_line() {
    let copy = copy_sources("target");
    let mut change = Change::new(&copy);
    change.folder(
        "targets/interp",
        "targets/copied",
        &[("interp\"", "copied\""), ("-interp", "-copied"), ("_interp", "_copied")],
    );
    let line = "        Backend::new(lostwax_target_copied::target(), lostwax_target_copied::device()),";
    change.line_after("compiler/src/registry.rs", "backends: vec![\n", line);
    let dependency = "lostwax-target-copied = { path = \"../targets/copied/emit\" }";
    change.line_after("compiler/Cargo.toml", "[dependencies]\n", dependency);
    change.works("lostwax-target-copied");
    change.compiles("lostwax");
    assert_eq!((change.files, change.lines), (1, 2));
}

/// Files beside a target's folder that name it: the list, and the runtime, whose features are devices.
const MAY_NAME_TARGETS: &[&str] = &[
    "Cargo.toml",
    "compiler/Cargo.toml",
    "compiler/src/registry.rs",
    "runtime/Cargo.toml",
    "runtime/src/device.rs",
    "runtime/src/device_tensor.rs",
];

#[test]
fn only_the_list_names_targets() {
    let files = Command::new("git").args(["ls-files", "*.rs", "*.toml"]).current_dir(checkout()).output().unwrap();
    let files = String::from_utf8(files.stdout).unwrap();
    let is_test = |file: &str| file.starts_with("tests/") || file.contains("/tests/");
    let targets = fs::read_dir(checkout().join("targets")).unwrap().map(|entry| entry.unwrap().file_name());
    for target in targets.map(|name| name.into_string().unwrap()).filter(|name| name != "api") {
        let names = ["\"NAME\"", "target_NAME", "device_NAME", "target-NAME", "device-NAME"];
        let names = names.map(|name| name.replace("NAME", &target));
        let elsewhere = |file: &&str| !file.starts_with(&format!("targets/{target}/")) && !MAY_NAME_TARGETS.contains(file);
        for file in files.lines().filter(elsewhere).filter(|file| !is_test(file)) {
            let text = fs::read_to_string(checkout().join(file)).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let named = code.filter(|line| names.iter().any(|name| line.contains(name))).collect::<Vec<_>>();
            assert!(named.is_empty(), "{file} names `{target}`: {named:?}");
        }
    }
}
