use crate::RuntimeError;
use crate::llm::Decoder;
use libm::exp;

/// The perplexity of a text, by the definition of llama.cpp: the text is cut into chunks, each starts with an empty cache, and
/// the first half of each chunk is only context for the second. In a chunk of `n` tokens, counted from 0, those after token `n /
/// 2` are predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perplexity {
    log_sum: f64,
    square_sum: f64,
    tokens: usize,
}

impl Perplexity {
    /// Adds one chunk. Its first token is replaced by `bos` if there is one.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the chunk has less than 4 tokens, [`RuntimeError::InvalidLogits`] if a probability is no
    /// number, and what the decoder reports.
    pub fn add(&mut self, decoder: &mut dyn Decoder, chunk: &[u32], bos: Option<u32>) -> Result<(), RuntimeError> {
        if chunk.len() < 4 {
            return Err(RuntimeError::input("text", format!("a chunk has {} tokens, but at least 4 are needed", chunk.len())));
        }
        let mut tokens = chunk.to_vec();
        if let Some((first, bos)) = tokens.first_mut().zip(bos) {
            *first = bos;
        }
        let (before, scored) = tokens.split_at(tokens.len() / 2);
        let Some((_, shown)) = scored.split_last() else { return Ok(()) };
        decoder.truncate(0)?;
        decoder.append(before)?;
        let mut next = scored.iter().skip(1).copied();
        decoder.append_each(shown, &mut |logits| self.score(logits, next.next().unwrap_or_default()))
    }

    fn score(&mut self, logits: &[f32], next: u32) -> Result<(), RuntimeError> {
        let surprise = surprise(logits, next);
        if !surprise.is_finite() {
            return Err(RuntimeError::InvalidLogits {
                problem: format!("the negative log-probability of token {next} is {surprise}"),
            });
        }
        self.log_sum += surprise;
        self.square_sum += surprise * surprise;
        self.tokens += 1;
        Ok(())
    }

    /// The number of tokens that were predicted.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The perplexity so far; 1 means certainty.
    pub fn value(&self) -> f64 {
        (self.log_sum / self.tokens as f64).exp()
    }

    /// The standard error of the perplexity.
    pub fn error(&self) -> f64 {
        let (count, mean) = (self.tokens as f64, self.log_sum / self.tokens as f64);
        let variance = (self.square_sum / count - mean * mean).max(0.0);
        if self.tokens < 2 { 0.0 } else { (variance / (count - 1.0)).sqrt() * self.value() }
    }
}

/// Minus the logarithm of the probability.
fn surprise(logits: &[f32], token: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let own = logits.get(token as usize).copied().unwrap_or(f32::NAN);
    let sum: f64 = logits.iter().map(|logit| exp(f64::from(*logit) - f64::from(largest))).sum();
    sum.ln() + f64::from(largest) - f64::from(own)
}
