//! The evaluator "noise": exact slots, predicted errors, and samples that agree with the prediction.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod example;

use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::evaluate::noise::{Noise, NoisyValue, forecast, simulate_noise};
use hec_ir::evaluate::{Evaluator, SimulateError, pack_inputs, run_leveled};
use hec_ir::leveled::{self, Scheme};
use hec_ir::program::{Instruction, Op, Program};
use hec_ir::{Level, Parameters, Plain, Rotation, Scale};
use std::sync::Arc;

fn parameters() -> Parameters {
    Parameters::check(example::parameters()).unwrap()
}

#[test]
fn without_a_seed_the_slots_are_exact() {
    let (program, inputs) = (example::program(), [example::input()]);
    let run = simulate_noise(&program, &inputs, None).unwrap();
    assert_eq!(run.outputs[0].tensor, simulate_clear(&program, &inputs).unwrap()[0]);
    let layers: Vec<&str> = run.layers.iter().map(|l| l.layer.as_str()).collect();
    assert_eq!(layers, ["first", "square", "second", "turn"]);
    assert!(run.layers.iter().all(|l| l.std_dev > 0.0 && l.range > 0.0));
}

#[test]
fn samples_have_the_predicted_deviation() {
    let (program, inputs) = (example::program(), [example::input()]);
    let exact = simulate_noise(&program, &inputs, None).unwrap();
    let runs = 150;
    let mut squares = vec![0.0; exact.outputs[0].tensor.data.len()];
    for seed in 0..runs {
        let sample = simulate_noise(&program, &inputs, Some(seed)).unwrap();
        for ((sum, x), y) in squares.iter_mut().zip(&sample.outputs[0].tensor.data).zip(&exact.outputs[0].tensor.data) {
            *sum += (x - y) * (x - y) / runs as f64;
        }
    }
    for (measured, predicted) in squares.iter().zip(&exact.outputs[0].std_dev.data) {
        let bits = (0.5 * measured.log2() - predicted.log2()).abs();
        assert!(bits < 0.25, "measured 2^{}, predicted 2^{}", 0.5 * measured.log2(), predicted.log2());
    }
    // 36-bit scale, N = 2^8: rounding alone is about 2^-30.
    assert!((-32.0..-27.0).contains(&exact.outputs[0].log2_std_dev()), "{}", exact.outputs[0].log2_std_dev());
}

#[test]
fn a_seed_gives_the_same_sample() {
    let (program, inputs) = (example::program(), [example::input()]);
    let run = |seed| simulate_noise(&program, &inputs, Some(seed)).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).outputs[0].tensor, run(6).outputs[0].tensor);
}

/// One vector of a constant.
fn value(noise: &mut Noise, x: f64) -> NoisyValue {
    noise.encrypt(vec![vec![x; example::SLOTS.0]]).unwrap()
}

/// Standard deviation of the first slot, log2.
fn log2(v: &NoisyValue) -> f64 {
    0.5 * v.variance[0][0].log2()
}

fn near(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-9
}

#[test]
fn each_operation_adds_what_its_formula_says() {
    let parameters = parameters();
    let scheme = Scheme::from(parameters.clone());
    let mut noise = Noise::predict(&scheme);
    let top = parameters.top_level();
    let delta = parameters.scale(top).0;
    let n = example::LOG_N.degree() as f64;
    let fresh = value(&mut noise, 0.5);
    let slot = |coefficient: f64, scale: f64| n / 2.0 * coefficient / (scale * scale);
    assert!(near(fresh.variance[0][3], slot(3.19 * 3.19 + 1.0 / 12.0, delta)));

    let v = fresh.variance[0][0];
    let other = value(&mut noise, 0.5);
    let sum = noise.add(&fresh, &other).unwrap();
    assert!(near(sum.variance[0][0], 2.0 * v));
    let square = noise.square(&fresh).unwrap();
    assert!(near(square.variance[0][0], 4.0 * 0.25 * v + 4.0 * v * v));
    let product = noise.mul(&fresh, &other).unwrap();
    assert!(near(product.variance[0][0], 2.0 * 0.25 * v + 2.0 * v * v));

    let plain = Plain::Slots(vec![Arc::new(vec![3.0; example::SLOTS.0])]);
    let times = noise.mul_plain(&fresh, (hec_ir::circuit::PlainId(0), &plain)).unwrap();
    assert!(near(times.variance[0][0], 9.0 * v + 0.25 * slot(1.0 / 12.0, delta)));
    let scalar = noise.mul_plain(&fresh, (hec_ir::circuit::PlainId(0), &Plain::Scalar(3.0))).unwrap();
    assert!(near(scalar.variance[0][0], 9.0 * v + 0.25 / 12.0 / (delta * delta)));

    let below = parameters.scale(Level(top.0 - 1)).0;
    let rescaled = noise.rescale(&times).unwrap();
    let rounding = slot((1.0 + 2.0 * n / 3.0) / 12.0, below);
    assert!(near(rescaled.variance[0][0], times.variance[0][0] + rounding));
    assert_eq!(rescaled.ty.scale, Scale(below));
    let dropped = noise.adjust(&fresh, Level(1)).unwrap();
    assert!(dropped.variance[0][0] > v && dropped.ty.level == Level(1));
}

