//! Feeds damaged bytes to all readers or to some of them for some minutes, or runs one case again.

use lostwax_tests::fuzz::{Subject, subjects};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// Cases between two lines of progress.
const ROUND: u64 = 2000;

/// A case that takes longer is worth a look.
const SLOW: Duration = Duration::from_millis(500);

const USAGE: &str = "fuzz MINUTES [FIRST_SEED]: all subjects in turn, from a seed that is printed
fuzz MINUTES SUBJECT...: each of these subjects for so long
fuzz SUBJECT SEED: one case again, by the name and the seed that were printed; keeps its input in a file";

fn main() -> ExitCode {
    // What a case tells in the end is enough: readers catch the panics of the libraries that they use.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match words.as_slice() {
        [first, rest @ ..] => match (number(first), rest) {
            (Some(minutes), []) => fuzz(minutes, first_seed()),
            (Some(minutes), [seed]) if number(seed).is_some() => fuzz(minutes, number(seed).unwrap_or(0)),
            (Some(minutes), names) => fuzz_each(minutes, names),
            (None, [seed]) => number(seed).map_or_else(usage, |seed| again(first, seed)),
            (None, _) => usage(),
        },
        [] => usage(),
    }
}

fn usage() -> ExitCode {
    let names: Vec<&str> = subjects().iter().map(|subject| subject.name).collect();
    eprintln!("{USAGE}\nsubjects: {}", names.join(", "));
    ExitCode::from(2)
}

fn first_seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs() << 20)
}

/// Prints the seeds before each round, so that the seed is known even where a case ends the process.
fn fuzz(minutes: u64, first: u64) -> ExitCode {
    let (subjects, end) = (subjects(), Instant::now() + Duration::from_secs(minutes * 60));
    let mut seed = first;
    while Instant::now() < end {
        for subject in &subjects {
            println!("{} seeds {seed}..{}", subject.name, seed + ROUND);
            if (seed..seed + ROUND).any(|seed| !passes(subject, seed)) {
                return ExitCode::FAILURE;
            }
        }
        seed += ROUND;
    }
    println!("nothing found");
    ExitCode::SUCCESS
}

/// Each of the named subjects for some minutes, also where another one was found to fail.
fn fuzz_each(minutes: u64, names: &[&str]) -> ExitCode {
    let all = subjects();
    let named = |name: &&str| all.iter().find(|subject| subject.name == *name);
    let Some(chosen) = names.iter().map(named).collect::<Option<Vec<&Subject>>>() else { return usage() };
    let failed = chosen.into_iter().filter(|subject| !fuzz_one(subject, minutes)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the seeds as [`fuzz`] does; says whether nothing was found.
fn fuzz_one(subject: &Subject, minutes: u64) -> bool {
    let (first, end) = (first_seed(), Instant::now() + Duration::from_secs(minutes * 60));
    let mut cases = 0;
    while Instant::now() < end {
        let seed = first + cases;
        if cases.is_multiple_of(ROUND) {
            println!("{} seeds {seed}..{}", subject.name, seed + ROUND);
        }
        if !passes(subject, seed) {
            return false;
        }
        cases += 1;
    }
    println!("{}: nothing found in {cases} cases", subject.name);
    true
}

fn passes(subject: &Subject, seed: u64) -> bool {
    let start = Instant::now();
    let result = subject.run(seed);
    if start.elapsed() > SLOW {
        println!("slow: {:?} for fuzz {} {seed}", start.elapsed(), subject.name);
    }
    if let Err(problem) = &result {
        println!("found: {problem}\nrun it again: fuzz {} {seed}", subject.name);
    }
    result.is_ok()
}

fn again(name: &str, seed: u64) -> ExitCode {
    let Some(subject) = subjects().into_iter().find(|subject| subject.name == name) else { return usage() };
    let path = std::env::temp_dir().join(format!("lostwax-fuzz-{name}-{seed}"));
    match std::fs::write(&path, subject.input(seed)) {
        Ok(()) => println!("the input is in {}", path.display()),
        Err(error) => println!("{}: {error}", path.display()),
    }
    if passes(&subject, seed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
