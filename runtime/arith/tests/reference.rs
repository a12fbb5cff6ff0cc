//! Every public operation against its definition in integers, on every backend of the machine.
#![allow(clippy::unwrap_used)]

use hec_arith::*;
use hec_params::{LogN, Rotation, nearest_ntt_prime};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

fn on_every_backend(body: impl Fn(Backend)) {
    for &b in Backend::available() {
        with_backend(b, || body(b)).unwrap();
    }
}

/// The largest prime below 2^bits that is 1 modulo 2N.
fn prime(bits: u32, log_n: LogN) -> u64 {
    let mut taken = vec![];
    loop {
        let p = nearest_ntt_prime((1u64 << bits) as f64, log_n, &taken).unwrap();
        if p < 1 << bits {
            return p;
        }
        taken.push(p);
    }
}

fn mul_mod(a: u64, b: u64, p: u64) -> u64 {
    (a as u128 * b as u128 % p as u128) as u64
}

fn pow_mod(base: u64, e: u64, p: u64) -> u64 {
    let m = Modulus::new(p);
    m.to_u64(m.pow(m.reduce_u64(base), e))
}

/// Limbs that push the bounds: extremes of one sign, of alternating and of random sign, and uniform ones.
fn hard_limbs(n: usize, m: Modulus) -> Vec<Vec<f64>> {
    let top = (m.value() / 2) as f64;
    let limit = (REDUCED * m.value() as f64).floor();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let random_sign = (0..n).map(|_| if rng.next_u64() & 1 == 0 { limit } else { -limit }).collect();
    let mut uniform = vec![0.0; n];
    sample::uniform(m, &mut rng, &mut uniform);
    let alternating = (0..n).map(|i| if i % 2 == 0 { top } else { -top }).collect();
    vec![vec![top; n], vec![-top; n], vec![limit; n], vec![-limit; n], alternating, random_sign, uniform]
}

fn assert_reduced(limb: &[f64], m: Modulus, what: &str) {
    for r in limb {
        assert!(r.fract() == 0.0 && r.abs() <= REDUCED * m.value() as f64, "{what}: {r} modulo {}", m.value());
    }
}

fn canonical(limb: &[f64], m: Modulus) -> Vec<u64> {
    limb.iter().map(|&r| m.to_u64(r)).collect()
}

/// A value of the transform by Horner's rule.
fn evaluate(coefficients: &[u64], at: u64, p: u64) -> u64 {
    coefficients.iter().rev().fold(0, |sum, &c| (mul_mod(sum, at, p) + c) % p)
}

/// A primitive 2N-th root, chosen as the crate documents it.
fn root(p: u64, n: u64) -> u64 {
    (2..).map(|g| pow_mod(g, (p - 1) / (2 * n), p)).find(|&r| pow_mod(r, n, p) == p - 1).unwrap()
}

#[test]
fn forward_evaluates_at_odd_powers_of_the_root() {
    for log_n in [4, 5, 6, 7, 8, 9, 10, 12, 13, 16].map(LogN) {
        let n = log_n.degree();
        for bits in [if log_n.0 > 12 { 31 } else { 24 }, 47, 48, 49, 50] {
            let p = prime(bits, log_n);
            let table = NttTable::new(log_n, p).unwrap();
            let (m, psi, exponents) = (table.modulus(), root(p, n as u64), evaluation_exponents(log_n));
            for limb in hard_limbs(n, m) {
                let coefficients = canonical(&limb, m);
                on_every_backend(|backend| {
                    let mut x = limb.clone();
                    table.forward(&mut x);
                    assert_reduced(&x, m, "forward");
                    // Every element of small rings, 40 elements of large ones.
                    for i in (0..n).step_by(n.div_ceil(40)) {
                        let expected = evaluate(&coefficients, pow_mod(psi, exponents[i] as u64, p), p);
                        assert_eq!(m.to_u64(x[i]), expected, "{backend:?} {log_n:?} p={p} i={i}");
                        if n > 1 << 12 && i > n / 4 {
                            break;
                        }
                    }
                });
            }
        }
    }
}

