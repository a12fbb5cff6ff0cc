//! `hec check`, `hec report`, `hec simulate`.

use crate::Folder;
use crate::failures::npy;
use crate::networks::{SQUARES, unknown_operators};
use serde_json::Value;

#[test]
fn check_tells_what_happens_to_every_operator() {
    let folder = Folder::with_digits("check");
    let text = folder.hec("check digits.onnx");
    for (layer, verdict) in [("conv1", "fine"), ("relu1", "approximated"), ("flatten", "fine"), ("fc", "fine")] {
        let found = text.lines().any(|line| line.starts_with(verdict) && line.contains(layer));
        assert!(found, "{layer} is not {verdict} in\n{text}");
    }
    assert!(text.ends_with("The model can be compiled.\n"), "{text}");
    let json: Value = serde_json::from_str(&folder.hec("check digits.onnx --json")).unwrap();
    assert_eq!(json["compiles"], true);
    assert_eq!(json["nodes"].as_array().unwrap().len(), 8);
}

#[test]
fn check_lists_all_problems_at_once() {
    let folder = Folder::new("check-problems");
    folder.write("unknown.onnx", unknown_operators());
    let ran = folder.run("check unknown.onnx");
    assert_eq!(ran.code, 1);
    for part in ["approximated relu1", "stops        steps", "stops        rest", "Floor", "Mod", "2 problems"] {
        assert!(ran.stdout.contains(part), "no `{part}` in\n{}", ran.stdout);
    }
    let ran = folder.run("check unknown.onnx --json");
    assert_eq!(ran.code, 1);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["compiles"], false);
    assert_eq!(json["nodes"][1]["verdict"], "stops");
}

#[test]
fn a_report_is_stored_with_its_program() {
    let folder = Folder::with_digits("report");
    let printed = folder.hec("compile digits.onnx --calibrate calibration.npy");
    let shown = folder.hec("report digits.hec");
    assert!(printed.starts_with(&shown), "compile printed\n{printed}\nreport printed\n{shown}");
    let json: Value = serde_json::from_str(&folder.hec("report digits.hec --json")).unwrap();
    let layers: Vec<&str> = json["layers"].as_array().unwrap().iter().map(|l| l["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["conv1", "relu1", "conv2", "relu2", "fc"]);
    assert_eq!(json["depth"]["packed"], json["parameters"]["levels"]);
    // Levels fall from layer to layer, without a gap, to 0.
    let level = |layer: &Value, end: &str| layer[end].as_u64().unwrap();
    let rows = json["layers"].as_array().unwrap();
    assert!(rows.windows(2).all(|w| level(&w[0], "level_out") == level(&w[1], "level_in")), "{shown}");
    assert_eq!(level(rows.last().unwrap(), "level_out"), 0);
    for part in ["log2(QP) =", "uniform ternary secret", "sigma = 3.19", "keys", "noise", "seconds"] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
}

#[test]
fn a_simulation_compares_with_the_model_and_the_labels() {
    let folder = Folder::with_digits("simulate");
    folder.hec("compile digits.onnx --calibrate calibration.npy");
    let command = "simulate digits.hec --input test_images.npy --labels test_labels.npy --against digits.onnx";
    let text = folder.hec(command);
    assert!(text.starts_with("100 inputs, with simulated noise\n"), "{text}");
    assert!(text.contains("same class 100 of 100"), "{text}");
    let json: Value = serde_json::from_str(&folder.hec(&format!("{command} --json --output out.npy"))).unwrap();
    assert!(json["against_model"]["same_class"].as_u64().unwrap() >= 97, "{json}");
    assert!(json["correct"].as_u64().unwrap() >= 95, "{json}");
    assert_eq!(json["model_correct"], 97);
    // At most what --max-error allows by default.
    assert!(json["against_exact"]["log2_max"].as_f64().unwrap() < -10.0, "{json}");
    assert!(folder.path("out.npy").exists());
    // Without noise the program is itself; with another seed the noise is another one.
    let exact: Value = serde_json::from_str(&folder.hec(&format!("{command} --json --no-noise --count 5"))).unwrap();
    assert_eq!(exact["samples"], 5);
    assert_eq!(exact["against_exact"]["same_class"], 5);
    assert_eq!(exact["noise"], false);
    let seed = |seed: u32| folder.hec(&format!("{command} --json --count 5 --seed {seed}"));
    assert_eq!(seed(1), seed(1));
    assert_ne!(seed(1), seed(2));
}

#[test]
fn a_simulation_of_a_text_network() {
    let folder = Folder::new("simulate-text");
    folder.write("squares.hel", SQUARES).write("x.npy", npy("1, 4", &[0.5, -1.0, 0.25, 1.0]));
    folder.hec("compile squares.hel");
    let json = folder.hec("simulate squares.hec --input x.npy --against squares.hel --no-noise --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["against_model"]["log2_max"].is_null() || json["against_model"]["log2_max"].as_f64().unwrap() < -40.0);
}

#[test]
fn a_simulation_tells_of_outputs_that_the_parameters_do_not_hold() {
    let folder = Folder::new("simulate-overflow");
    folder.write("squares.hel", SQUARES).write("x.npy", npy("2, 4", &[1.0, 1.0, 1.0, 1.0, 1e4, 1e4, 1e4, 1e4]));
    folder.hec("compile squares.hel");
    assert!(folder.hec("simulate squares.hec --input x.npy").contains("warning: 1 of 2 inputs"));
    folder.hec("compile squares.hel --calibrate x.npy");
    assert!(!folder.hec("simulate squares.hec --input x.npy").contains("warning"));
}
