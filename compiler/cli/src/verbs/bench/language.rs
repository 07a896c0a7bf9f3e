//! Language models: how fast prompts are read and tokens generated.

use super::kernels::Kernels;
use super::measure::{milliseconds, peak_rss_bytes};
use super::work::{Work, WorkCounter};
use super::{measured_peaks, percent};
use crate::error::CliError;
use crate::report::Report;
use crate::settings::DeviceArgs;
use crate::source::LoadedModel;
use crate::table::Table;
use lostwax_runtime::api::Peaks;
use lostwax_runtime::llm::{Decoder, DecoderOptions, batch_size, open_decoders};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Tokens of a prompt in one run.
pub const CHUNK: usize = 512;

/// What is measured of a language model.
#[derive(Clone, Debug, clap::Args)]
pub struct LanguageArgs {
    /// Language models: the number of prompt tokens; 0 skips this test.
    #[arg(short, long, value_name = "TOKENS", default_value_t = 512)]
    prompt: usize,
    /// Language models: the number of tokens to generate, one by one from an empty KV cache; 0 skips this test.
    #[arg(short = 'n', long = "generate", value_name = "TOKENS", default_value_t = 128)]
    generate: usize,
    /// Language models: the number of repetitions of each test.
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    repetitions: usize,
}

/// Measures a language model with each number of threads.
pub fn bench(
    args: &LanguageArgs,
    device: &DeviceArgs,
    threads: &[usize],
    profile: bool,
    opened: &LoadedModel,
) -> Result<Report, CliError> {
    let measure = |threads: &usize| Run::measure(args, device, *threads, profile, opened);
    let runs = threads.iter().map(measure).collect::<Result<Vec<Run>, _>>()?;
    let mut table = Table::new(&["test", "threads", "tokens/s", "±", "% of memory reads", "% of f32 multiply-adds"]);
    for run in &runs {
        run.tests().for_each(|test| table.row(test.cells(run)));
    }
    let variant = runs.first().map_or("", |run| &run.variant);
    let profiles = runs.iter().flat_map(|run| run.kernels.iter().map(|kernels| kernels.text(run.peaks)));
    let notes: String = runs.iter().map(Run::note).chain(profiles).collect();
    let mut json = runs.first().map_or_else(|| json!({}), Run::json);
    if let Some(map) = json.as_object_mut() {
        map.insert("model".to_string(), json!(opened.model.name()));
        map.insert("runs".to_string(), runs.iter().map(Run::json).collect());
    }
    Ok(Report::new(format!("{} on {variant}\n{table}{notes}", opened.model.name()), json))
}

/// The kernels of a prompt's first run, of the token in the middle, and of those of several texts.
fn profiles(args: &LanguageArgs, texts: usize, counter: &mut WorkCounter) -> Result<Vec<Kernels>, CliError> {
    let mut profiles = Vec::new();
    if args.prompt > 0 {
        profiles.push(Kernels::measure(counter, "prefill", 0, args.prompt.min(CHUNK))?);
    }
    if args.generate > 0 {
        profiles.push(Kernels::measure(counter, "decode", args.generate / 2, 1)?);
    }
    if args.generate > 0 && texts > 1 {
        profiles.push(Kernels::measure(counter, "batch", args.generate / 2, texts)?);
    }
    Ok(profiles)
}

/// What was measured with one number of threads.
struct Run {
    threads: usize,
    variant: String,
    load: Duration,
    first_token: Option<Duration>,
    prefill: Option<Test>,
    decode: Option<Test>,
    /// Several texts together, if the model was compiled for that.
    batch: Option<Test>,
    peak_rss_bytes: Option<u64>,
    peaks: Option<Peaks>,
    /// Where the time goes, if that was asked for.
    kernels: Vec<Kernels>,
}