#[test]
fn inverse_undoes_forward() {
    for log_n in (4..=16).map(LogN) {
        for bits in [32, 40, 47, 48, 50] {
            let table = NttTable::new(log_n, prime(bits, log_n)).unwrap();
            let m = table.modulus();
            for limb in hard_limbs(log_n.degree(), m) {
                let expected = canonical(&limb, m);
                let fastest = *Backend::available().last().unwrap();
                let backends = if log_n.0 <= 10 { Backend::available() } else { &[fastest] };
                for &backend in backends {
                    with_backend(backend, || {
                        let mut x = limb.clone();
                        table.forward(&mut x);
                        table.inverse(&mut x);
                        assert_reduced(&x, m, "inverse");
                        assert_eq!(canonical(&x, m), expected, "{backend:?} {log_n:?} p={}", m.value());
                        // And from extremes in the evaluation domain, times a constant and its inverse.
                        let w = m.reduce_u64(m.value() / 3);
                        let mut y = limb.clone();
                        table.inverse_times(&mut y, w);
                        assert_reduced(&y, m, "inverse_times");
                        mul_scalar_assign(m, &mut y, m.inv(w));
                        assert_reduced(&y, m, "inverse");
                        table.forward(&mut y);
                        assert_eq!(canonical(&y, m), expected, "{backend:?} {log_n:?} p={}", m.value());
                    })
                    .unwrap();
                }
            }
        }
    }
}

/// a·b in Z_p[X]/(X^N + 1) by the schoolbook method.
fn negacyclic_product(a: &[u64], b: &[u64], p: u64) -> Vec<u64> {
    let n = a.len();
    let mut product = vec![0u64; n];
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            let (k, term) = ((i + j) % n, mul_mod(x, y, p));
            product[k] = (product[k] + if i + j < n { term } else { p - term }) % p;
        }
    }
    product
}

#[test]
fn products_of_transforms_are_negacyclic_products() {
    for log_n in [4, 6, 7, 8].map(LogN) {
        for bits in [30, 45, 50] {
            let table = NttTable::new(log_n, prime(bits, log_n)).unwrap();
            let m = table.modulus();
            let limbs = hard_limbs(log_n.degree(), m);
            for (a, b) in [(0, 6), (2, 5), (6, 5)] {
                let expected = negacyclic_product(&canonical(&limbs[a], m), &canonical(&limbs[b], m), m.value());
                on_every_backend(|backend| {
                    let (mut x, mut y) = (limbs[a].clone(), limbs[b].clone());
                    table.forward(&mut x);
                    table.forward(&mut y);
                    mul_assign(m, &mut x, &y);
                    table.inverse(&mut x);
                    assert_eq!(canonical(&x, m), expected, "{backend:?} {log_n:?} p={}", m.value());
                });
            }
        }
    }
}

#[test]
fn automorphisms_agree_in_both_domains() {
    for log_n in [4, 6, 9, 13].map(LogN) {
        let n = log_n.degree();
        let table = NttTable::new(log_n, prime(40, log_n)).unwrap();
        let m = table.modulus();
        let mut limbs = hard_limbs(n, m);
        let limb = limbs.pop().unwrap();
        let rotations = [0, 1, 3, n as i64 / 2 - 1].map(|r| Rotation::new(r, log_n.slots()));
        let elements = rotations.map(|r| galois_element_for_rotation(r, log_n));
        for g in elements.into_iter().chain([conjugation_galois_element(log_n)]) {
            let automorphism = Automorphism::new(log_n, g).unwrap();
            // By the definition: X^i to X^(ig), X^N = −1.
            let mut defined = vec![0; n];
            for (i, &c) in canonical(&limb, m).iter().enumerate() {
                let target = i * g as usize % (2 * n);
                defined[target % n] = if target < n { c } else { (m.value() - c) % m.value() };
            }
            let mut coefficients = vec![0.0; n];
            automorphism.apply_coefficients(&limb, &mut coefficients);
            assert_eq!(canonical(&coefficients, m), defined);

            let (mut transformed, mut permuted) = (limb.clone(), vec![0.0; n]);
            table.forward(&mut transformed);
            automorphism.apply(&transformed, &mut permuted);
            let expected = permuted.clone();
            table.inverse(&mut permuted);
            assert_eq!(canonical(&permuted, m), defined, "g = {g}");

            // (a − b)·w and then the automorphism.
            for other in &limbs {
                on_every_backend(|backend| {
                    let (mut together, mut image, mut apart) = (vec![0.0; n], vec![0.0; n], expected.clone());
                    automorphism.apply_sub_mul_scalar(m, &mut together, (&transformed, other, 77.0));
                    assert_reduced(&together, m, "apply_sub_mul_scalar");
                    automorphism.apply(other, &mut image);
                    sub_mul_scalar_assign(m, &mut apart, &image, 77.0);
                    assert_eq!(together, apart, "{backend:?} g = {g}");
                });
            }
        }
    }
}

