//! Every operation against the same operation on clear slots.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Party, map, parameters, party, rotated, toy, zip};
use hec_ckks::{
    Ciphertext, CkksError, Complex, Context, Encoder, EvaluationKeys, Evaluator, KeyRequest, PrecisionStats, SecretKey,
    Stored,
};
use hec_params::{ChainRequest, Level, Rotation, Scale};
use std::sync::Arc;

/// Sums, products, rotations and level changes of two vectors; `bits` of precision are asked for.
fn all_operations(mut p: Party, bits: f64) {
    let (x, y) = (p.random(), p.random());
    let (a, b) = (p.encrypt(&x), p.encrypt(&y));
    let e = p.evaluator.clone();
    let top = p.top().0;
    let scale = p.context.scale(p.top()).unwrap();
    let y_plain = p.encoder.encode(&y, p.top(), scale).unwrap();

    p.assert_close(&a, &x, -bits);
    p.assert_close(&e.add(&a, &b).unwrap(), &zip(&x, &y, |x, y| x + y), -bits);
    p.assert_close(&e.sub(&a, &b).unwrap(), &zip(&x, &y, |x, y| x - y), -bits);
    p.assert_close(&e.negate(&a).unwrap(), &map(&x, |x| -x), -bits);
    p.assert_close(&e.add_plain(&a, &y_plain).unwrap(), &zip(&x, &y, |x, y| x + y), -bits);
    p.assert_close(&e.sub_plain(&a, &y_plain).unwrap(), &zip(&x, &y, |x, y| x - y), -bits);
    p.assert_close(&e.add_scalar(&a, -0.7).unwrap(), &map(&x, |x| x - 0.7), -bits);
    p.assert_close(&e.mul_integer(&a, -3).unwrap(), &map(&x, |x| x * -3.0), -bits + 2.0);

    let product = e.rescale(&e.mul_plain(&a, &y_plain).unwrap()).unwrap();
    p.assert_canonical(&product, top - 1);
    p.assert_close(&product, &zip(&x, &y, |x, y| x * y), -bits);
    let scaled = e.rescale(&e.mul_scalar(&a, 0.375).unwrap()).unwrap();
    p.assert_canonical(&scaled, top - 1);
    p.assert_close(&scaled, &map(&x, |x| x * 0.375), -bits);

    let product = e.multiply(&a, &b).unwrap();
    assert_eq!(product.parts(), 3);
    let expected = zip(&x, &y, |x, y| x * y);
    p.assert_close(&product, &expected, -bits);
    let merged = e.relinearize_rescale(&product).unwrap();
    p.assert_canonical(&merged, top - 1);
    p.assert_close(&merged, &expected, -bits);
    p.assert_close(&e.rescale(&e.relinearize(&product).unwrap()).unwrap(), &expected, -bits);
    // A product in one step is the same, bit by bit.
    let bytes = |x: &Ciphertext| vec![x.clone()].to_bytes(&p.context, &[0; 32]).unwrap();
    assert_eq!(bytes(&e.multiply_relinearize_rescale(&a, &b).unwrap()), bytes(&merged));
    assert_eq!(bytes(&e.multiply_relinearize(&a, &b).unwrap()), bytes(&e.relinearize(&product).unwrap()));
    // Rounding the third part is multiplied by s².
    p.assert_close(&e.relinearize(&e.rescale(&product).unwrap()).unwrap(), &expected, -bits + 4.0);
    let square = e.square(&a).unwrap();
    let sum = e.relinearize_rescale(&e.sub(&square, &product).unwrap()).unwrap();
    p.assert_close(&sum, &zip(&x, &y, |x, y| x * x - x * y), -bits + 1.0);
    let mixed = e.sub(&e.mul_plain(&a, &y_plain).unwrap(), &square).unwrap();
    p.assert_close(&e.relinearize_rescale(&mixed).unwrap(), &zip(&x, &y, |x, y| x * y - x * x), -bits + 1.0);

    for r in [1, 5, p.slots() - 1] {
        let rotation = Rotation(r as u32);
        p.assert_close(&e.rotate(&a, rotation).unwrap(), &rotated(&x, r), -bits);
        let hoisted = e.rotate_decomposed(&e.decompose(&a).unwrap(), rotation).unwrap();
        p.assert_close(&hoisted, &rotated(&x, r), -bits);
    }
    p.assert_close(&e.conjugate(&a).unwrap(), &x, -bits);

    for level in 0..top {
        let lower = e.adjust(&a, Level(level)).unwrap();
        p.assert_canonical(&lower, level);
        p.assert_close(&lower, &x, -bits);
        let other = p.encrypt_at(&y, Level(level));
        p.assert_close(&e.add(&lower, &other).unwrap(), &zip(&x, &y, |x, y| x + y), -bits);
        p.assert_close(&e.rotate(&lower, Rotation(5)).unwrap(), &rotated(&x, 5), -bits);
    }
}

