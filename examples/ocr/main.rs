#![forbid(unsafe_code)]
//! Reads the text in a picture with PP-OCRv4: one model finds lines, the other reads them.
//!
//! ```text
//! lostwax compile ch_PP-OCRv4_det_infer.onnx -o det.lwx
//! lostwax compile ch_PP-OCRv4_rec_infer.onnx -o rec.lwx
//! ocr det.lwx rec.lwx characters.txt picture.png [marked.png]
//! ```

mod draw;
mod find;
mod pixels;
mod read;

use find::{Finder, Line};
use image::{ImageFormat, RgbImage};
use lostwax_runtime::{Device, Model};
use read::Reader;
use std::error::Error;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [finder, reader, characters, picture] => run([finder, reader, characters, picture], None),
        [finder, reader, characters, picture, marked] => run([finder, reader, characters, picture], Some(marked)),
        _ => Err("usage: ocr DET.lwx REC.lwx CHARACTERS.txt PICTURE [MARKED.png]".into()),
    }
}

fn run([finder, reader, characters, picture]: [&str; 4], marked: Option<&str>) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (finder, reader) = (Model::open(finder)?, Model::open(reader)?);
    let mut finder = Finder::new(finder.session(Device::cpu())?);
    let mut reader = Reader::new(reader.session(Device::cpu())?, &std::fs::read_to_string(characters)?);
    let load = start.elapsed();

    let mut picture = image::open(Path::new(picture))?.to_rgb8();
    let (lines, find) = timed(|| finder.find(&picture))?;
    println!("{:>4} {:>4} {:>5} {:>4}  score  text", "x", "y", "width", "high");
    let mut read = Duration::ZERO;
    for Line { x, y, width, height, .. } in &lines {
        let crop = image::imageops::crop_imm(&picture, *x, *y, *width, *height).to_image();
        let (text, took) = timed(|| reader.read(&crop))?;
        read += took;
        println!("{x:4} {y:4} {width:5} {height:4}  {:.3}  {}", text.score, text.text);
    }
    println!("{} lines; loading {load:.1?}, finding {find:.1?}, reading {read:.1?}", lines.len());
    if let Some(path) = marked {
        lines.iter().for_each(|line| draw::frame(&mut picture, line));
        save(&picture, Path::new(path))?;
        println!("the picture with all boxes is {path}");
    }
    Ok(())
}

/// Writes a picture; unlike [`RgbImage::save`], this finds out about a full disk.
fn save(picture: &RgbImage, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::from_path(path)?)?;
    Ok(std::fs::write(path, bytes.into_inner())?)
}

fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(T, Duration), Box<dyn Error>> {
    let start = Instant::now();
    Ok((work()?, start.elapsed()))
}