/// The error of a value is that of all its uses: a sum with itself doubles it.
#[test]
fn a_value_is_not_independent_of_itself() {
    let parameters = parameters();
    let scheme = Scheme::from(parameters.clone());
    let mut noise = Noise::predict(&scheme);
    let x = value(&mut noise, 0.5);
    let v = x.variance[0][0];
    let twice = noise.add(&x, &x.clone()).unwrap();
    let four = noise.add(&twice, &twice).unwrap();
    assert_eq!((twice.variance[0][0], four.variance[0][0]), (4.0 * v, 16.0 * v));
    assert_eq!(noise.sub(&x, &x).unwrap().variance[0][0], 0.0);
    assert_eq!(noise.mul(&x, &x).unwrap().variance, noise.square(&x).unwrap().variance);

    // The same through values of a leveled circuit and through registers of a program.
    let mut circuit = example::leveled();
    let last = circuit.outputs[0].value;
    let double = leveled::Node { op: leveled::Op::Add, args: vec![last, last], ..circuit.nodes[last].clone() };
    circuit.outputs[0].value = circuit.nodes.push(double);
    let scheme = circuit.scheme().unwrap();
    let mut noise = Noise::predict(&scheme);
    let packed = pack_inputs(&circuit.inputs, &[example::input()]).unwrap();
    let inputs: Vec<_> = packed.into_iter().map(|slots| noise.encrypt(slots).unwrap()).collect();
    let doubled = run_leveled(&circuit, &mut noise, &inputs).unwrap().remove(0);
    circuit.outputs[0].value = last;
    let once = run_leveled(&circuit, &mut noise, &inputs).unwrap().remove(0);
    assert_eq!(doubled.variance[0][0], 4.0 * once.variance[0][0]);

    let mut program = example::program();
    let std_dev =
        |program: &Program| simulate_noise(program, &[example::input()], None).unwrap().outputs.remove(0).std_dev;
    let once = std_dev(&program);
    let register = program.outputs[0].value;
    let last = program.instructions.iter().rfind(|i| i.destination == register).unwrap().clone();
    program.instructions.push(Instruction { op: Op::Add, args: vec![register, register], ..last });
    program.verify().unwrap();
    for (doubled, once) in std_dev(&program).data.iter().zip(&once.data) {
        assert!(near(*doubled, 2.0 * once));
    }
}

#[test]
fn rescaling_before_relinearizing_is_less_precise() {
    let parameters = parameters();
    let scheme = Scheme::from(parameters.clone());
    let mut noise = Noise::predict(&scheme);
    let x = value(&mut noise, 0.0);
    let square = noise.square(&x).unwrap();
    let merged = noise.relinearize_rescale(&square).unwrap();
    let rescaled = noise.rescale(&square).unwrap();
    let late = noise.relinearize(&rescaled).unwrap();
    assert!(log2(&late) > log2(&merged) + 2.0);
    // Rotation by nothing is free; any other rounds.
    assert_eq!(log2(&noise.rotate(&merged, Rotation(0)).unwrap()), log2(&merged));
    assert!(log2(&noise.rotate(&merged, Rotation(3)).unwrap()) > log2(&merged));
}