fn rotations(log_n: u32) -> [u32; 3] {
    [1, 5, (1 << (log_n - 1)) - 1]
}

#[test]
fn one_prime_a_level_with_digits_of_each_size() {
    for digit_size in 1..=3 {
        all_operations(party(&toy(10, 4, 40.0, digit_size), &rotations(10), 1), 24.0);
    }
}

#[test]
fn two_primes_a_level_with_digits_of_each_size() {
    for digit_size in 1..=3 {
        let p = party(&toy(10, 3, 70.0, digit_size), &rotations(10), 2);
        assert_eq!(p.context.parameters().prime_count(p.top()), 8);
        all_operations(p, 44.0);
    }
}

#[test]
fn at_128_bit_security() {
    let request = ChainRequest { insecure_toy: false, ..toy(13, 3, 36.0, 1) };
    let p = party(&request, &rotations(13), 3);
    assert!(p.context.parameters().security().is_secure());
    all_operations(p, 17.0);
}

#[test]
fn a_chain_of_squarings_to_level_0() {
    let mut p = party(&toy(10, 6, 40.0, 2), &[], 4);
    let x = map(&p.random(), |x| 0.9 + 0.1 * x);
    let mut a = p.encrypt(&x);
    for _ in 0..6 {
        a = p.evaluator.relinearize_rescale(&p.evaluator.square(&a).unwrap()).unwrap();
    }
    p.assert_canonical(&a, 0);
    p.assert_close(&a, &map(&x, |x| x.powi(64)), -22.0);
    assert!(matches!(p.evaluator.rescale(&a), Err(CkksError::NoLevelLeft)));
}

#[test]
fn encoding_is_as_precise_as_its_scale() {
    let context = Context::new(parameters(&toy(12, 2, 49.0, 1))).unwrap();
    let encoder = Encoder::new(&context);
    let values: Vec<Complex> = (0..2048).map(|i| Complex { re: (i as f64).sin(), im: (i as f64).cos() }).collect();
    for (bits, bound) in [(30.0f64, -23.0), (45.0, -38.0), (80.0, -48.0)] {
        let decoded =
            encoder.decode_complex(&encoder.encode_complex(&values, Level(1), Scale(bits.exp2())).unwrap()).unwrap();
        for part in [|v: &Complex| v.re, |v: &Complex| v.im] {
            let column = |all: &[Complex]| all.iter().map(part).collect::<Vec<f64>>();
            let stats = PrecisionStats::of(&column(&decoded), &column(&values));
            assert!(stats.log2_max < bound, "scale 2^{bits}: {stats}");
        }
    }
}

