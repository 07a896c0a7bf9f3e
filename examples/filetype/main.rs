#![forbid(unsafe_code)]
//! Tells what files hold, with Magika.
//!
//! ```text
//! lostwax compile magika.onnx -o magika.lwx
//! filetype magika.lwx magika.json FILE...
//! ```

use lostwax_runtime::{Device, Model, Session, TensorView};
use serde_json::Value;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// What the model expects, from the file that belongs to it.
struct Config {
    begin: usize,
    end: usize,
    block: usize,
    padding: i32,
    labels: Vec<String>,
}

impl Config {
    fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let json: Value = serde_json::from_str(text)?;
        let number = |key: &str| json[key].as_u64().ok_or_else(|| format!("`{key}` is missing"));
        let labels = json["target_labels_space"].as_array().ok_or("the labels are missing")?;
        Ok(Self {
            begin: number("beg_size")? as usize,
            end: number("end_size")? as usize,
            block: number("block_size")? as usize,
            padding: number("padding_token")? as i32,
            labels: labels.iter().filter_map(Value::as_str).map(str::to_string).collect(),
        })
    }

    /// The first bytes after leading white space, then the last ones before trailing white space, each padded.
    fn features(&self, first: &[u8], last: &[u8]) -> Vec<i32> {
        let first = first.trim_ascii_start();
        let last = last.trim_ascii_end();
        let mut features = vec![self.padding; self.begin + self.end];
        for (slot, byte) in features[..self.begin].iter_mut().zip(first) {
            *slot = i32::from(*byte);
        }
        for (slot, byte) in features[self.begin..].iter_mut().rev().zip(last.iter().rev()) {
            *slot = i32::from(*byte);
        }
        features
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, config, files @ ..] = args.as_slice() else { return Err("usage: filetype MODEL.lwx CONFIG.json FILE...".into()) };
    let config = Config::parse(&std::fs::read_to_string(config)?)?;
    let mut session = Model::open(model)?.session(Device::cpu())?;
    for file in files {
        let (label, score) = classify(&mut session, &config, file)?;
        println!("{file}: {label} ({:.1} %)", 100.0 * score);
    }
    Ok(())
}

fn classify(session: &mut Session, config: &Config, file: &str) -> Result<(String, f32), Box<dyn Error>> {
    let (first, last) = ends(file, config.block)?;
    let features = config.features(&first, &last);
    let outputs = session.run([("bytes", TensorView::new(&features, &[1, features.len()])?)])?;
    let (_, scores) = outputs.iter().next().ok_or("the model has no output")?;
    let best = scores.view::<f32>()?.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    let (class, score) = best.ok_or("the model gives no scores")?;
    Ok((config.labels.get(class).cloned().unwrap_or_default(), score))
}

/// The first and the last block of a file.
fn ends(path: &str, block: usize) -> Result<(Vec<u8>, Vec<u8>), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    file.by_ref().take(block as u64).read_to_end(&mut first)?;
    let start = file.metadata()?.len().saturating_sub(block as u64);
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut last)?;
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_padded_inwards() {
        let config = Config { begin: 3, end: 3, block: 8, padding: 256, labels: Vec::new() };
        assert_eq!(config.features(b" ab", b"ab\n"), [97, 98, 256, 256, 97, 98]);
    }
}
