//! `--emit` and `hec opt`: any stage as text, and on from there.

use crate::Folder;
use crate::networks::CONVOLUTION;
use hec_ir::array::{self, ElementType};
use hec_ir::artifact::Artifact;
use hec_ir::tensor::{Shape, Tensor};

const STAGES: [&str; 6] = ["import", "nonlinear", "optimize", "pack", "plan", "schedule"];
const HOW: &str = "--ring 13 --calibrate images.npy --min-agreement 0.1";

/// Reproducible numbers in [−1, 1).
fn numbers(seed: u64, dims: &[usize]) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    let shape = Shape::new(dims);
    let data = (0..shape.elements()).map(|_| next()).collect();
    Tensor { shape, data }
}

fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    let (k, v) = (numbers(1, &[2, 1, 3, 3]), numbers(2, &[8, 3]));
    let constants = array::write_npz([("k", &k, ElementType::F64), ("v", &v, ElementType::F64)]).unwrap();
    let images = array::write_npy(&numbers(3, &[32, 1, 4, 4]), ElementType::F64).unwrap();
    folder.write("net.hel", CONVOLUTION).write("net.npz", constants).write("images.npy", images);
    folder
}

fn program_id(folder: &Folder, file: &str) -> String {
    Artifact::read(&folder.path(file)).unwrap().manifest().program_id.clone()
}

#[test]
fn every_stage_restarts_and_ends_in_the_same_program() {
    let folder = folder("restart");
    folder.hec(&format!("compile net.hel {HOW} -o whole.hec"));
    for stage in STAGES {
        folder.hec(&format!("compile net.hel {HOW} --emit {stage} -o {stage}.hel"));
        folder.hec(&format!("opt {stage}.hel {HOW} -o from-{stage}.hec"));
        let (whole, restarted) = (program_id(&folder, "whole.hec"), program_id(&folder, &format!("from-{stage}.hec")));
        assert_eq!(whole, restarted, "restarted after {stage}");
        folder.hec(&format!("report from-{stage}.hec"));
    }
    // The last text is the program itself, to the byte, when it is printed again.
    folder.hec(&format!("opt schedule.hel {HOW} -o again.hel"));
    assert_eq!(folder.text("schedule.hel"), folder.text("again.hel"));
    assert_eq!(folder.read("schedule.npz"), folder.read("again.npz"));
}

#[test]
fn from_any_stage_to_any_later_one() {
    let folder = folder("stages");
    for (i, from) in STAGES.iter().enumerate() {
        folder.hec(&format!("compile net.hel {HOW} --emit {from} -o {from}.hel"));
        for to in &STAGES[i..] {
            let shown = folder.hec(&format!("opt {from}.hel {HOW} --to {to}"));
            let level = match *to {
                "pack" => "circuit",
                "plan" => "leveled",
                "schedule" => "program",
                _ => "tensor",
            };
            assert!(shown.starts_with(level), "{from} to {to}: {shown:.80}");
        }
    }
    folder.fails_with(&format!("opt plan.hel {HOW} --to optimize"), &["HEC-C007", "past the stage", "later stage"]);
}

#[test]
fn a_stage_on_the_screen_leaves_out_long_lists() {
    let folder = folder("elided");
    let shown = folder.hec(&format!("compile net.hel {HOW} --activation relu=kernel:2 --emit optimize"));
    assert!(shown.contains("...") && shown.contains("square") && shown.contains("from \"conv1\""), "{shown}");
    assert!(!folder.path("net.hec").exists());
}
