//! The three parties by files, through the binary.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod common;

use common::{Folder, artifact, every_instruction, every_instruction_of, inputs, secure};
use hec_ckks::PrecisionStats;
use hec_ir::Batch;
use hec_ir::array::{self, ElementType, write_npy, write_npz};
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::tensor::{Shape, Tensor};
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hec-run")).current_dir(folder).args(args.split_whitespace()).output().unwrap()
}

/// What a command prints on stdout and stderr.
#[track_caller]
fn succeed(folder: &Path, args: &str) -> (String, String) {
    let output = run(folder, args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "hec-run {args}: {err}");
    (out, err)
}

/// The message of a command that must fail: with a code and without a panic.
#[track_caller]
fn fail(folder: &Path, args: &str, code: &str) -> String {
    let output = run(folder, args);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "hec-run {args}: {err}");
    assert!(err.contains(&format!("error[{code}")), "hec-run {args}, not {code}: {err}");
    err
}

/// A compiled model and its inputs in a folder.
struct Model {
    folder: Folder,
    artifact: Artifact,
    inputs: Vec<Tensor>,
}

impl Model {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let artifact = artifact(every_instruction(1));
        artifact.write(&folder.path("model.hec")).unwrap();
        let client = ClientFile::of(&artifact);
        client.write(&folder.path("model.client.json")).unwrap();
        let inputs = inputs(&client, 2);
        let arrays = client.inputs.iter().zip(&inputs).map(|(i, t)| (i.name.as_str(), t, ElementType::F64));
        std::fs::write(folder.path("input.npz"), write_npz(arrays).unwrap()).unwrap();
        Model { folder, artifact, inputs }
    }

    fn run_client(&self) {
        succeed(&self.folder.0, "keygen model.client.json --out .");
        succeed(&self.folder.0, "encrypt model.client.json --secret secret.key --input input.npz -o request.ct");
    }
}

const EVAL: &str = "eval model.hec --keys eval.keys --input request.ct -o response.ct";
const DECRYPT: &str = "decrypt model.client.json --secret secret.key --input response.ct";

