//! Pictures as the models take them: planes of blue, green and red in -1..1.

use image::RgbImage;

/// The planes of a picture, one after another, each `width` wide; what lies right of the picture is 0.
pub fn planes(picture: &RgbImage, width: usize) -> Vec<f32> {
    let plane = width * picture.height() as usize;
    let mut values = vec![0.0; 3 * plane];
    for (x, y, pixel) in picture.enumerate_pixels() {
        for (channel, value) in pixel.0.iter().rev().enumerate() {
            if let Some(slot) = values.get_mut(channel * plane + y as usize * width + x as usize) {
                *slot = f32::from(*value) / 127.5 - 1.0;
            }
        }
    }
    values
}
