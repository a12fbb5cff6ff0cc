//! Measured noise against the formulas, in bits.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{map, party, rotated, toy, zip};
use hec_ckks::{Ciphertext, PrecisionStats, noise};
use hec_params::{Level, Rotation};

/// Within 0.7 bit of the formula.
#[track_caller]
fn assert_noise(p: &common::Party, what: &str, ciphertext: &Ciphertext, expected: &[f64], slot_std_dev: f64) {
    let stats = PrecisionStats::of(&p.decrypt(ciphertext), expected);
    let predicted = slot_std_dev.log2();
    assert!((stats.log2_std - predicted).abs() < 0.7, "{what}: {stats}, predicted {predicted:.1}");
}

#[test]
fn formulas_hold() {
    for (scale_bits, digit_size) in [(40.0, 1), (40.0, 2), (40.0, 3), (51.0, 2)] {
        let mut p = party(&toy(11, 3, scale_bits, digit_size), &[1], 11);
        let parameters = p.context.parameters().clone();
        let (x, y) = (p.random(), p.random());
        let (a, b) = (p.encrypt(&x), p.encrypt(&y));
        let top = p.top();
        let slots =
            |coefficient: f64, level: Level| noise::slot_std_dev(&parameters, coefficient, parameters.scale(level));
        let fresh = slots(noise::fresh().hypot(noise::encoding()), top);
        assert_noise(&p, "fresh", &a, &x, fresh);
        let rotation = fresh.hypot(slots(noise::key_switch(&parameters, top), top));
        assert_noise(&p, "rotate", &p.evaluator.rotate(&a, Rotation(1)).unwrap(), &rotated(&x, 1), rotation);
        let below = Level(top.0 - 1);
        let rms = (1.0f64 / 3.0).sqrt();
        let product = noise::product(rms, fresh, rms, fresh);
        let rounding = slots(noise::rescale(&parameters), below);
        let expected = zip(&x, &y, |x, y| x * y);
        let raw = p.evaluator.multiply(&a, &b).unwrap();
        let three_parts = product.hypot(slots(noise::rescale_product(&parameters), below));
        assert_noise(&p, "rescale a product", &p.evaluator.rescale(&raw).unwrap(), &expected, three_parts);
        // Key switching adds its product at the scale Δ², which is nothing beside the rounding.
        let merged = p.evaluator.relinearize_rescale(&raw).unwrap();
        assert_noise(&p, "relinearize and rescale", &merged, &expected, product.hypot(rounding));
        let adjusted = p.evaluator.adjust(&a, below).unwrap();
        assert_noise(&p, "adjust", &adjusted, &map(&x, |x| x), fresh.hypot(rounding));
    }
}
