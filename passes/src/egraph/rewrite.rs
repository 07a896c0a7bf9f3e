//! Applies rules to an e-graph until nothing changes or a limit is reached. Limits are counts, never times.

use super::analysis::{Conflict, TensorGraph};
use super::functions::{self, AttrFunction};
use super::guards::{self, Guard};
use super::language::ENode;
use super::pattern::{Arg, AttrTerm, Names, Term, parse_guard, parse_term};
use super::rule::{Left, Right, Rule};
use super::site::RuleMatch;
use crate::error::PassError;
use egg::{ENodeOrVar, Id, Language, Pattern, SearchMatches, Searcher, Subst, Var};
use lostwax_ir::attrs::Attrs;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A rule that is ready to be applied.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The rule.
    pub rule: &'static Rule,
    names: Vec<String>,
    patterns: Vec<Pattern<ENode>>,
    guards: Vec<(&'static Guard, Vec<Arg>)>,
    right: Option<Term>,
}

/// What rule application did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How often each rule made two classes equal.
    pub hits: BTreeMap<&'static str, usize>,
    /// Rounds.
    pub iterations: usize,
    /// Whether nothing was left to do.
    pub saturated: bool,
}

/// How often one pattern may match, per class.
const MATCHES_PER_CLASS: usize = 8;

/// A match of a left side.
struct Match {
    root: Id,
    node: Option<ENode>,
    pattern: usize,
    subst: Subst,
}

fn invalid(rule: &Rule, problem: impl Into<String>) -> PassError {
    PassError::InvalidRule { rule: rule.name.to_string(), problem: problem.into() }
}

impl CompiledRule {
    /// Reads the text of a rule.
    ///
    /// # Errors
    /// [`PassError::InvalidRule`] if the text cannot be read.
    pub fn new(rule: &'static Rule) -> Result<Self, PassError> {
        let mut names = Names::default();
        let bound = bound_variables(rule, &mut names)?;
        let patterns = compile_left(rule, &mut names)?;
        let guards = rule.guards.iter().map(|text| compile_guard(rule, text, &mut names)).collect::<Result<_, _>>()?;
        let right = match rule.right {
            Right::Text(text) => Some(compile_right(rule, text, &mut names)?),
            Right::Build(_) => None,
        };
        if let Some(name) = names.0.get(bound)
            && matches!(rule.left, Left::Text(_))
        {
            return Err(invalid(rule, format!("the left side does not bind `?{name}`")));
        }
        Ok(Self { rule, names: names.0, patterns, guards, right })
    }

    fn search(&self, egraph: &TensorGraph) -> Vec<Match> {
        match self.rule.left {
            Left::Text(_) => self.search_patterns(egraph),
            Left::Each { matches, .. } => search_ops(egraph, matches),
        }
    }

    fn search_patterns(&self, egraph: &TensorGraph) -> Vec<Match> {
        let mut found = Vec::new();
        for (pattern, searcher) in self.patterns.iter().enumerate() {
            for SearchMatches { eclass, substs, .. } in
                searcher.search_with_limit(egraph, egraph.number_of_classes() * MATCHES_PER_CLASS)
            {
                if is_open(egraph, eclass) {
                    found.extend(substs.into_iter().map(|subst| Match { root: eclass, node: None, pattern, subst }));
                }
            }
        }
        found
    }

    /// Applies the rule to one match. Returns whether something changed.
    fn apply(&self, egraph: &mut TensorGraph, found: &Match) -> bool {
        let Some(mut site) = self.site(egraph, found) else { return false };
        if !self.guards.iter().all(|(guard, args)| (guard.holds)(&site, args)) {
            return false;
        }
        let root = site.root;
        let result = match (&self.right, self.rule.right) {
            (Some(term), _) => instantiate(&mut site, term),
            (None, Right::Build(build)) => build(&mut site),
            (None, Right::Text(_)) => None,
        };
        result.is_some_and(|result| egraph.union(root, result))
    }

