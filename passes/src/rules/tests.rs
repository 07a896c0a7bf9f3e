//! Every rule is instantiated at random, applied, and both sides are evaluated.

mod generate;

use super::{Rule, rules};
use crate::egraph::convert::Loaded;
use crate::egraph::cost::Prices;
use crate::egraph::rewrite::{self, CompiledRule};
use crate::pass::{Context, Tier};
use crate::testing::{agree, evaluate, print, random_inputs};
use generate::Generator;
use lostwax_ir::graph::Graph;
use lostwax_ir::random::Random;
use std::collections::BTreeSet;

const TRIES: usize = 3000;
const WANTED: usize = 12;

/// The graph after the rule was applied to its output; `None` if it was not.
fn apply(graph: &Graph, rule: &'static Rule) -> Option<Graph> {
    let ctx = Context::default();
    let compiled = CompiledRule::new(rule).expect("rule text");
    let mut loaded = Loaded::new(graph);
    let output = graph.outputs()[0].value;
    let root = loaded.class(output)?;
    let old = loaded.egraph[root].nodes.clone();
    rewrite::run(&mut loaded.egraph, &[&compiled], 1, 100_000).expect("sound rule");
    let root = loaded.class(output)?;
    let old: Vec<_> = old.into_iter().map(|node| egg::Language::map_children(node, |id| loaded.egraph.find(id))).collect();
    let nodes = &loaded.egraph[root].nodes;
    let price = |node: &_| if nodes.contains(node) && old.contains(node) { 1_000_000 } else { 1 };
    let selection = loaded.select_by(Prices::new(&ctx), price).expect("an output");
    let chosen = selection.node(root)?;
    (!old.contains(chosen)).then(|| loaded.build(&selection).expect("valid nodes"))
}

fn check(rule: &'static Rule, before: &Graph, after: &Graph, random: &mut Random) {
    let inputs = random_inputs(before, random, rule.tier == Tier::Exact);
    let (Some(left), Some(right)) = (evaluate(before, &inputs), evaluate(after, &inputs)) else {
        panic!("rule `{}`: no value\n{}\n{}", rule.name, print(before), print(after));
    };
    let same = left.iter().zip(&right).all(|(left, right)| agree(left, right, rule.tier));
    let values = || format!("{:?}\n{:?}", left[0].to_f64(), right[0].to_f64());
    assert!(same, "rule `{}` changes results\n{}\n{}\n{inputs:?}\n{}", rule.name, print(before), print(after), values());
}

/// How often a rule applied to instances of one of its patterns.
fn test_pattern(rule: &'static Rule, text: &str, random: &mut Random) -> usize {
    let mut applied = 0;
    for _ in 0..TRIES {
        if let Some(before) = Generator::graph(rule, text, random)
            && let Some(after) = apply(&before, rule)
        {
            check(rule, &before, &after, random);
            applied += 1;
        }
        if applied == WANTED {
            break;
        }
    }
    applied
}

fn test_group(name: &str) {
    let mut random = Random::new(17);
    let mut idle = Vec::new();
    for (_, rule) in rules().filter(|(group, _)| *group == name) {
        for text in rule.patterns() {
            if test_pattern(rule, text, &mut random) < WANTED {
                idle.push((rule.name, *text));
            }
        }
    }
    assert!(idle.is_empty(), "rules that hardly ever apply: {idle:#?}");
}

#[test]
fn algebra() {
    test_group("algebra");
}

#[test]
fn movement() {
    test_group("movement");
}

#[test]
fn weights() {
    test_group("weights");
}

#[test]
fn recognize() {
    test_group("recognize");
}

#[test]
fn layout() {
    test_group("layout");
}

#[test]
fn sink() {
    test_group("sink");
}

#[test]
fn names_are_unique() {
    let mut names = BTreeSet::new();
    assert!(rules().all(|(_, rule)| names.insert(rule.name)));
}