impl Run {
    fn measure(
        args: &LanguageArgs,
        device: &DeviceArgs,
        threads: usize,
        profile: bool,
        opened: &LoadedModel,
    ) -> Result<Self, CliError> {
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let mut options = DecoderOptions { chunk: CHUNK, ..DecoderOptions::new(device.device(&opened.model)?) };
        options.session.threads = threads;
        let start = Instant::now();
        let mut decoders = open_decoders(&opened.model, &options, batch_size(&opened.model))?;
        let load = opened.load + start.elapsed();
        let (mut prefill, first_token) = measure_prefill(args, &mut decoders)?;
        let mut decode = measure_decode(args, &mut decoders)?;
        let mut batch = measure_batch(args, &mut decoders)?;
        let peak_rss_bytes = peak_rss_bytes();
        let texts = decoders.len();
        drop(decoders);
        let mut counter = WorkCounter::new(&opened.model, device, threads)?;
        if let Some(test) = &mut prefill {
            test.work = counter.prefill(args.prompt)?;
        }
        if let Some(test) = &mut decode {
            test.work = counter.decode(args.generate)?;
        }
        if let Some(test) = &mut batch {
            test.work = counter.batch(args.generate, texts)?;
        }
        let kernels = if profile { profiles(args, texts, &mut counter)? } else { Vec::new() };
        let (variant, peaks) = (counter.variant().to_string(), device.device(&opened.model)?.peaks(threads)?);
        Ok(Self { threads, variant, load, first_token, prefill, decode, batch, peak_rss_bytes, peaks, kernels })
    }

    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.prefill.iter().chain(&self.decode).chain(&self.batch)
    }

    fn note(&self) -> String {
        let Self { threads, load, first_token, peak_rss_bytes, peaks, .. } = self;
        let first = first_token.map_or_else(String::new, |time| format!(", first token {:.1} ms", milliseconds(time)));
        let rss = peak_rss_bytes.map_or_else(String::new, |bytes| format!(", peak RSS {}", crate::format::bytes(bytes)));
        format!("{threads} threads: load {:.1} ms{first}{rss}{}\n", milliseconds(*load), measured_peaks(*peaks))
    }

    fn json(&self) -> Value {
        let rate = |test: &Option<Test>| test.as_ref().map(Test::mean);
        json!({
            "threads": self.threads,
            "variant": self.variant,
            "load_ms": milliseconds(self.load),
            "first_token_ms": self.first_token.map(milliseconds),
            "prefill_tps": rate(&self.prefill),
            "decode_tps": rate(&self.decode),
            "batch_tps": rate(&self.batch),
            "peak_rss_bytes": self.peak_rss_bytes,
            "peak_gflops": self.peaks.map(|peaks| peaks.flops_per_second / 1e9),
            "peak_gbps": self.peaks.map(|peaks| peaks.bytes_per_second / 1e9),
            "profile": self.kernels.iter().map(|kernels| kernels.json(self.peaks)).collect::<Vec<_>>(),
            "tests": self.tests().map(|test| test.json(self.peaks)).collect::<Vec<_>>(),
        })
    }
}

/// A test of some tokens, repeated.
struct Test {
    name: String,
    tokens: usize,
    /// Tokens per second of each repetition.
    rates: Vec<f64>,
    /// The work of one repetition.
    work: Work,
}

impl Test {
    /// Repeats `run`, which takes `tokens` tokens.
    fn repeat(
        name: &str,
        tokens: usize,
        repetitions: usize,
        mut run: impl FnMut() -> Result<(), CliError>,
    ) -> Result<Self, CliError> {
        let mut rates = Vec::new();
        for _ in 0..repetitions.max(1) {
            let start = Instant::now();
            run()?;
            rates.push(tokens as f64 / start.elapsed().as_secs_f64().max(1e-9));
        }
        Ok(Self { name: format!("{name}{tokens}"), tokens, rates, work: Work::default() })
    }

    fn mean(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len() as f64
    }

    /// The standard deviation; 0 for one repetition.
    fn deviation(&self) -> f64 {
        let (mean, count) = (self.mean(), self.rates.len());
        let squares: f64 = self.rates.iter().map(|rate| (rate - mean).powi(2)).sum();
        if count < 2 { 0.0 } else { (squares / (count - 1) as f64).sqrt() }
    }

    /// The parts of the peaks that are reached, where the device has any: of memory reads and of multiply-adds.
    fn fractions(&self, peaks: Option<Peaks>) -> [Option<f64>; 2] {
        let Some(Peaks { flops_per_second, bytes_per_second }) = peaks else { return [None; 2] };
        let repetitions = self.mean() / self.tokens as f64;
        let rates = [(self.work.bytes, bytes_per_second), (self.work.flops, flops_per_second)];
        rates.map(|(work, peak)| Some(work as f64 * repetitions / peak.max(1.0)))
    }

    fn cells(&self, run: &Run) -> Vec<String> {
        let [memory, compute] = self.fractions(run.peaks).map(percent);
        let rates = [self.mean(), self.deviation()].map(|rate| format!("{rate:.2}"));
        [self.name.clone(), run.threads.to_string()].into_iter().chain(rates).chain([memory, compute]).collect()
    }

    fn json(&self, peaks: Option<Peaks>) -> Value {
        let [memory, compute] = self.fractions(peaks);
        json!({
            "test": self.name,
            "tokens": self.tokens,
            "tps": self.mean(),
            "tps_deviation": self.deviation(),
            "tps_all": self.rates,
            "memory_fraction": memory,
            "compute_fraction": compute,
        })
    }
}