#[test]
fn rotations_compose_to_powers_of_five() {
    let log_n = LogN(12);
    let g = |r| galois_element_for_rotation(Rotation::new(r, log_n.slots()), log_n);
    assert_eq!(g(0), 1);
    assert_eq!(g(1), 5);
    assert_eq!(g(1000) * g(1048) % 8192, 1);
    assert_eq!(g(-1) * 5 % 8192, 1);
}

#[test]
fn element_wise_operations() {
    // 77 is no multiple of any number of lanes.
    let n = 77;
    for bits in [30, 45, 48, 50] {
        let p = prime(bits, LogN(10));
        let m = Modulus::new(p);
        let limbs = hard_limbs(n, m);
        for (a, b, c) in [(0, 1, 2), (2, 3, 3), (2, 2, 2), (4, 5, 6), (6, 5, 3)] {
            let (a, b, c) = (&limbs[a], &limbs[b], &limbs[c]);
            let w = c[0];
            let check = |got: &[f64], what: &str, f: &dyn Fn(u128, u128, u128, u128) -> u128| {
                assert_reduced(got, m, what);
                for i in 0..n {
                    let [x, y, z, w] = [a[i], b[i], c[i], w].map(|r| m.to_u64(r) as u128);
                    assert_eq!(m.to_u64(got[i]) as u128, f(x, y, z, w) % p as u128, "{what} {} {} mod {p}", a[i], b[i]);
                }
            };
            let q = p as u128;
            on_every_backend(|_| {
                let mut d = vec![0.0; n];
                add(m, &mut d, a, b);
                check(&d, "add", &|x, y, _, _| x + y);
                sub(m, &mut d, a, b);
                check(&d, "sub", &|x, y, _, _| x + q - y);
                mul(m, &mut d, a, b);
                check(&d, "mul", &|x, y, _, _| x * y);
                neg(&mut d, a);
                check(&d, "neg", &|x, _, _, _| q - x);
                let updated = |f: &dyn Fn(&mut [f64])| {
                    let mut d = a.clone();
                    f(&mut d);
                    d
                };
                check(&updated(&|d| neg_assign(d)), "neg_assign", &|x, _, _, _| q - x);
                check(&updated(&|d| add_assign(m, d, b)), "add_assign", &|x, y, _, _| x + y);
                check(&updated(&|d| sub_assign(m, d, b)), "sub_assign", &|x, y, _, _| x + q - y);
                check(&updated(&|d| mul_assign(m, d, b)), "mul_assign", &|x, y, _, _| x * y);
                check(&updated(&|d| mul_scalar_assign(m, d, w)), "mul_scalar", &|x, _, _, w| x * w);
                check(&updated(&|d| mul_scalar_add_assign(m, d, b, w)), "mul_scalar_add", &|x, y, _, w| x + y * w);
                check(&updated(&|d| sub_mul_scalar_assign(m, d, b, w)), "sub_mul", &|x, y, _, w| (x + q - y) * w);
                for pairs in [0, 1, 3, 4, 5, 11, 12, 13, 25] {
                    let count = pairs as u128;
                    let same = vec![(&b[..], &c[..]); pairs];
                    check(&updated(&|d| sum_of_products(m, d, &same)), "sum_of_products", &|_, y, z, _| {
                        count * (y * z % q)
                    });
                    let [mut first, mut second] = [a.clone(), a.clone()];
                    let terms = vec![(&b[..], [&c[..], &a[..]]); pairs];
                    inner_products(m, [&mut first, &mut second], &terms, [Some((a, w)), None]);
                    check(&first, "first inner product", &|x, y, z, w| count * (y * z % q) + x * w);
                    check(&second, "second inner product", &|x, y, _, _| count * (x * y % q));
                    let [mut first, mut second] = [a.clone(), b.clone()];
                    add_inner_products(m, [&mut first, &mut second], &terms);
                    check(&first, "first added product", &|x, y, z, _| x + count * (y * z % q));
                    check(&second, "second added product", &|x, y, _, _| y + count * (x * y % q));
                }
            });
        }
    }
}

