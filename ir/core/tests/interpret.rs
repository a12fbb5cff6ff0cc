//! The reference interpreter against slow definitions that follow the documentation of each step word by word.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use hec_ir::Origin;
use hec_ir::tensor::{
    ClientOp, Constants, ConvAttributes, Function, Graph, InterpretError, LinearStep, Normalization, Op, Shape, Tensor,
    Window,
};
use hec_poly::Basis;

/// Numbers in [−1, 1), the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|_| self.next()).collect();
        Tensor::new(shape, data).unwrap()
    }
}

/// The element at an index, zero outside.
fn at(x: &Tensor, index: &[i64]) -> Option<f64> {
    let inside = index.iter().zip(x.shape.dims()).all(|(&i, &d)| i >= 0 && i < d as i64);
    inside.then(|| x.data[index.iter().zip(x.shape.strides()).map(|(&i, s)| i as usize * s).sum::<usize>()])
}

fn signed(index: &[usize]) -> Vec<i64> {
    index.iter().map(|&i| i as i64).collect()
}

/// The window elements of a pooling output, with `None` for padding.
fn window_elements(x: &Tensor, w: &Window, index: &[usize]) -> Vec<Option<f64>> {
    let mut all = Vec::new();
    for ky in 0..w.kernel[0] {
        for kx in 0..w.kernel[1] {
            let y = (index[2] * w.strides[0] + ky) as i64 - w.pads[0] as i64;
            let x_at = (index[3] * w.strides[1] + kx) as i64 - w.pads[1] as i64;
            all.push(at(x, &[index[0] as i64, index[1] as i64, y, x_at]));
        }
    }
    all
}

