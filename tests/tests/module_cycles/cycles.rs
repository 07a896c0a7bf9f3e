//! A graph of modules, and the cycles in it.

use petgraph::algo::{astar, tarjan_scc};
use petgraph::graphmap::DiGraphMap;
use std::collections::{BTreeMap, BTreeSet};

/// Which module uses which, and where it does so first.
#[derive(Default)]
pub struct Dependencies(BTreeMap<(String, String), String>);

impl Dependencies {
    /// Adds a dependency, of which the first place is kept.
    pub fn add(&mut self, from: &str, to: &str, place: &str) {
        if from != to {
            self.0.entry((from.to_string(), to.to_string())).or_insert_with(|| place.to_string());
        }
    }

    /// For each dependency that belongs to a cycle, a shortest one through it, as a path with the place of each step; cycles
    /// that consist of dependencies listed before are left out.
    pub fn cycles(&self) -> Vec<String> {
        let graph: DiGraphMap<&str, ()> = self.0.keys().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let mut listed = BTreeSet::new();
        let mut cycles = Vec::new();
        for component in tarjan_scc(&graph).iter().rev() {
            let steps = self.0.keys().map(|(from, to)| (from.as_str(), to.as_str()));
            for (from, to) in steps.filter(|(from, to)| component.contains(from) && component.contains(to)) {
                let back = astar(&graph, to, |node| node == from, |_| 1, |_| 0).map(|(_, path)| path);
                if let Some(back) = back.filter(|_| !listed.contains(&(from, to))) {
                    let path: Vec<&str> = [from].into_iter().chain(back).collect();
                    listed.extend(path.iter().copied().zip(path.iter().copied().skip(1)));
                    cycles.push(self.describe(&path));
                }
            }
        }
        cycles
    }

    fn describe(&self, path: &[&str]) -> String {
        let steps = path.iter().zip(path.iter().skip(1));
        let steps = steps.map(|(from, to)| format!(" -> {to} ({})", self.0[&(from.to_string(), to.to_string())]));
        path.iter().take(1).map(ToString::to_string).chain(steps).collect()
    }
}
