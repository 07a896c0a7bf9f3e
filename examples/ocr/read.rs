//! Reading a line: the model gives probabilities of all characters for each column; equal neighbours are one character.

use crate::pixels::planes;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use lostwax_runtime::{Session, TensorView};
use std::error::Error;

/// The height of the lines that the model sees.
const HEIGHT: u32 = 48;

/// The least width that the model sees, and the step above it.
const WIDTH_STEP: u32 = 32;

/// A line that was read.
pub struct Text {
    pub text: String,
    /// The mean probability of the characters.
    pub score: f32,
}

/// Reads lines.
pub struct Reader {
    session: Session,
    characters: Vec<String>,
}

impl Reader {
    /// `characters` has one a line; class 0 of the model stands for no character, the last one for a space.
    pub fn new(session: Session, characters: &str) -> Self {
        let characters = [""].into_iter().chain(characters.lines()).chain([" "]);
        Self { session, characters: characters.map(str::to_string).collect() }
    }

    pub fn read(&mut self, line: &RgbImage) -> Result<Text, Box<dyn Error>> {
        let width = (line.width() * HEIGHT).div_ceil(line.height().max(1)).max(1);
        let line = resize(line, width, HEIGHT, FilterType::Triangle);
        let seen = width.next_multiple_of(WIDTH_STEP) as usize;
        let values = planes(&line, seen);
        let outputs = self.session.run([("x", TensorView::new(&values, &[1, 3, HEIGHT as usize, seen])?)])?;
        let (_, probabilities) = outputs.iter().next().ok_or("the model has no output")?;
        let classes = probabilities.shape().last().copied().unwrap_or(1);
        Ok(self.decode(probabilities.view::<f32>()?, classes))
    }

    fn decode(&self, probabilities: &[f32], classes: usize) -> Text {
        let (mut text, mut sum, mut count, mut last) = (String::new(), 0.0, 0.0, 0);
        for column in probabilities.chunks_exact(classes) {
            let (class, probability) = likeliest(column);
            if class != 0 && class != last {
                text.push_str(self.characters.get(class).map_or("?", String::as_str));
                sum += probability;
                count += 1.0;
            }
            last = class;
        }
        Text { text, score: if count > 0.0 { sum / count } else { 0.0 } }
    }
}

fn likeliest(column: &[f32]) -> (usize, f32) {
    let larger = |best: (usize, f32), (class, value): (usize, f32)| if value > best.1 { (class, value) } else { best };
    column.iter().copied().enumerate().fold((0, f32::NEG_INFINITY), larger)
}