/// One element of the result of a step, by its definition.
fn element(step: &LinearStep, x: &Tensor, constant: Option<&Tensor>, out: &Shape, index: &[usize]) -> f64 {
    let s = signed(index);
    match step {
        LinearStep::Conv { attributes: a, .. } => {
            let w = constant.unwrap();
            let &[out_channels, in_group, kh, kw] = w.shape.dims() else { panic!("four axes") };
            let group = index[1] / (out_channels / a.groups);
            let mut sum = 0.0;
            for (c, ky, kx) in Shape::new([in_group, kh, kw]).indices().map(|i| (i[0], i[1], i[2])) {
                let y = (index[2] * a.strides[0] + ky * a.dilations[0]) as i64 - a.pads[0] as i64;
                let x_at = (index[3] * a.strides[1] + kx * a.dilations[1]) as i64 - a.pads[1] as i64;
                let input = at(x, &[s[0], (group * in_group + c) as i64, y, x_at]).unwrap_or(0.0);
                sum += input * at(w, &signed(&[index[1], c, ky, kx])).unwrap();
            }
            sum
        }
        LinearStep::MatMul { .. } => {
            let w = constant.unwrap();
            let (&column, lead) = s.split_last().unwrap();
            (0..w.shape.dims()[0] as i64)
                .map(|k| at(x, &[lead, &[k]].concat()).unwrap() * at(w, &[k, column]).unwrap())
                .sum()
        }
        LinearStep::Scale { .. } => {
            at(x, &s).unwrap() * at(&constant.unwrap().broadcast_to(&x.shape).unwrap(), &s).unwrap()
        }
        LinearStep::AveragePool(window) => {
            let elements = window_elements(x, window, index);
            let real = elements.iter().flatten().count();
            let count = if window.count_include_pad { elements.len() } else { real };
            elements.iter().flatten().sum::<f64>() / count as f64
        }
        LinearStep::Mean { axes } => {
            let all = x.shape.indices().filter(|i| (0..i.len()).all(|a| axes.contains(&a) || i[a] == index[a]));
            let values: Vec<f64> = all.map(|i| at(x, &signed(&i)).unwrap()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        }
        LinearStep::Reshape { .. } => x.data[index.iter().zip(out.strides()).map(|(i, s)| i * s).sum::<usize>()],
        LinearStep::Transpose { permutation } => {
            let mut source = vec![0; s.len()];
            permutation.iter().zip(&s).for_each(|(&p, &i)| source[p] = i);
            at(x, &source).unwrap()
        }
        LinearStep::Slice { starts, steps, .. } => {
            let source: Vec<i64> = (0..s.len()).map(|a| starts[a] as i64 + steps[a] * s[a]).collect();
            at(x, &source).unwrap()
        }
        LinearStep::Pad { before, .. } => {
            let source: Vec<i64> = s.iter().zip(before).map(|(&i, &b)| i - b as i64).collect();
            at(x, &source).unwrap_or(0.0)
        }
        LinearStep::Expand { .. } => {
            let skip = out.rank() - x.shape.rank();
            let source: Vec<i64> =
                s[skip..].iter().zip(x.shape.dims()).map(|(&i, &d)| if d == 1 { 0 } else { i }).collect();
            at(x, &source).unwrap()
        }
    }
}

/// The step on random data equals its definition to rounding.
fn check(step: LinearStep, input: &[usize], constant: Option<&[usize]>) {
    let mut numbers = Numbers(7);
    let mut constants = Constants::default();
    if let Some(dims) = constant {
        constants.add("w", numbers.tensor(dims));
    }
    let x = numbers.tensor(input);
    let fast = step.apply(&x, &constants).unwrap();
    assert_eq!(fast.shape, step.output_shape(&x.shape, &constants).unwrap());
    assert_eq!(fast.data.len(), fast.shape.elements());
    let weight = step.constant().map(|id| constants.tensor(id).as_ref());
    for (index, fast_value) in fast.shape.indices().zip(&fast.data) {
        let slow = element(&step, &x, weight, &fast.shape, &index);
        assert!((slow - fast_value).abs() < 1e-12, "{step:?} at {index:?}: {slow} against {fast_value}");
    }
}

fn weight_id() -> hec_ir::tensor::ConstId {
    hec_ir::tensor::ConstId(0)
}

#[test]
fn convolutions() {
    let plain = ConvAttributes { strides: [1, 1], pads: [0; 4], dilations: [1, 1], groups: 1 };
    for (attributes, input, weight) in [
        (plain, [1, 1, 5, 5], [1, 1, 1, 1]),
        (plain, [2, 3, 7, 6], [4, 3, 3, 2]),
        (ConvAttributes { pads: [1, 2, 3, 0], ..plain }, [1, 2, 6, 5], [3, 2, 3, 3]),
        (ConvAttributes { strides: [2, 3], pads: [1; 4], ..plain }, [1, 2, 9, 11], [2, 2, 3, 3]),
        (ConvAttributes { dilations: [2, 3], pads: [2, 3, 2, 3], ..plain }, [1, 2, 9, 10], [2, 2, 3, 3]),
        (ConvAttributes { groups: 2, ..plain }, [2, 4, 5, 5], [6, 2, 3, 3]),
        (ConvAttributes { groups: 4, strides: [2, 2], pads: [1; 4], ..plain }, [1, 4, 8, 8], [4, 1, 3, 3]),
        // Padding wider than the kernel: whole output rows and columns meet nothing.
        (ConvAttributes { pads: [4; 4], strides: [3, 3], ..plain }, [1, 1, 2, 2], [1, 1, 2, 2]),
        // More unfolded elements than are held at a time.
        (ConvAttributes { pads: [1; 4], ..plain }, [1, 8, 40, 40], [2, 8, 3, 3]),
    ] {
        check(LinearStep::Conv { weight: weight_id(), attributes }, &input, Some(&weight));
    }
}

#[test]
fn products() {
    for (input, weight) in [(&[7][..], [7, 5]), (&[3, 4], [4, 1]), (&[2, 3, 9], [9, 6]), (&[1, 1], [1, 3])] {
        check(LinearStep::MatMul { weight: weight_id() }, input, Some(&weight));
    }
    for factor in [&[1, 3, 1, 1][..], &[], &[5], &[2, 3, 4, 5], &[4, 1]] {
        check(LinearStep::Scale { factor: weight_id() }, &[2, 3, 4, 5], Some(factor));
    }
}

#[test]
fn averages() {
    for count_include_pad in [false, true] {
        let window = Window { kernel: [2, 2], strides: [2, 2], pads: [0; 4], count_include_pad };
        check(LinearStep::AveragePool(window), &[2, 3, 6, 6], None);
        let padded = Window { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 2, 1], count_include_pad };
        check(LinearStep::AveragePool(padded), &[1, 2, 6, 5], None);
    }
    for axes in [vec![2, 3], vec![0], vec![1], vec![3], vec![0, 1, 2, 3], vec![]] {
        check(LinearStep::Mean { axes }, &[2, 3, 4, 5], None);
    }
}

