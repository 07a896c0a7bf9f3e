use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % bound) as usize
    }
}

fn random_problem(random: &mut Random, count: usize) -> Problem {
    let classes = (0..count)
        .map(|class| {
            let mut candidates = Vec::new();
            for position in 0..=random.below(3) {
                let reach = if position > 0 && random.below(4) == 0 { count } else { class };
                let children = if reach == 0 { 0 } else { random.below(3) };
                let children = (0..children).map(|_| random.below(reach.max(1) as u64)).collect();
                candidates.push(Candidate { cost: 1 + random.below(20) as u64, children });
            }
            candidates
        })
        .collect();
    Problem { classes, roots: vec![count - 1, random.below(count as u64)] }
}

fn exhaustive(problem: &Problem) -> Option<u64> {
    let mut choice: Vec<Option<usize>> = vec![Some(0); problem.classes.len()];
    let mut best: Option<u64> = None;
    loop {
        best = best.into_iter().chain(problem.total(&choice)).min();
        let carry = (0..choice.len()).find(|class| {
            let next = choice[*class].map_or(0, |position| position + 1) % problem.classes[*class].len();
            choice[*class] = Some(next);
            next != 0
        });
        if carry.is_none() {
            return best;
        }
    }
}

#[test]
fn equals_exhaustive_search_on_small_problems() {
    let mut random = Random(7);
    let mut exact = 0;
    for _ in 0..300 {
        let problem = random_problem(&mut random, 7);
        let found = extract(&problem, 3).and_then(|choice| problem.total(&choice));
        let best = exhaustive(&problem);
        assert!(found >= best);
        exact += usize::from(found == best);
    }
    assert!(exact >= 290, "only {exact} of 300 are optimal");
}

#[test]
fn never_dearer_than_trees() {
    let mut random = Random(11);
    for _ in 0..100 {
        let problem = random_problem(&mut random, 200);
        let tree = problem.total(&tree_choice(&problem));
        let found = extract(&problem, 3).and_then(|choice| problem.total(&choice));
        assert!(found.is_some() && found <= tree);
    }
}

#[test]
fn shared_work_counts_once() {
    let leaf = |cost| vec![Candidate { cost, children: vec![] }];
    let shared = vec![Candidate { cost: 1, children: vec![0] }, Candidate { cost: 7, children: vec![] }];
    let root = vec![Candidate { cost: 1, children: vec![1, 2] }];
    let problem = Problem { classes: vec![leaf(10), shared.clone(), shared, root], roots: vec![3] };
    assert_eq!(extract(&problem, 3).and_then(|choice| problem.total(&choice)), Some(13));
}

#[test]
fn deep_sharing_stays_finite() {
    let mut classes = vec![vec![Candidate { cost: 1_000_000, children: vec![] }]];
    for class in 0..500 {
        classes.push(vec![Candidate { cost: 1, children: vec![class, class] }]);
    }
    let problem = Problem { classes, roots: vec![500] };
    assert_eq!(extract(&problem, 1).and_then(|choice| problem.total(&choice)), Some(1_000_500));
}

#[test]
fn circles_are_never_chosen() {
    let around = |child, cost| vec![Candidate { cost: 1, children: vec![child] }, Candidate { cost, children: vec![] }];
    let problem = Problem { classes: vec![around(1, 50), around(0, 60)], roots: vec![0, 1] };
    assert_eq!(extract(&problem, 3).and_then(|choice| problem.total(&choice)), Some(51));
}
