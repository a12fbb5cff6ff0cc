//! Random networks through every stage: each level computes what the level before it computes.

use hec_ir::LogN;
use hec_ir::artifact::Artifact;
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{simulate_circuit, simulate_clear, simulate_leveled};
use hec_ir::evaluate::noise::{NoisyOutput, simulate_noise};
use hec_ir::program::Program;
use hec_ir::tensor::{Graph, Op, Tensor};
use hec_optimize::optimize;
use hec_pack::{PackOptions, pack};
use hec_plan::{PlanOptions, plan};
use hec_poly::Basis;
use hec_run::{Decryption, Session};
use hec_schedule::schedule;
use hec_tests::{Difference, Numbers, random_encoder, random_network};
use std::collections::BTreeSet;

/// Differences of f64 rounding alone, with room for the cancellation that completing squares may cause.
const ROUNDING: f64 = -30.0;

/// How many networks are compiled.
const NETWORKS: u64 = 60;

/// Rings that are small enough for tensors to take several ciphertexts.
fn toy_ring(seed: u64) -> LogN {
    LogN(6 + (seed % 4) as u32)
}

fn plan_options(log_n: LogN) -> PlanOptions {
    PlanOptions { log_n, scale_bits: None, magnitude: 16.0, digit_size: 2, insecure_toy: true }
}

/// All levels of a network, each compared with the tensor interpreter on the network as it was: the program, and the
/// largest difference.
fn levels_agree(graph: &Graph, log_n: LogN) -> (Program, Difference) {
    let inputs = Numbers::new(1).inputs_of(graph);
    let expected = graph.run(&inputs).expect("the network runs");
    let mut worst = Difference::default();
    let mut compare = |level: &str, actual: Vec<Tensor>| {
        let difference = Difference::between(&actual, &expected);
        assert!(difference.log2() < ROUNDING, "{} in 2^{}: {level} differs by {difference}", graph.name, log_n.0);
        worst = worst.max(difference);
    };

    let optimized = optimize(graph, &Default::default()).expect("optimizes");
    compare("the optimized network", optimized.graph.run(&inputs).expect("runs"));

    let circuit = pack(&optimized.graph, &PackOptions::new(log_n.slots())).expect("packs");
    circuit.verify().expect("the circuit is well-formed");
    compare("the slot circuit", simulate_circuit(&circuit, &inputs).expect("runs"));

    let leveled = plan(&circuit, &plan_options(log_n)).expect("plans");
    leveled.verify().expect("the leveled circuit is well-formed");
    compare("the leveled circuit", simulate_leveled(&leveled, &inputs).expect("runs"));

    let program = schedule(&leveled, &CostTable::default()).expect("schedules");
    program.verify().expect("the program is well-formed");
    compare("the program", simulate_clear(&program, &inputs).expect("runs"));
    (program, worst)
}

/// Otherwise the tests below would prove less than they seem to.
#[test]
fn the_random_networks_hold_every_operation_and_several_ciphertexts() {
    let networks: Vec<Graph> = (0..NETWORKS).map(random_network).collect();
    let mut names = BTreeSet::new();
    for node in networks.iter().flat_map(|n| n.nodes.values()) {
        names.insert(match &node.op {
            Op::Polynomial { basis: Basis::Chebyshev, .. } => "chebyshev",
            op => op.name(),
        });
    }
    let expected = [
        "input",
        "conv",
        "matmul",
        "scale",
        "average_pool",
        "reshape",
        "add_constant",
        "negate",
        "add",
        "sub",
        "mul",
        "square",
        "power",
        "polynomial",
        "chebyshev",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let elements = |(seed, n): (u64, &Graph)| n.nodes.values().any(|v| v.shape.elements() > toy_ring(seed).slots().0);
    let bundles = (0..).zip(&networks).filter(|&pair| elements(pair)).count();
    assert!(bundles >= 15, "only {bundles} networks have a tensor that needs several ciphertexts");
}

#[test]
fn every_level_of_a_random_network_computes_the_same() {
    let worst = (0..NETWORKS).map(|seed| levels_agree(&random_network(seed), toy_ring(seed)).1);
    let worst = worst.fold(Difference::default(), Difference::max);
    println!("the largest difference is {worst}");
}

/// Errors of real ciphertexts in units of the standard deviation that the noise model predicts for each element.
fn noise_over_prediction(program: Program) -> Vec<f64> {
    let inputs = Numbers::new(1).inputs(&program.inputs);
    let predicted = simulate_noise(&program, &inputs, None).expect("the noise model runs");
    let artifact = Artifact::new(program, serde_json::Value::Null).expect("well-formed");
    let session = Session::new(artifact, None, &()).expect("keys");
    let decrypted = session.infer(&inputs, &Decryption::default(), &()).expect("runs").outputs.remove(0);
    let elements = |(actual, predicted): (&Tensor, &NoisyOutput)| -> Vec<f64> {
        let expected = predicted.tensor.data.iter().zip(&predicted.std_dev.data);
        actual.data.iter().zip(expected).map(|(a, (e, std_dev))| (a - e) / std_dev).collect()
    };
    decrypted.iter().zip(&predicted.outputs).flat_map(elements).collect()
}

#[test]
fn every_level_of_a_transformer_layer_computes_the_same() {
    let worst = (0..24).map(|seed| levels_agree(&random_encoder(seed), toy_ring(seed)).1);
    let worst = worst.fold(Difference::default(), Difference::max);
    println!("the largest difference is {worst}");
}

/// Products of encrypted matrices in real ciphertexts.
#[test]
fn encrypted_transformer_layers_err_as_the_noise_model_predicts() {
    let program = |seed| levels_agree(&random_encoder(seed), toy_ring(seed)).0;
    errors_are_as_predicted((0..6).flat_map(|seed| noise_over_prediction(program(seed))).collect());
}

#[test]
fn real_ciphertexts_err_as_the_noise_model_predicts() {
    let program = |seed| levels_agree(&random_network(seed), toy_ring(seed)).0;
    errors_are_as_predicted((0..12).flat_map(|seed| noise_over_prediction(program(seed))).collect());
}

fn errors_are_as_predicted(errors: Vec<f64>) {
    let largest = errors.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
    let rms = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    println!("{} outputs: rms {rms:.2}, largest {largest:.2} predicted standard deviations", errors.len());
    assert!(largest < 8.0, "an error of {largest:.1} predicted standard deviations");
    assert!((0.25..2.0).contains(&rms), "the prediction is wrong by a factor of {rms:.2}");
}
