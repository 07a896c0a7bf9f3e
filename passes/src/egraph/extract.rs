//! Chooses one node of every needed class such that the sum over distinct chosen nodes is small.
//!
//! The problem is plain data, so that the algorithm can be compared with exhaustive search. Three steps: a tree search that
//! counts shared parts repeatedly gives a first choice; a bottom-up search with sets of chosen classes counts them once;
//! sweeps then change one choice at a time as long as the total falls. Ties keep the earlier choice.

use fixedbitset::FixedBitSet;
use std::collections::VecDeque;

/// A node that can be chosen for its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What the node itself costs.
    pub cost: u64,
    /// The classes it needs.
    pub children: Vec<usize>,
}

/// An extraction problem: the candidates of every class, in order of preference among equals, and the wanted classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The candidates of every class.
    pub classes: Vec<Vec<Candidate>>,
    /// The classes that are needed.
    pub roots: Vec<usize>,
}

/// The position of the chosen candidate of every class that can be built.
pub type Choice = Vec<Option<usize>>;

impl Problem {
    fn candidate(&self, class: usize, choice: &[Option<usize>]) -> Option<&Candidate> {
        self.classes[class].get(choice[class]?)
    }

    /// The sum over all nodes that the roots need, each counted once; `None` if a choice is missing or
    /// the choices form a cycle.
    pub fn total(&self, choice: &[Option<usize>]) -> Option<u64> {
        self.order(choice)?.iter().try_fold(0u64, |sum, class| Some(sum.saturating_add(self.candidate(*class, choice)?.cost)))
    }

    /// The classes that the roots need, children first; `None` as for [`Problem::total`].
    pub fn order(&self, choice: &[Option<usize>]) -> Option<Vec<usize>> {
        const OPEN: u8 = 1;
        const DONE: u8 = 2;
        let mut state = vec![0u8; self.classes.len()];
        let mut order = Vec::new();
        let mut stack: Vec<(usize, usize)> = self.roots.iter().rev().map(|root| (*root, 0)).collect();
        while let Some((class, position)) = stack.pop() {
            if position == 0 {
                match state[class] {
                    DONE => continue,
                    OPEN => return None,
                    _ => state[class] = OPEN,
                }
            }
            match self.candidate(class, choice)?.children.get(position) {
                Some(child) => {
                    stack.push((class, position + 1));
                    if state[*child] != DONE {
                        stack.push((*child, 0));
                    }
                }
                None => {
                    state[class] = DONE;
                    order.push(class);
                }
            }
        }
        Some(order)
    }

    /// The nodes that need a class: pairs of class and candidate.
    fn parents(&self) -> Vec<Vec<(usize, usize)>> {
        let mut parents = vec![Vec::new(); self.classes.len()];
        for (class, candidates) in self.classes.iter().enumerate() {
            for (position, candidate) in candidates.iter().enumerate() {
                for child in &candidate.children {
                    if parents[*child].last() != Some(&(class, position)) {
                        parents[*child].push((class, position));
                    }
                }
            }
        }
        parents
    }

    /// All nodes, those without children first, then breadth-first upward.
    fn worklist(&self) -> VecDeque<(usize, usize)> {
        let nodes = self.classes.iter().enumerate();
        let all = nodes.flat_map(|(class, candidates)| (0..candidates.len()).map(move |position| (class, position)));
        all.filter(|(class, position)| self.classes[*class][*position].children.is_empty()).collect()
    }
}

/// The cheapest trees: shared parts count as often as they are used, so that sums may grow beyond all integers.
pub fn tree_choice(problem: &Problem) -> Choice {
    let (mut best, mut choice) = (vec![f64::INFINITY; problem.classes.len()], vec![None; problem.classes.len()]);
    let parents = problem.parents();
    let mut pending = problem.worklist();
    while let Some((class, position)) = pending.pop_front() {
        let candidate = &problem.classes[class][position];
        let cost = candidate.children.iter().fold(candidate.cost.max(1) as f64, |sum, child| sum + best[*child]);
        if cost < best[class] {
            (best[class], choice[class]) = (cost, Some(position));
            pending.extend(&parents[class]);
        }
    }
    choice
}

/// The bottom-up search with sets of chosen classes.
pub struct Sharing<'a> {
    problem: &'a Problem,
    sets: Vec<Option<FixedBitSet>>,
    totals: Vec<u64>,
    own: Vec<u64>,
    choice: Choice,
}

impl<'a> Sharing<'a> {
    /// Searches for a cheap choice for every class.
    pub fn new(problem: &'a Problem) -> Self {
        let count = problem.classes.len();
        let (sets, totals, own, choice) = (vec![None; count], vec![u64::MAX; count], vec![0; count], vec![None; count]);
        Self { problem, sets, totals, own, choice }.run()
    }

    /// What these classes cost together with all they need, each counted once; `None` if one cannot be built.
    pub fn total(&self, classes: impl Iterator<Item = usize>) -> Option<u64> {
        let mut set = FixedBitSet::with_capacity(self.problem.classes.len());
        for class in classes {
            set.union_with(self.sets.get(class)?.as_ref()?);
        }
        Some(set.ones().fold(0, |sum, class| sum.saturating_add(self.own[class])))
    }

    /// The classes that a node and all below it use, and their cost; `None` if it needs itself or is not better.
    fn weigh(&self, class: usize, candidate: &Candidate) -> Option<(FixedBitSet, u64)> {
        let mut set = FixedBitSet::with_capacity(self.problem.classes.len());
        let mut floor = 0;
        for child in &candidate.children {
            let below = self.sets[*child].as_ref()?;
            floor = floor.max(self.totals[*child]);
            if below.contains(class) || floor.saturating_add(candidate.cost) >= self.totals[class] {
                return None;
            }
            set.union_with(below);
        }
        let total = set.ones().fold(candidate.cost, |sum, below| sum.saturating_add(self.own[below]));
        set.insert(class);
        (total < self.totals[class]).then_some((set, total))
    }

