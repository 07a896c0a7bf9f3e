//! Finding lines of text: the model gives each pixel's probability to be text; connected pixels are a line.

use crate::pixels::planes;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use lostwax_runtime::{Session, TensorView};
use std::error::Error;

/// The longer side of the picture that the model sees, at most.
const LARGEST_SIDE: f32 = 960.0;

/// Sides that the model sees are multiples of this.
const STEP: f32 = 32.0;

/// Probability from which a pixel is text.
const PIXEL_THRESHOLD: f32 = 0.3;

/// Mean probability from which connected pixels are a line.
const LINE_THRESHOLD: f32 = 0.5;

/// Lines with a shorter side are noise.
const SHORTEST_SIDE: usize = 3;

/// The model finds the core of a line; this factor, from its training, tells how much there is around it.
const UNCLIP: f32 = 1.6;

/// A line of text in pixels of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub score: f32,
}

/// Finds lines.
pub struct Finder {
    session: Session,
}

impl Finder {
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// The lines from top to bottom.
    pub fn find(&mut self, picture: &RgbImage) -> Result<Vec<Line>, Box<dyn Error>> {
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        let scale = (LARGEST_SIDE / width.max(height)).min(1.0);
        let seen = |side: f32| ((side * scale / STEP).round().max(1.0) * STEP) as u32;
        let small = resize(picture, seen(width), seen(height), FilterType::Triangle);
        let (columns, rows) = (small.width() as usize, small.height() as usize);
        let values = planes(&small, columns);
        let outputs = self.session.run([("x", TensorView::new(&values, &[1, 3, rows, columns])?)])?;
        let (_, map) = outputs.iter().next().ok_or("the model has no output")?;
        let blobs = blobs(map.view::<f32>()?, columns);
        let factors = (width / columns as f32, height / rows as f32);
        let mut lines: Vec<Line> = blobs.iter().filter_map(|blob| blob.line(factors, picture)).collect();
        lines.sort_by_key(|line| (line.y + line.height / 2, line.x));
        Ok(lines)
    }
}

/// Connected pixels: bounds, both inclusive, and probabilities.
struct Blob {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
    sum: f32,
    count: usize,
}

impl Blob {
    fn new(x: usize, y: usize) -> Self {
        Self { left: x, right: x, top: y, bottom: y, sum: 0.0, count: 0 }
    }

    fn add(&mut self, x: usize, y: usize, probability: f32) {
        (self.left, self.right) = (self.left.min(x), self.right.max(x));
        (self.top, self.bottom) = (self.top.min(y), self.bottom.max(y));
        self.sum += probability;
        self.count += 1;
    }

    /// The line in the picture, unless this is noise.
    fn line(&self, (across, down): (f32, f32), picture: &RgbImage) -> Option<Line> {
        let (width, height) = (self.right - self.left + 1, self.bottom - self.top + 1);
        let score = self.sum / self.count as f32;
        if width.min(height) < SHORTEST_SIDE || score < LINE_THRESHOLD {
            return None;
        }
        let margin = UNCLIP * (width * height) as f32 / (2 * (width + height)) as f32;
        let (left, top) = (self.left as f32 - margin, self.top as f32 - margin);
        let (right, bottom) = (self.right as f32 + 1.0 + margin, self.bottom as f32 + 1.0 + margin);
        let (x, y) = ((left * across).max(0.0) as u32, (top * down).max(0.0) as u32);
        let width = ((right * across) as u32).min(picture.width()).saturating_sub(x);
        let height = ((bottom * down) as u32).min(picture.height()).saturating_sub(y);
        Some(Line { x, y, width, height, score })
    }
}

/// All groups of text pixels that touch at a side.
fn blobs(map: &[f32], columns: usize) -> Vec<Blob> {
    let mut is_new: Vec<bool> = map.iter().map(|probability| *probability > PIXEL_THRESHOLD).collect();
    let mut blobs = Vec::new();
    for start in 0..map.len() {
        let mut blob = Blob::new(start % columns, start / columns);
        let mut pending = vec![start];
        while let Some(position) = pending.pop() {
            if !is_new.get_mut(position).is_some_and(std::mem::take) {
                continue;
            }
            let (x, y) = (position % columns, position / columns);
            blob.add(x, y, map[position]);
            pending.extend((x > 0).then(|| position - 1));
            pending.extend((x + 1 < columns).then_some(position + 1));
            pending.extend((y > 0).then(|| position - columns));
            pending.push(position + columns);
        }
        if blob.count > 0 {
            blobs.push(blob);
        }
    }
    blobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_that_touch_are_one_blob() {
        let map = [0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.0, 0.8, 0.0, 0.0, 0.0, 0.8];
        let blobs = blobs(&map, 4);
        let bounds: Vec<_> = blobs.iter().map(|blob| (blob.left, blob.right, blob.top, blob.bottom, blob.count)).collect();
        assert_eq!(bounds, [(0, 1, 0, 1, 3), (3, 3, 1, 2, 2)]);
    }
}
