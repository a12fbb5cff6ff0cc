//! The models that the project measures itself by, each with the inputs that it is compiled and tested with.

use hec::How;
use std::path::{Path, PathBuf};

/// A model with its data.
#[derive(Clone, Debug)]
pub struct Model {
    /// A short name.
    pub name: &'static str,
    /// The network.
    pub network: PathBuf,
    /// How it is compiled: its calibration inputs, and what is done to raw inputs.
    pub how: How,
    /// Inputs that calibration never sees.
    pub unseen: PathBuf,
    /// Polynomials of a low degree, where a search would take long.
    pub low: &'static [&'static str],
}

const MNIST: Option<&str> = Some("scale=1/255");
const CIFAR: Option<&str> = Some("scale=1/255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225");

impl Model {
    /// Those that come with the project.
    pub fn examples() -> Vec<Model> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let data = ["digits/calibration.npy", "digits/test_images.npy"];
        let model = |name, network: &str| Model::new(name, &examples, network, data, None, &[]);
        vec![model("digits", "digits/digits.onnx"), model("deep", "deep/deep.onnx")]
    }

    /// Larger ones, from the folder `HEC_SHARED` or from `shared` beside the project; a line says what is not there.
    pub fn larger() -> Vec<Model> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let shared = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
        let mnist = ["data/mnist_train_0_1999_images.npy", "data/mnist_test_0_999_images.npy"];
        let cifar = ["data/cifar10_train_0_4999_images.npy", "data/cifar10_test_0_199_images.npy"];
        let sst2 = ["data/sst2_train_400_embeddings.npz", "data/sst2_dev_0_99_embeddings.npz"];
        let model = |name, network: &str, data, preprocess, low| {
            Model::new(name, &shared, &format!("models/{network}.onnx"), data, preprocess, low)
        };
        let mut all = vec![
            model("MLP", "mlp_mnist", mnist, MNIST, &[]),
            model("LeNet-5", "lenet5_mnist", mnist, MNIST, &[]),
            model("encoder", "encoder_sst2_emb", sst2, None, &["gelu=lsq:4", "tanh=lsq:4"]),
            model("ResNet-20", "resnet20_cifar10", cifar, CIFAR, &["relu=lsq:2"]),
        ];
        // The ring that the search takes for them, so that it need not search.
        for large in all.iter_mut().filter(|m| !m.low.is_empty()) {
            large.how.ring = Some(16);
            large.how.max_error = 0.02;
        }
        let (there, missing): (Vec<Model>, Vec<Model>) = all.into_iter().partition(|m| m.network.is_file());
        missing.iter().for_each(|m| println!("left out: {} is not there", m.network.display()));
        there
    }

    fn new(
        name: &'static str,
        folder: &Path,
        network: &str,
        [calibrate, unseen]: [&str; 2],
        preprocess: Option<&str>,
        low: &'static [&'static str],
    ) -> Model {
        let how = How {
            calibrate: vec![folder.join(calibrate)],
            preprocess: preprocess.map(str::to_owned),
            ..How::default()
        };
        Model { name, network: folder.join(network), how, unseen: folder.join(unseen), low }
    }
}