#[test]
fn three_parties() {
    let model = Model::new("parties");
    let client = &model.folder.0;
    let (out, err) = succeed(client, "keygen model.client.json --out .");
    assert!(out.contains("eval.keys") && err.contains("INSECURE"), "{out}{err}");
    let again = fail(client, "keygen model.client.json --out .", "HEC-R012");
    assert!(again.contains("--force"), "{again}");
    succeed(client, "encrypt model.client.json --secret secret.key --input input.npz -o request.ct");

    // The server's folder holds the model, the keys and the request: nothing else.
    let server = client.join("server");
    std::fs::create_dir(&server).unwrap();
    for name in ["model.hec", "eval.keys", "request.ct"] {
        std::fs::copy(client.join(name), server.join(name)).unwrap();
    }
    let (out, err) = succeed(&server, &format!("{EVAL} --trace --threads 2 --max-memory 1G"));
    assert!(out.contains("first") && out.contains("evaluated in"), "{out}");
    assert!(err.contains("INSECURE"), "{err}");
    std::fs::copy(server.join("response.ct"), client.join("response.ct")).unwrap();

    succeed(client, &format!("{DECRYPT} --raw -o outputs.npz"));
    let outputs = array::load(&client.join("outputs.npz")).unwrap();
    let expected = simulate_clear(model.artifact.program(), &model.inputs).unwrap();
    for ((name, array), (output, expected)) in
        outputs.iter().zip(model.artifact.program().outputs.iter().zip(&expected))
    {
        assert_eq!((name, &array.shape), (&output.name, &expected.shape));
        let stats = PrecisionStats::of(&array.data, &expected.data);
        assert!(stats.log2_max < -22.0, "{name}: {stats}");
    }
    let (out, _) = succeed(client, DECRYPT);
    assert!(out.contains("y [1, 8]:") && out.contains("largest at ["), "{out}");
    fail(client, &format!("{DECRYPT} -o outputs.npy"), "HEC-R012");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(client.join("secret.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let names = std::fs::read_dir(client).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|n| n.contains("partial")).count(), 0, "no temporary file is left");
}

/// Three samples in a request of up to four, by the files of the parties and in one process.
#[test]
fn several_samples_a_request() {
    let folder = Folder::new("batch");
    let client = &folder.0;
    let artifact = artifact(every_instruction_of(Batch(4), 1));
    artifact.write(&folder.path("model.hec")).unwrap();
    ClientFile::of(&artifact).write(&folder.path("model.client.json")).unwrap();
    let samples: Vec<Vec<Tensor>> = (0..6).map(|seed| inputs(&ClientFile::of(&artifact), seed)).collect();
    let stacked = |own: &[Vec<Tensor>], i: usize| {
        let data: Vec<f64> = own.iter().flat_map(|x| x[i].data.iter().copied()).collect();
        Tensor { shape: Shape::new([&[own.len()], own[0][i].shape.dims()].concat()), data }
    };
    let write = |name: &str, own: &[Vec<Tensor>]| {
        let tensors = [stacked(own, 0), stacked(own, 1)];
        let arrays = ["x", "z"].into_iter().zip(&tensors).map(|(name, t)| (name, t, ElementType::F64));
        std::fs::write(folder.path(name), write_npz(arrays.collect::<Vec<_>>()).unwrap()).unwrap();
    };
    write("three.npz", &samples[..3]);
    write("six.npz", &samples);
    succeed(client, "keygen model.client.json --out .");
    let encrypt = "encrypt model.client.json --secret secret.key -o request.ct --input";
    let (out, _) = succeed(client, &format!("{encrypt} three.npz"));
    assert!(out.contains("3 of 4 samples: decrypt with --count 3"), "{out}");
    succeed(client, EVAL);
    succeed(client, &format!("{DECRYPT} --raw --count 3 -o outputs.npz"));
    let clear = |x: &Vec<Tensor>| simulate_clear(artifact.program(), x).unwrap();
    let expected: Vec<Vec<Tensor>> = samples.iter().map(clear).collect();
    let outputs = array::load(&folder.path("outputs.npz")).unwrap();
    for (i, (name, actual)) in outputs.iter().enumerate() {
        let stats = PrecisionStats::of(&actual.data, &stacked(&expected[..3], i).data);
        assert!(stats.log2_max < -22.0, "{name}: {stats}");
    }
    assert_eq!(outputs[0].1.shape.dims(), [3, common::WIDTH]);
    assert!(fail(client, &format!("{DECRYPT} --count 5"), "HEC-R004").contains("at most 4 samples, but 5"));
    assert!(fail(client, &format!("{encrypt} six.npz"), "HEC-R004").contains("holds 6 samples, a request 4"));
    fail(client, &format!("{encrypt} six.npz --index 4 --count 3"), "HEC-R004");
    succeed(client, &format!("{encrypt} six.npz --index 2 --count 4"));

    // A batch of four and one of two.
    let (json, _) = succeed(client, "infer model.hec --input six.npz --raw --json");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["batch"], report["samples"].as_array().unwrap().len()), (&4.into(), 6));
    for (sample, expected) in report["samples"].as_array().unwrap().iter().zip(&expected) {
        let output: Vec<f64> = sample["output"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let stats = PrecisionStats::of(&output, &expected[0].data);
        assert!(stats.log2_max < -22.0, "{stats}");
    }
    let (text, _) = succeed(client, "infer model.hec --input three.npz");
    assert!(text.contains("each batch of 4 (median)") && text.contains("a sample of a full one"), "{text}");
}

#[test]
fn inference_in_one_process() {
    let folder = Folder::new("infer");
    let artifact = artifact(secure());
    artifact.write(&folder.path("model.hec")).unwrap();
    let client = ClientFile::of(&artifact);
    let samples: Vec<Tensor> = (0..3).map(|seed| inputs(&client, seed).remove(0)).collect();
    let stacked = |tensors: &[Tensor]| {
        let data: Vec<f64> = tensors.iter().flat_map(|t| t.data.iter().copied()).collect();
        Tensor { shape: Shape::new([tensors.len(), common::WIDTH]), data }
    };
    let write = |name: &str, tensor: &Tensor, element| {
        std::fs::write(folder.path(name), write_npy(tensor, element).unwrap()).unwrap();
    };
    let run = |x: &Tensor| simulate_clear(artifact.program(), std::slice::from_ref(x)).unwrap().remove(0);
    let expected: Vec<Tensor> = samples.iter().map(run).collect();
    let largest = |t: &Tensor| t.data.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as f64;
    let mut labels: Vec<f64> = expected.iter().map(largest).collect();
    labels[2] = (labels[2] + 1.0) % 8.0;
    write("x.npy", &stacked(&samples), ElementType::F64);
    write("expected.npy", &stacked(&expected), ElementType::F64);
    write("labels.npy", &Tensor { shape: Shape::new([3]), data: labels }, ElementType::I64);

    let all = "infer model.hec --input x.npy --labels labels.npy --against expected.npy";
    let (json, err) = succeed(&folder.0, &format!("{all} --json --output out.npy"));
    assert!(err.is_empty(), "quiet when it is not a terminal: {err}");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["labels_agree"], 2);
    assert_eq!(report["expected_agree"], 3);
    assert_eq!(report["insecure"], false);
    assert_eq!(report["samples"].as_array().unwrap().len(), 3);
    let worst = report["error"]["log2_max"].as_f64().unwrap();
    assert!(worst < -17.0, "{worst}");
    for bytes in ["keys_file_bytes", "request_bytes", "peak_memory_bytes"] {
        assert!(report[bytes].as_u64().unwrap() > 1000, "{bytes}");
    }
    // What was most held at once: keys and constants, and little beside them for a network of this size.
    let number = |name: &str| report[name].as_u64().unwrap();
    let held = number("keys_memory_bytes") + number("constants_memory_bytes");
    let peak = number("peak_memory_bytes");
    assert!(held < peak && peak < held + (512 << 20), "peak {peak}, of which keys and constants {held}");
    let written = &array::load(&folder.path("out.npy")).unwrap()[0].1;
    assert_eq!(written.shape, Shape::new([3, 8]));
    assert!(PrecisionStats::of(&written.data, &stacked(&expected).data).log2_max < -17.0);

    let (text, _) = succeed(&folder.0, "infer model.hec --input x=x.npy --index 1 --trace");
    assert!(text.contains("sample 1: class") && text.contains("128-bit classical security"), "{text}");
    assert!(text.contains(", peak memory "), "{text}");
    assert!(text.contains("dense") && text.contains("square"), "{text}");
    fail(&folder.0, "infer model.hec --input x.npy --count 4", "HEC-R012");
    fail(&folder.0, "infer model.hec --input x.npy --index 3", "HEC-R004");
    fail(&folder.0, "infer model.hec --input x.npy --labels expected.npy --against labels.npy", "HEC-R004");
    fail(&folder.0, "infer model.hec --input x.npy --max-memory 1M", "HEC-R011");
}

