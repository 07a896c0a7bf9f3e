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

    fn compiles(&self, package: &str) {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
        let mut command = Command::new("cargo");
        command.args(["check", "--release", "--quiet", "-p", package]).current_dir(&self.copy.0);
        let output = command.env("CARGO_TARGET_DIR", target.join("cost-of-change")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_op_is_one_file_and_one_line() {
    let copy = copy_sources("op");
    let mut change = Change::new(&copy);
    let exp = fs::read_to_string(copy.0.join("ir/src/ops/exp.rs")).unwrap();
    change.file("ir/src/ops/power_of_e.rs", &exp.replace("\"exp\"", "\"power_of_e\"").replace("Op::Exp", "Op::PowerOfE"));
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
