//! Images as inputs.

use crate::error::CliError;
use crate::input::{self, MAX_IMAGE_BYTES};
use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageError, ImageFormat, ImageReader, RgbImage};
use lostwax_runtime::Tensor;
use std::io::Cursor;
use std::path::Path;

/// How pixel values become input values.
#[derive(Clone, Debug, clap::Args)]
pub struct ImageArgs {
    /// The mean to subtract from the pixels of an image, which are in 0..1: one number, or one per channel.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "0")]
    pub mean: Vec<f32>,
    /// The standard deviation by which the pixels are then divided: one number, or one per channel.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1")]
    pub std: Vec<f32>,
}

impl ImageArgs {
    fn normalize(&self, value: u8, channel: usize) -> f32 {
        let pick = |values: &[f32], other: f32| values.get(channel).or(values.first()).copied().unwrap_or(other);
        (f32::from(value) / 255.0 - pick(&self.mean, 0.0)) / pick(&self.std, 1.0)
    }
}

/// Where the channels of an image lie in a tensor.
struct Layout {
    height: usize,
    width: usize,
    channels: usize,
    channels_last: bool,
}

impl Layout {
    fn from_shape(shape: &[usize]) -> Option<Self> {
        let channels = |count: usize| matches!(count, 1 | 3);
        match *shape {
            [1, count, height, width] if channels(count) => Some(Self { height, width, channels: count, channels_last: false }),
            [1, height, width, count] if channels(count) => Some(Self { height, width, channels: count, channels_last: true }),
            _ => None,
        }
    }

    fn index(&self, channel: usize, y: usize, x: usize) -> usize {
        match self.channels_last {
            true => (y * self.width + x) * self.channels + channel,
            false => (channel * self.height + y) * self.width + x,
        }
    }
}

/// The shape that an input has for an image in its own size, if the number of channels at one of the usual places is known.
pub fn own_shape(path: &Path, dims: &[Option<usize>]) -> Result<Option<Vec<usize>>, CliError> {
    let (width, height) = image::image_dimensions(path).map_err(|error| CliError::file(path, error.to_string()))?;
    let (width, height) = (width as usize, height as usize);
    Ok(match *dims {
        [_, Some(count @ (1 | 3)), _, _] => Some(vec![1, count, height, width]),
        [_, _, _, Some(count @ (1 | 3))] => Some(vec![1, height, width, count]),
        _ => None,
    })
}

/// Reads an image, scales it to the size of the input and gives its values as f32, red first.
pub fn read_image(path: &Path, shape: &[usize], dtype: &str, args: &ImageArgs) -> Result<Tensor, CliError> {
    let problem = || CliError::file(path, format!("an image cannot become {dtype}{shape:?}, only f32 with 1 or 3 channels"));
    let layout = Layout::from_shape(shape).filter(|_| dtype == "f32").ok_or_else(problem)?;
    let image = decode(path)?;
    let image = if layout.channels == 1 { gray(&image) } else { image.to_rgb8() };
    let image = resize(&image, layout.width as u32, layout.height as u32, FilterType::Triangle);
    Ok(Tensor::from_slice(&pixels(&image, &layout, args), shape)?)
}

fn decode(path: &Path) -> Result<DynamicImage, CliError> {
    let bytes = input::read(path, MAX_IMAGE_BYTES)?;
    let problem = |error: ImageError| CliError::file(path, error.to_string());
    let format = ImageFormat::from_path(path).map_err(problem)?;
    ImageReader::with_format(Cursor::new(bytes), format).decode().map_err(problem)
}

fn gray(image: &DynamicImage) -> RgbImage {
    DynamicImage::from(image.to_luma8()).to_rgb8()
}

fn pixels(image: &RgbImage, layout: &Layout, args: &ImageArgs) -> Vec<f32> {
    let mut values = vec![0.0; layout.channels * layout.height * layout.width];
    for (x, y, pixel) in image.enumerate_pixels() {
        for (channel, value) in pixel.0.iter().take(layout.channels).enumerate() {
            if let Some(slot) = values.get_mut(layout.index(channel, y as usize, x as usize)) {
                *slot = args.normalize(*value, channel);
            }
        }
    }
    values
}
