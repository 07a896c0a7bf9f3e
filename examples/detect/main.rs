#![forbid(unsafe_code)]
//! Finds objects in a picture with a YOLOv8 detector.
//!
//! ```text
//! lostwax compile 320n.onnx -o detector.lwx
//! detect detector.lwx picture.jpg
//! ```

use image::RgbImage;
use image::imageops::{FilterType, overlay, resize};
use lostwax_runtime::{Device, Model, TensorView};
use std::error::Error;
use std::time::Instant;

/// The side of the square that the model sees.
const SIDE: usize = 320;

/// The least score of an object.
const SCORE: f32 = 0.25;

/// Boxes of one class that overlap more are the same object.
const OVERLAP: f32 = 0.45;

/// An object in pixels of the picture.
#[derive(Clone, Copy, Debug)]
struct Object {
    class: usize,
    score: f32,
    /// Left, top, right, bottom.
    bounds: [f32; 4],
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, picture] = args.as_slice() else { return Err("usage: detect MODEL.lwx PICTURE".into()) };
    let model = Model::open(model)?;
    let mut session = model.session(Device::cpu())?;
    let picture = image::open(picture)?.to_rgb8();
    let start = Instant::now();
    let (values, scale) = square(&picture);
    let outputs = session.run([("images", TensorView::new(&values, &[1, 3, SIDE, SIDE])?)])?;
    let (_, table) = outputs.iter().next().ok_or("the model has no output")?;
    let candidates = table.shape().last().copied().unwrap_or(1);
    let objects = suppress(objects(table.view::<f32>()?, candidates, scale));
    for Object { class, score, bounds: [left, top, right, bottom] } in &objects {
        println!("class {class} score {score:.3} box {left:.0} {top:.0} {right:.0} {bottom:.0}");
    }
    println!("{} objects in {:.1?}", objects.len(), start.elapsed());
    Ok(())
}

/// The picture in the corner of a black square as planes in 0..1, and how many of its pixels one of the square's stands for.
fn square(picture: &RgbImage) -> (Vec<f32>, f32) {
    let scale = picture.width().max(picture.height()) as f32 / SIDE as f32;
    let seen = |side: u32| ((side as f32 / scale).round() as u32).max(1);
    let mut square = RgbImage::new(SIDE as u32, SIDE as u32);
    overlay(&mut square, &resize(picture, seen(picture.width()), seen(picture.height()), FilterType::Triangle), 0, 0);
    let plane = |channel: usize| square.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 255.0);
    ((0..3).flat_map(plane).collect(), scale)
}

/// The rows of the table are centre, size and one score per class; the columns are candidates.
fn objects(table: &[f32], candidates: usize, scale: f32) -> Vec<Object> {
    let rows: Vec<&[f32]> = table.chunks_exact(candidates).collect();
    let [xs, ys, widths, heights, scores @ ..] = rows.as_slice() else { return Vec::new() };
    let candidate = |index: usize| {
        let best = scores.iter().map(|row| row[index]).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let (class, score) = best.filter(|(_, score)| *score >= SCORE)?;
        let (x, y, width, height) = (xs[index], ys[index], widths[index] / 2.0, heights[index] / 2.0);
        Some(Object { class, score, bounds: [x - width, y - height, x + width, y + height].map(|side| side * scale) })
    };
    (0..candidates).filter_map(candidate).collect()
}

/// Keeps the best of boxes that overlap.
fn suppress(mut objects: Vec<Object>) -> Vec<Object> {
    objects.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Object> = Vec::new();
    for object in objects {
        if kept.iter().all(|other| other.class != object.class || overlap(&other.bounds, &object.bounds) <= OVERLAP) {
            kept.push(object);
        }
    }
    kept
}

/// The shared area as a part of the area of both.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: [f32; 4]| (right - left).max(0.0) * (bottom - top).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    shared / (area(*a) + area(*b) - shared).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_boxes_of_a_class_are_one_object() {
        let object = |class, score, left| Object { class, score, bounds: [left, 0.0, left + 10.0, 10.0] };
        let kept = suppress(vec![object(0, 0.5, 0.0), object(0, 0.9, 1.0), object(1, 0.4, 1.0), object(0, 0.3, 30.0)]);
        let scores: Vec<f32> = kept.iter().map(|object| object.score).collect();
        assert_eq!(scores, [0.9, 0.4, 0.3]);
    }
}
