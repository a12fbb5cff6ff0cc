//! What each stage does, by example: `filetests/STAGE/WHAT.hel` is a program in text with a sentence on top, and
//! `WHAT.snap` beside it what the stage makes of it, before and after, with the depths and how far results differ.
//!
//! Within a stage the examples go from plain to odd. After a change: `INSTA_UPDATE=always cargo test -p hec-tests`, and
//! read the difference.

use hec_import::ImportOptions;
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{magnitudes, simulate_circuit, simulate_clear, simulate_leveled};
use hec_ir::tensor::Tensor;
use hec_ir::text::{AnyLevel, Print, parse};
use hec_ir::{Batch, Depth, LogN, Slots, leveled};
use hec_pack::PackOptions;
use hec_plan::{BootstrapOptions, PlanOptions};
use hec_tests::{Difference, Numbers, external_constants};
use std::path::Path;

/// Rounding of f64 and no more.
const ROUNDING: f64 = -36.0;
/// Slots of the packed examples.
const SLOTS: Slots = Slots(64);
/// Inputs at once of those that are packed for several.
const BATCH: Batch = Batch(4);

/// Round prices, so that no example moves when the built-in table is measured anew.
const COSTS: CostTable =
    CostTable { butterfly: 0.25, multiply_add: 0.5, add: 0.25, fft_butterfly: 2.0, parallel_speedup: 2.0 };

/// Models whose import is shown.
const IMPORTED: &[(&str, &str)] = &[
    ("01-gemm", "compiler/import/testdata/gemm_alpha_beta.onnx"),
    ("02-conv", "compiler/import/testdata/conv_groups.onnx"),
    ("03-batch-norm", "compiler/import/testdata/batch_normalization_opset15.onnx"),
    ("04-gelu", "compiler/import/testdata/gelu_tanh_decomposed.onnx"),
    ("05-digits", "examples/digits/digits.onnx"),
];

/// One test for all: `glob!` counts the failures of tests that run at the same time together. `INSTA_GLOB_FILTER` selects.
#[test]
fn each_stage_does_what_its_examples_say() {
    insta::glob!("../filetests", "*/*.hel", check);
}

/// What a stage makes of a program, and the depths before and after.
fn run_stage(stage: &str, program: AnyLevel) -> (AnyLevel, Depth, Depth) {
    match (stage, program) {
        ("optimize", AnyLevel::Tensor(graph)) => {
            let optimized = hec_optimize::optimize(&graph, &Default::default()).expect("optimizes");
            (AnyLevel::Tensor(optimized.graph), optimized.depth_before, optimized.depth_after)
        }
        ("slots", AnyLevel::Circuit(circuit)) => {
            let rewritten = hec_optimize::rewrite_slots(&circuit).expect("rewrites").circuit;
            let (before, after) = (hec_plan::depth(&circuit), hec_plan::depth(&rewritten));
            (AnyLevel::Circuit(rewritten), before, after)
        }
        ("pack", AnyLevel::Tensor(graph)) => {
            let options = PackOptions { costs: COSTS, ..PackOptions::new(SLOTS) };
            let circuit = hec_pack::pack(&graph, &options).expect("packs");
            let (before, after) = (hec_optimize::depth(&graph), hec_plan::depth(&circuit));
            (AnyLevel::Circuit(circuit), before, after)
        }
        ("batch", AnyLevel::Tensor(graph)) => {
            let options = PackOptions { batch: BATCH, costs: COSTS, ..PackOptions::new(SLOTS.shared_by(BATCH)) };
            let circuit = hec_pack::pack(&graph, &options).expect("packs");
            let (before, after) = (hec_optimize::depth(&graph), hec_plan::depth(&circuit));
            (AnyLevel::Circuit(circuit), before, after)
        }
        ("plan", AnyLevel::Circuit(circuit)) => {
            let log_n = LogN(circuit.ciphertext_slots().0.ilog2() + 1);
            let options =
                PlanOptions { log_n, scale_bits: Some(40.0), magnitude: 8.0, digit_size: 1, insecure_toy: true };
            let leveled = hec_plan::plan(&circuit, &options).expect("plans");
            let (before, after) = (hec_plan::depth(&circuit), levels(&leveled));
            (AnyLevel::Leveled(leveled), before, after)
        }
        ("bootstrap", AnyLevel::Circuit(circuit)) => {
            let log_n = LogN(circuit.slots.0.ilog2() + 1);
            let options =
                PlanOptions { log_n, scale_bits: Some(40.0), magnitude: 2.0, digit_size: 1, insecure_toy: true };
            let inputs = Numbers::new(7).inputs(&circuit.inputs);
            let bootstrap = BootstrapOptions {
                precision_bits: 14.0,
                levels: Some(Depth(3)),
                magnitudes: Some(magnitudes(&circuit, &[inputs]).expect("runs")),
                costs: COSTS,
            };
            let leveled = hec_plan::plan_with_bootstraps(&circuit, &options, &bootstrap).expect("plans");
            let (before, after) = (hec_plan::depth(&circuit), levels(&leveled));
            (AnyLevel::Leveled(leveled), before, after)
        }
        ("schedule", AnyLevel::Leveled(leveled)) => {
            let program = hec_schedule::schedule(&leveled, &COSTS).expect("schedules");
            (AnyLevel::Program(program), levels(&leveled), levels(&leveled))
        }
        (stage, program) => panic!("no stage `{stage}` takes a program of the {} level", program.name()),
    }
}