    fn site<'a>(&'a self, egraph: &'a mut TensorGraph, found: &Match) -> Option<RuleMatch<'a>> {
        let variables = (0..self.names.len() as u32).map(|number| found.subst.get(Var::from_u32(number)).copied()).collect();
        let (node, origin) = match (&found.node, self.patterns.get(found.pattern)) {
            (Some(node), _) => (node.clone(), egraph[found.root].data.tensor()?.origin.clone()),
            (None, Some(pattern)) => matched(egraph, pattern, &found.subst)?,
            (None, None) => return None,
        };
        Some(RuleMatch { root: egraph.find(found.root), egraph, node, variables, names: &self.names, origin })
    }
}

/// Whether a class may be rewritten: constants are evaluated instead.
fn is_open(egraph: &TensorGraph, id: Id) -> bool {
    egraph[id].data.tensor().is_some_and(|known| !known.constant)
}

fn search_ops(egraph: &TensorGraph, matches: fn(lostwax_ir::ops::Op) -> bool) -> Vec<Match> {
    let classes = egraph.classes().filter(|class| is_open(egraph, class.id));
    let nodes = classes.flat_map(|class| class.nodes.iter().map(move |node| (class.id, node)));
    let fitting = nodes.filter(|(_, node)| node.op().is_some_and(matches));
    let found = |(root, node): (Id, &ENode)| Match { root, node: Some(node.clone()), pattern: 0, subst: Subst::default() };
    fitting.map(found).collect()
}

/// The node that a pattern matched, and the source nodes of all that it matched.
fn matched(egraph: &TensorGraph, pattern: &Pattern<ENode>, subst: &Subst) -> Option<(ENode, Arc<BTreeSet<u32>>)> {
    let mut ids: Vec<Id> = Vec::new();
    let mut last = None;
    let mut origin = BTreeSet::new();
    for part in pattern.ast.as_ref() {
        let id = match part {
            ENodeOrVar::Var(var) => *subst.get(*var)?,
            ENodeOrVar::ENode(node) => {
                let node = node.clone().map_children(|child| egraph.find(ids[usize::from(child)]));
                let id = egraph.lookup(node.clone())?;
                if let Some(known) = egraph[id].data.tensor() {
                    origin.extend(known.origin.iter().copied());
                }
                last = Some(node);
                id
            }
        };
        ids.push(id);
    }
    Some((last?, Arc::new(origin)))
}

/// The number of variables on the left side.
fn bound_variables(rule: &'static Rule, names: &mut Names) -> Result<usize, PassError> {
    for text in rule.patterns() {
        parse_term(text, names).map_err(|problem| invalid(rule, problem))?;
    }
    Ok(names.0.len())
}

fn compile_left(rule: &'static Rule, names: &mut Names) -> Result<Vec<Pattern<ENode>>, PassError> {
    let Left::Text(texts) = rule.left else { return Ok(Vec::new()) };
    let mut orders: Vec<Term> = Vec::new();
    for text in texts {
        let term = parse_term(text, names).map_err(|problem| invalid(rule, problem))?;
        let constants = constant_variables(rule, names)?;
        for term in term.orders(&|number| constants.contains(&number)) {
            if !orders.contains(&term) {
                orders.push(term);
            }
        }
    }
    let patterns = orders.iter().map(|term| Some(Pattern::new(term.pattern()?))).collect::<Option<_>>();
    patterns.ok_or_else(|| invalid(rule, "the left side calls a function"))
}

/// The variables that the guards require to be constants.
fn constant_variables(rule: &'static Rule, names: &mut Names) -> Result<BTreeSet<u32>, PassError> {
    let mut constants = BTreeSet::new();
    for text in rule.guards {
        let (name, args) = parse_guard(text, names).map_err(|problem| invalid(rule, problem))?;
        if let Some(Arg::Var(number)) = args.first()
            && guards::from_name(&name).is_some_and(|guard| guard.needs_constant)
        {
            constants.insert(*number);
        }
    }
    Ok(constants)
}

