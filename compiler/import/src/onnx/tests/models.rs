//! Models of the real world, if there are any at hand.

use crate::ImportOptions;
use crate::Registry;
use std::path::{Path, PathBuf};

/// All ONNX files in the folder that `LOSTWAX_MODELS` names.
fn models() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("LOSTWAX_MODELS") else {
        println!("skipped: LOSTWAX_MODELS does not name a folder of models");
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder).expect("LOSTWAX_MODELS is a folder");
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut models: Vec<PathBuf> = paths.filter(|path| path.extension() == Some("onnx".as_ref())).collect();
    models.sort();
    models
}

fn import_one(path: &Path) -> Result<(), String> {
    let graph =
        Registry::default().onnx(path, &ImportOptions::default()).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {} nodes, {} constraints", path.display(), graph.len(), graph.constraints().count());
    Ok(())
}

#[test]
fn real_models_are_imported() {
    let problems: Vec<String> = models().iter().filter_map(|path| import_one(path).err()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
