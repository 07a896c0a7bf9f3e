//! Whole runs on a device that is written in Rust.

mod common;

use common::{artifact, device};
use lostwax_runtime::{Bindings, Model, Options, Outputs, RuntimeError, Session, Tensor, TensorView};

fn model() -> Model {
    Model::from_bytes(artifact()).expect("the artifact is valid")
}

fn session() -> Session {
    model().session(device()).expect("the device fits")
}

fn input(batch: usize, width: usize) -> Tensor {
    let values: Vec<f32> = (0..batch * width).map(|value| value as f32).collect();
    Tensor::from_slice(&values, &[batch, width]).expect("the shape fits")
}

fn run(session: &mut Session, x: &Tensor, bias: f32) -> Result<Outputs, RuntimeError> {
    let bias = Tensor::from_slice(&[bias], &[])?;
    session.run([("bias", bias.as_view()), ("x", x.as_view())])
}

fn message<T>(result: Result<T, RuntimeError>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn runs_and_counts() {
    let mut session = session();
    for (round, batch) in [(1, 2), (2, 2), (3, 3), (4, 2)] {
        let x = input(batch, 32);
        let outputs = run(&mut session, &x, 0.5).expect("the run works");
        assert_eq!(outputs["y"].shape(), [batch, 32]);
        let expected: Vec<f32> = x.view::<f32>().unwrap().iter().map(|x| x + 100.5).collect();
        assert_eq!(outputs["y"].view::<f32>().unwrap(), expected);
        assert_eq!(outputs["runs"].shape(), [0usize; 0]);
        assert_eq!(outputs["runs"].view::<f32>().unwrap(), [10.0 + round as f32]);
    }
}

#[test]
fn sizes_may_be_zero() {
    let outputs = run(&mut session(), &input(0, 64), 1.0).expect("the run works");
    assert_eq!(outputs["y"].shape(), [0, 64]);
    assert!(outputs["y"].view::<f32>().unwrap().is_empty());
    assert_eq!(outputs["runs"].view::<f32>().unwrap(), [11.0]);
}

#[test]
fn states_can_be_read_and_written() {
    let mut session = session();
    assert_eq!(session.state("runs").unwrap().view::<f32>().unwrap(), [10.0]);
    session.set_state("runs", &Tensor::from_slice(&[50.0f32], &[]).unwrap()).unwrap();
    assert_eq!(run(&mut session, &input(1, 32), 0.0).unwrap()["runs"].view::<f32>().unwrap(), [51.0]);
    session.reset_states().unwrap();
    assert_eq!(session.state("runs").unwrap().view::<f32>().unwrap(), [10.0]);
    assert!(message(session.state("nothing").map(drop)).contains("there are [\"runs\"]"));
    let wrong = Tensor::from_slice(&[1.0f32], &[1]).unwrap();
    assert!(message(session.set_state("runs", &wrong)).contains("state `runs`: is f32[], not f32[1]"));
}

#[test]
fn entry_points_share_states() {
    let mut session = session();
    run(&mut session, &input(1, 32), 0.0).unwrap();
    session.set_entry_point("square").unwrap();
    let square = input(32, 32);
    let outputs = session.run([("a", &square)]).unwrap();
    assert_eq!(outputs["b"].view::<f32>().unwrap()[..3], [0.0, 3.0, 6.0]);
    session.set_entry_point("main").unwrap();
    assert_eq!(run(&mut session, &input(1, 32), 0.0).unwrap()["runs"].view::<f32>().unwrap(), [12.0]);
    assert!(message(session.set_entry_point("other")).contains("[\"main\", \"square\"]"));
}

#[test]
fn constraints_are_checked() {
    let mut session = model().session_with(device(), Options::new().with_entry_point("square")).unwrap();
    let text = message(session.run([("a", &input(32, 64))]));
    assert_eq!(text, "shapes of the inputs: `a` must be square (b is 32, 32*h is 64)");
}

#[test]
fn shapes_are_explained() {
    let mut session = session();
    let cases = [
        (input(2, 33), "input `x`: dimension 1 is 33, expected 32*h with an integer `h`"),
        (input(65, 32), "input `x`: dimension 0 is 65, expected b, where `b` must be in 0..=64, not 65"),
        (Tensor::from_slice(&[0.0f32; 32], &[32]).unwrap(), "input `x`: has shape [32], expected [b, 32*h]"),
        (Tensor::from_slice(&[0i32; 32], &[1, 32]).unwrap(), "input `x`: is i32, expected f32"),
    ];
    for (x, expected) in cases {
        assert_eq!(message(run(&mut session, &x, 0.0)), expected);
    }
    let x = input(1, 32);
    assert_eq!(message(session.run([("x", &x)])), "input `bias`: it is missing");
    let text = message(session.run([("x", &x), ("bias", &Tensor::from_slice(&[0.0f32], &[]).unwrap()), ("z", &x)]));
    assert_eq!(text, "inputs: got [\"x\", \"bias\", \"z\"], but the model takes [\"x\", \"bias\"]");
    assert!(run(&mut session, &x, 0.0).is_ok(), "a failed run leaves the session usable");
}

#[test]
fn memory_is_known_and_limited() {
    let bindings = Bindings::from([("b".into(), 2), ("h".into(), 3)]);
    let needs = model().requirements(None, &bindings).unwrap();
    assert_eq!((needs.arena_bytes, needs.output_bytes, needs.state_bytes), (768, 772, 4));
    assert_eq!(model().requirements_for(None, &[&[2, 96], &[]], &Bindings::new()).unwrap(), needs);
    assert!(message(model().requirements(None, &Bindings::new())).contains("`b`, which no input determines"));
    assert!(message(model().requirements(None, &Bindings::from([("h".into(), 101)]))).contains("`h` must be in 0..=100"));
    assert!(message(model().requirements(None, &Bindings::from([("k".into(), 1)]))).contains("no such symbol"));
    let mut session = model().session_with(device(), Options::new().with_max_memory(needs.session_bytes())).unwrap();
    assert!(run(&mut session, &input(2, 96), 0.0).is_ok());
    let refused = run(&mut session, &input(2, 128), 0.0);
    assert!(matches!(refused, Err(RuntimeError::LimitExceeded { needed: 2056, .. })), "{refused:?}");
}

#[test]
fn outputs_keep_their_memory() {
    let mut session = session();
    let (x, bias) = (input(2, 32), Tensor::from_slice(&[1.0f32], &[]).unwrap());
    let inputs = [("x", x.as_view()), ("bias", bias.as_view())];
    let mut outputs = Outputs::new();
    session.run_into(&inputs, &mut outputs).unwrap();
    let place = outputs["y"].bytes().as_ptr();
    session.run_into(&inputs, &mut outputs).unwrap();
    assert_eq!(outputs["y"].bytes().as_ptr(), place);
    assert_eq!(outputs["runs"].view::<f32>().unwrap(), [12.0]);
}

#[test]
fn profiles_name_steps() {
    let mut session = session();
    let (x, bias) = (input(2, 32), Tensor::from_slice(&[1.0f32], &[]).unwrap());
    let profile = session.profile(&[("x", x.as_view()), ("bias", bias.as_view())], 4).unwrap();
    let labels: Vec<(&str, &str)> = profile.iter().map(|step| (step.label.as_str(), step.kernel.as_str())).collect();
    assert_eq!(labels, [("add-weight", "add"), ("add-bias", "add"), ("count", "count"), ("copy", "scale")]);
    assert_eq!((profile[0].seconds, profile[0].flops, profile[0].bytes), (0.5, 64, 256));
    assert_eq!(profile[0].nodes, ["/add-weight"]);
}

#[test]
fn certificates_are_checked() {
    let checked = model().check_certificate(&device()).unwrap();
    assert_eq!(checked.len(), 1);
    assert_eq!((checked[0].max_abs, checked[0].ok), (0.25, true));
}

#[test]
fn models_describe_themselves() {
    let model = model();
    let entries = model.entry_points();
    assert_eq!(entries[0].inputs[0].dims, ["b", "32*h"]);
    assert_eq!(entries[0].arena_bytes, "b*32*h*4");
    assert_eq!(model.states()[0].name, "runs");
    assert_eq!(model.symbols()[1].max, 100);
    assert_eq!(model.name(), "sample");
}

#[test]
fn unaligned_bytes_are_copied() {
    let mut shifted = vec![0u8];
    shifted.extend(artifact());
    let bytes: &'static [u8] = &shifted.leak()[1..];
    let mut session = Model::from_static(bytes).unwrap().session(device()).unwrap();
    assert!(run(&mut session, &input(1, 32), 0.0).is_ok());
}

#[test]
fn sessions_can_move_to_threads() {
    let model = model();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mut session = model.session(device()).unwrap();
            std::thread::spawn(move || {
                run(&mut session, &input(2, 64), 0.0).map(|outputs| outputs["runs"].view::<f32>().unwrap()[0]).unwrap()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 11.0);
    }
}

#[test]
fn views_are_checked() {
    let values = [1.0f32, 2.0];
    assert!(TensorView::new(&values, &[3]).is_err());
    assert!(TensorView::new(&values, &[usize::MAX, 2]).is_err());
    assert!(TensorView::from_bytes("f31", &[1], &[0; 4]).is_err());
    assert!(TensorView::new(&values, &[2]).unwrap().view::<i32>().is_err());
    let bytes = Tensor::from_slice(&[0u8; 9], &[9]).unwrap();
    assert!(message(TensorView::from_bytes("f32", &[2], &bytes.bytes()[1..])).contains("not aligned"));
}
