//! What each stage does, by example: `filetests/STAGE/WHAT.hel` is a program in text with a sentence on top, and
//! `WHAT.snap` beside it what the stage makes of it, before and after, with the depths and how far results differ.
//!
//! Within a stage the examples go from plain to odd. After a change: `INSTA_UPDATE=always cargo test -p hec-tests`, and
//! read the difference.

use hec_import::ImportOptions;
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{simulate_circuit, simulate_clear, simulate_leveled};
use hec_ir::tensor::Tensor;
use hec_ir::text::{AnyLevel, Print, parse};
use hec_ir::{Depth, LogN, Slots, leveled};
use hec_pack::PackOptions;
use hec_plan::PlanOptions;
use hec_tests::{Difference, Numbers, external_constants};
use std::path::Path;

/// Rounding of f64 and no more.
const ROUNDING: f64 = -36.0;
/// Slots of the packed examples.
const SLOTS: Slots = Slots(64);

/// Models whose import is shown.
const IMPORTED: &[(&str, &str)] = &[
    ("01-gemm", "compiler/import/testdata/gemm_alpha_beta.onnx"),
    ("02-conv", "compiler/import/testdata/conv_groups.onnx"),
    ("03-batch-norm", "compiler/import/testdata/batch_normalization_opset15.onnx"),
    ("04-gelu", "compiler/import/testdata/gelu_tanh_decomposed.onnx"),
    ("05-digits", "examples/digits/digits.onnx"),
];

/// What a stage made of an example.
struct Outcome {
    result: AnyLevel,
    depth: (Depth, Depth),
}

#[test]
fn optimize() {
    insta::glob!("../filetests", "optimize/*.hel", |path| check(path, |level| {
        let AnyLevel::Tensor(graph) = level else { panic!("the optimizer takes a tensor network") };
        let optimized = hec_optimize::optimize(&graph, &Default::default()).expect("optimizes");
        let depth = (optimized.depth_before, optimized.depth_after);
        Outcome { result: AnyLevel::Tensor(optimized.graph), depth }
    }));
}

#[test]
fn pack() {
    insta::glob!("../filetests", "pack/*.hel", |path| check(path, |level| {
        let AnyLevel::Tensor(graph) = level else { panic!("packing takes a tensor network") };
        let circuit = hec_pack::pack(&graph, &PackOptions::new(SLOTS)).expect("packs");
        let depth = (hec_optimize::depth(&graph), hec_plan::depth(&circuit));
        Outcome { result: AnyLevel::Circuit(circuit), depth }
    }));
}

#[test]
fn plan() {
    insta::glob!("../filetests", "plan/*.hel", |path| check(path, |level| {
        let AnyLevel::Circuit(circuit) = level else { panic!("planning takes a slot circuit") };
        let log_n = LogN(circuit.slots.0.ilog2() + 1);
        let options = PlanOptions { log_n, scale_bits: Some(40.0), magnitude: 8.0, digit_size: 1, insecure_toy: true };
        let leveled = hec_plan::plan(&circuit, &options).expect("plans");
        let depth = (hec_plan::depth(&circuit), levels(&leveled));
        Outcome { result: AnyLevel::Leveled(leveled), depth }
    }));
}

#[test]
fn schedule() {
    insta::glob!("../filetests", "schedule/*.hel", |path| check(path, |level| {
        let AnyLevel::Leveled(leveled) = level else { panic!("scheduling takes a leveled circuit") };
        let program = hec_schedule::schedule(&leveled, &CostTable::default()).expect("schedules");
        Outcome { result: AnyLevel::Program(program), depth: (levels(&leveled), levels(&leveled)) }
    }));
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

/// Depth that the parameters allow.
fn levels(circuit: &leveled::Circuit) -> Depth {
    Depth(circuit.parameters.levels.len() as u32 - 1)
}

/// Read an example, run the stage, and hold its result to the interpreter and to the snapshot.
fn check(path: &Path, stage: impl Fn(AnyLevel) -> Outcome) {
    let text = std::fs::read_to_string(path).expect("readable");
    assert!(text.starts_with("# "), "{}: a sentence on top says what the stage does here", path.display());
    let external = external_constants(&text);
    let before = parse(&text, &external).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Outcome { result, depth } = stage(before.clone());

    let inputs = inputs_of(&before);
    let difference = Difference::between(&run(&result, &inputs), &run(&before, &inputs));
    assert!(difference.log2() < ROUNDING, "{}: the result differs by {difference}", path.display());
    let (printed, constants) = result.print();
    assert_eq!(parse(&printed, &constants).expect("what is printed parses"), result, "{}", path.display());

    let stage = path.parent().and_then(Path::file_name).expect("an example lies in the folder of its stage");
    let stage = stage.to_string_lossy();
    let name = path.file_stem().expect("an example has a name").to_string_lossy();
    let (sentence, program) = text.split_once('\n').expect("a program follows the sentence");
    let facts = format!("{stage}: depth {} -> {}, difference {difference}", depth.0, depth.1);
    snapshot(&stage, &name, sentence, &format!("{program}\n# {facts}\n\n{}", result.print_elided()));
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
