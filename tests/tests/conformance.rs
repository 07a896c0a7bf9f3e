//! The ONNX backend suite: every case in the reference interpreter, and on every target through an artifact in memory.

use lostwax::Registry;
use lostwax_ir::eval::eval_graph;
use lostwax_tests::conformance::{IMPORT_LIST, suite_folders, target_conforms};
use lostwax_tests::suite::{IgnoreList, SuiteCase, run_suite};
use std::path::Path;

fn report(what: &str, result: Result<String, String>) {
    match result {
        Ok(score) => println!("{what}: {score}"),
        Err(problems) => panic!("{what}:\n{problems}"),
    }
}

#[test]
fn the_interpreter_conforms() {
    let run = |folder: &Path| {
        let case = SuiteCase::load(folder)?;
        case.check(&eval_graph(&case.graph, &case.inputs).map_err(|error| error.to_string())?)
    };
    match suite_folders() {
        none if none.is_empty() => println!("the suite is missing; run `./x models`"),
        folders => report("interpreter", run_suite(&folders, None, &IgnoreList::read(IMPORT_LIST), run)),
    }
}

#[test]
fn targets_conform() {
    let registry = Registry::default();
    for target in registry.targets() {
        let list = IgnoreList::read(&format!("targets/{}/conformance-ignore.txt", target.name()));
        report(target.name(), target_conforms(&registry, target.name(), 1, &list));
    }
}
