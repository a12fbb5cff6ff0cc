//! `hec explain` and `hec diff`.

use crate::Folder;
use crate::networks::SQUARES;
use serde_json::Value;

#[test]
fn explain_says_what_was_chosen_and_what_else_there_was() {
    let folder = Folder::with_digits("explain");
    folder.hec("compile digits.onnx --calibrate calibration.npy --activation relu=lsq:3 --min-agreement 0.5");
    let text = folder.hec("explain relu1 digits.hec");
    for part in [
        "relu1 is a relu in the network. It became least squares degree 3:",
        "it takes 2 levels and 2 products",
        "it adds",
        "→ least squares degree 3",
        "kernel degree 2",
        "1 (-1)",
        "5 (+3)",
        "composite, 8 bits",
        "--activation \"relu1=",
        "In the program it goes from level",
        "noise of the scheme 2^-",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    // The folder's only program needs no name.
    assert_eq!(folder.hec("explain relu1"), text);
    let json: Value = serde_json::from_str(&folder.hec("explain relu1 --json")).unwrap();
    let candidates = json["menu"]["candidates"].as_array().unwrap();
    let taken: Vec<&Value> = candidates.iter().filter(|c| c["taken"] == true).collect();
    assert_eq!((taken.len(), &taken[0]["choice"]["degree"]), (1, &3.into()));
    assert_eq!(taken[0]["depth"], json["replacement"]["depth"]);
    assert_eq!(taken[0]["products"], json["replacement"]["products"]);
    assert_eq!(json["error"]["layer"], "relu1");
    // More levels err less: the best of each depth is better than the best of the one before.
    let best = |depth: u64| {
        let at = candidates.iter().filter(|c| c["depth"].as_u64().unwrap() <= depth);
        at.map(|c| c["relative"].as_f64().unwrap()).fold(f64::INFINITY, f64::min)
    };
    assert!((1..5).all(|depth| best(depth + 1) < best(depth)), "{candidates:#?}");
}

#[test]
fn explain_knows_linear_layers_and_close_names() {
    let folder = Folder::with_digits("explain-linear");
    folder.hec("compile digits.onnx --calibrate calibration.npy");
    let text = folder.hec("explain conv1");
    assert!(text.starts_with("conv1: nothing was replaced") && text.contains(" diagonals, "), "{text}");
    let text = folder.hec("explain conv2");
    assert!(text.starts_with("conv2: its ") && text.contains("In the program"), "{text}");
    folder.fails_with("explain rlu2", &["HEC-C011", "no layer is called `rlu2`", "Close to it are: relu2"]);
    folder.fails_with("explain zzzzzzz", &["HEC-C011", "Its layers are: conv1, relu1, conv2, relu2, fc"]);
    folder.hec("compile digits.onnx -o second.hec --calibrate calibration.npy");
    folder.fails_with("explain conv1", &["HEC-C010", "there are digits.hec, second.hec"]);
}

#[test]
fn diff_tells_equal_programs_from_others_by_its_exit_code() {
    let folder = Folder::new("diff");
    folder.write("squares.hel", SQUARES);
    folder.hec("compile squares.hel -o a.hec");
    folder.hec("compile squares.hel -o b.hec");
    assert!(folder.hec("diff a.hec b.hec").contains("The programs are the same"));
    folder.hec("compile squares.hel -o c.hec --ring 14");
    let ran = folder.run("diff a.hec c.hec");
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let line =
        |what: &str| ran.stdout.lines().find(|l| l.starts_with(what)).unwrap_or_else(|| panic!("{}", ran.stdout));
    assert!(line("ring ").ends_with("N = 2^13  ⇒  N = 2^14"), "{}", ran.stdout);
    assert!(line("keys ").contains('⇒') && !ran.stdout.contains("depth"), "{}", ran.stdout);
    let json: Value = serde_json::from_str(&folder.run("diff a.hec c.hec --json").stdout).unwrap();
    assert_eq!(json["same_program"], false);
    let ring = json["changes"].as_array().unwrap().iter().find(|c| c["what"] == "ring").unwrap();
    assert_eq!((&ring["before"], &ring["after"]), (&"N = 2^13".into(), &"N = 2^14".into()));
    // A weight alone: nothing that is reported need differ, but the programs do.
    folder.write("squares.hel", SQUARES.replace("[0.5, -0.25", "[0.5, -0.375"));
    folder.hec("compile squares.hel -o d.hec");
    assert_eq!(folder.run("diff a.hec d.hec").code, 1);
    let ran = folder.run("diff a.hec missing.hec");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("HEC-C001"), "{}", ran.stderr);
}

#[test]
fn diff_goes_through_the_layers() {
    let folder = Folder::with_digits("diff-layers");
    for (name, pin) in [("a", "lsq:3"), ("b", "lsq:2")] {
        folder.hec(&format!(
            "compile digits.onnx -o {name}.hec --calibrate calibration.npy --min-agreement 0.5 --activation relu1=lsq:2 \
             --activation relu2={pin}"
        ));
    }
    let ran = folder.run("diff a.hec b.hec");
    assert_eq!(ran.code, 1);
    let changed = |part: &str| ran.stdout.lines().any(|l| l.contains(part));
    assert!(changed("relu2: polynomial") && changed("relu by lsq:3  ⇒  relu by lsq:2"), "{}", ran.stdout);
    assert!(!changed("relu1: polynomial"), "{}", ran.stdout);
}