#[test]
fn primitives_are_measured() {
    let folder = Folder::new("bench");
    let (text, _) = succeed(&folder.0, "bench --ring 13 --threads 1");
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].ends_with("N = 2^13") && rows[1].ends_with(" 3"), "{text}");
    assert_eq!(rows.len(), 16, "{text}");
    for row in &rows[2..] {
        let time: f64 = row.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(time > 0.0, "{row}");
    }
    let refused = fail(&folder.0, "bench --ring 12", "HEC-R");
    assert!(refused.contains("[13, 14, 15, 16]"), "{refused}");
}

#[test]
fn what_a_file_is() {
    let model = Model::new("inspect");
    model.run_client();
    succeed(&model.folder.0, EVAL);
    let told = [
        ("model.hec", "compiled model"),
        ("model.client.json", "client's part"),
        ("secret.key", "secret key, never give it away"),
        ("eval.keys", "evaluation keys"),
        ("request.ct", "request"),
        ("response.ct", "response"),
    ];
    for (file, what) in told {
        let (text, _) = succeed(&model.folder.0, &format!("inspect {file}"));
        assert!(text.contains(what) && text.contains("INSECURE"), "{file}: {text}");
        let (json, _) = succeed(&model.folder.0, &format!("inspect {file} --json --client model.client.json"));
        let facts: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(facts["program"].as_str(), Some(&*model.artifact.manifest().program_id), "{file}");
    }
    let (text, _) = succeed(&model.folder.0, "inspect eval.keys --client model.client.json");
    assert!(text.contains("relinearization, up to level") && text.contains("rotation by"), "{text}");
    fail(&model.folder.0, "inspect input.npz", "HEC-R002");
    fail(&model.folder.0, "inspect missing", "HEC-R001");
}

