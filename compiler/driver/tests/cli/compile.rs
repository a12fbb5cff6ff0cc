//! `hec compile`.

use crate::Folder;
use crate::networks::{SQUARES, lenet};

const DIGITS: &str = "compile digits.onnx --calibrate calibration.npy";
/// The same polynomials, whatever they cost.
const SQUARES_ALONE: &str = "--activation relu=lsq:2";

#[test]
fn an_onnx_model_becomes_a_program_and_a_client_file() {
    let folder = Folder::with_digits("compile-onnx");
    let report = folder.hec(DIGITS);
    assert!(report.contains("128-bit classical security"), "{report}");
    assert!(report.ends_with("wrote      digits.hec and digits.client.json\n"), "{report}");
    // The client needs parameters, layouts and keys; no weight, and so a small file.
    let client = folder.text("digits.client.json");
    assert!(client.len() < 20_000, "{} bytes", client.len());
    assert!(folder.read("digits.hec").len() > 100_000);
}

#[test]
fn the_same_network_and_options_give_the_same_bytes() {
    let folder = Folder::with_digits("compile-twice");
    for threads in ["1", "2"] {
        let ran = folder.run_with(&format!("{DIGITS} -o by{threads}.hec"), |c| {
            c.env("RAYON_NUM_THREADS", threads);
        });
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert!(folder.read("by1.hec") == folder.read("by2.hec"), "the programs differ");
    assert!(folder.read("by1.client.json") == folder.read("by2.client.json"), "the client files differ");
}

#[test]
fn a_program_for_several_inputs() {
    let folder = Folder::with_digits("compile-batch");
    for threads in ["1", "2"] {
        let ran = folder.run_with(&format!("{DIGITS} {SQUARES_ALONE} --batch 13 -o by{threads}.hec"), |c| {
            c.env("RAYON_NUM_THREADS", threads);
        });
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stdout.contains("slots for 16 inputs at once") && ran.stdout.contains("ms an input"),
            "{}",
            ran.stdout
        );
    }
    assert!(folder.read("by1.hec") == folder.read("by2.hec"), "the programs differ");
    assert!(folder.text("by1.client.json").contains("\"batch\": 16"));
    // It is simulated input by input, with the answers of a program for one.
    folder.hec(&format!("{DIGITS} {SQUARES_ALONE} -o one.hec"));
    let simulated = |program: &str| {
        let json = folder
            .hec(&format!("simulate {program} --no-noise --input test_images.npy --labels test_labels.npy --json"));
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let (several, one) = (simulated("by1.hec"), simulated("one.hec"));
    assert_eq!((&several["samples"], &several["correct"]), (&one["samples"], &one["correct"]));
}

#[test]
fn a_hand_written_network_needs_no_calibration() {
    let folder = Folder::new("compile-text");
    folder.write("squares.hel", SQUARES);
    let report = folder.hec("compile squares.hel -o out.hec");
    for layer in ["fc1", "act", "fc2"] {
        assert!(report.lines().any(|line| line.starts_with(layer)), "no row for {layer} in\n{report}");
    }
    assert!(report.contains("depth      3 before rewriting, 3 after, 3 packed"), "{report}");
    assert!(report.contains("warning    without calibration data"), "{report}");
    let json: serde_json::Value = serde_json::from_str(&folder.hec("compile squares.hel -o again.hec --json")).unwrap();
    assert_eq!(json["depth"]["packed"], 3);
    assert_eq!(folder.read("out.hec"), folder.read("again.hec"));
}

#[test]
fn a_pin_chooses_the_polynomial() {
    let folder = Folder::with_digits("compile-pin");
    let choices = |pin: &str| {
        let json = folder.hec(&format!("{DIGITS} --activation {pin} --min-agreement 0.5 --json"));
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        let choice = |r: &serde_json::Value| {
            (r["choice"]["family"].as_str().unwrap().to_owned(), r["choice"]["degree"].as_u64().unwrap())
        };
        report["replacements"].as_array().unwrap().iter().map(choice).collect::<Vec<_>>()
    };
    let least_squares = |degree| ("least_squares".to_owned(), degree);
    // By function, for all its layers; by layer, for that one.
    assert_eq!(choices("relu=lsq:4"), [least_squares(4), least_squares(4)]);
    let second = choices("relu2=lsq:5");
    assert!(second[0] != least_squares(5) && second[1] == least_squares(5), "{second:?}");
    assert_eq!(choices("relu1=kernel:2")[0], ("kernel".to_owned(), 2));
}

#[test]
fn toy_parameters_need_a_flag_and_say_what_they_are() {
    let folder = Folder::new("compile-toy");
    folder.write("squares.hel", SQUARES);
    folder.fails_with("compile squares.hel --ring 12", &["HEC-L001", "2^12", "128-bit security", "fc1 1"]);
    assert!(!folder.path("squares.hec").exists() && !folder.path("squares.client.json").exists());
    assert!(folder.hec("compile squares.hel --ring 12 --insecure-toy").contains("INSECURE"));
    assert!(folder.hec("report squares.hec").contains("INSECURE"));
    assert!(folder.hec("report squares.hec --json").contains("INSECURE"));
    let inside = String::from_utf8_lossy(&folder.read("squares.hec")).into_owned();
    assert!(inside.contains("INSECURE"), "the program's file does not say INSECURE");
    let client: serde_json::Value = serde_json::from_str(&folder.text("squares.client.json")).unwrap();
    assert_eq!(client["client"]["parameters"]["insecure_toy"], true);
    assert!(client["security"].as_str().is_some_and(|line| line.contains("INSECURE")));
    assert!(folder.hec("compile squares.hel --ring 12 --insecure-toy --emit schedule").contains("insecure_toy"));
}

#[test]
fn the_networks_that_were_tried_are_told_and_one_can_be_taken() {
    let folder = Folder::with_digits("front");
    let compile = "compile digits.onnx --calibrate calibration.npy --max-samples 60 --min-agreement 1";
    let told = folder.hec(&format!("{compile} --pareto"));
    assert!(told.contains("networks   1. 2 ") && told.contains(" levels, ") && told.contains(": taken"), "{told}");
    let first = folder.hec(&format!("{compile} --choose 1"));
    let line = first.lines().find(|line| line.starts_with("networks   1. ")).unwrap();
    assert!(line.ends_with(": taken"), "{line}");
    folder.fails_with(&format!("{compile} --choose 99"), &["HEC-C011", "no network 99", "--pareto"]);
    folder.fails_with(&format!("{compile} --max-depth 1"), &["HEC-C012", "1 levels", "the shallowest takes"]);
    let depth = folder.hec(&format!("{compile} --max-depth 20"));
    assert!(depth.contains("networks   1. "), "{depth}");
}

/// The rewritten networks of one set of polynomials differ in depth, too.
#[test]
fn a_limit_of_levels_takes_a_shallower_rewriting_though_it_is_slower() {
    let folder = Folder::new("shallower");
    folder.write("lenet.hel", lenet());
    let compile = |options: &str| -> serde_json::Value {
        serde_json::from_str(&folder.hec(&format!("compile lenet.hel --ring 15 --json {options}"))).unwrap()
    };
    let (fastest, shallowest) = (compile(""), compile("--max-depth 7"));
    assert_eq!((&fastest["depth"]["packed"], &fastest["depth"]["least"]), (&8.into(), &7.into()));
    assert_eq!((&shallowest["depth"]["packed"], &shallowest["depth"]["least"]), (&7.into(), &serde_json::Value::Null));
    let seconds = |report: &serde_json::Value| report["seconds"][0].as_f64().unwrap();
    assert!(seconds(&fastest) < seconds(&shallowest));
    let report = folder.hec("report lenet.hec");
    assert!(report.contains("depth      9 before rewriting, 7 after, 7 packed"), "{report}");
    folder.fails_with("compile lenet.hel --max-depth 6", &["HEC-C012", "the shallowest takes 7"]);
}

#[test]
fn the_levels_that_each_rule_saves_are_told() {
    let folder = Folder::with_digits("saved");
    let report = folder.hec("compile digits.onnx --calibrate calibration.npy");
    let json: serde_json::Value = serde_json::from_str(&folder.hec("report digits.hec --json")).unwrap();
    let saved = |rule: &str| {
        let all = json["saved"].as_array().unwrap().iter();
        all.clone().find(|pair| pair[0] == rule).map(|pair| pair[1].as_u64().unwrap())
    };
    let merged = saved("B(A x) = (BA) x").unwrap();
    assert!(merged >= 3, "range maps and pools go into their neighbours: {json:#}");
    assert_eq!(json["saved"].as_array().unwrap().len(), json["rules"].as_array().unwrap().len());
    assert!(report.lines().any(|l| l.ends_with(&format!(" {merged}  B(A x) = (BA) x"))), "{report}");
    let explained = folder.hec("explain relu1");
    assert!(explained.contains(&format!("  {merged} more without B(A x) = (BA) x")), "{explained}");
    folder.hec("report digits.hec --html page.html");
    assert!(folder.text("page.html").contains("levels saved"));
    // What is not rewritten has nothing saved.
    folder.hec("compile digits.onnx --calibrate calibration.npy --no-rewrite -o plain.hec");
    let json: serde_json::Value = serde_json::from_str(&folder.hec("report plain.hec --json")).unwrap();
    assert!(json.get("saved").is_none() && json["depth"]["before"] == json["depth"]["after"], "{json:#}");
}
