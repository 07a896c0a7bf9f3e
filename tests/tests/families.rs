//! Language models as graphs, in the reference interpreter.

use lostwax::models::{LanguageGraphs, Options, load};
use lostwax_ir::verify::verify_graph;
use lostwax_runtime::llm::Language;
use lostwax_tests::decoder::Interpreted;
use lostwax_tests::model_to_test;

fn verified(model: LanguageGraphs) -> LanguageGraphs {
    for (name, graph) in &model.entries {
        assert_eq!(verify_graph(graph), [], "{name}");
    }
    model
}

fn best(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as u32)
}

#[test]
#[ignore = "minutes"]
fn smollm2() {
    let Some(path) = model_to_test("smollm2-135m-instruct-q4_1.gguf") else { return };
    let model = verified(load(&path, &Options { context: 64, ..Options::default() }).unwrap());
    let language = Language::new(model.description.clone(), &model.tokenizer).unwrap();
    let prompt = language.encode_prompt("The capital of France is").unwrap();
    let mut decoder = Interpreted::new(&model);
    let mut tokens = vec![best(&decoder.run("prefill", &prompt))];
    for _ in 0..3 {
        let logits = decoder.run("decode", &tokens[tokens.len() - 1..]);
        tokens.push(best(&logits));
    }
    println!("{:?}", language.tokenizer().decode(&tokens, true));
    println!("{:?}", model.description.eos);
}
