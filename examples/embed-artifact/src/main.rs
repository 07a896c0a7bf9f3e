#![forbid(unsafe_code)]
//! Tells the species of an iris from four lengths in centimetres. The model is part of the program.
//!
//! ```text
//! LOSTWAX=../../target/release/lostwax cargo run -- 5.1 3.5 1.4 0.2
//! ```

use lostwax_runtime::{Device, Model, TensorView, include_artifact};
use std::error::Error;

const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

fn main() -> Result<(), Box<dyn Error>> {
    let lengths = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<Vec<f32>, _>>()?;
    if lengths.len() != 4 {
        return Err("usage: embed-artifact SEPAL_LENGTH SEPAL_WIDTH PETAL_LENGTH PETAL_WIDTH".into());
    }
    let model = Model::from_static(include_artifact!(concat!(env!("OUT_DIR"), "/iris.lwx")))?;
    let outputs = model.session(Device::cpu())?.run([("lengths", TensorView::new(&lengths, &[1, 4])?)])?;
    for (species, probability) in SPECIES.iter().zip(outputs["probabilities"].view::<f32>()?) {
        println!("{species:10} {:5.1} %", 100.0 * probability);
    }
    Ok(())
}