    fn run(mut self) -> Self {
        let parents = self.problem.parents();
        let mut pending = self.problem.worklist();
        let mut queued = vec![false; self.problem.classes.len()];
        while let Some((class, position)) = pending.pop_front() {
            if position == usize::MAX {
                queued[class] = false;
                for (parent, node) in &parents[class] {
                    self.improve(*parent, *node, &mut pending, &mut queued);
                }
            } else {
                self.improve(class, position, &mut pending, &mut queued);
            }
        }
        self
    }

    fn improve(&mut self, class: usize, position: usize, pending: &mut VecDeque<(usize, usize)>, queued: &mut [bool]) {
        let candidate = &self.problem.classes[class][position];
        if let Some((set, total)) = self.weigh(class, candidate) {
            self.own[class] = candidate.cost;
            (self.sets[class], self.totals[class], self.choice[class]) = (Some(set), total, Some(position));
            if !std::mem::replace(&mut queued[class], true) {
                pending.push_back((class, usize::MAX));
            }
        }
    }
}

/// A choice with the number of chosen users of every class, which makes changes of one choice cheap to weigh.
struct Refinement<'a> {
    problem: &'a Problem,
    choice: Choice,
    users: Vec<u32>,
    total: u64,
}

impl<'a> Refinement<'a> {
    fn new(problem: &'a Problem, choice: Choice) -> Self {
        let mut state = Self { problem, choice, users: vec![0; problem.classes.len()], total: 0 };
        state.acquire(problem.roots.clone());
        state
    }

    fn acquire(&mut self, mut pending: Vec<usize>) {
        while let Some(class) = pending.pop() {
            self.users[class] += 1;
            if self.users[class] == 1
                && let Some(candidate) = self.problem.candidate(class, &self.choice)
            {
                self.total = self.total.saturating_add(candidate.cost);
                pending.extend(&candidate.children);
            }
        }
    }

    fn release(&mut self, mut pending: Vec<usize>) {
        while let Some(class) = pending.pop() {
            self.users[class] -= 1;
            if self.users[class] == 0
                && let Some(candidate) = self.problem.candidate(class, &self.choice)
            {
                self.total = self.total.saturating_sub(candidate.cost);
                pending.extend(&candidate.children);
            }
        }
    }

    fn switch(&mut self, class: usize, position: usize) {
        let (Some(old), Some(new)) = (self.problem.candidate(class, &self.choice), self.problem.classes[class].get(position))
        else {
            return;
        };
        self.total = self.total.saturating_add(new.cost);
        self.acquire(new.children.clone());
        self.total = self.total.saturating_sub(old.cost);
        self.release(old.children.clone());
        self.choice[class] = Some(position);
    }

    fn is_buildable(&self, candidate: &Candidate) -> bool {
        candidate.children.iter().all(|child| self.choice[*child].is_some())
    }

    /// Tries all candidates of a class and keeps the best.
    fn improve(&mut self, class: usize) {
        for (position, candidate) in self.problem.classes[class].iter().enumerate() {
            let (Some(old), before) = (self.choice[class], self.total) else { return };
            if position == old || self.users[class] == 0 || !self.is_buildable(candidate) || candidate.children.contains(&class) {
                continue;
            }
            self.switch(class, position);
            if self.total >= before || self.problem.total(&self.choice) != Some(self.total) {
                self.switch(class, old);
            }
        }
    }

    /// Tries to let all users of a class use it, as if it were free, and keeps that if the total falls with its cost.
    fn adopt(&mut self, class: usize, users: &[(usize, usize)]) {
        if self.choice[class].is_none() || users.len() < 2 {
            return;
        }
        let before = self.total;
        self.acquire(vec![class]);
        let mut undo = Vec::new();
        for (user, position) in users {
            let (Some(old), current) = (self.choice[*user], self.total) else { continue };
            let candidate = &self.problem.classes[*user][*position];
            if old == *position || self.users[*user] == 0 || !self.is_buildable(candidate) || candidate.children.contains(user) {
                continue;
            }
            self.switch(*user, *position);
            undo.push((*user, old));
            if self.total >= current {
                self.switch(*user, old);
                undo.pop();
            }
        }
        self.release(vec![class]);
        if !undo.is_empty() && (self.total >= before || self.problem.total(&self.choice) != Some(self.total)) {
            self.acquire(vec![class]);
            undo.iter().rev().for_each(|(user, old)| self.switch(*user, *old));
            self.release(vec![class]);
        }
    }

    /// Tries to change every choice, at most `sweeps` times round.
    fn run(mut self, sweeps: usize) -> Choice {
        let parents = self.problem.parents();
        for _ in 0..sweeps {
            let before = self.total;
            for class in self.problem.order(&self.choice).unwrap_or_default() {
                self.improve(class);
            }
            for (class, users) in parents.iter().enumerate() {
                self.adopt(class, users);
            }
            if self.total == before {
                break;
            }
        }
        self.choice
    }
}

/// A choice for all classes that the roots need; `None` if one of them cannot be built.
pub fn extract(problem: &Problem, sweeps: usize) -> Option<Choice> {
    let tree = tree_choice(problem);
    let tree_total = problem.total(&tree)?;
    let shared = Sharing::new(problem).choice;
    let choice = match problem.total(&shared) {
        Some(total) if total <= tree_total => shared,
        _ => tree,
    };
    Some(Refinement::new(problem, choice).run(sweeps))
}

#[cfg(test)]
mod tests;
