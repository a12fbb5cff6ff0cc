//! Every rule on random tensors: a network to which it applies, by its equation; every graph that the e-graph then holds
//! must compute the same.

use super::all;
use crate::language::{Lang, Network};
use crate::{convert, extract};
use egg::{Runner, SimpleScheduler};
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_ir::text::{AnyLevel, ExternalConstants, parse};
use std::sync::Arc;

/// Equations with networks to which they apply. `const` lines give names and extents only: their numbers are random, with
/// both signs.
const PROOFS: &[(&str, &str)] = &[
    ("B(A x) = (BA) x", "const a 4 3\nconst b 3 2\n%u = matmul %x, @a\n%y = matmul %u, @b"),
    ("A(x + b) = A x + A b", "const a 4 3\nconst b 1 4\n%u = add_constant %x, @b\n%y = matmul %u, @a"),
    ("(x + b) + c = x + (b + c)", "const b 1 4\nconst c 3 1\n%u = add_constant %x, @b\n%y = add_constant %u, @c"),
    ("(x + b) + y = (x + y) + b", "const b 1 4\n%u = add_constant %x, @b\n%y = add %u, %z"),
    ("x + y = y + x", "%y = add %x, %z"),
    ("(x + b) - y = (x - y) + b", "const b 1 4\n%u = add_constant %x, @b\n%y = sub %u, %z"),
    ("A(-x) = -(A x)", "const a 4 2\n%u = negate %x\n%y = matmul %u, @a"),
    ("-(x + b) = -x + (-b)", "const b 1 4\n%u = add_constant %x, @b\n%y = negate %u"),
    ("x + (-y) = x - y", "%u = negate %z\n%y = add %x, %u"),
    ("A x + A y = A(x + y)", "const a 4 2\n%u = matmul %x, @a\n%v = matmul %z, @a\n%y = add %u, %v"),
    (
        "(A x + y) + A z = A(x + z) + y",
        "const a 4 4\n%u = matmul %x, @a\n%v = matmul %z, @a\n%q = square %x\n%s = add %u, %q\n%y = add %s, %v",
    ),
    ("A(x + y) = A x + A y", "const a 4 2\nconst b 4 4\n%u = matmul %z, @b\n%s = add %x, %u\n%y = matmul %s, @a"),
    ("A(x - y) = A x - A y", "const s 1 4\n%u = sub %x, %z\n%y = scale %u, @s"),
    (
        "a x^2 + b x + c = s(sqrt|a| x + s b/(2 sqrt|a|))^2 + c - b^2/(4a)",
        "const p 1 4 3\n%y = polynomial %x, @p chebyshev",
    ),
    ("a x^2 + b x + c = a(x + b/(2a))^2 + c - b^2/(4a)", "const p 1 4 3\n%y = polynomial %x, @p monomial"),
    ("a x^2 + b x + c = x(a x + b) + c", "const flat 1 1 3\n%y = polynomial %x, @flat monomial"),
    ("(S x)^2 = S^2 x^2", "const s 1 4\n%u = scale %x, @s\n%y = square %u"),
    ("S x^2 = sign(S)(sqrt|S| x)^2", "const s 1 4\n%u = square %x\n%y = scale %u, @s"),
    ("(-x)^2 = x^2", "%u = negate %x\n%y = square %u"),
    ("x x = x^2", "%y = mul %x, %x"),
    ("p = sign(a)(q^2 + r), deg p = 2^k, deg q = 2^(k-1)", "const p 1 4 9\n%y = polynomial %x, @p chebyshev"),
    ("p = sign(a)(q^2 + r), deg p = 2^k, deg q = 2^(k-1)", "const p 1 1 9\n%y = polynomial %x, @p monomial"),
    (
        "a x^4 + ... = sign(a)((u^2 + c)^2 + d u + e), u = |a|^(1/4) x + b",
        "const p 1 4 5\n%y = polynomial %x, @p chebyshev",
    ),
    (
        "a x^4 + ... = sign(a)((u^2 + c)^2 + d u + e), u = |a|^(1/4) x + b",
        "const p 1 1 5\n%y = polynomial %x, @p monomial",
    ),
    (
        "(x^2 + c)^2 + S x = S^(4/3)(((t x)^2 + t^2 c)^2 + t x), t = S^(-1/3)",
        "const s 1 4\nconst c 1 4\n%u = square %x\n%v = add_constant %u, @c\n%w = square %v\n%l = scale %x, @s\n%y = add %w, %l",
    ),
    ("p = a x + b, deg p = 1", "const p 1 4 2\n%y = polynomial %x, @p chebyshev"),
    ("p(x) = e(x^2), p even", "const even 1 1 7\n%y = polynomial %x, @even chebyshev"),
    ("p(x) = e(x^2), p even", "const even 1 1 7\n%y = polynomial %x, @even monomial"),
    ("p(x) = x o(x^2), p odd", "const odd 1 1 6\n%y = polynomial %x, @odd monomial"),
    ("S p(x) = (S p)(x)", "const p 1 1 4\nconst s 1 4\n%u = polynomial %x, @p chebyshev\n%y = scale %u, @s"),
    ("-p(x) = (-p)(x)", "const p 1 4 4\n%u = polynomial %x, @p chebyshev\n%y = negate %u"),
    ("p(x) + c = (p + c)(x)", "const p 1 1 4\nconst c 3 1\n%u = polynomial %x, @p monomial\n%y = add_constant %u, @c"),
    (
        "p(x) + q(x) = (p + q)(x)",
        "const p 1 4 4\nconst q 3 1 6\n%u = polynomial %x, @p chebyshev\n%v = polynomial %x, @q chebyshev\n%y = add %u, %v",
    ),
    (
        "p(S x) = p'(x), p' of coefficients S^k p_k",
        "const p 1 1 4\nconst s 1 4\n%u = scale %x, @s\n%y = polynomial %u, @p monomial",
    ),
    ("x^2k = (x^k)^2", "%y = power %x, 6"),
    ("x^k = x^m x^(k-m), m a power of two", "%y = power %x, 7"),
    ("x y = y x", "%y = mul %x, %z"),
    ("(x y) z = x (y z)", "%u = mul %x, %z\n%v = add %x, %z\n%y = mul %u, %v"),
    ("x^2 y^2 = (x y)^2", "%u = square %x\n%v = square %z\n%y = mul %u, %v"),
    ("(S x) y = S (x y)", "const s 1 4\n%u = scale %x, @s\n%y = mul %u, %z"),
    ("S (x y) = (S x) y", "const a 4 4\nconst s 1 4\n%w = matmul %x, @a\n%u = mul %w, %z\n%y = scale %u, @s"),
    ("x y + x z = x(y + z)", "%w = negate %z\n%u = mul %x, %z\n%v = mul %x, %w\n%y = add %u, %v"),
    ("x^2 - y^2 = (x + y)(x - y)", "%u = square %x\n%v = square %z\n%y = sub %u, %v"),
    ("(-x) y = -(x y)", "%u = negate %x\n%y = mul %u, %z"),
    ("(X Y) Z = X(Y Z)", "%t = transpose %z [1,0]\n%u = batch_matmul %x, %t\n%y = batch_matmul %u, %x"),
    ("X(Y Z) = (X Y) Z", "%t = transpose %z [1,0]\n%u = batch_matmul %t, %x\n%y = batch_matmul %x, %u"),
    ("S(X Y) = (S X) Y", "const s 3 1\n%t = transpose %z [1,0]\n%u = batch_matmul %x, %t\n%y = scale %u, @s"),
    ("S(X Y) = X(S Y)", "const s 1 3\n%t = transpose %z [1,0]\n%u = batch_matmul %x, %t\n%y = scale %u, @s"),
    ("(S X) Y = S(X Y)", "const s 3 1\n%t = transpose %z [1,0]\n%u = scale %x, @s\n%y = batch_matmul %u, %t"),
    ("X(S Y) = S(X Y)", "const s 1 3\n%t = transpose %z [1,0]\n%u = scale %t, @s\n%y = batch_matmul %x, %u"),
    ("(X Y) W = X(Y W)", "const w 3 2\n%t = transpose %z [1,0]\n%u = batch_matmul %x, %t\n%y = matmul %u, @w"),
    ("x - mean(x) = C x, C = 1 - 1/n", "%u = linear %x { mean [1]; expand [3,4] }\n%y = sub %x, %u"),
];

