//! The source files of the workspace's crates, and which of their modules use which.

mod names;
mod visit;

use names::RootNames;
use proc_macro2::TokenStream;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice::from_ref;
use syn::{Attribute, Item, Meta};

/// What the items of a crate's root file belong to.
pub const ROOT: &str = "crate root";

/// A package: its libraries and programs, each a crate.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Kind and root file of each crate.
    pub roots: Vec<(String, PathBuf)>,
}

/// A library or program.
pub struct Crate {
    /// Package and kind.
    pub name: String,
    files: Vec<SourceFile>,
    names: RootNames,
}

/// A parsed file.
pub struct SourceFile {
    path: PathBuf,
    /// The path of the file's module from the root of the crate.
    module: Vec<String>,
    items: Vec<Item>,
}

/// A module uses another.
pub struct Reference {
    /// The top-level module that uses.
    pub from: String,
    /// The top-level module that is used.
    pub to: String,
    /// File and line.
    pub place: String,
}

/// The packages of the workspace at `checkout`.
pub fn workspace(checkout: &Path) -> Vec<Package> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(checkout).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn package(metadata: &Value) -> Package {
    let is_code = |target: &&Value| {
        let mut kinds = target["kind"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap());
        kinds.all(|kind| !matches!(kind, "test" | "bench" | "example" | "custom-build"))
    };
    let root =
        |target: &Value| (target["kind"][0].as_str().unwrap().to_string(), PathBuf::from(target["src_path"].as_str().unwrap()));
    let name = metadata["name"].as_str().unwrap().to_string();
    Package { name, roots: metadata["targets"].as_array().unwrap().iter().filter(is_code).map(root).collect() }
}

impl Package {
    /// The crates with all their files. Files that no `mod` declares, since a macro does, belong to the first crate.
    pub fn crates(&self) -> Vec<Crate> {
        let mut loaders: Vec<Loader> = self.roots.iter().map(|(_, root)| Loader::load(root)).collect();
        let known: BTreeSet<PathBuf> = loaders.iter().flat_map(|loader| loader.known.iter().cloned()).collect();
        if let (Some(loader), Some((_, root))) = (loaders.first_mut(), self.roots.first()) {
            loader.add_undeclared(root.parent().unwrap(), &known);
        }
        let crates = self.roots.iter().zip(loaders).map(|((kind, _), loader)| {
            let (names, name) = (RootNames::new(&loader.files), format!("{} ({kind})", self.name));
            Crate { name, files: loader.files, names }
        });
        crates.collect()
    }
}

impl Crate {
    /// What each top-level module uses of others, in the order of files.
    pub fn references(&self) -> Vec<Reference> {
        self.files.iter().flat_map(|file| visit::references(file, &self.names)).collect()
    }
}

/// Files that belong to a crate.
#[derive(Default)]
struct Loader {
    files: Vec<SourceFile>,
    /// Files that were found, and files and folders of tests.
    known: BTreeSet<PathBuf>,
}

impl Loader {
    fn load(root: &Path) -> Self {
        let mut loader = Self::default();
        loader.file(root, &[], root.parent().unwrap());
        loader
    }

    /// Adds a file and those of the modules that it declares, which lie in `folder`.
    fn file(&mut self, path: &Path, module: &[String], folder: &Path) {
        if !self.known.insert(path.to_path_buf()) {
            return;
        }
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let items = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).items;
        self.declared(&items, module, folder);
        self.files.push(SourceFile { path: path.to_path_buf(), module: module.to_vec(), items });
    }

    fn declared(&mut self, items: &[Item], module: &[String], folder: &Path) {
        for item in items.iter().filter_map(|item| if let Item::Mod(item) = item { Some(item) } else { None }) {
            let name = item.ident.to_string();
            let (inner, below) = ([module, from_ref(&name)].concat(), folder.join(&name));
            let candidates = [folder.join(format!("{name}.rs")), below.join("mod.rs")];
            match &item.content {
                _ if is_test(&item.attrs) => self.known.extend(candidates.into_iter().chain([below])),
                Some((_, items)) => self.declared(items, &inner, &below),
                // A module with a `path` for each system has no file of its name; its files are found as undeclared ones.
                None => candidates.iter().filter(|path| path.exists()).for_each(|path| self.file(path, &inner, &below)),
            }
        }
    }

    /// Adds files of `folder` that are not known: each is the module that its path says.
    fn add_undeclared(&mut self, folder: &Path, known: &BTreeSet<PathBuf>) {
        for (path, module) in rust_files(folder, &[], known) {
            let below = path.with_extension("");
            self.file(&path, &module, if path.ends_with("mod.rs") { path.parent().unwrap() } else { &below });
        }
    }
}

/// The files below a folder that are not `known`, with their modules.
fn rust_files(folder: &Path, module: &[String], known: &BTreeSet<PathBuf>) -> Vec<(PathBuf, Vec<String>)> {
    let entries: BTreeSet<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut files = Vec::new();
    for path in entries.into_iter().filter(|path| !known.contains(path)) {
        let inner = [module, &[path.file_stem().unwrap().to_string_lossy().into_owned()]].concat();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "bin") {
            files.extend(rust_files(&path, &inner, known));
        } else if path.ends_with("mod.rs") {
            files.push((path, module.to_vec()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((path, inner));
        }
    }
    files
}

/// Whether an item exists in tests only.
fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("cfg") => requires_test(&list.tokens),
        meta => meta.path().is_ident("test"),
    })
}

/// Whether a condition is `test`, or `all` of several among which it is.
fn requires_test(condition: &TokenStream) -> bool {
    let text = condition.to_string().replace(' ', "");
    let all = text.strip_prefix("all(").and_then(|rest| rest.strip_suffix(')'));
    all.map_or(text == "test", |all| all.split(',').any(|part| part == "test"))
}
