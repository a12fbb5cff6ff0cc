//! An evaluation that is killed goes on from its checkpoint, and no other evaluation does.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod common;

use common::{Folder, artifact, bootstrap, deep, every_instruction, inputs, sample};
use hec_ir::array::{ElementType, write_npz};
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::tensor::Tensor;
use hec_params::Order;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hec-run"));
    command.current_dir(folder).args(args.split_whitespace());
    command
}

fn run(folder: &Path, args: &str) -> Output {
    command(folder, args).output().unwrap()
}

/// What a command prints.
#[track_caller]
fn succeed(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "hec-run {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(folder: &Path, args: &str, reason: &str) {
    let output = run(folder, args);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "hec-run {args}: {err}");
    assert!(err.contains("error[HEC-R013]") && err.contains(reason) && err.contains("help:"), "hec-run {args}: {err}");
}

/// A compiled model with keys and a request.
fn parties(folder: &Path, artifact: &Artifact, inputs: &[Tensor]) {
    artifact.write(&folder.join("model.hec")).unwrap();
    let client = ClientFile::of(artifact);
    client.write(&folder.join("model.client.json")).unwrap();
    let arrays = client.inputs.iter().zip(inputs).map(|(i, t)| (i.name.as_str(), t, ElementType::F64));
    std::fs::write(folder.join("input.npz"), write_npz(arrays).unwrap()).unwrap();
    succeed(folder, "keygen model.client.json --out .");
    succeed(folder, "encrypt model.client.json --secret secret.key --input input.npz -o request.ct");
}

const EVAL: &str = "eval model.hec --keys eval.keys --input request.ct -o";

/// Enough for an evaluation to take many times as long as it takes to be seen and killed.
const BLOCKS: u32 = 240;

/// Kill an evaluation as soon as it has written a checkpoint.
fn kill(folder: &Path) {
    let mut evaluation = command(folder, &format!("{EVAL} killed.ct --checkpoint state --threads 1"));
    let mut evaluation = evaluation.stderr(Stdio::null()).spawn().unwrap();
    let modified = || std::fs::metadata(folder.join("state")).and_then(|m| m.modified()).ok();
    let (before, start) = (modified(), Instant::now());
    while modified() == before {
        assert!(start.elapsed() < Duration::from_secs(60) && evaluation.try_wait().unwrap().is_none(), "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    evaluation.kill().unwrap();
    evaluation.wait().unwrap();
    assert!(!folder.join("killed.ct").exists());
}

#[test]
fn a_killed_evaluation_goes_on() {
    let folder = Folder::new("checkpoint");
    let folder = &folder.0;
    let artifact = artifact(deep(bootstrap(8, 7, 4, Order::CoeffsFirst), BLOCKS));
    let (x, _) = sample(&artifact);
    parties(folder, &artifact, &x);
    succeed(folder, &format!("{EVAL} whole.ct"));

    kill(folder);
    let first = std::fs::metadata(folder.join("state")).unwrap().modified().unwrap();
    kill(folder);
    assert!(std::fs::metadata(folder.join("state")).unwrap().modified().unwrap() > first);
    // What a process leaves that is killed while it writes.
    std::fs::write(folder.join("state.partial"), "half").unwrap();
    let text = succeed(folder, &format!("{EVAL} resumed.ct --checkpoint state --trace"));
    let (_, resumed) = text.split_once("resumed after ").unwrap();
    let done: usize = resumed.split(' ').next().unwrap().parse().unwrap();
    assert!(0 < done && done < artifact.program().instructions.len(), "{text}");
    assert!(
        text.contains("block0 ") && text.contains(&format!("block{} ", BLOCKS - 1)),
        "the trace is of the whole: {text}"
    );
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(read("resumed.ct") == read("whole.ct"), "the response is the same to the byte");
    assert!(!folder.join("state").exists() && !folder.join("state.partial").exists(), "the checkpoint is gone");

    // Another response of the same model, from another request.
    kill(folder);
    succeed(folder, "encrypt model.client.json --secret secret.key --input input.npz -o other.ct");
    let other = EVAL.replace("request.ct", "other.ct");
    refused(folder, &format!("{other} r.ct --checkpoint state"), "another request");
    succeed(folder, "inspect state --client model.client.json");
    damaged(folder);
    succeed(folder, "keygen model.client.json --out . --force");
    succeed(folder, "encrypt model.client.json --secret secret.key --input input.npz -o request.ct");
    refused(folder, &format!("{EVAL} r.ct --checkpoint state"), "other evaluation keys");
    assert!(!folder.join("r.ct").exists() && folder.join("state").exists());
}

/// A checkpoint that is cut off or changed anywhere is refused.
fn damaged(folder: &Path) {
    let whole = std::fs::read(folder.join("state")).unwrap();
    let write = |bytes: &[u8]| std::fs::write(folder.join("state"), bytes).unwrap();
    for at in [0, 100, 200, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        write(&flipped);
        refused(folder, &format!("{EVAL} r.ct --checkpoint state"), "not of this evaluation");
        write(&whole[..at]);
        refused(folder, &format!("{EVAL} r.ct --checkpoint state"), "not of this evaluation");
    }
    write(&std::fs::read(folder.join("whole.ct")).unwrap());
    refused(folder, &format!("{EVAL} r.ct --checkpoint state"), "the file holds response");
    write(&whole);
}

#[test]
fn a_short_evaluation_leaves_nothing_and_another_model_s_is_refused() {
    let folder = Folder::new("checkpoint-short");
    let artifact = artifact(every_instruction(1));
    parties(&folder.0, &artifact, &inputs(&ClientFile::of(&artifact), 2));
    let text = succeed(&folder.0, &format!("{EVAL} r.ct --checkpoint state"));
    assert!(!text.contains("resumed") && !folder.path("state").exists(), "{text}");

    let other = Folder::new("checkpoint-other");
    let artifact = common::artifact(deep(bootstrap(8, 7, 4, Order::CoeffsFirst), BLOCKS));
    let (x, _) = sample(&artifact);
    parties(&other.0, &artifact, &x);
    kill(&other.0);
    std::fs::copy(other.path("state"), folder.path("state")).unwrap();
    refused(&folder.0, &format!("{EVAL} r.ct --checkpoint state"), "other parameters");
}
