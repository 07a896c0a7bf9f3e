use super::*;
use crate::cost::{CostModel, CostTable, Operation, Roofline, Work, roofline_work};
use crate::egraph::rule::{Phase, Rule, RuleGroup, built, rule};
use crate::optimize::optimize;
use crate::tier::Tier;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;
use lostwax_ir::types::{DType, TensorType};
use std::sync::Arc;

const RULES: &[Rule] = &[
    rule("tanh_neg", Tier::Exact, &["(tanh (neg ?x))"], &[], "(neg (tanh ?x))"),
    built("floor_ceil", Tier::Exact, &["(floor (ceil ?x))"], &["float(?x)"], |site| {
        let x = site.var("x")?;
        site.add(Op::Ceil, None, &[x])
    }),
];

const GROUP: RuleGroup = RuleGroup { name: "rounding", doc: "", phase: Phase::Weights, rules: RULES };

/// A context with one more rule group.
fn extended() -> Context {
    Context { registry: Arc::new(Registry::default().with_rules(GROUP)), ..Context::default() }
}

fn graph() -> Graph {
    let mut graph = Graph::new("rounding");
    let x = graph.input("x", &TensorType::new(DType::F32, [4])).expect("input");
    let ceil = graph.add(Op::Ceil, Attrs::new(), &[x]).expect("ceil");
    let floor = graph.add(Op::Floor, Attrs::new(), &[ceil]).expect("floor");
    graph.output("y", floor);
    graph
}

fn count(graph: &Graph, op: Op) -> usize {
    graph.topological().into_iter().filter(|value| graph.op(*value) == op).count()
}

#[test]
fn our_own_registry_is_consistent() {
    Registry::default().check().unwrap();
}

#[test]
fn rules_of_others_take_part_from_their_phase_on() {
    let ctx = extended();
    let applies = |phase: Phase| ctx.rules(phase).unwrap().iter().any(|rule| rule.rule.name == "floor_ceil");
    assert_eq!(Phase::ALL.map(applies), [false, true, true]);
    let (optimized, report) = optimize(&graph(), &ctx).unwrap();
    assert_eq!((count(&optimized, Op::Floor), count(&optimized, Op::Ceil)), (0, 1));
    let hits: Vec<usize> = report.phases.iter().filter_map(|phase| phase.hits.get("floor_ceil").copied()).collect();
    assert_eq!(hits, [1]);
    let disabled = Context { disabled: ["rounding".to_string()].into(), ..ctx };
    assert_eq!(count(&optimize(&graph(), &disabled).unwrap().0, Op::Floor), 1);
}

#[test]
fn rules_of_others_are_tested_like_ours() {
    crate::testing::check_rules(&GROUP, 3).unwrap();
    const WRONG: &[Rule] = &[rule("relu_is_abs", Tier::Exact, &["(relu ?x)"], &["float(?x)"], "(abs ?x)")];
    let error = crate::testing::check_rules(&RuleGroup { rules: WRONG, ..GROUP }, 3).unwrap_err();
    assert!(error.to_string().starts_with("rule `relu_is_abs` fails its test: it changes results"), "{error}");
    const IDLE: &[Rule] = &[rule("idle", Tier::Exact, &["(relu (relu ?x))"], &["narrower(?x)"], "(relu ?x)")];
    let error = crate::testing::check_rules(&RuleGroup { rules: IDLE, ..GROUP }, 3).unwrap_err();
    assert!(error.to_string().contains("it applies to 0 of 3000 random instances"), "{error}");
}

#[test]
fn disabled_names_must_exist() {
    let ctx = Context { disabled: ["layot".to_string()].into(), ..Context::default() };
    let error = run_passes(&[], &mut graph(), &ctx).unwrap_err();
    assert_eq!(error.to_string(), "there is no rule or rule group `layot`; did you mean `layout`?");
    assert_eq!(optimize(&graph(), &ctx).unwrap_err(), error);
    let far = Context { disabled: ["quantum".to_string()].into(), ..Context::default() };
    assert!(far.check().unwrap_err().to_string().ends_with("known: algebra, movement, weights, recognize, layout, sink"));
    assert!(Context { disabled: ["relu".to_string()].into(), ..Context::default() }.check().is_ok());
}

#[test]
fn names_must_be_unique() {
    let twice = Registry::default().with_rules(GROUP).with_rules(RuleGroup { name: "other", ..GROUP });
    let kind = "rule or rule group";
    assert_eq!(twice.check(), Err(PassError::DuplicateName { kind, name: "tanh_neg" }));
}

#[test]
fn unreadable_rules_are_named() {
    const BAD: &[Rule] = &[rule("bad", Tier::Exact, &["(relu ?x"], &[], "?x")];
    let ctx =
        Context { registry: Arc::new(Registry::empty().with_rules(RuleGroup { rules: BAD, ..GROUP })), ..Context::default() };
    assert!(matches!(ctx.check(), Err(PassError::InvalidRule { rule, .. }) if rule == "bad"));
}

/// A machine on which products cost a thousand times more.
#[derive(Debug)]
struct DearProducts;

impl CostModel for DearProducts {
    fn work(&self, operation: &Operation<'_>, costs: &CostTable) -> Work {
        let work = roofline_work(operation, costs);
        if operation.op == Op::Mul { Work { scalar: work.scalar * 1000.0, ..work } } else { work }
    }
}

#[test]
fn the_cost_model_decides() {
    let mut graph = Graph::new("square");
    let x = graph.input("x", &TensorType::new(DType::F32, [1 << 12])).expect("input");
    let two = graph.constant(lostwax_ir::tensor::Tensor::f32(&[1], &[2.0]).expect("tensor")).expect("constant");
    let square = graph.add(Op::Pow, Attrs::new(), &[x, two]).expect("pow");
    graph.output("y", square);
    let with = |registry: Registry| Context { registry: Arc::new(registry), ..Context::default() };
    let multiplied = |ctx: &Context| count(&optimize(&graph, ctx).unwrap().0, Op::Mul);
    assert_eq!(multiplied(&with(Registry::default().with_cost_model(Roofline))), 1);
    assert_eq!(multiplied(&with(Registry::default().with_cost_model(DearProducts))), 0);
}
