//! Real networks: the bundled one, and those of the development folder where it is present.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hec_import::{ImportOptions, Parts, Verdict, check, import, split};
use hec_ir::array;
use hec_ir::tensor::{Function, Graph, Op, Shape, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the development folder; none, with a line that says so, where it is absent.
fn shared(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEC_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let path = folder.join(file);
    if !path.exists() {
        println!("skipped: {} is absent (set HEC_SHARED)", path.display());
        return None;
    }
    Some(path)
}

fn load(path: &Path) -> Tensor {
    array::load(path).unwrap().remove(0).1
}

/// One of the samples, scaled to [0, 1] and standardized by channel.
fn sample(images: &Tensor, index: usize, shape: &Shape, mean: &[f64], deviation: &[f64]) -> Tensor {
    let size = shape.elements();
    let plane = size / mean.len();
    let pixels = &images.data[index * size..(index + 1) * size];
    let scaled = |(i, &p): (usize, &f64)| (p / 255.0 - mean[i / plane]) / deviation[i / plane];
    Tensor { shape: shape.clone(), data: pixels.iter().enumerate().map(scaled).collect() }
}

fn argmax(x: &[f64]) -> usize {
    (0..x.len()).max_by(|&a, &b| x[a].total_cmp(&x[b])).unwrap()
}

/// How many of the first `count` samples are classified as labelled.
fn correct(model: &Path, images: &Path, labels: &Path, count: usize, mean: &[f64], deviation: &[f64]) -> usize {
    let graph = import(model, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let (input, _) = graph.inputs().next().unwrap();
    let (shape, images, labels) = (graph.shape(input).clone(), load(images), load(labels));
    let is_right = |&i: &usize| {
        let logits = graph.run(&[sample(&images, i, &shape, mean, deviation)]).unwrap().remove(0);
        argmax(&logits.data) as f64 == labels.data[i]
    };
    (0..count).filter(is_right).count()
}

#[test]
fn mnist_networks_classify_as_published() {
    // 97.8 % and 98.7 % of the first thousand.
    for (model, least) in [("mlp_mnist", 97), ("lenet5_mnist", 97)] {
        let files = [
            format!("models/{model}.onnx"),
            "data/mnist_test_0_999_images.npy".to_owned(),
            "data/mnist_test_0_999_labels.npy".to_owned(),
        ];
        let [Some(model), Some(images), Some(labels)] = files.map(|f| shared(&f)) else { return };
        let right = correct(&model, &images, &labels, 100, &[0.0], &[1.0]);
        println!("{}: {right} of 100", model.display());
        assert!(right >= least, "{right} of 100");
    }
}

#[test]
fn resnet20_with_its_folded_shape_arithmetic_classifies_as_published() {
    let files =
        ["models/resnet20_cifar10.onnx", "data/cifar10_test_0_199_images.npy", "data/cifar10_test_0_199_labels.npy"];
    let [Some(model), Some(images), Some(labels)] = files.map(shared) else { return };
    let graph = import(&model, &ImportOptions::default()).unwrap();
    let count = |f: fn(&Op) -> bool| graph.nodes.values().filter(|n| f(&n.op)).count();
    assert_eq!(count(|op| matches!(op, Op::Activation(_))), 19);
    assert_eq!(count(|op| matches!(op, Op::Add)), 9);
    let right = correct(&model, &images, &labels, 10, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
    println!("resnet20: {right} of 10");
    assert!(right >= 8, "{right} of 10");
}

#[test]
fn the_encoder_classifies_as_published() {
    let files = ["models/encoder_sst2_emb.onnx", "data/sst2_dev_0_99_embeddings.npz"];
    let [Some(model), Some(data)] = files.map(shared) else { return };
    let graph = import(&model, &ImportOptions::default()).unwrap();
    let count = |f: fn(&Op) -> bool| graph.nodes.values().filter(|n| f(&n.op)).count();
    assert_eq!(count(|op| matches!(op, Op::BatchMatMul)), 2);
    assert_eq!(count(|op| matches!(op, Op::Softmax { .. })), 1);
    assert_eq!(count(|op| matches!(op, Op::Normalize(_))), 2);
    assert_eq!(count(|op| matches!(op, Op::Activation(_))), 2);
    let data: BTreeMap<String, Tensor> = array::load(&data).unwrap().into_iter().collect();
    let (x, labels, expected) = (&data["embeddings"], &data["labels"], &data["logits"]);
    let (mut right, mut worst) = (0, 0.0f64);
    for (i, sample) in x.data.chunks_exact(32 * 64).enumerate() {
        let logits = graph.run(&[Tensor::new(Shape::new([1, 32, 64]), sample.to_vec()).unwrap()]).unwrap().remove(0);
        let pairs = logits.data.iter().zip(&expected.data[2 * i..]);
        worst = pairs.fold(worst, |w, (a, b)| w.max((a - b).abs()));
        right += usize::from(argmax(&logits.data) as f64 == labels.data[i]);
    }
    let range = expected.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    println!("encoder: {right} of 100, logits within {:.1e} of onnxruntime's", worst / range);
    assert!(right == 78 && worst < 1e-4 * range);
}

#[test]
fn the_check_tells_what_is_approximated_in_the_encoder() {
    let Some(model) = shared("models/encoder_sst2_emb.onnx") else { return };
    let report = check(&model, &ImportOptions::default()).unwrap();
    assert!(report.is_fine());
    let verdict = |name: &str| &report.nodes.iter().find(|n| n.name == name).unwrap().verdict;
    let approximated = |function: &str| Verdict::Approximated { function: function.to_owned() };
    assert_eq!(*verdict("/layers.0/Softmax"), approximated("softmax"));
    assert_eq!(*verdict("/layers.0/n1/LayerNormalization"), approximated("layer_norm"));
    // The exporter's five nodes of GELU are one activation.
    assert_eq!(*verdict("/layers.0/act/Mul_1"), approximated("gelu"));
    assert_eq!(*verdict("/layers.0/act/Erf"), Verdict::Unused);
}

#[test]
fn the_client_looks_up_the_token_ids_of_the_encoder() {
    let files = ["models/encoder_sst2_ids.onnx", "data/sst2_dev_0_199_ids.npz"];
    let [Some(model), Some(data)] = files.map(shared) else { return };
    let graph = import(&model, &ImportOptions::default()).unwrap();
    let Parts { prologue: Some(prologue), body, epilogue: None } = split(&graph).unwrap() else {
        panic!("the embeddings are the client's, and nothing follows the last product");
    };
    let names = |graph: &Graph| graph.nodes.values().map(|n| n.op.name()).collect::<Vec<_>>();
    assert_eq!(names(&prologue), ["input", "lookup", "add_constant", "layer_norm", "scale", "add_constant"]);
    assert!(!names(&body).contains(&"lookup"));
    assert_eq!(body.constants.iter().filter(|(_, name, _)| name.starts_with("emb.")).count(), 0);
    let data: BTreeMap<String, Tensor> = array::load(&data).unwrap().into_iter().collect();
    let (ids, labels, expected) = (&data["ids"], &data["labels"], &data["logits"]);
    let (mut right, mut worst) = (0, 0.0f64);
    for (i, sample) in ids.data.chunks_exact(32).enumerate() {
        let ids = Tensor::new(Shape::new([1, 32]), sample.to_vec()).unwrap();
        let logits = body.run(&prologue.run(&[ids]).unwrap()).unwrap().remove(0);
        worst = logits.data.iter().zip(&expected.data[2 * i..]).fold(worst, |w, (a, b)| w.max((a - b).abs()));
        right += usize::from(argmax(&logits.data) as f64 == labels.data[i]);
    }
    let range = expected.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    println!("encoder from ids: {right} of 200, logits within {:.1e} of onnxruntime's", worst / range);
    assert!(right == 149 && worst < 1e-4 * range);
    let report = check(&model, &ImportOptions::default()).unwrap();
    let lookup = report.nodes.iter().find(|n| n.name == "/emb/w/Gather").unwrap();
    assert_eq!(lookup.verdict, Verdict::Client { function: "lookup".to_owned(), before: true });
}

#[test]
fn the_bundled_digits_network_classifies_its_test_images() {
    let folder = workspace().join("examples/digits");
    let graph = import(&folder.join("digits.onnx"), &ImportOptions::default()).unwrap();
    let (input, name) = graph.inputs().next().unwrap();
    assert_eq!(name, "image");
    let shape = graph.shape(input).clone();
    let (images, labels) = (load(&folder.join("test_images.npy")), load(&folder.join("test_labels.npy")));
    let right = images.data.chunks_exact(shape.elements()).zip(&labels.data).filter(|(pixels, label)| {
        let x = Tensor::new(shape.clone(), pixels.to_vec()).unwrap();
        argmax(&graph.run(&[x]).unwrap()[0].data) as f64 == **label
    });
    let right = right.count();
    println!("digits: {right} of {}", labels.data.len());
    assert!(right * 100 >= labels.data.len() * 95);
    // Layers keep the names that the model gives them.
    let layers: Vec<&str> = graph.nodes.values().map(|n| n.origin.layer()).collect();
    let expected =
        ["image", "conv1", "conv1", "relu1", "pool1", "conv2", "conv2", "relu2", "pool2", "flatten", "fc", "fc"];
    assert_eq!(layers, expected);
}

/// MiniLM, a sentence encoder of six layers, as `examples/minilm/export.py` writes it: too large for the repository.
#[test]
fn the_sentence_encoder_gives_the_embeddings_of_pytorch() {
    let Some(folder) = std::env::var_os("HEC_MINILM").map(PathBuf::from) else {
        println!("skipped: HEC_MINILM does not name the folder that examples/minilm/export.py has filled");
        return;
    };
    let arrays: BTreeMap<String, Tensor> = array::load(&folder.join("sentences_t8.npz")).unwrap().into_iter().collect();
    let (ids, expected) = (&arrays["first"], &arrays["first_embedding"]);
    // By both exporters of PyTorch, as far as they are there.
    let files = ["minilm_l6_t8.onnx", "minilm_l6_t8_dynamo.onnx"].map(|name| folder.join(name));
    for file in files.iter().filter(|file| file.exists()) {
        let Parts { prologue: Some(prologue), body, epilogue: Some(epilogue) } =
            split(&import(file, &ImportOptions::default()).unwrap()).unwrap()
        else {
            panic!("the client looks up the tokens, and averages and normalises the answer");
        };
        let count = |g: &Graph, f: fn(&Op) -> bool| g.nodes.values().filter(|n| f(&n.op)).count();
        let of_body = |f: fn(&Op) -> bool| count(&body, f);
        assert_eq!(of_body(|op| matches!(op, Op::BatchMatMul)), 12);
        assert_eq!(of_body(|op| matches!(op, Op::Softmax { .. })), 6);
        assert_eq!(of_body(|op| matches!(op, Op::Activation(Function::Gelu))), 6);
        let normalizations = [&prologue, &body, &epilogue].map(|g| count(g, |op| matches!(op, Op::Normalize(_))));
        assert_eq!(normalizations, [1, 11, 2]);
        let mut worst = 0.0f64;
        for (ids, y) in ids.data.chunks_exact(8).zip(expected.data.chunks_exact(384)).take(4) {
            let ids = Tensor::new(Shape::new([1, 8]), ids.to_vec()).unwrap();
            let inner = body.run(&prologue.run(&[ids]).unwrap()).unwrap();
            let found = epilogue.run(&inner).unwrap().remove(0);
            worst = found.data.iter().zip(y).fold(worst, |w, (a, b)| w.max((a - b).abs()));
        }
        println!("{}: within {worst:.1e} of PyTorch", file.display());
        assert!(worst < 1e-5);
    }
}
