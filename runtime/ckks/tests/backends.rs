//! Every backend and any number of threads give the same bytes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{party, toy};
use hec_arith::{Backend, with_backend};
use hec_ckks::Stored;
use hec_params::Rotation;

/// Keys, encryption, a product, a rotation, a drop: as the bytes of a response.
fn run() -> Vec<u8> {
    let mut p = party(&toy(12, 3, 40.0, 2), &[3], 40);
    let x = p.random();
    let (a, b) = (p.encrypt(&x), p.encrypt(&x));
    let product = p.evaluator.relinearize_rescale(&p.evaluator.multiply(&a, &b).unwrap()).unwrap();
    let turned = p.evaluator.rotate(&product, Rotation(3)).unwrap();
    let dropped = p.evaluator.adjust(&turned, hec_params::Level(0)).unwrap();
    vec![product, turned, dropped].to_bytes(&p.context, &[0; 32]).unwrap()
}

#[test]
fn the_same_bytes() {
    let expected = run();
    for &backend in Backend::available() {
        // A backend is forced for one thread.
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let bytes = one.install(|| with_backend(backend, run).unwrap());
        assert!(bytes == expected, "{backend:?}");
    }
}
