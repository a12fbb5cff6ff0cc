//! Programs that bootstrap, on real ciphertexts.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod common;

use common::{Folder, artifact, bootstrap, deep, deep_of, sample};
use hec_ckks::{BootstrapMemory, Bootstrapper, EvaluationKeys, MemoryBudget, PrecisionStats, Stored};
use hec_ir::array::{ElementType, write_npy};
use hec_ir::artifact::ClientFile;
use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::program::{Op, Program};
use hec_ir::tensor::Tensor;
use hec_ir::{Batch, Level};
use hec_params::Order;
use hec_run::{Client, Decryption, Progress, RunError, Server, Session};
use std::process::Command;
use std::sync::{Arc, Mutex};

const RAW: Decryption = Decryption { raw: true, flood_bits: None };
fn bootstraps(program: &Program) -> usize {
    program.instructions.iter().filter(|i| matches!(i.op, Op::Bootstrap(_))).count()
}

#[track_caller]
fn assert_close(actual: &[Tensor], expected: &[Tensor]) {
    assert_eq!(actual[0].shape, expected[0].shape);
    let stats = PrecisionStats::of(&actual[0].data, &expected[0].data);
    println!("{stats}");
    assert!(stats.log2_max < -10.0, "{stats}");
}

#[test]
fn sixty_levels_by_files() {
    let folder = Folder::new("bootstrap");
    let artifact = artifact(deep(bootstrap(5, 4, 4, Order::CoeffsFirst), 20));
    let (x, y) = sample(&artifact);
    artifact.write(&folder.path("model.hec")).unwrap();
    ClientFile::of(&artifact).write(&folder.path("model.client.json")).unwrap();
    let client = Client::load(&folder.path("model.client.json")).unwrap();
    let (secret, keys) = client.keygen().unwrap();
    keys.save(client.context(), client.program(), &folder.path("eval.keys")).unwrap();
    let request = client.encrypt(&secret, &x).unwrap();
    let start = client.scheme().input_level();
    assert!(request.iter().all(|c| c.level() == start) && start < client.context().parameters().top_level());

    let server = Server::load(&folder.path("model.hec"), None, &()).unwrap();
    let response = |keys: &Arc<EvaluationKeys>| {
        let request = request.to_bytes(client.context(), client.program()).unwrap();
        let request = Stored::from_bytes(server.context(), server.program(), &request).unwrap();
        server.eval(keys, request, &()).unwrap().response
    };
    // The same keys, from the file each time, give the same bits.
    let loaded = [0; 2].map(|_| EvaluationKeys::load(server.context(), server.program(), &folder.path("eval.keys")));
    let responses = loaded.map(|keys| response(&Arc::new(keys.unwrap())));
    let bytes = responses.each_ref().map(|r| r.to_bytes(client.context(), client.program()).unwrap());
    assert!(bytes[0] == bytes[1]);
    assert_close(&client.decrypt(&secret, &responses[0], &RAW).unwrap(), &y);
}

/// A value of 8 slots is in a ciphertext twice, or four times.
#[test]
fn fewer_slots_than_a_ciphertext_has() {
    for (log_n, order) in [(5, Order::CoeffsFirst), (6, Order::CoeffsLast)] {
        let artifact = artifact(deep(bootstrap(log_n, 3, 4, order), 4));
        assert_eq!(bootstraps(artifact.program()), 3);
        let (x, y) = sample(&artifact);
        assert_close(&Session::new(artifact, None, &()).unwrap().infer(&x, &RAW, &()).unwrap().outputs[0], &y);
    }
}

/// Two inputs have four slots each of a ciphertext's sixteen, twice.
#[test]
fn inputs_that_share_a_bootstrap() {
    let artifact = artifact(deep_of(Batch(2), bootstrap(5, 3, 4, Order::CoeffsFirst), 4));
    let (x, y) = sample(&artifact);
    let other = vec![Tensor { shape: x[0].shape.clone(), data: x[0].data.iter().map(|v| -0.5 * v).collect() }];
    let expected = simulate_clear(artifact.program(), &other).unwrap();
    let session = Session::new(artifact, None, &()).unwrap();
    let outputs = session.infer_batch(&[x, other], &RAW, &()).unwrap().outputs;
    assert_close(&outputs[0], &y);
    assert_close(&outputs[1], &expected);
}

