//! `--bootstrap`: programs with bootstraps, and why there are none.

use crate::Folder;
use crate::failures::npy;
use crate::networks::{SQUARES, deep, large};
use serde_json::Value;

/// A ring in which a bootstrap is made at once.
const TOY: &str = "--insecure-toy --ring 5";
const DEEP: &str = "compile deep.hel --calibrate x.npy";

/// Twelve layers of 24 levels, with inputs as they should be.
pub fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.write("deep.hel", deep(12));
    folder.write("x.npy", npy("2, 4", &[0.25, 0.3, 0.2, 0.27, 0.22, 0.24, 0.31, 0.26]));
    folder
}

#[test]
fn a_deep_network_is_bootstrapped() {
    let folder = folder("bootstraps");
    let printed = folder.hec(&format!("{DEEP} {TOY} --bootstrap always"));
    let shown = folder.hec("report deep.hec");
    assert!(printed.starts_with(&shown), "compile printed\n{printed}\nreport printed\n{shown}");
    let json: Value = serde_json::from_str(&folder.hec("report deep.hec --json")).unwrap();
    let bootstraps = &json["bootstraps"];
    let (count, from, to) = (&bootstraps["count"], &bootstraps["from"], &bootstraps["to"]);
    // 24 levels: those of the inputs, and what each bootstrap adds.
    let held = to.as_u64().unwrap() + count.as_u64().unwrap() * (to.as_u64().unwrap() - from.as_u64().unwrap());
    assert!(count.as_u64().unwrap() > 0 && held >= 24, "{json}");
    assert_eq!(json["total"]["bootstraps"], *count);
    assert!(bootstraps["log2_failure"].as_f64().unwrap() < -90.0, "{json}");
    assert_eq!(bootstraps["encapsulation"]["weight"], 32);
    // The drawing has as many bootstraps as the report counts, and so have the rows of the layers.
    let path = json["levels"].as_array().unwrap();
    assert_eq!(path.iter().filter(|s| s["bootstrapped"] == true).count() as u64, count.as_u64().unwrap());
    let drawn: usize = shown.lines().filter(|l| l.contains('│')).map(|l| l.matches('↑').count()).sum();
    assert_eq!(drawn as u64, count.as_u64().unwrap(), "{shown}");
    let alternative = serde_json::json!({
        "log_n": 5, "bootstrapped": true, "bootstraps": count, "seconds": json["total"]["seconds"], "taken": true
    });
    assert_eq!(json["alternatives"], serde_json::json!([alternative]));
    for part in
        ["bootstraps ", "sparse secret of weight 32", "INSECURE", "one fails with", "choice ", "the least: taken"]
    {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
}

#[test]
fn a_bootstrapped_program_computes_the_network() {
    let folder = folder("bootstraps-simulate");
    folder.hec(&format!("{DEEP} {TOY} --bootstrap always"));
    let simulate = |options: &str| {
        let json = folder.hec(&format!("simulate deep.hec --input x.npy --against deep.hel --json {options}"));
        serde_json::from_str::<Value>(&json).unwrap()
    };
    let exact = simulate("--no-noise");
    assert!(exact["against_model"]["log2_max"].as_f64().is_none_or(|e| e < -35.0), "{exact}");
    let noisy = simulate("");
    assert!(noisy["against_model"]["log2_max"].as_f64().unwrap() < -10.0, "{noisy}");
    assert!(noisy["outside"].is_null(), "{noisy}");
    // Other inputs than those of the calibration may leave the range of the bootstraps.
    folder.write("far.npy", npy("1, 4", &[1.5, 0.0, 0.1, 0.2]));
    assert!(
        folder.hec("simulate deep.hec --input far.npy").contains("bootstraps slots outside [-1, 1] on 1 of 1 inputs")
    );
}

#[test]
fn a_network_is_leveled_where_that_is_possible_or_asked() {
    let folder = folder("bootstraps-auto");
    let report =
        |options: &str| serde_json::from_str::<Value>(&folder.hec(&format!("{DEEP} {options} --json"))).unwrap();
    for mode in ["", "--bootstrap auto", "--bootstrap never"] {
        let json = report(&format!("{TOY} {mode}"));
        assert!(json["bootstraps"].is_null(), "{json}");
        assert_eq!(json["alternatives"].as_array().unwrap().len(), 1, "{json}");
    }
    folder.write("squares.hel", SQUARES);
    let json: Value = serde_json::from_str(&folder.hec("compile squares.hel --json")).unwrap();
    let tried = json["alternatives"].as_array().unwrap();
    assert!(tried.iter().all(|a| a["bootstrapped"] == false), "{json}");
    assert_eq!(tried.iter().filter(|a| a["taken"] == true).count(), 1, "{json}");
    assert!(tried[0]["refused"].as_str().unwrap().contains("needs 3 levels"), "{json}");
    assert!(tried.windows(2).all(|w| w[0]["log_n"].as_u64() < w[1]["log_n"].as_u64()));
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let folder = folder("bootstraps-twice");
    for threads in ["1", "2"] {
        let ran = folder.run_with(&format!("{DEEP} {TOY} --bootstrap always -o by{threads}.hec"), |c| {
            c.env("RAYON_NUM_THREADS", threads);
        });
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert!(folder.read("by1.hec") == folder.read("by2.hec"), "the programs differ");
    assert!(folder.read("by1.client.json") == folder.read("by2.client.json"), "the client files differ");
}

#[test]
fn a_circuit_in_text_is_bootstrapped_too() {
    let folder = folder("bootstraps-opt");
    folder.hec(&format!("{DEEP} {TOY} --emit pack -o circuit.hel"));
    let leveled =
        |mode: &str| folder.hec(&format!("opt circuit.hel --to plan {TOY} --calibrate x.npy --bootstrap {mode}"));
    assert!(leveled("always").contains("= bootstrap %"));
    assert!(!leveled("auto").contains("= bootstrap %"));
}

#[test]
fn a_bootstrap_that_does_not_fit() {
    let folder = folder("bootstraps-none");
    let compile = format!("{DEEP} --ring 12");
    let none = ["HEC-L006", "N = 2^12", "no bootstrap of 128-bit security", "larger ring", "--max-error"];
    folder.fails_with(&format!("{compile} --bootstrap always"), &none);
    // Without a word about bootstraps, both reasons.
    let both = ["HEC-L001", "needs 24 levels", "fc1 1", "With bootstraps: N = 2^12", "--max-error"];
    folder.fails_with(&compile, &both);
    assert!(!folder.fails(&format!("{compile} --bootstrap never")).contains("bootstraps"));
    assert!(!folder.path("deep.hec").exists());
}

#[test]
fn noise_that_no_bootstrap_brings_down() {
    let folder = folder("bootstraps-noise");
    let compile = format!("{DEEP} {TOY} --bootstrap always --max-error 1e-11");
    let message = folder.fails(&compile);
    assert!(message.contains("HEC-L006") || message.contains("HEC-L004"), "{message}");
    assert!(message.contains("--max-error"), "{message}");
}

#[test]
fn values_that_are_too_large() {
    let folder = Folder::new("bootstraps-large");
    folder.write("large.hel", large(12)).write("x.npy", npy("1, 4", &[1000.0, 990.0, 1005.0, 1001.0]));
    folder.fails_with(
        &format!("compile large.hel --calibrate x.npy {TOY} --bootstrap always"),
        &["HEC-L007", "beyond 128", "square", "reach", "calibrate", "scale the weights"],
    );
}