/// Reproducible numbers.
struct Numbers(u64);

impl Numbers {
    /// In ±[1/4, 1].
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let size = 0.25 + 0.75 * (self.0 >> 11) as f64 / (1u64 << 53) as f64;
        if self.0 >> 7 & 1 == 0 { size } else { -size }
    }

    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|_| self.next()).collect();
        Tensor { shape, data }
    }
}

/// The network of a proof: inputs x and z of three rows of four, output y.
fn network(text: &str, numbers: &mut Numbers) -> Graph {
    let mut constants = ExternalConstants::new();
    let mut lines = vec!["tensor proof {".to_owned()];
    let (declared, nodes): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("const "));
    for line in declared {
        let words: Vec<&str> = line.split(' ').collect();
        let dims: Vec<usize> = words[2..].iter().map(|d| d.parse().expect("an extent")).collect();
        lines.push(format!("const @{} : f64{dims:?} = external", words[1]));
        let mut tensor = numbers.tensor(&dims);
        for (i, c) in tensor.data.iter_mut().enumerate() {
            match words[1] {
                "even" if i % 2 == 1 => *c = 0.0,
                "odd" if i % 2 == 0 => *c = 0.0,
                "flat" if i == 2 => *c *= 1e-5,
                _ => (),
            }
        }
        constants.insert(words[1].to_owned(), Arc::new(tensor));
    }
    lines.push("%x = input \"x\" : [3,4]\n%z = input \"z\" : [3,4]".to_owned());
    lines.extend(nodes.iter().map(|&n| n.to_owned()));
    lines.push("output \"y\" %y\n}".to_owned());
    match parse(&lines.join("\n"), &constants) {
        Ok(AnyLevel::Tensor(graph)) => graph,
        other => panic!("{text}: {other:?}"),
    }
}