fn compile_guard(rule: &'static Rule, text: &str, names: &mut Names) -> Result<(&'static Guard, Vec<Arg>), PassError> {
    let (name, args) = parse_guard(text, names).map_err(|problem| invalid(rule, problem))?;
    let guard = guards::from_name(&name).ok_or_else(|| invalid(rule, format!("there is no guard `{name}`")))?;
    Ok((guard, args))
}

fn compile_right(rule: &'static Rule, text: &str, names: &mut Names) -> Result<Term, PassError> {
    let term = parse_term(text, names).map_err(|problem| invalid(rule, problem))?;
    match unknown_function(&term) {
        Some(name) => Err(invalid(rule, format!("there is no attribute function `{name}`"))),
        None => Ok(term),
    }
}

fn unknown_function(term: &Term) -> Option<&str> {
    let Term::Op(_, attrs, operands) = term else { return None };
    match attrs {
        Some(AttrTerm::Call(name, _)) if functions::from_name(name).is_none() => Some(name),
        _ => operands.iter().find_map(unknown_function),
    }
}

/// Builds a right side.
fn instantiate(site: &mut RuleMatch<'_>, term: &Term) -> Option<Id> {
    match term {
        Term::Var(number) => site.variables.get(*number as usize).copied().flatten(),
        Term::Op(op, attrs, operands) => {
            let attrs = match attrs {
                Some(attrs) => Some(instantiate_attrs(site, attrs)?),
                None => None,
            };
            let operands = operands.iter().map(|operand| instantiate(site, operand)).collect::<Option<Vec<_>>>()?;
            site.add(*op, attrs, &operands)
        }
    }
}

fn instantiate_attrs(site: &RuleMatch<'_>, attrs: &AttrTerm) -> Option<Attrs> {
    match attrs {
        AttrTerm::Var(number) => {
            let id = site.variables.get(*number as usize).copied().flatten()?;
            site.attrs_of(id).map(|attrs| attrs.as_ref().clone())
        }
        AttrTerm::Literal(attrs) => Some(attrs.as_ref().clone()),
        AttrTerm::Call(name, args) => {
            let function: AttrFunction = functions::from_name(name)?;
            function(site, args)
        }
    }
}

/// Applies all rules in rounds.
///
/// # Errors
/// [`PassError::UnsoundRule`] if a rule equates tensors of different types.
pub fn run(
    egraph: &mut TensorGraph,
    rules: &[&CompiledRule],
    iterations: usize,
    node_limit: usize,
) -> Result<Outcome, PassError> {
    let mut outcome = Outcome::default();
    while outcome.iterations < iterations && !outcome.saturated {
        outcome.iterations += 1;
        let found: Vec<Vec<Match>> = rules.iter().map(|rule| rule.search(egraph)).collect();
        outcome.saturated = true;
        for (rule, matches) in rules.iter().zip(&found) {
            let hits = apply_all(egraph, rule, matches, node_limit)?;
            if hits > 0 {
                *outcome.hits.entry(rule.rule.name).or_default() += hits;
                outcome.saturated = false;
            }
        }
        egraph.rebuild();
        check(egraph)?;
        if egraph.total_number_of_nodes() >= node_limit {
            return Ok(Outcome { saturated: false, ..outcome });
        }
    }
    Ok(outcome)
}

fn apply_all(egraph: &mut TensorGraph, rule: &CompiledRule, matches: &[Match], node_limit: usize) -> Result<usize, PassError> {
    egraph.analysis.rule = rule.rule.name;
    let mut hits = 0;
    for found in matches {
        if egraph.total_number_of_nodes() >= node_limit {
            break;
        }
        hits += usize::from(rule.apply(egraph, found));
    }
    check(egraph)?;
    Ok(hits)
}

fn check(egraph: &TensorGraph) -> Result<(), PassError> {
    match egraph.analysis.conflict.clone() {
        Some(Conflict { rule, left, right }) => Err(PassError::UnsoundRule { rule: rule.to_string(), left, right }),
        None => Ok(()),
    }
}