#[test]
fn conjugation_and_rotation_of_complex_slots() {
    let mut p = party(&toy(10, 1, 40.0, 1), &[3], 5);
    let values: Vec<Complex> = p.random().iter().zip(p.random()).map(|(&re, im)| Complex { re, im }).collect();
    let plaintext = p.encoder.encode_complex(&values, p.top(), p.context.scale(p.top()).unwrap()).unwrap();
    let a = p.secret.encrypt(&p.context, &plaintext, &mut p.rng).unwrap().expand(&p.context).unwrap();
    let b = p.evaluator.rotate(&p.evaluator.conjugate(&a).unwrap(), Rotation(3)).unwrap();
    let decoded = p.encoder.decode_complex(&p.secret.decrypt(&p.context, &b).unwrap()).unwrap();
    for (i, v) in decoded.iter().enumerate() {
        let expected = values[(i + 3) % values.len()];
        assert!((v.re - expected.re).hypot(v.im + expected.im) < 2f64.powi(-24), "slot {i}");
    }
}

#[test]
fn flooding_adds_noise_of_the_size_asked_for() {
    let mut p = party(&toy(10, 1, 40.0, 1), &[], 6);
    let x = p.random();
    let a = p.encrypt(&x);
    let std_dev = 2f64.powi(20);
    let flooded = p.secret.decrypt_flooded(&p.context, &a, std_dev, &mut p.rng).unwrap();
    let stats = PrecisionStats::of(&p.encoder.decode(&flooded).unwrap(), &x);
    let expected = hec_ckks::noise::slot_std_dev(p.context.parameters(), std_dev, a.scale()).log2();
    assert!((stats.log2_std - expected).abs() < 0.3, "{stats}, expected {expected}");
    assert!(matches!(p.secret.decrypt_flooded(&p.context, &a, f64::NAN, &mut p.rng), Err(CkksError::BadStdDev(_))));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut p = party(&toy(10, 3, 40.0, 2), &[1], 7);
    let x = p.random();
    let e = p.evaluator.clone();
    let top = p.top();
    let (a, low) = (p.encrypt(&x), p.encrypt_at(&x, Level(1)));
    let square = e.square(&a).unwrap();
    assert!(matches!(e.add(&a, &low), Err(CkksError::LevelMismatch { .. })));
    assert!(matches!(e.multiply(&a, &low), Err(CkksError::LevelMismatch { .. })));
    assert!(matches!(e.add(&a, &square), Err(CkksError::ScaleMismatch { .. })));
    assert!(matches!(e.multiply(&a, &square), Err(CkksError::NotRelinearized { parts: 3 })));
    assert!(matches!(e.rotate(&square, Rotation(1)), Err(CkksError::NotRelinearized { parts: 3 })));
    assert!(matches!(e.relinearize(&a), Err(CkksError::NotAProduct { parts: 2 })));
    assert!(matches!(e.rotate(&a, Rotation(2)), Err(CkksError::MissingKey { .. })));
    assert!(matches!(e.adjust(&low, top), Err(CkksError::CannotRaise { .. })));
    assert!(matches!(e.adjust(&square, Level(0)), Err(CkksError::NotCanonical { .. })));
    assert!(matches!(e.add_scalar(&a, f64::NAN), Err(CkksError::NotFinite { .. })));
    assert!(matches!(e.add_scalar(&a, 1e300), Err(CkksError::ValueTooLarge { .. })));
    let scale = p.context.scale(Level(0)).unwrap();
    assert!(matches!(p.encoder.encode(&[1e9], Level(0), scale), Err(CkksError::ValueTooLarge { .. })));
    assert!(matches!(p.encoder.encode(&[f64::INFINITY], Level(0), scale), Err(CkksError::NotFinite { index: 0 })));
    assert!(matches!(p.encoder.encode(&[f64::MAX; 512], Level(0), scale), Err(CkksError::ValueTooLarge { .. })));
    assert!(matches!(p.encoder.encode(&[0.0; 513], Level(0), scale), Err(CkksError::TooManyValues { .. })));
    assert!(matches!(p.encoder.encode(&[1.0], Level(9), scale), Err(CkksError::NoSuchLevel { .. })));
    assert!(matches!(p.encoder.encode(&[1.0], Level(0), Scale(-1.0)), Err(CkksError::BadScale { .. })));
}

