//! Marks in a picture.

use crate::find::Line;
use image::{Rgb, RgbImage};

const COLOR: Rgb<u8> = Rgb([220, 40, 40]);

/// Draws a frame around a line, two pixels wide.
pub fn frame(picture: &mut RgbImage, line: &Line) {
    for inset in 0..2u32.min(line.width.min(line.height) / 2) {
        let (left, right) = (line.x + inset, line.x + line.width - 1 - inset);
        let (top, bottom) = (line.y + inset, line.y + line.height - 1 - inset);
        for x in left..=right {
            set(picture, x, top);
            set(picture, x, bottom);
        }
        for y in top..=bottom {
            set(picture, left, y);
            set(picture, right, y);
        }
    }
}

fn set(picture: &mut RgbImage, x: u32, y: u32) {
    if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
        *pixel = COLOR;
    }
}