/// The importer's examples are the models of its own tests.
#[test]
fn import() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, model) in IMPORTED {
        let graph = hec_import::import(&root.join(model), &ImportOptions::default());
        let graph = graph.unwrap_or_else(|error| panic!("{model}: {error}"));
        snapshot("import", name, model, &graph.print_elided());
    }
}

/// Levels of fresh inputs.
fn levels(circuit: &leveled::Circuit) -> Depth {
    Depth(circuit.scheme().expect("valid").input_level().0)
}

/// Read an example, run its stage, and hold the result to the interpreter and to the snapshot.
fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("readable");
    let (sentence, program) = text.split_once('\n').expect("a program follows the sentence");
    assert!(sentence.starts_with("# "), "{}: a sentence on top says what the stage does here", path.display());
    let before = parse(&text, &external_constants(&text)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let stage = path.parent().and_then(Path::file_name).expect("an example lies in the folder of its stage");
    let stage = stage.to_string_lossy();
    let (after, depth_before, depth_after) = run_stage(&stage, before.clone());

    let inputs = inputs_of(&before);
    let difference = Difference::between(&run(&after, &inputs), &run(&before, &inputs));
    assert!(difference.log2() < ROUNDING, "{}: the result differs by {difference}", path.display());
    let (printed, constants) = after.print();
    assert_eq!(parse(&printed, &constants).expect("what is printed parses"), after, "{}", path.display());

    let name = path.file_stem().expect("an example has a name").to_string_lossy();
    let facts = format!("# {stage}: depth {depth_before} -> {depth_after}, difference {difference}");
    snapshot(&stage, &name, sentence, &format!("{program}\n{facts}\n\n{}", after.print_elided()));
}

/// Compare with `filetests/STAGE/NAME.snap`.
fn snapshot(stage: &str, name: &str, description: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../filetests/{stage}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.remove_snapshot_suffix();
    settings.remove_input_file();
    settings.set_omit_expression(true);
    settings.set_description(description.trim_start_matches("# "));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn inputs_of(level: &AnyLevel) -> Vec<Tensor> {
    let mut numbers = Numbers::new(7);
    match level {
        AnyLevel::Tensor(graph) => numbers.inputs_of(graph),
        AnyLevel::Circuit(circuit) => numbers.inputs(&circuit.inputs),
        AnyLevel::Leveled(circuit) => numbers.inputs(&circuit.inputs),
        AnyLevel::Program(program) => numbers.inputs(&program.inputs),
    }
}

fn run(level: &AnyLevel, inputs: &[Tensor]) -> Vec<Tensor> {
    match level {
        AnyLevel::Tensor(graph) => graph.run(inputs).expect("runs"),
        AnyLevel::Circuit(circuit) => simulate_circuit(circuit, inputs).expect("runs"),
        AnyLevel::Leveled(circuit) => simulate_leveled(circuit, inputs).expect("runs"),
        AnyLevel::Program(program) => simulate_clear(program, inputs).expect("runs"),
    }
}