#[test]
fn movements() {
    check(LinearStep::Reshape { shape: Shape::new([5, 24]) }, &[2, 3, 4, 5], None);
    for permutation in [vec![3, 1, 0, 2], vec![0, 1, 2, 3], vec![1, 0, 2, 3], vec![3, 2, 1, 0]] {
        check(LinearStep::Transpose { permutation }, &[2, 3, 4, 5], None);
    }
    let slice = |starts: [usize; 3], steps: [i64; 3], extents: [usize; 3]| LinearStep::Slice {
        starts: starts.to_vec(),
        steps: steps.to_vec(),
        extents: extents.to_vec(),
    };
    check(slice([0, 1, 2], [1, 1, 1], [2, 3, 3]), &[2, 4, 5], None);
    check(slice([1, 3, 4], [-1, -2, -1], [2, 2, 5]), &[2, 4, 5], None);
    check(slice([0, 0, 1], [1, 3, 2], [1, 2, 2]), &[2, 4, 5], None);
    check(LinearStep::Pad { before: vec![1, 0, 2], after: vec![0, 3, 1] }, &[2, 2, 3], None);
    check(LinearStep::Expand { shape: Shape::new([2, 3, 4]) }, &[3, 1], None);
    check(LinearStep::Expand { shape: Shape::new([2, 2]) }, &[], None);
}

/// One value through one operation with one argument.
fn unary(op: Op, constants: &[Tensor], x: Tensor) -> Tensor {
    let mut graph = Graph::new("one");
    let ids: Vec<_> = constants.iter().map(|c| graph.constants.add("c", c.clone())).collect();
    assert!(ids.iter().enumerate().all(|(i, id)| id.0 as usize == i));
    let input = graph.input("x", x.shape.clone());
    let value = graph.push(op, [input], Origin::node("layer")).unwrap();
    graph.verify().unwrap();
    graph.interpret(&[x]).unwrap()[value].clone()
}

#[test]
fn polynomials_broadcast_their_coefficients() {
    let x = Numbers(3).tensor(&[2, 3, 2, 2]);
    let c = Numbers(4).tensor(&[1, 3, 1, 1, 4]);
    for basis in [Basis::Monomial, Basis::Chebyshev] {
        let y = unary(Op::Polynomial { basis, coefficients: weight_id() }, std::slice::from_ref(&c), x.clone());
        for (index, value) in x.shape.indices().zip(&y.data) {
            let own: Vec<f64> = (0..4).map(|k| c.data[index[1] * 4 + k]).collect();
            assert_eq!(*value, hec_poly::evaluate(basis, &own, at(&x, &signed(&index)).unwrap()));
        }
    }
    // Coefficients for each column: neighbours on the last axis differ.
    let c = Tensor::new(Shape::new([1, 1, 1, 2, 2]), vec![0.0, 2.0, 1.0, 0.0]).unwrap();
    let y = unary(Op::Polynomial { basis: Basis::Monomial, coefficients: weight_id() }, &[c], x.clone());
    assert!(y.data.chunks(2).zip(x.data.chunks(2)).all(|(y, x)| y == [2.0 * x[0], 1.0]));
}

#[test]
fn element_wise_operations() {
    let x = Tensor::new(Shape::new([4]), vec![-2.0, -0.5, 0.0, 3.0]).unwrap();
    assert_eq!(unary(Op::Negate, &[], x.clone()).data, [2.0, 0.5, 0.0, -3.0]);
    assert_eq!(unary(Op::Square, &[], x.clone()).data, [4.0, 0.25, 0.0, 9.0]);
    assert_eq!(unary(Op::Power(5), &[], x.clone()).data, [-32.0, -0.03125, 0.0, 243.0]);
    assert_eq!(unary(Op::Activation(Function::Relu), &[], x.clone()).data, [0.0, 0.0, 0.0, 3.0]);
    let c = Tensor::new(Shape::new([1]), vec![1.0]).unwrap();
    assert_eq!(unary(Op::AddConstant(weight_id()), &[c], x).data, [-1.0, 0.5, 1.0, 4.0]);
}

