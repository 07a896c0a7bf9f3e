//! Feeds damaged bytes to all readers for some minutes, or runs one case again.

use lostwax_tests::fuzz::{Subject, subjects};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// Cases between two lines of progress.
const ROUND: u64 = 2000;

/// A case that takes longer is worth a look.
const SLOW: Duration = Duration::from_millis(500);

const USAGE: &str = "fuzz MINUTES [FIRST_SEED]: all readers, from a seed that is printed
fuzz SUBJECT SEED: one case again, by the name and the seed that were printed; keeps its input in a file";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match words.as_slice() {
        [minutes] if number(minutes).is_some() => fuzz(number(minutes).unwrap_or(0), first_seed()),
        [minutes, seed] if number(minutes).is_some() => fuzz(number(minutes).unwrap_or(0), number(seed).unwrap_or(0)),
        [name, seed] if number(seed).is_some() => again(name, number(seed).unwrap_or(0)),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
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
