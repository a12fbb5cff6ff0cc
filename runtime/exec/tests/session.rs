//! Programs on real ciphertexts, through the library.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod common;

use common::{artifact, every_instruction, every_instruction_of, inputs, secure};
use hec_ckks::{PrecisionStats, Stored};
use hec_ir::Batch;
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::tensor::Tensor;
use hec_run::{Client, Decryption, MemoryPlan, Progress, RunError, Server, Session};
use std::sync::{Arc, Mutex};

const RAW: Decryption = Decryption { raw: true, flood_bits: None };

fn assert_close(actual: &[Tensor], expected: &[Tensor], log2_bound: f64) {
    assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        assert_eq!(a.shape, e.shape);
        let stats = PrecisionStats::of(&a.data, &e.data);
        assert!(stats.log2_max < log2_bound, "{stats}, not below {log2_bound}");
        assert!(stats.log2_max.is_finite(), "an encrypted result is never exact");
    }
}

#[test]
fn every_instruction_computes_what_it_computes_in_clear() {
    let artifact = artifact(every_instruction(1));
    let x = inputs(&ClientFile::of(&artifact), 2);
    let expected = simulate_clear(artifact.program(), &x).unwrap();
    let session = Session::new(artifact, None, &()).unwrap();
    let inference = session.infer(&x, &RAW, &()).unwrap();
    assert_close(&inference.outputs[0], &expected, -22.0);
    // The client's softmax is applied unless it is left out.
    let finished = session.infer(&x, &Decryption::default(), &()).unwrap().outputs.remove(0);
    assert!((finished[0].data.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert_close(&finished[1..], &expected[1..], -22.0);
    // Noise of 2^-10 a slot, and no more.
    let flooded = session.infer(&x, &Decryption { raw: true, flood_bits: Some(10.0) }, &()).unwrap().outputs.remove(0);
    let stats = PrecisionStats::of(&flooded[1].data, &expected[1].data);
    assert!((stats.log2_std + 10.0).abs() < 0.5, "{stats}");
}

#[test]
fn a_batch_computes_each_of_its_samples() {
    let batch = Batch(4);
    let artifact = artifact(every_instruction_of(batch, 1));
    let client = ClientFile::of(&artifact);
    let samples: Vec<Vec<Tensor>> = (0..4).map(|seed| inputs(&client, seed)).collect();
    let expected: Vec<_> = samples.iter().map(|x| simulate_clear(artifact.program(), x).unwrap()).collect();
    let session = Session::new(artifact, None, &()).unwrap();
    // A full one, and one that is not.
    for count in [4, 3] {
        let outputs = session.infer_batch(&samples[..count], &RAW, &()).unwrap().outputs;
        assert_eq!(outputs.len(), count);
        outputs.iter().zip(&expected).for_each(|(actual, expected)| assert_close(actual, expected, -22.0));
    }
    let too_many = [&samples[..], &samples[..1]].concat();
    for (wrong, reason) in [(&too_many[..], "at most 4 samples, but 5"), (&[], "must hold a sample")] {
        let error = session.infer_batch(wrong, &RAW, &()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_secure_program() {
    let artifact = artifact(secure());
    let x = inputs(&ClientFile::of(&artifact), 3);
    let expected = simulate_clear(artifact.program(), &x).unwrap();
    let session = Session::new(artifact, None, &()).unwrap();
    assert!(session.client().context().parameters().security().is_secure());
    assert_close(&session.infer(&x, &RAW, &()).unwrap().outputs[0], &expected, -17.0);
    // Sizes that are told without writing a file are those of the file.
    let (_, keys) = session.client().keygen().unwrap();
    let stored = keys.to_bytes(session.client().context(), session.client().program()).unwrap().len();
    let told = session.stored_key_bytes();
    assert!(told <= stored && stored < told + 4096, "{told} told, {stored} stored");
    assert_eq!(session.key_bytes(), session.server().memory().keys);
}

#[test]
fn memory_decides_how_constants_are_kept_not_the_result() {
    let artifact = artifact(every_instruction(1));
    let x = inputs(&ClientFile::of(&artifact), 2);
    let expected = simulate_clear(artifact.program(), &x).unwrap();
    let plan = Session::new(artifact.clone(), None, &()).unwrap().server().memory();
    let least = plan.keys + plan.program + plan.process + plan.registers;
    let mut kept = Vec::new();
    // Nothing ahead, integers for all diagonals, residues for all.
    let working = 32 << 20;
    for extra in [working, working + (250 << 10), working + (200 << 20)] {
        let session = Session::new(artifact.clone(), Some(least + extra), &()).unwrap();
        assert_close(&session.infer(&x, &RAW, &()).unwrap().outputs[0], &expected, -22.0);
        assert!(session.server().memory().total() <= least + extra);
        kept.push(session.server().prepared().encoded_bytes());
    }
    assert!(kept[0] == 0 && kept[0] < kept[1] && kept[1] < kept[2], "{kept:?}");
    let refused = Session::new(artifact, Some(least), &()).unwrap_err();
    assert!(matches!(&refused, RunError::Memory { .. }), "{refused}");
    assert_eq!(refused.code(), "HEC-R011");
}

#[test]
fn many_requests_share_a_prepared_program() {
    let artifact = artifact(every_instruction(1));
    let server = Server::new(artifact.clone(), None, &()).unwrap();
    let MemoryPlan { keys, registers, .. } = server.memory();
    assert!(keys > 0 && registers > 0);
    let client = Client::new(ClientFile::of(&artifact)).unwrap();
    for seed in [5, 6] {
        let x = inputs(client.file(), seed);
        let (secret, keys) = client.keygen().unwrap();
        let request = client.encrypt(&secret, &x).unwrap();
        let evaluated = server.eval(&Arc::new(keys), request, &()).unwrap();
        let outputs = client.decrypt(&secret, &evaluated.response, &RAW).unwrap();
        assert_close(&outputs, &simulate_clear(artifact.program(), &x).unwrap(), -22.0);
    }
}

/// Remembers what it was told.
#[derive(Default)]
struct Listener(Mutex<Vec<(usize, usize, String)>>);

impl Progress for Listener {
    fn advance(&self, done: usize, total: usize, what: &str) {
        self.0.lock().unwrap().push((done, total, what.to_owned()));
    }
}

#[test]
fn time_and_progress_by_layer() {
    let artifact = artifact(every_instruction(1));
    let count = artifact.program().instructions.len();
    let x = inputs(&ClientFile::of(&artifact), 2);
    let session = Session::new(artifact, None, &()).unwrap();
    let listener = Listener::default();
    let inference = session.infer(&x, &RAW, &listener).unwrap();
    let told = listener.0.into_inner().unwrap();
    assert_eq!(told.first(), Some(&(0, count, "x".to_owned())));
    assert_eq!(told.last(), Some(&(count, count, String::new())));
    let trace = &inference.trace;
    assert_eq!(trace.steps.len(), count);
    let steps: f64 = trace.steps.iter().map(|s| s.seconds).sum();
    let total = inference.eval.as_secs_f64();
    assert!(0.0 < steps && steps <= total, "{steps} of {total}");
    let layers = trace.layers();
    let names: Vec<&str> = layers.iter().map(|l| l.layer.as_str()).collect();
    assert_eq!(names, ["x", "first", "skip", "square", "product", "scale", "last", "z", "mix", "sum"]);
    assert!((layers.iter().map(|l| l.seconds).sum::<f64>() - steps).abs() < 1e-9);
    let first = &layers[1];
    assert_eq!((first.instructions, first.level), (3, 4));
    assert!(trace.to_string().lines().count() == layers.len() + 2);
}

fn expect(result: Result<impl Sized, RunError>, code: &str, reason: &str) {
    let error = result.err().expect("refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let artifact = artifact(every_instruction(1));
    let server = Server::new(artifact.clone(), None, &()).unwrap();
    let client = Client::new(ClientFile::of(&artifact)).unwrap();
    let x = inputs(client.file(), 2);
    let (secret, keys) = client.keygen().unwrap();
    let (other_secret, _) = client.keygen().unwrap();
    let keys = Arc::new(keys);
    let request = client.encrypt(&secret, &x).unwrap();

    let other = client.encrypt(&other_secret, &x).unwrap();
    expect(server.eval(&keys, other, &()), "HEC-R007", "different secret keys");
    expect(server.eval(&keys, request[..2].to_vec(), &()), "HEC-R006", "2 ciphertexts, but this program's has 3");
    let mut fewer = client.file().clone();
    fewer.keys.rotations.pop_last();
    let (lacking_secret, lacking) = Client::new(fewer).unwrap().keygen().unwrap();
    let own = client.encrypt(&lacking_secret, &x).unwrap();
    expect(server.eval(&Arc::new(lacking), own, &()), "HEC-R008", "no key for rotation");

    let response = server.eval(&keys, request, &()).unwrap().response;
    expect(client.decrypt(&other_secret, &response, &RAW), "HEC-R007", "different secret keys");
    expect(client.decrypt(&secret, &response[1..], &RAW), "HEC-R006", "response");

    expect(client.encrypt(&secret, &x[..1]), "HEC-R004", "takes 2 inputs");
    let mut wrong = x.clone();
    wrong[0].shape = hec_ir::tensor::Shape::new([8]);
    expect(client.encrypt(&secret, &wrong), "HEC-R004", "input x has shape [8], but the model takes [1, 8]");
    wrong = x.clone();
    wrong[0].data[3] = f64::NAN;
    expect(client.encrypt(&secret, &wrong), "HEC-R004", "element 3");
    wrong[0].data[3] = 1e80;
    expect(client.encrypt(&secret, &wrong), "HEC-R009", "bits");
}

#[test]
fn other_parameters_and_insecure_claims_are_refused() {
    let artifact = artifact(every_instruction(1));
    let client = Client::new(ClientFile::of(&artifact)).unwrap();
    let secure: Artifact = common::artifact(secure());
    expect(Server::with_context(secure, client.context(), None, &()), "HEC-R006", "other parameters");
    let mut honest = client.file().clone();
    honest.parameters.insecure_toy = false;
    expect(Client::new(honest), "HEC-R002", "128-bit");
}