#[test]
fn short_factors_repeat_their_octets() {
    let m = Modulus::new(prime(50, LogN(4)));
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let mut random = |n: usize| {
        let mut limb = vec![0.0; n];
        sample::uniform(m, rng, &mut limb);
        limb
    };
    for (n, repeats) in [(16, 2), (64, 8), (128, 4), (128, 16)] {
        let (short, b, c, sums) = (random(n / repeats), random(n), random(n), [random(n), random(n)]);
        let long: Vec<f64> = short.chunks(8).flat_map(|octet| octet.repeat(repeats)).collect();
        on_every_backend(|_| {
            let added = |short: &[f64]| {
                let [mut first, mut second] = sums.clone();
                let terms = [(short, [&b[..], &c[..]]), (short, [&c, &b]), (&long, [&c, &c])];
                add_inner_products(m, [&mut first, &mut second], &terms);
                [first, second].map(|sum| canonical(&sum, m))
            };
            assert_eq!(added(&short), added(&long), "{repeats} octets to {n}");
        });
    }
}

#[test]
fn reduce_takes_all_exact_integers() {
    let limit = (1u64 << 53) as f64;
    for bits in [20, 30, 50] {
        let m = Modulus::new(prime(bits, LogN(4)));
        let p = m.value() as f64;
        let wide: Vec<f64> = [0.0, 1.0, p / 2.0, p, 1.5 * p, 7.5 * p, limit - 1.0, limit].map(f64::floor).to_vec();
        let wide: Vec<f64> = wide.iter().flat_map(|&x| [x, -x]).collect();
        on_every_backend(|_| {
            let mut reduced = wide.clone();
            reduce_assign(m, &mut reduced);
            assert_reduced(&reduced, m, "reduce");
            assert_eq!(canonical(&reduced, m), canonical(&wide, m));
        });
    }
}

