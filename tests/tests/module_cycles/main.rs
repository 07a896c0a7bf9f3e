//! The top-level modules of a crate form layers: none depends on itself through others.

mod cycles;
mod sources;

use cycles::Dependencies;
use sources::{Crate, Package};
use std::fs;
use std::path::Path;

/// Packages of their own beside the workspace.
const OUTSIDE: &[&str] = &["examples/backend", "examples/research"];

fn dependencies(target: &Crate) -> Dependencies {
    let mut dependencies = Dependencies::default();
    for reference in target.references() {
        dependencies.add(&reference.from, &reference.to, &reference.place);
    }
    dependencies
}

#[test]
fn modules_of_a_crate_have_no_cycles() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let mut report = String::new();
    let mut packages = sources::workspace(&checkout);
    packages.extend(OUTSIDE.iter().flat_map(|folder| sources::workspace(&checkout.join(folder))));
    let targets = packages.iter().flat_map(Package::crates).collect::<Vec<_>>();
    for target in &targets {
        for cycle in dependencies(target).cycles() {
            report += &format!("{}: {}\n", target.name, cycle.replace(&format!("{}/", checkout.display()), ""));
        }
    }
    assert!(targets.len() > 10, "only {} crates were found", targets.len());
    assert!(report.is_empty(), "modules depend on themselves:\n{report}");
}

/// The cycles of a library made of these files.
fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let package = Package { name: "sample".to_string(), roots: vec![("lib".to_string(), folder.path().join("lib.rs"))] };
    let prefix = format!("{}/", folder.path().display());
    let crates = package.crates();
    crates.iter().flat_map(|target| dependencies(target).cycles()).map(|cycle| cycle.replace(&prefix, "")).collect()
}

#[test]
fn a_cycle_is_reported_with_its_places() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use crate::{b::{self, X}, c};\n"),
        ("b.rs", "mod inner;\n"),
        ("b/inner.rs", "fn f() {\n    super::super::a::g(c::h());\n}\n"),
        ("c.rs", "use super::b;\n"),
    ];
    assert_eq!(cycles_of(&files), ["a -> b (a.rs:1) -> a (b/inner.rs:2)", "a -> c (a.rs:1) -> b (c.rs:1) -> a (b/inner.rs:2)"]);
}

#[test]
fn names_that_the_root_exports_count_for_their_module() {
    let through_root = [("lib.rs", "mod a;\nmod b;\npub use b::X;\n"), ("a.rs", "use crate::X;\n"), ("b.rs", "use crate::a;\n")];
    assert_eq!(cycles_of(&through_root), ["a -> b (a.rs:1) -> a (b.rs:1)"]);
    let through_glob =
        [("lib.rs", "mod a;\nmod b;\npub use b::*;\n"), ("a.rs", "use super::X;\n"), ("b.rs", "pub struct X(crate::a::Y);\n")];
    assert_eq!(cycles_of(&through_glob), ["a -> b (a.rs:1) -> a (b.rs:1)"]);
    let own = [("lib.rs", "mod a;\npub struct X(a::Y);\n"), ("a.rs", "pub struct Y(Box<crate::X>);\n")];
    assert_eq!(cycles_of(&own), ["a -> crate root (a.rs:1) -> a (lib.rs:2)"]);
}

#[test]
fn macros_and_the_modules_that_they_declare_count() {
    let files = [
        ("lib.rs", "macro_rules! list { ($name:ident) => { mod $name; } }\nlist!(a);\nmod b;\n"),
        ("a.rs", "fn f() { println!(\"{}\", crate::b::X); }\n"),
        ("b.rs", "macro_rules! g { () => { $crate::a::f() } }\n"),
    ];
    assert_eq!(cycles_of(&files), ["a -> b (a.rs:1) -> a (b.rs:1)"]);
}

#[test]
fn tests_and_documentation_do_not_count() {
    let files = [
        ("lib.rs", "//! See [`crate::a`].\nmod a;\nmod b;\n"),
        ("a.rs", "/// As [`crate::b::X`].\npub(in crate::a) struct Y;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse crate::b;\n"),
        ("a/tests.rs", "use crate::b;\n"),
        ("b.rs", "use crate::a;\n"),
    ];
    assert_eq!(cycles_of(&files), Vec::<String>::new());
}