#[test]
fn what_the_leveled_rules_forbid_is_an_error() {
    let parameters = parameters();
    let scheme = Scheme::from(parameters.clone());
    let mut noise = Noise::predict(&scheme);
    let x = value(&mut noise, 1.0);
    assert!(matches!(noise.rescale(&x), Err(SimulateError::Operation { .. })));
    assert!(matches!(noise.adjust(&x, Level(9)), Err(SimulateError::Operation { .. })));
}

/// Overlapping windows add up errors of the same source, which variances of slots take to be independent: the forecast
/// is the error that samples have, neither far below nor far above.
#[test]
fn errors_of_the_same_source_are_forecast() {
    let plain = example::program();
    let mut windows = plain.clone();
    let register = windows.outputs[0].value;
    let turned = hec_ir::program::Register(register.0 + 1);
    let last = windows.instructions.last().unwrap().clone();
    for _ in 0..12 {
        let rotate = Instruction { op: Op::Rotate(Rotation(1)), destination: turned, ..last.clone() };
        let add = Instruction { op: Op::Add, args: vec![register, turned], ..last.clone() };
        windows.instructions.extend([rotate, add]);
    }
    windows.keys = windows.required_keys();
    windows.verify().unwrap();

    let inputs: Vec<_> = (1..=6)
        .map(|k| {
            let mut x = example::input();
            x.data.iter_mut().for_each(|v| *v *= f64::from(k) / 6.0);
            vec![x]
        })
        .collect();
    let errors = |program: &Program, seed| {
        let exact = simulate_clear(program, &inputs[5]).unwrap().remove(0).data;
        let sampled = simulate_noise(program, &inputs[5], Some(seed)).unwrap().outputs.remove(0).tensor.data;
        sampled.into_iter().zip(exact).map(|(s, e)| (s - e) * (s - e)).sum::<f64>() / 8.0
    };
    let sampled = |program: &Program| 0.5 * ((100..160).map(|seed| errors(program, seed)).sum::<f64>() / 60.0).log2();
    let predicted = |program: &Program| simulate_noise(program, &inputs[5], None).unwrap().outputs[0].log2_std_dev();
    let told = |program: &Program| forecast(program, &inputs, f64::INFINITY).unwrap().output_std_dev.log2();

    assert!(sampled(&windows) > predicted(&windows) + 2.0, "variances alone fall short");
    let over = told(&windows) - sampled(&windows);
    assert!((0.0..1.7).contains(&over), "{over} bits above what is sampled");
    let layers = forecast(&windows, &inputs, f64::INFINITY).unwrap().layers;
    assert_eq!(layers.iter().map(|l| &*l.layer).collect::<Vec<_>>(), ["first", "square", "second", "turn"]);
    assert!((layers[3].std_dev.log2() - told(&windows)).abs() < 0.5);
    assert_eq!(
        forecast(&windows, &inputs, f64::INFINITY).unwrap(),
        forecast(&windows, &inputs, f64::INFINITY).unwrap()
    );

    // Where errors are independent, it is what variances say.
    let over = told(&plain) - predicted(&plain);
    assert!((0.0..0.5).contains(&over), "{over}");
}

/// A forecast that gives up early has the size of the errors all the same, and only gives up where they are too large.
#[test]
fn a_forecast_of_errors_that_are_far_too_large_takes_fewer_inputs() {
    let program = example::program();
    let inputs: Vec<_> = (1..=6).map(|_| vec![example::input()]).collect();
    let told = |most| forecast(&program, &inputs, most).unwrap().output_std_dev;
    let all = told(f64::INFINITY);
    assert_eq!(told(all / 2.0), all);
    let soon = told(all / 1e6);
    assert!(soon > all / 2.0 && soon < 2.0 * all, "{soon} for {all}");
}

#[test]
fn an_error_without_a_size_is_not_a_small_one() {
    let mut x = example::input();
    x.data.iter_mut().for_each(|v| *v *= 1e200);
    assert_eq!(forecast(&example::program(), &[vec![x]], f64::INFINITY).unwrap().output_std_dev, f64::INFINITY);
}