#[test]
fn padding_never_wins_a_maximum() {
    let window = Window { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 2, 1], count_include_pad: false };
    let x = Numbers(5).tensor(&[1, 2, 6, 5]);
    let negative = Tensor { data: x.data.iter().map(|v| v - 2.0).collect(), ..x };
    let y = unary(Op::MaxPool(window), &[], negative.clone());
    for (index, value) in y.shape.indices().zip(&y.data) {
        let elements = window_elements(&negative, &window, &index);
        assert_eq!(*value, elements.into_iter().flatten().fold(f64::NEG_INFINITY, f64::max));
    }
}

/// x² + (x − y)·y
fn two_inputs() -> Graph {
    let mut g = Graph::new("two");
    let x = g.input("x", Shape::new([3]));
    let y = g.input("y", Shape::new([3]));
    let square = g.push(Op::Square, [x], Origin::node("square")).unwrap();
    let difference = g.push(Op::Sub, [x, y], Origin::node("sub")).unwrap();
    let product = g.push(Op::Mul, [difference, y], Origin::node("mul")).unwrap();
    let sum = g.push(Op::Add, [square, product], Origin::node("add")).unwrap();
    for (name, value) in [("sum", sum), ("again", sum), ("given", x)] {
        g.outputs.push(hec_ir::tensor::Output { name: name.into(), value, client: vec![] });
    }
    g
}

#[test]
fn outputs_are_the_values_that_they_name() {
    let tensor = |data: [f64; 3]| Tensor::new(Shape::new([3]), data.to_vec()).unwrap();
    let inputs = [tensor([1.0, 2.0, 3.0]), tensor([4.0, 0.5, -1.0])];
    let graph = two_inputs();
    let outputs = graph.run(&inputs).unwrap();
    let values = graph.interpret(&inputs).unwrap();
    assert_eq!(outputs[0].data, [-11.0, 4.75, 5.0]);
    for (output, tensor) in graph.outputs.iter().zip(&outputs) {
        assert_eq!(&values[output.value], tensor);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let graph = two_inputs();
    let good = Tensor::filled(Shape::new([3]), 1.0);
    let bad = Tensor::filled(Shape::new([1, 3]), 1.0);
    let lying = Tensor { shape: Shape::new([3]), data: vec![1.0] };
    assert_eq!(graph.run(std::slice::from_ref(&good)), Err(InterpretError::InputCount { expected: 2, found: 1 }));
    assert!(matches!(graph.run(&[good.clone(), bad]), Err(InterpretError::InputShape { name, .. }) if name == "y"));
    assert!(matches!(graph.run(&[good, lying]), Err(InterpretError::InputShape { .. })));
}

#[test]
fn ill_formed_networks_are_refused() {
    let good = Tensor::filled(Shape::new([3]), 1.0);
    let inputs = [good.clone(), good];
    let mut graph = two_inputs();
    graph.outputs[0].value = hec_ir::tensor::ValueId(99);
    assert!(matches!(graph.run(&inputs), Err(InterpretError::Output { .. })));
    let mut graph = two_inputs();
    graph.nodes[hec_ir::tensor::ValueId(2)].shape = Shape::new([4]);
    assert!(matches!(graph.run(&inputs), Err(InterpretError::Node { layer, .. }) if layer == "square"));
    let mut graph = two_inputs();
    graph.nodes[hec_ir::tensor::ValueId(2)].args = vec![hec_ir::tensor::ValueId(4)];
    assert!(matches!(graph.interpret(&inputs), Err(InterpretError::Node { .. })));
}

#[test]
fn softmax_sums_to_one_along_its_axis() {
    let x = Tensor { data: vec![1000.0, 1000.0, 0.0, 1.0, 2.0, -5.0], shape: Shape::new([2, 3]) };
    let rows = ClientOp::Softmax { axis: 1 }.apply(&x).unwrap();
    for (row, x) in rows.data.chunks(3).zip(x.data.chunks(3)) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!((row[0] / row[1] - (x[0] - x[1]).exp()).abs() < 1e-12);
    }
    let columns = ClientOp::Softmax { axis: 0 }.apply(&x).unwrap();
    assert!((columns.data[2] + columns.data[5] - 1.0).abs() < 1e-15);
    assert!(ClientOp::Softmax { axis: 2 }.apply(&x).is_err());
}

