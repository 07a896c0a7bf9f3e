//! `lostwax perplexity`.

use crate::console::Console;
use crate::error::CliError;
use crate::input;
use crate::language::{self, DecoderArgs, LoadedLanguageModel};
use crate::report::Report;
use lostwax_runtime::llm::{Decoder, Perplexity};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  lostwax perplexity llm.lwx -f wiki.test.raw
  lostwax perplexity llm.lwx -f book.txt --context 1024 --chunks 20 --json";

/// Measures the perplexity of a language model on a text
///
/// As llama.cpp defines it, so that numbers can be compared: the text is split into chunks of `--context` tokens, each starts
/// with an empty cache and, if the model expects it, a BOS token; the second half of each chunk is predicted, and the perplexity
/// is the exponential of the mean negative log likelihood. The rest after the last full chunk and a trailing line break are
/// ignored; special tokens are not parsed.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A language model.
    file: PathBuf,
    /// The text, in UTF-8; `-` for stdin.
    #[arg(short = 'f', long = "text", value_name = "FILE")]
    text: PathBuf,
    /// The number of tokens in a chunk.
    #[arg(short, long, value_name = "N", default_value_t = 512)]
    context: usize,
    /// The maximum number of chunks; by default all.
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,
    #[command(flatten)]
    decoder: DecoderArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let LoadedLanguageModel { model, mut language, .. } = language::open(&self.file, console)?;
        language.tokenizer_mut().set_plain(true);
        console.stage("tokenizing the text");
        let tokens = language.encode_prompt(&read_text(&self.text)?)?;
        let description = language.description();
        let bos = description.bos.filter(|_| description.add_bos);
        let chunks = self.chunks(&tokens)?;
        let mut decoder = self.decoder.open(&model, None)?;
        let start = Instant::now();
        let perplexity = measure(&mut *decoder, &chunks, bos, console)?;
        Ok(self.report(&perplexity, chunks.len(), start.elapsed().as_secs_f64()))
    }

    fn chunks<'a>(&self, tokens: &'a [u32]) -> Result<Vec<&'a [u32]>, CliError> {
        let most = self.chunks.unwrap_or(usize::MAX);
        let chunks: Vec<&[u32]> = tokens.chunks_exact(self.context.max(1)).take(most).collect();
        let problem = || format!("{} tokens are fewer than one chunk of {}; use a smaller --context", tokens.len(), self.context);
        if chunks.is_empty() { Err(CliError::file(&self.text, problem())) } else { Ok(chunks) }
    }

    fn report(&self, perplexity: &Perplexity, chunks: usize, seconds: f64) -> Report {
        let (value, error, tokens) = (perplexity.value(), perplexity.error(), perplexity.tokens());
        let text = format!("perplexity {value:.4} ± {error:.5} over {tokens} tokens in {chunks} chunks of {}", self.context);
        let json = json!({
            "perplexity": value,
            "error": error,
            "tokens": tokens,
            "chunks": chunks,
            "context": self.context,
            "seconds": seconds,
            "tokens_per_second": (chunks * self.context) as f64 / seconds.max(1e-9),
        });
        Report::new(text, json)
    }
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let mut text = input::read_text(path)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn measure(decoder: &mut dyn Decoder, chunks: &[&[u32]], bos: Option<u32>, console: &Console) -> Result<Perplexity, CliError> {
    let mut perplexity = Perplexity::default();
    for (done, chunk) in (1..).zip(chunks) {
        perplexity.add(decoder, chunk, bos)?;
        console.progress("measuring chunks", done, chunks.len());
    }
    Ok(perplexity)
}
