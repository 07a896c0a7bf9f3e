//! From logits to a token.

use crate::RuntimeError;
use libm::exp;
use lostwax_format::SamplingDefaults;

/// Sampling parameters. The steps are applied in the order of the fields, from the penalty to the temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Positive logits of recent tokens are divided by this, negative ones multiplied; 1 changes nothing.
    pub repetition_penalty: f32,
    /// How many of the last tokens are recent.
    pub repetition_window: usize,
    /// Samples from this many tokens with the largest logits; 0 for all.
    pub top_k: usize,
    /// Samples from the most likely tokens whose probabilities add up to this; 1 for all.
    pub top_p: f32,
    /// Samples from tokens with at least this probability, relative to the most likely one; 0 for all.
    pub min_p: f32,
    /// Logits are divided by this; 0 takes the largest one.
    pub temperature: f32,
    /// The seed of the random number generator.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { repetition_penalty: 1.0, repetition_window: 64, top_k: 40, top_p: 0.95, min_p: 0.05, temperature: 0.8, seed: 0 }
    }
}

impl Sampling {
    /// Always takes the token with the largest logit.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// The defaults of a model, completed with those of this crate.
    pub fn from_defaults(given: &SamplingDefaults) -> Self {
        let own = Self::default();
        let count = |given: Option<u32>, own: usize| given.map_or(own, |given| given as usize);
        Self {
            repetition_penalty: given.repetition_penalty.unwrap_or(own.repetition_penalty),
            repetition_window: count(given.repetition_window, own.repetition_window),
            top_k: count(given.top_k, own.top_k),
            top_p: given.top_p.unwrap_or(own.top_p),
            min_p: given.min_p.unwrap_or(own.min_p),
            temperature: given.temperature.unwrap_or(own.temperature),
            seed: own.seed,
        }
    }

    fn check(&self) -> Result<(), RuntimeError> {
        let rules = [
            ("temperature", self.temperature, self.temperature >= 0.0, "at least 0"),
            ("top-p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1"),
            ("min-p", self.min_p, (0.0..=1.0).contains(&self.min_p), "in 0..=1"),
            ("repetition penalty", self.repetition_penalty, self.repetition_penalty > 0.0, "above 0"),
        ];
        match rules.iter().find(|(_, value, fits, _)| !fits || !value.is_finite()) {
            Some((name, value, _, rule)) => Err(RuntimeError::input(*name, format!("is {value}, must be {rule}"))),
            None => Ok(()),
        }
    }
}

/// A token that may be chosen.
#[derive(Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
}

/// Chooses tokens. The same settings and logits give the same tokens on every machine.
pub struct Sampler {
    sampling: Sampling,
    random: Random,
    candidates: Vec<Candidate>,
    weights: Vec<f64>,
}

impl Sampler {
    /// A sampler whose random number generator starts from the seed.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if a setting is out of its range.
    pub fn new(sampling: Sampling) -> Result<Self, RuntimeError> {
        sampling.check()?;
        let random = Random(sampling.seed);
        Ok(Self { sampling, random, candidates: Vec::new(), weights: Vec::new() })
    }

    /// The next token. `history` are the tokens so far; of equal logits the token with the lower id comes first.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidLogits`] if a logit is not a number or positive infinity, or none is finite.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, RuntimeError> {
        check_logits(logits)?;
        self.candidates.clear();
        self.candidates.extend(logits.iter().zip(0u32..).map(|(logit, id)| Candidate { id, logit: *logit }));
        self.penalize(history);
        if self.sampling.temperature == 0.0 || self.sampling.top_k == 1 {
            return largest(&self.candidates);
        }
        self.keep_top_k();
        self.keep_top_p();
        self.keep_min_p();
        self.choose()
    }

    fn penalize(&mut self, history: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let recent = history.get(history.len().saturating_sub(self.sampling.repetition_window)..).unwrap_or_default();
        let mut recent = recent.to_vec();
        recent.sort_unstable();
        recent.dedup();
        for id in recent {
            if let Some(Candidate { logit, .. }) = self.candidates.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// Leaves the largest, in order if another step needs it.
    fn keep_top_k(&mut self) {
        let k = self.sampling.top_k;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, order);
            self.candidates.truncate(k);
        }
        if self.sampling.top_p < 1.0 || k > 0 {
            self.candidates.sort_unstable_by(order);
        }
    }

    fn keep_top_p(&mut self) {
        if self.sampling.top_p >= 1.0 {
            return;
        }
        self.weigh(1.0);
        let wanted = self.weights.iter().sum::<f64>() * f64::from(self.sampling.top_p);
        let mut sum = 0.0;
        let enough = self.weights.iter().position(|weight| {
            sum += weight;
            sum >= wanted
        });
        self.candidates.truncate(enough.map_or(usize::MAX, |last| last + 1));
    }

    fn keep_min_p(&mut self) {
        if self.sampling.min_p <= 0.0 {
            return;
        }
        let (largest, share) = (self.largest_logit(), f64::from(self.sampling.min_p));
        self.candidates.retain(|candidate| exp(f64::from(candidate.logit) - largest) >= share);
    }

    fn choose(&mut self) -> Result<u32, RuntimeError> {
        self.weigh(f64::from(self.sampling.temperature));
        let mut rest = self.random.next_unit() * self.weights.iter().sum::<f64>();
        for (candidate, weight) in self.candidates.iter().zip(&self.weights) {
            rest -= weight;
            if rest < 0.0 {
                return Ok(candidate.id);
            }
        }
        largest(&self.candidates)
    }

    fn largest_logit(&self) -> f64 {
        self.candidates.iter().map(|candidate| f64::from(candidate.logit)).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Probabilities, up to a common factor.
    fn weigh(&mut self, temperature: f64) {
        let largest = self.largest_logit();
        self.weights.clear();
        let scaled = self.candidates.iter().map(|candidate| (f64::from(candidate.logit) - largest) / temperature);
        self.weights.extend(scaled.map(exp));
    }
}

fn check_logits(logits: &[f32]) -> Result<(), RuntimeError> {
    let bad = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY);
    let problem = match bad.and_then(|token| Some((token, logits.get(token)?))) {
        Some((token, logit)) => format!("the logit of token {token} is {logit}"),
        None if logits.iter().any(|logit| logit.is_finite()) => return Ok(()),
        None => "no token has a finite logit".into(),
    };
    Err(RuntimeError::InvalidLogits { problem })
}

/// The larger logit first, then the lower id.
fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

fn largest(candidates: &[Candidate]) -> Result<u32, RuntimeError> {
    let first = candidates.iter().min_by(|a, b| order(a, b));
    first.map(|candidate| candidate.id).ok_or_else(|| RuntimeError::InvalidLogits { problem: "there are none".into() })
}

/// The SplitMix64 generator.
struct Random(u64);

impl Random {
    fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
