//! A network deeper than any chain, from its plan to decrypted answers, by the files of its parties.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use hec_ckks::{Ciphertext, EvaluationKeys, SecretKey, SeededCiphertext, Stored};
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::circuit::{Circuit, Op, Output, ValueId};
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{magnitudes, simulate_circuit};
use hec_ir::program;
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::{Layout, LogN, Origin, Plain, Rotation, SlotMap, Slots};
use hec_plan::{BootstrapOptions, PlanOptions, plan_with_bootstraps};
use hec_run::{Client, Decryption, Server};
use hec_schedule::schedule;
use hec_tests::{Difference, Numbers};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const SLOTS: Slots = Slots(16);
/// Two go through one bootstrap, one is alone.
const CIPHERTEXTS: u32 = 3;

/// An orthogonal matrix: a rotation by 45° of slots that lie half of the slots apart, then one slot and one ciphertext on.
fn mix() -> SlotMap {
    let half = 0.5f64.sqrt();
    let sign = |s: usize| if s < SLOTS.0 / 2 { half } else { -half };
    let own = Arc::new(vec![half; SLOTS.0]);
    let other: Arc<Vec<f64>> = Arc::new((0..SLOTS.0).map(sign).collect());
    let of_output = |o: u32| {
        let i = (o + 1) % CIPHERTEXTS;
        [((o, i, Rotation(1)), Arc::clone(&own)), ((o, i, Rotation(SLOTS.0 as u32 / 2 + 1)), Arc::clone(&other))]
    };
    let diagonals = (0..CIPHERTEXTS).flat_map(of_output).collect();
    SlotMap { name: "mix".into(), slots: SLOTS, outputs: CIPHERTEXTS, inputs: CIPHERTEXTS, diagonals }
}

/// x ↦ mix(x + x²/8), then mix(x − x²/8): three levels each, and neither values nor errors grow or shrink.
fn deep(blocks: usize) -> Circuit {
    let mut c = Circuit::new("deep", SLOTS);
    let layout = Layout::row_major(Shape::new([CIPHERTEXTS as usize, SLOTS.0]), SLOTS);
    let mut x = c.input("x", layout.clone(), Origin::node("x"));
    let map = c.maps.push(mix());
    let shares = [0.125, -0.125].map(|share| c.plains.push(Plain::Scalar(share)));
    for block in 0..blocks {
        let mut push = |op, args: &[ValueId]| c.push(op, args.to_vec(), Origin::node(format!("block{block}"))).unwrap();
        let square = push(Op::Square, &[x]);
        let part = push(Op::MulPlain(shares[block % 2]), &[square]);
        let sum = push(Op::Add, &[x, part]);
        x = push(Op::Linear(map), &[sum]);
    }
    c.outputs.push(Output { name: "y".into(), value: x, layout, client: vec![] });
    c
}

#[test]
fn sixty_levels_are_encrypted_as_in_clear() {
    let circuit = deep(20);
    assert_eq!(hec_plan::depth(&circuit).0, 60);
    let x = vec![Numbers::new(3).tensor(Shape::new([CIPHERTEXTS as usize, SLOTS.0]), 0.5)];
    let expected = simulate_circuit(&circuit, &x).unwrap();
    let options = PlanOptions { log_n: LogN(5), scale_bits: None, magnitude: 2.0, digit_size: 2, insecure_toy: true };
    let bootstrap = BootstrapOptions {
        precision_bits: 16.0,
        levels: None,
        magnitudes: Some(magnitudes(&circuit, std::slice::from_ref(&x)).unwrap()),
        costs: CostTable::default(),
    };
    let leveled = plan_with_bootstraps(&circuit, &options, &bootstrap).unwrap();
    let program = schedule(&leveled, &CostTable::default()).unwrap();
    let is_bootstrap = |i: &&program::Instruction| matches!(i.op, program::Op::Bootstrap(_));
    assert!(program.instructions.iter().filter(is_bootstrap).count() > 3);

    let error =
        Difference::between(&encrypted(&Artifact::new(program, serde_json::Value::Null).unwrap(), &x), &expected);
    println!("the largest error is {error}");
    assert!(error.log2() < -10.0, "{error}");
}

/// The decrypted outputs: everything passes through a folder.
fn encrypted(artifact: &Artifact, x: &[Tensor]) -> Vec<Tensor> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bootstrap");
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    artifact.write(&path("model.hec")).unwrap();
    ClientFile::of(artifact).write(&path("model.client.json")).unwrap();

    let client = Client::load(&path("model.client.json")).unwrap();
    let (context, id) = (client.context(), client.program());
    let (secret, keys) = client.keygen().unwrap();
    secret.save(context, id, &path("secret.key")).unwrap();
    keys.save(context, id, &path("eval.keys")).unwrap();
    client.encrypt(&secret, x).unwrap().save(context, id, &path("request.ct")).unwrap();

    let server = Server::load(&path("model.hec"), None, &()).unwrap();
    let keys = EvaluationKeys::load(server.context(), server.program(), &path("eval.keys")).unwrap();
    let request = Vec::<SeededCiphertext>::load(server.context(), server.program(), &path("request.ct")).unwrap();
    let evaluated = server.eval(&Arc::new(keys), request, &()).unwrap();
    evaluated.response.save(server.context(), server.program(), &path("response.ct")).unwrap();

    let secret = SecretKey::load(context, id, &path("secret.key")).unwrap();
    let response = Vec::<Ciphertext>::load(context, id, &path("response.ct")).unwrap();
    client.decrypt(&secret, &response, &Decryption { raw: true, flood_bits: None }).unwrap()
}