#[test]
fn what_belongs_to_another_model_or_key_is_refused() {
    let model = Model::new("foreign");
    let folder = &model.folder.0;
    model.run_client();
    succeed(folder, EVAL);
    // The same network with other weights, and the same model with other keys.
    let other = artifact(every_instruction(9));
    other.write(&folder.join("other.hec")).unwrap();
    ClientFile::of(&other).write(&folder.join("other.client.json")).unwrap();
    succeed(folder, "keygen other.client.json --out other");
    succeed(folder, "keygen model.client.json --out again");

    let err = fail(folder, "eval model.hec --keys other/eval.keys --input request.ct -o r.ct", "HEC-R006");
    assert!(err.contains("another program") && err.contains("help:"), "{err}");
    fail(folder, "eval other.hec --keys eval.keys --input request.ct -o r.ct", "HEC-R006");
    fail(folder, "eval model.hec --keys again/eval.keys --input request.ct -o r.ct", "HEC-R007");
    fail(folder, "eval model.hec --keys request.ct --input request.ct -o r.ct", "HEC-R006");
    fail(folder, "eval model.client.json --keys eval.keys --input request.ct -o r.ct", "HEC-R002");
    fail(folder, "decrypt model.client.json --secret again/secret.key --input response.ct", "HEC-R007");
    fail(folder, "decrypt model.client.json --secret other/secret.key --input response.ct", "HEC-R006");
    fail(folder, "decrypt model.client.json --secret eval.keys --input response.ct", "HEC-R006");
    fail(folder, "decrypt model.client.json --secret secret.key --input request.ct", "HEC-R006");
    fail(folder, "eval model.hec --keys missing --input request.ct -o r.ct", "HEC-R001");
    fail(folder, &format!("{EVAL}/in/no/folder"), "HEC-R001");
    assert!(!folder.join("r.ct").exists());
    let encrypt = "encrypt model.client.json --secret secret.key -o r.ct --input";
    fail(folder, &format!("{encrypt} x=input.npz"), "HEC-R004");
    fail(folder, &format!("{encrypt} model.hec"), "HEC-R003");
    fail(folder, &format!("{encrypt} input.npz --index 1"), "HEC-R004");
    let output = run(folder, "eval model.hec --max-memory lots");
    assert_eq!(output.status.code(), Some(2), "clap's own errors");
}

#[test]
fn damaged_files_of_every_kind_are_refused() {
    let model = Model::new("damage");
    let folder = &model.folder.0;
    model.run_client();
    succeed(folder, EVAL);
    std::fs::rename(folder.join("response.ct"), folder.join("good.ct")).unwrap();
    let encrypt = "encrypt model.client.json --secret secret.key --input input.npz -o response.ct";
    let decrypt = "decrypt model.client.json --secret secret.key --input good.ct -o response.ct";
    let readers = [
        ("model.hec", EVAL),
        ("eval.keys", EVAL),
        ("request.ct", EVAL),
        ("model.client.json", encrypt),
        ("input.npz", encrypt),
        ("secret.key", decrypt),
        ("good.ct", decrypt),
    ];
    for (file, reader) in readers {
        let path = folder.join(file);
        let bytes = std::fs::read(&path).unwrap();
        let refused = |damaged: &[u8], what: &str| {
            std::fs::write(&path, damaged).unwrap();
            let err = fail(folder, reader, "HEC-R");
            assert!(!err.contains("panicked"), "{file} {what}: {err}");
            assert!(!folder.join("response.ct").exists(), "{file} {what} was used");
        };
        // The last byte of a text is its line break, which may be missing.
        for at in (0..bytes.len()).step_by(bytes.len() / 7 + 1).chain([bytes.len() - 2]) {
            refused(&bytes[..at], &format!("cut at {at}"));
            // Arrays have no checksum of their own but the archive's, which covers names and contents.
            if file != "input.npz" {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                refused(&flipped, &format!("flipped at {at}"));
            }
        }
        std::fs::write(&path, bytes).unwrap();
    }
    succeed(folder, EVAL);
}