#[test]
fn keys_reach_the_level_that_was_asked_for_and_no_higher() {
    let mut p = party(&toy(10, 3, 40.0, 2), &[], 8);
    let x = p.random();
    let mut request = KeyRequest { relinearize: Some(Level(2)), ..KeyRequest::default() };
    request.rotation(Rotation(1), Level(1));
    request.rotation(Rotation(1), Level(0));
    request.rotation(Rotation(0), Level(3));
    let keys = Arc::new(EvaluationKeys::generate(&p.context, &p.secret, &request, &mut p.rng).unwrap());
    assert_eq!(keys.names().count(), 2);
    let e = Evaluator::new(&p.context, &keys).unwrap();
    let (high, low) = (p.encrypt_at(&x, Level(2)), p.encrypt_at(&x, Level(1)));
    p.assert_close(&e.rotate(&low, Rotation(1)).unwrap(), &rotated(&x, 1), -24.0);
    let lowest = e.adjust(&low, Level(0)).unwrap();
    p.assert_close(&e.rotate(&lowest, Rotation(1)).unwrap(), &rotated(&x, 1), -24.0);
    p.assert_close(&e.relinearize_rescale(&e.square(&high).unwrap()).unwrap(), &map(&x, |x| x * x), -24.0);
    assert!(matches!(e.rotate(&high, Rotation(1)), Err(CkksError::KeyTooLow { .. })));
    let too_far = KeyRequest { relinearize: Some(Level(9)), ..KeyRequest::default() };
    let refused = EvaluationKeys::generate(&p.context, &p.secret, &too_far, &mut p.rng);
    assert!(matches!(refused, Err(CkksError::NoSuchLevel { .. })));
    let mut no_rotation = KeyRequest::default();
    no_rotation.rotation(Rotation(512), Level(0));
    let refused = EvaluationKeys::generate(&p.context, &p.secret, &no_rotation, &mut p.rng);
    assert!(matches!(refused, Err(CkksError::NoSuchRotation { .. })));
}

#[test]
fn what_belongs_to_others_is_refused() {
    let mut p = party(&toy(10, 3, 40.0, 2), &[1], 9);
    let mut q = party(&toy(10, 3, 40.0, 2), &[1], 10);
    let other = Context::new(parameters(&toy(10, 2, 40.0, 2))).unwrap();
    assert_ne!(other.fingerprint(), p.context.fingerprint());
    assert_eq!(q.context.fingerprint(), p.context.fingerprint());
    let x = p.random();
    let (a, b) = (p.encrypt(&x), q.encrypt(&x));
    assert!(matches!(p.evaluator.add(&a, &b), Err(CkksError::WrongKey)));
    assert!(matches!(p.evaluator.rotate(&b, Rotation(1)), Err(CkksError::WrongKey)));
    assert!(matches!(q.secret.decrypt(&q.context, &a), Err(CkksError::WrongKey)));
    assert!(matches!(p.secret.decrypt(&other, &a), Err(CkksError::WrongParameters)));
    let smaller = Context::new(parameters(&toy(9, 3, 40.0, 2))).unwrap();
    let plaintext = p.encoder.encode(&x, p.top(), p.context.scale(p.top()).unwrap()).unwrap();
    assert!(matches!(Encoder::new(&smaller).decode(&plaintext), Err(CkksError::WrongParameters)));
    let seeded = p.secret.encrypt(&p.context, &plaintext, &mut p.rng).unwrap();
    assert!(matches!(seeded.expand(&smaller), Err(CkksError::WrongParameters)));
    let tiny = Encoder::new(&smaller).encode(&[1.0], p.top(), plaintext.scale()).unwrap();
    assert!(matches!(p.evaluator.mul_plain(&a, &tiny), Err(CkksError::WrongParameters)));
    let foreign = SecretKey::generate(&other, &mut p.rng);
    let refused = EvaluationKeys::generate(&p.context, &foreign, &KeyRequest::default(), &mut p.rng);
    assert!(matches!(refused, Err(CkksError::WrongParameters)));
}