/// Grow the e-graph by one rule and compare every graph in it with the original.
fn prove(equation: &str, text: &str) {
    let mut numbers = Numbers(11);
    let graph = network(text, &mut numbers);
    let (egraph, roots) = convert::to_egraph(&graph, &[]).expect("well-formed");
    let rules: Vec<_> = all().into_iter().filter(|r| r.name.to_string() == equation).collect();
    assert_eq!(rules.len(), 1, "{equation}: one rule has this name");
    let runner = Runner::<Lang, Network, ()>::new(Network::default())
        .with_egraph(egraph)
        .with_iter_limit(2)
        .with_scheduler(SimpleScheduler)
        .run(&rules);
    assert!(runner.iterations.iter().any(|i| !i.applied.is_empty()), "{equation}: does not apply to\n{text}");

    let inputs: Vec<Tensor> = graph.inputs().map(|(id, _)| numbers.tensor(graph.shape(id).dims())).collect();
    let expected = &graph.run(&inputs).expect("runs")[0];
    let graphs = extract::every_choice(&runner.egraph, &roots);
    assert!(graphs.len() > 1, "{equation}: nothing to choose");
    for chosen in graphs {
        let rewritten = convert::to_graph(&runner.egraph, &chosen, &graph, &roots).expect("well-formed");
        let actual = &rewritten.run(&inputs).expect("runs")[0];
        let size = expected.data.iter().fold(1e-300f64, |m, v| m.max(v.abs()));
        let error = expected.data.iter().zip(&actual.data).fold(0f64, |m, (e, a)| m.max((e - a).abs())) / size;
        assert!(error < 1e-9, "{equation}: error {error:e} in {rewritten:?}");
    }
}

#[test]
fn every_rule_holds_on_random_tensors() {
    for (equation, text) in PROOFS {
        prove(equation, text);
    }
}

/// What may be taken instead of a value is tested with whole networks.
#[test]
fn every_rule_has_a_proof() {
    for rule in all() {
        let name = rule.name.to_string();
        assert!(name.contains("instead") || PROOFS.iter().any(|(equation, _)| *equation == name), "{name}");
    }
}