#[test]
fn base_conversion_is_exact() {
    let log_n = LogN(10);
    let mut taken = vec![];
    let mut next = |bits: u32| {
        let p = nearest_ntt_prime((1u64 << bits) as f64 * 0.99, log_n, &taken).unwrap();
        taken.push(p);
        p
    };
    let pool: Vec<u64> = [50, 50, 50, 50, 50, 50, 50, 50, 50, 30, 45, 40].map(&mut next).to_vec();
    let to: Vec<u64> = [50, 50, 48, 45, 31].map(&mut next).to_vec();
    for sources in [&pool[..1], &pool[..2], &pool[1..4], &pool[9..], &pool[..]] {
        let n = 300;
        let moduli: Vec<Modulus> = sources.iter().map(|&p| Modulus::new(p)).collect();
        let mut src: Vec<Vec<f64>> = moduli.iter().flat_map(|&m| hard_limbs(n, m).into_iter().nth(6)).collect();
        // Zero, one, minus one and the extremes as well; but not (P − 1)/2, which is a tie.
        for (i, (limb, m)) in src.iter_mut().zip(&moduli).enumerate() {
            let limit = (REDUCED * m.value() as f64).floor();
            limb[..4].copy_from_slice(&[0.0, 1.0, -1.0, if i % 2 == 0 { limit } else { -limit }]);
        }
        let converter = BaseConverter::new(sources, &to).unwrap();
        on_every_backend(|backend| {
            let mut dst = vec![vec![0.0; n]; to.len()];
            let scaled = |(i, limb): (usize, &Vec<f64>)| {
                let mut limb = limb.clone();
                mul_scalar_assign(moduli[i], &mut limb, converter.source_factor(i));
                limb
            };
            let scaled: Vec<Vec<f64>> = src.iter().enumerate().map(scaled).collect();
            let views: Vec<&[f64]> = scaled.iter().map(Vec::as_slice).collect();
            converter.convert(0..to.len(), &views, &mut dst.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
            for (limb, &q) in dst.iter().zip(&to) {
                let m = Modulus::new(q);
                assert_reduced(limb, m, "conversion");
                for (j, &converted) in limb.iter().enumerate() {
                    let residues: Vec<u64> = moduli.iter().zip(&src).map(|(m, limb)| m.to_u64(limb[j])).collect();
                    let expected = centred_residue(&residues, sources, q);
                    assert_eq!(m.to_u64(converted), expected, "{backend:?} {sources:?} to {q}, element {j}");
                }
            }
        });
    }
}

#[test]
fn base_conversion_of_extremes() {
    let log_n = LogN(10);
    let (n, count, mut taken) = (77, 14, vec![]);
    for _ in 0..count + 4 {
        taken.push(nearest_ntt_prime((1u64 << 50) as f64 * 0.9999, log_n, &taken).unwrap());
    }
    let (sources, to) = taken.split_at(count);
    let to = [to, &[prime(49, log_n), prime(31, log_n), 3, 5]].concat();
    let converter = BaseConverter::new(sources, &to).unwrap();
    // All at one sign, signs that alternate from prime to prime, and from element to element.
    let signs: [fn(usize, usize) -> bool; 4] =
        [|_, _| true, |_, _| false, |i, _| i % 2 == 0, |i, j| (i / 3 + j) % 2 == 0];
    for sign in signs {
        let limit = |p: u64| (REDUCED * p as f64).floor();
        let y = |i: usize, j: usize| if sign(i, j) { limit(sources[i]) } else { -limit(sources[i]) };
        let limbs: Vec<Vec<f64>> = (0..count).map(|i| (0..n).map(|j| y(i, j)).collect()).collect();
        let views: Vec<&[f64]> = limbs.iter().map(Vec::as_slice).collect();
        on_every_backend(|backend| {
            // One by one, and a part of the targets at once.
            for range in [0..1, 3..4, 1..to.len()] {
                let mut dst = vec![vec![0.0; n]; range.len()];
                converter.convert(
                    range.clone(),
                    &views,
                    &mut dst.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                );
                for (limb, &q) in dst.iter().zip(&to[range]) {
                    let m = Modulus::new(q);
                    let product = |skip: usize| {
                        let factors = sources.iter().enumerate().filter(|&(i, _)| i != skip);
                        factors.fold(1, |product, (_, &p)| mul_mod(product, p % q, q))
                    };
                    for (j, &converted) in limb.iter().enumerate() {
                        let quotients: f64 = (0..count).map(|i| y(i, j) / sources[i] as f64).sum();
                        let terms = (0..count).map(|i| mul_mod(m.to_u64(m.from_i64(y(i, j) as i64)), product(i), q));
                        let multiple = m.to_u64(m.from_i64(-quotients.round() as i64));
                        let expected = (terms.sum::<u64>() + mul_mod(multiple, product(count), q)) % q;
                        assert_eq!(m.to_u64(converted), expected, "{backend:?} modulo {q}, element {j}");
                    }
                }
            }
        });
    }
}

/// The centred representative modulo q, by mixed radix digits (Garner), which are exact in integers.
fn centred_residue(residues: &[u64], primes: &[u64], q: u64) -> u64 {
    let mut digits: Vec<u64> = vec![];
    for (i, &p) in primes.iter().enumerate() {
        // x = d0 + p0·(d1 + p1·(…)): solve for d_i modulo p_i.
        let mut value = residues[i];
        for (&d, &pj) in digits.iter().zip(primes) {
            let difference = (value + p - d % p) % p;
            value = mul_mod(difference, pow_mod(pj % p, p - 2, p), p);
        }
        digits.push(value);
    }
    // x > P/2 exactly if its digits, from the top, exceed those of (P − 1)/2, which are all (p − 1)/2.
    let negative = digits
        .iter()
        .zip(primes)
        .rev()
        .map(|(&d, &p)| d.cmp(&((p - 1) / 2)))
        .find(|o| o.is_ne())
        .is_some_and(|o| o.is_gt());
    let x = digits.iter().zip(primes).rev().fold(0, |x, (&d, &p)| (mul_mod(x, p % q, q) + d % q) % q);
    let product = primes.iter().fold(1, |x, &p| mul_mod(x, p % q, q));
    if negative { (x + q - product) % q } else { x }
}

#[test]
fn bad_requests_are_errors() {
    let p = prime(40, LogN(10));
    assert_eq!(NttTable::new(LogN(3), p).unwrap_err(), ArithError::RingDegree(3));
    assert_eq!(NttTable::new(LogN(40), p).unwrap_err(), ArithError::RingDegree(40));
    assert_eq!(NttTable::new(LogN(10), 15).unwrap_err(), ArithError::NotAPrime(15));
    let wide = (1 << 61) - 1;
    assert_eq!(NttTable::new(LogN(10), wide).unwrap_err(), ArithError::NotAPrime(wide));
    assert_eq!(NttTable::new(LogN(10), 7).unwrap_err(), ArithError::NotNttFriendly { p: 7, log_2n: 11 });
    assert_eq!(Automorphism::new(LogN(10), 2).unwrap_err(), ArithError::GaloisElement(2));
    assert_eq!(Automorphism::new(LogN(10), 2049).unwrap_err(), ArithError::GaloisElement(2049));
    assert!(BaseConverter::new(&[], &[p]).is_err());
    assert!(BaseConverter::new(&[p, p], &[7]).is_err());
    assert!(BaseConverter::new(&[p], &[8]).is_err());
}