#[test]
fn a_matrix_product_is_one_for_each_leading_index() {
    let (x, y) = (Numbers(11).tensor(&[2, 3, 4, 5]), Numbers(12).tensor(&[2, 3, 5, 2]));
    let mut g = Graph::new("product");
    let a = g.input("x", x.shape.clone());
    let b = g.input("y", y.shape.clone());
    let product = g.push(Op::BatchMatMul, [a, b], Origin::node("product")).unwrap();
    assert!(g.infer(&Op::BatchMatMul, &[b, a]).is_err());
    g.outputs.push(hec_ir::tensor::Output { name: "z".into(), value: product, client: vec![] });
    let z = g.run(&[x.clone(), y.clone()]).unwrap().remove(0);
    assert_eq!(z.shape.dims(), [2, 3, 4, 2]);
    for (index, value) in z.shape.indices().zip(&z.data) {
        let element =
            |t: &Tensor, row: usize, column: usize| at(t, &signed(&[index[0], index[1], row, column])).unwrap();
        let expected: f64 = (0..5).map(|k| element(&x, index[2], k) * element(&y, k, index[3])).sum();
        assert!((value - expected).abs() < 1e-14);
    }
}

#[test]
fn normalised_rows_have_unit_mean_square() {
    let x = Numbers(13).tensor(&[2, 3, 4]);
    for (center, axes) in [(true, vec![2]), (false, vec![2]), (true, vec![0, 2])] {
        let normalization = Normalization { axes: axes.clone(), center, epsilon: 0.0 };
        let y = unary(Op::Normalize(normalization), &[], x.clone());
        let mean = |values: Vec<f64>| {
            let t = Tensor::new(y.shape.clone(), values).unwrap();
            unary(Op::Linear(vec![LinearStep::Mean { axes: axes.clone() }]), &[], t).data
        };
        assert!(mean(y.data.iter().map(|v| v * v).collect()).iter().all(|m| (m - 1.0).abs() < 1e-12));
        assert_eq!(center, mean(y.data.clone()).iter().all(|m| m.abs() < 1e-12));
    }
    let huge = Normalization { axes: vec![2], center: true, epsilon: 1e12 };
    assert!(unary(Op::Normalize(huge), &[], x).data.iter().all(|v| v.abs() < 1e-5));
}

#[test]
fn a_look_up_gives_rows_by_number() {
    let of = |dims: &[usize], data: &[f64]| Tensor::new(Shape::new(dims), data.to_vec()).unwrap();
    let mut g = Graph::new("lookup");
    let ids = g.input("ids", Shape::new([2, 2]));
    let table = g.constants.add("table", of(&[3, 2], &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0]));
    let rows = g.push(Op::Lookup { table }, [ids], Origin::node("embed")).unwrap();
    g.outputs.push(hec_ir::tensor::Output { name: "y".into(), value: rows, client: vec![] });
    let y = g.run(&[of(&[2, 2], &[2.0, 0.0, 1.0, 2.0])]).unwrap().remove(0);
    assert_eq!(y, of(&[2, 2, 2], &[20.0, 21.0, 0.0, 1.0, 10.0, 11.0, 20.0, 21.0]));
    for wrong in [3.0, -1.0, 0.5, f64::NAN, 1e300] {
        let error = g.run(&[of(&[2, 2], &[0.0, wrong, 0.0, 0.0])]).unwrap_err().to_string();
        assert!(error.contains("embed") && error.contains("3 rows"), "{error}");
    }
}
