//! Finds the pass, and the rewrite rule in it, that changes the results of a graph.

use crate::error::CompileError;
use lostwax_ir::graph::Graph;
use lostwax_passes::{Context, Pass};

/// A pass that ran, and how far the graph after it is from the one before all passes.
#[derive(Clone, Debug, PartialEq)]
pub struct PassResult {
    /// The pass.
    pub pass: &'static str,
    /// The difference of the results.
    pub difference: f64,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The passes that ran; if one breaks the graph, it is the last.
    pub steps: Vec<PassResult>,
    /// Whether the last pass breaks the graph.
    pub broken: bool,
    /// The first rule without which the pass does not break the graph; `None` if it does so without rules.
    pub rule: Option<&'static str>,
}

/// How far the results of a graph are from what they should be.
pub type CompareFn<'a, E> = &'a mut dyn FnMut(&Graph) -> Result<f64, E>;

/// Runs passes until one brings the difference above the tolerance, then looks for the rule that is to blame by applying the
/// pass with more and more of the rules, in their order.
///
/// # Errors
/// What a pass or the comparison reports.
pub fn bisect<E: From<CompileError>>(
    graph: &Graph,
    passes: &[&Pass],
    context: &Context,
    rules: &[&'static str],
    tolerance: f64,
    difference: CompareFn<'_, E>,
) -> Result<Found, E> {
    let (mut found, mut current) = (Found::default(), graph.clone());
    for pass in passes {
        let before = current.clone();
        pass.apply(&mut current, context).map_err(CompileError::from)?;
        let step = PassResult { pass: pass.name, difference: difference(&current)? };
        found.broken = exceeds(step.difference, tolerance);
        found.steps.push(step);
        if found.broken {
            let breaks = &mut |count| -> Result<bool, E> {
                let mut graph = before.clone();
                pass.apply(&mut graph, &with_rules(context, rules, count)).map_err(CompileError::from)?;
                Ok(exceeds(difference(&graph)?, tolerance))
            };
            found.rule = first_that_breaks(rules.len(), breaks)?.and_then(|position| rules.get(position).copied());
            break;
        }
    }
    Ok(found)
}

/// True also for NaN.
fn exceeds(difference: f64, tolerance: f64) -> bool {
    difference.is_nan() || difference > tolerance
}

/// The context with only the first `count` of the rules.
fn with_rules(context: &Context, rules: &[&'static str], count: usize) -> Context {
    let mut context = context.clone();
    context.disabled.extend(rules.iter().skip(count).map(ToString::to_string));
    context
}

/// The position of a first item whose addition breaks what all items together break: `breaks(n)` tells whether the first `n`
/// items do. `None` if it is broken without any, which no item is to blame for.
///
/// # Errors
/// Those of `breaks`.
pub fn first_that_breaks<E>(count: usize, breaks: &mut dyn FnMut(usize) -> Result<bool, E>) -> Result<Option<usize>, E> {
    if count == 0 || breaks(0)? {
        return Ok(None);
    }
    let (mut fine, mut broken) = (0, count);
    while broken - fine > 1 {
        let middle = fine + (broken - fine) / 2;
        if breaks(middle)? { broken = middle } else { fine = middle }
    }
    Ok(Some(fine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::eval::eval_graph;
    use lostwax_ir::tensor::Tensor;
    use lostwax_ir::text::{parse_graph, print_graph};
    use lostwax_ir::types::DType;
    use lostwax_passes::{Changed, PassError};
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    const GRAPH: &str = r#"graph "g" {
  %0 = input {dims = [4], dtype = f32, name = "x"} : f32[4]
  %1 = relu %0 : f32[4]
  output "y" %1
}
"#;

    const IDLE: Pass = Pass { name: "idle", doc: "", run: |_, _| Ok(Changed::No) };
    const WRONG: Pass = Pass { name: "wrong", doc: "", run: |graph, _| replace(graph, "relu", "neg") };
    const WRONG_BY_RULE: Pass = Pass {
        name: "wrong_by_rule",
        doc: "",
        run: |graph, context| match context.disabled.contains("weights") {
            true => Ok(Changed::No),
            false => replace(graph, "relu", "neg"),
        },
    };
    const RULES: &[&str] = &["algebra", "movement", "weights", "recognize", "layout"];

    fn replace(graph: &mut Graph, from: &str, to: &str) -> Result<Changed, PassError> {
        *graph = parse_graph(&print_graph(graph).text.replace(from, to), &[]).unwrap();
        Ok(Changed::Yes)
    }

    fn search(passes: &[&Pass]) -> Found {
        let graph = parse_graph(GRAPH, &[]).unwrap();
        let x = Tensor::from_f64(DType::F32, &[4], &[1.0, -2.0, 3.0, 0.5]).unwrap();
        let inputs = BTreeMap::from([("x".to_string(), x)]);
        let expected = eval_graph(&graph, &inputs).unwrap()["y"].to_f64();
        let mut difference = |graph: &Graph| {
            let found = eval_graph(graph, &inputs).unwrap()["y"].to_f64();
            Ok::<f64, CompileError>(found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
        };
        bisect(&graph, passes, &Context::default(), RULES, 1e-3, &mut difference).unwrap()
    }

    fn names(found: &Found) -> Vec<&str> {
        found.steps.iter().map(|step| step.pass).collect()
    }

    #[test]
    fn nothing_is_found_where_nothing_breaks() {
        let found = search(&[&IDLE, &IDLE]);
        assert_eq!((names(&found), found.broken, found.rule), (vec!["idle", "idle"], false, None));
    }

    #[test]
    fn a_wrong_pass_is_found_and_ends_the_search() {
        let found = search(&[&IDLE, &WRONG, &IDLE]);
        assert_eq!((names(&found), found.broken, found.rule), (vec!["idle", "wrong"], true, None));
        assert!(found.steps[1].difference > 1.0);
    }

    #[test]
    fn a_wrong_rule_is_found() {
        let found = search(&[&IDLE, &WRONG_BY_RULE]);
        assert_eq!((names(&found), found.rule), (vec!["idle", "wrong_by_rule"], Some("weights")));
    }

    #[test]
    fn the_search_finds_each_position_in_few_steps() {
        for count in 1..40 {
            for culprit in 0..count {
                let mut calls = 0;
                let mut breaks = |first: usize| {
                    calls += 1;
                    Ok::<bool, Infallible>(first > culprit)
                };
                assert_eq!(first_that_breaks(count, &mut breaks), Ok(Some(culprit)));
                assert!(calls <= 8);
            }
        }
        assert_eq!(first_that_breaks(3, &mut |_| Ok::<bool, Infallible>(true)), Ok(None));
    }

    #[test]
    fn what_is_no_number_differs() {
        assert!(exceeds(f64::NAN, 1.0) && exceeds(f64::INFINITY, 1.0) && !exceeds(0.5, 1.0));
    }
}
