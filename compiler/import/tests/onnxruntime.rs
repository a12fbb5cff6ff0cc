//! Every model in `testdata`: what onnxruntime computes is what the imported graph computes; what must be refused is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hec_import::{Code, ImportOptions, Verdict, check, import};
use hec_ir::array;
use hec_ir::tensor::{Graph, Tensor};
use hec_ir::text::{AnyLevel, parse, print_tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// log2 of the largest error allowed, relative to the largest result: float32 sums of a few hundred terms.
const TOLERANCE: f64 = -18.0;

/// Models of ONNX that the compiler refuses by design, with the reason.
const OUT_OF_SCOPE: &[(&str, Code)] = &[("conv_3d", Code::Form), ("pow_0", Code::Output)];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the test data are part of the repository");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// log2 of the largest difference, relative to the largest expected value (at least 1).
fn log2_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.shape, expected.shape);
    let largest = expected.data.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    let differences = found.data.iter().zip(&expected.data).map(|(f, e)| (f - e).abs());
    let worst = differences.fold(0.0f64, |m, d| if d <= m { m } else { d });
    (worst / largest).log2()
}

fn inputs(arrays: &BTreeMap<String, Tensor>, suffix: &str) -> Vec<Tensor> {
    match arrays.get(&format!("input{suffix}")) {
        Some(only) => vec![only.clone()],
        None => (0..).map_while(|i| arrays.get(&format!("input{i}{suffix}")).cloned()).collect(),
    }
}

/// The output as the client sees it, and before what the client does.
fn run(graph: &Graph, inputs: &[Tensor]) -> Result<(Tensor, Tensor), String> {
    let raw = graph.run(inputs).map_err(|e| e.to_string())?.remove(0);
    let client = graph.outputs[0].client.iter().fold(raw.clone(), |x, op| op.apply(&x).unwrap());
    Ok((client, raw))
}

/// The worst log2 error over the runs of a model.
fn compare(path: &Path) -> Result<f64, String> {
    let arrays = array::load(&path.with_extension("npz")).map_err(|e| e.to_string())?;
    let arrays: BTreeMap<String, Tensor> = arrays.into_iter().collect();
    let mut worst = f64::NEG_INFINITY;
    for (suffix, batch) in [("", 1), ("_batch3", 3)] {
        let Some(expected) = arrays.get(&format!("output{suffix}")) else { continue };
        let graph = import(path, &ImportOptions { batch }).map_err(|e| e.to_string())?;
        let (output, raw) = run(&graph, &inputs(&arrays, suffix))?;
        worst = worst.max(log2_error(&output, expected));
        if let Some(logits) = arrays.get(&format!("logits{suffix}")) {
            assert!(!graph.outputs[0].client.is_empty(), "{}: softmax is left to the client", path.display());
            worst = worst.max(log2_error(&raw, logits));
        }
    }
    Ok(worst)
}

#[test]
fn accepted_models_compute_what_onnxruntime_does() {
    let mut failures = Vec::new();
    let mut errors = Vec::new();
    for path in models(&folder()) {
        if let Some((_, code)) = OUT_OF_SCOPE.iter().find(|(n, _)| *n == name(&path)) {
            let error = import(&path, &ImportOptions::default()).expect_err("it is out of scope");
            assert_eq!(error.code, *code, "{error}");
            continue;
        }
        match compare(&path) {
            Ok(error) if error <= TOLERANCE => errors.push(error),
            Ok(error) => failures.push(format!("{}: error 2^{error:.1}", name(&path))),
            Err(reason) => failures.push(format!("{}: {reason}", name(&path))),
        }
    }
    let worst = errors.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    println!("{} models, worst error 2^{worst:.1}", errors.len());
    assert!(failures.is_empty(), "{} models differ:\n{}", failures.len(), failures.join("\n"));
    assert!(errors.len() > 100, "the test data are complete");
}

#[test]
fn accepted_models_have_no_problem_in_the_check() {
    for path in models(&folder()) {
        if OUT_OF_SCOPE.iter().any(|(n, _)| *n == name(&path)) {
            continue;
        }
        let report = check(&path, &ImportOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let problems: Vec<String> = report.problems().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", path.display());
        assert!(!report.nodes.iter().any(|n| matches!(n.verdict, Verdict::Unchecked { .. })), "{}", path.display());
    }
}

#[test]
fn imported_graphs_survive_their_text() {
    for path in models(&folder()) {
        let Ok(graph) = import(&path, &ImportOptions::default()) else { continue };
        let (text, external) = print_tensor(&graph);
        match parse(&text, &external) {
            Ok(AnyLevel::Tensor(parsed)) => assert_eq!(parsed, graph, "{}", path.display()),
            Ok(other) => panic!("{}: a {}", path.display(), other.name()),
            Err(error) => panic!("{}: {error}\n{text}", path.display()),
        }
    }
}

#[test]
fn refused_models_give_an_error_that_names_the_node() {
    for path in models(&folder().join("refused")) {
        let Err(error) = import(&path, &ImportOptions::default()) else {
            panic!("{} is accepted", path.display());
        };
        println!("{}: {error}", name(&path));
        assert!(!error.reason.is_empty() && !error.advice.is_empty(), "{error:?}");
        // Where a node is at fault, the test data name it so.
        let Ok(report) = check(&path, &ImportOptions::default()) else { continue };
        let named = report.nodes.iter().any(|n| n.name == "refused");
        assert!(!named || report.problems().any(|p| p.node == "refused"), "{}: {error}", name(&path));
        assert_eq!(report.problems().count(), 1 + error.more, "{}", name(&path));
    }
}