/// The test of the prompt, and how long it took the first time.
fn measure_prefill(args: &LanguageArgs, decoders: &mut [Box<dyn Decoder>]) -> Result<(Option<Test>, Option<Duration>), CliError> {
    let Some(decoder) = decoders.first_mut().filter(|_| args.prompt > 0) else { return Ok((None, None)) };
    let prompt = some_tokens(args.prompt, decoder.vocabulary_size());
    let mut read = || {
        decoder.truncate(0)?;
        decoder.append(&prompt)?;
        Ok(())
    };
    let start = Instant::now();
    read()?;
    let first_token = start.elapsed();
    Ok((Some(Test::repeat("pp", args.prompt, args.repetitions, read)?), Some(first_token)))
}

fn measure_decode(args: &LanguageArgs, decoders: &mut [Box<dyn Decoder>]) -> Result<Option<Test>, CliError> {
    let (Some(last), Some(decoder)) = (args.generate.checked_sub(1), decoders.first_mut()) else { return Ok(None) };
    let tokens = some_tokens(args.generate, decoder.vocabulary_size());
    let mut write = |tokens: &[u32]| {
        decoder.truncate(0)?;
        tokens.chunks(1).try_for_each(|token| decoder.append(token).map(|_| ())).map_err(CliError::from)
    };
    write(tokens.get(last..).unwrap_or_default())?;
    Test::repeat("tg", args.generate, args.repetitions, || write(&tokens)).map(Some)
}

/// The same for several texts that go on together; their tokens are counted together.
fn measure_batch(args: &LanguageArgs, decoders: &mut [Box<dyn Decoder>]) -> Result<Option<Test>, CliError> {
    let (count, Some(first)) = (decoders.len(), decoders.first().filter(|_| args.generate > 0)) else { return Ok(None) };
    let tokens = some_tokens(args.generate, first.vocabulary_size());
    if count == 1 {
        return Ok(None);
    }
    let mut write = || {
        decoders.iter_mut().try_for_each(|decoder| decoder.truncate(0))?;
        for token in &tokens {
            decoders.iter_mut().for_each(|decoder| decoder.announce(*token));
            decoders.iter_mut().try_for_each(|decoder| decoder.append(&[*token]).map(|_| ()))?;
        }
        Ok(())
    };
    write()?;
    let mut test = Test::repeat("tg", args.generate * count, args.repetitions, write)?;
    test.name = format!("tg{}x{count}", args.generate);
    Ok(Some(test))
}

/// Tokens from all over the vocabulary.
fn some_tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    let largest = vocabulary.max(1) as u32;
    (0..count as u32).map(|index| index.wrapping_mul(0x9e37_79b1) % largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Babbler;

    #[test]
    fn prompts_and_tokens_are_measured() {
        let args = LanguageArgs { prompt: 64, generate: 16, repetitions: 3 };
        let decoder = || Box::new(Babbler::with_pause(Duration::from_millis(1))) as Box<dyn Decoder>;
        let mut decoders = vec![decoder()];
        let (prefill, first) = measure_prefill(&args, &mut decoders).unwrap();
        let (mut prefill, decode) = (prefill.unwrap(), measure_decode(&args, &mut decoders).unwrap().unwrap());
        assert!(first.unwrap() >= Duration::from_millis(1) && decoders[0].position() == 16);
        assert!(measure_batch(&args, &mut decoders).unwrap().is_none());
        decoders.push(decoder());
        let batch = measure_batch(&args, &mut decoders).unwrap().unwrap();
        assert_eq!((batch.name.as_str(), batch.tokens, decoders[1].position()), ("tg16x2", 32, 16));
        assert_eq!((prefill.name.as_str(), decode.name.as_str(), decode.rates.len()), ("pp64", "tg16", 3));
        assert!(prefill.mean() > decode.mean() && decode.mean() <= 1000.0 && decode.deviation() >= 0.0);
        prefill.rates = vec![64.0, 64.0];
        prefill.work = Work { flops: 50, bytes: 10 };
        let peaks = Peaks { flops_per_second: 100.0, bytes_per_second: 100.0 };
        assert_eq!((prefill.deviation(), prefill.fractions(Some(peaks))), (0.0, [Some(0.1), Some(0.5)]));
        assert_eq!(prefill.fractions(None), [None, None]);
        let nothing = LanguageArgs { prompt: 0, generate: 0, repetitions: 1 };
        assert!(measure_prefill(&nothing, &mut decoders).unwrap().0.is_none());
        assert!(measure_decode(&nothing, &mut decoders).unwrap().is_none());
    }
}