fn expect(result: Result<impl Sized, RunError>, code: &str, reason: &str) {
    let error = result.err().expect("refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn other_keys_are_refused() {
    let artifact = artifact(deep(bootstrap(5, 4, 4, Order::CoeffsFirst), 3));
    let (x, _) = sample(&artifact);
    let client = Client::new(ClientFile::of(&artifact)).unwrap();
    let server = Server::new(artifact.clone(), None, &()).unwrap();
    let (secret, keys) = client.keygen().unwrap();
    let (_, other) = client.keygen().unwrap();
    let request = || client.encrypt(&secret, &x).unwrap();
    assert!(server.eval(&Arc::new(keys), request(), &()).is_ok());
    expect(server.eval(&Arc::new(other), request(), &()), "HEC-R007", "different secret keys");
    let rng = &mut hec_ckks::os_rng().unwrap();
    let mut lacking = |leave_out: fn(&mut hec_ckks::KeyRequest)| {
        let mut asked = client.key_request();
        leave_out(&mut asked);
        Arc::new(EvaluationKeys::generate(client.context(), &secret, &asked, rng).unwrap())
    };
    let keys = lacking(|asked| asked.encapsulate = None);
    expect(server.eval(&keys, request(), &()), "HEC-R008", "encapsulation in a sparse secret");
    let keys = lacking(|asked| asked.conjugate = None);
    expect(server.eval(&keys, request(), &()), "HEC-R008", "no key for conjugation");
    let keys = lacking(|asked| asked.relinearize = Some(Level(3)));
    expect(server.eval(&keys, request(), &()), "HEC-R008", "no key for relinearization");
    let keys = lacking(|asked| asked.rotations.retain(|rotation, _| rotation.0 != 1));
    expect(server.eval(&keys, request(), &()), "HEC-R008", "no key for rotation");

    let mut unfit = client.file().clone();
    unfit.bootstrap.as_mut().unwrap().weight = 16;
    unfit.bootstrap.as_mut().unwrap().levels.0 += 1;
    expect(Client::new(unfit), "HEC-R002", "not those that the choice makes");
}

#[test]
fn the_binary_tells_how_precise_likely_and_secure_they_are() {
    let folder = Folder::new("bootstrap-told");
    let artifact = artifact(deep(bootstrap(5, 4, 4, Order::CoeffsFirst), 5));
    artifact.write(&folder.path("model.hec")).unwrap();
    let client = ClientFile::of(&artifact);
    client.write(&folder.path("model.client.json")).unwrap();
    let (x, _) = sample(&artifact);
    std::fs::write(folder.path("x.npy"), write_npy(&x[0], ElementType::F64).unwrap()).unwrap();
    let run = |args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hec-run"));
        let output = command.current_dir(&folder.0).args(args.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Four bootstraps of three ciphertexts.
    let told = "16 slots, level 2 → 6, error 2^-2";
    for (args, count) in [
        ("inspect model.hec", "12 of "),
        ("inspect model.client.json", ""),
        ("infer model.hec --input x.npy", "12 of "),
    ] {
        let text = run(args);
        assert!(text.contains(&format!(" {count}{told}")), "{args}: {text}");
        assert!(text.contains("each fails with probability at most 2^-1"), "{args}: {text}");
        assert_eq!(text.contains("any of them with 2^-1"), !count.is_empty(), "{args}: {text}");
        assert!(
            text.contains("sparse secret of weight 32") && text.contains("hybrid attack: INSECURE"),
            "{args}: {text}"
        );
    }
    run("keygen model.client.json --out .");
    let text = run("inspect eval.keys --client model.client.json");
    assert!(text.contains("encapsulation in a sparse secret, up to level") && text.contains("conjugation"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&run("infer model.hec --input x.npy --json")).unwrap();
    assert_eq!(json["bootstraps"]["count"], 12);
    let [one, any] = ["log2_failure_of_one", "log2_failure"].map(|name| json["bootstraps"][name].as_f64().unwrap());
    assert!(one < -100.0 && (any - one - 12f64.log2()).abs() < 1e-9);
}

/// Remembers what it was told.
#[derive(Default)]
struct Listener(Mutex<Vec<String>>);

impl Progress for Listener {
    fn advance(&self, _done: usize, _total: usize, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

#[test]
fn memory_time_and_progress() {
    let artifact = artifact(deep(bootstrap(6, 5, 4, Order::CoeffsLast), 5));
    assert_eq!(bootstraps(artifact.program()), 4);
    let (x, y) = sample(&artifact);
    let preparing = Listener::default();
    let session = Session::new(artifact.clone(), None, &preparing).unwrap();
    assert!(preparing.0.into_inner().unwrap().contains(&"bootstrap".to_owned()));
    let evaluating = Listener::default();
    let inference = session.infer(&x, &RAW, &evaluating).unwrap();
    assert_close(&inference.outputs[0], &y);
    let told = evaluating.0.into_inner().unwrap();
    let bootstraps: Vec<_> = told.iter().filter(|t| t.starts_with("block1, ")).collect();
    assert_eq!(bootstraps, ["block1, bootstrap 1 of 3", "block1, bootstrap 3 of 3"]);
    let layers = inference.trace.layers();
    assert!(layers[2].bootstrap_seconds > 0.0 && layers[2].bootstrap_seconds < layers[2].seconds);
    assert!(inference.trace.to_string().lines().next().unwrap().contains("bootstrap s"));

    let (plan, client) = (session.server().memory(), session.client());
    assert_eq!(session.key_bytes(), plan.keys);
    let (_, keys) = client.keygen().unwrap();
    let stored = keys.to_bytes(client.context(), client.program()).unwrap().len();
    let told = session.stored_key_bytes();
    assert!(told <= stored && stored < told + 8192, "{told} told, {stored} stored");
    let parameters = client.scheme().bootstrap().unwrap();
    assert_eq!(plan.bootstrap, Bootstrapper::new(client.context(), parameters).unwrap().bytes());
    // Everything that must be held, diagonals in their smallest form, and the least that maps work with.
    let diagonals = BootstrapMemory::of(parameters, MemoryBudget(0)).diagonals;
    let least = plan.keys + plan.program + plan.process + diagonals + plan.registers + (32 << 20);
    assert_close(
        &Session::new(artifact.clone(), Some(least), &()).unwrap().infer(&x, &RAW, &()).unwrap().outputs[0],
        &y,
    );
    expect(Session::new(artifact, Some(least - 1), &()), "HEC-R011", "at least");
}
