//! A compiled network in the hands of its three parties, who share files and nothing else.

use hec::report::Report;
use hec::{How, Progress, pipeline};
use hec_ckks::{Ciphertext, EvaluationKeys, SecretKey, SeededCiphertext, Stored};
use hec_ir::artifact::Artifact;
use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::samples::{InputFile, Samples, wanted_by_graph};
use hec_ir::tensor::{Graph, Tensor};
use hec_run::{Client, Decryption, Server};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Outputs as the network gives them, without what the client does afterwards.
const RAW: Decryption = Decryption { raw: true, flood_bits: None };

/// The folders of the parties, with all that the owner has made.
pub struct Parties {
    /// The network as its owner gave it.
    pub network: Graph,
    /// What the compiler tells.
    pub report: Report,
    /// What it made.
    pub artifact: Artifact,
    client: PathBuf,
    server: PathBuf,
}

impl Parties {
    /// Compile a model; the server gets the program, the client the file beside it.
    pub fn compile(name: &str, model: &Path, how: &How) -> Parties {
        let network = pipeline::import(model, how).unwrap();
        let compiled = pipeline::compile(&network, how, &mut Progress::new()).unwrap();
        let artifact = compiled.artifact().unwrap();
        let folder = |party: &str| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parties").join(name).join(party);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        let (client, server) = (folder("client"), folder("server"));
        artifact.write(&server.join("model.hec")).unwrap();
        compiled.client_file(&artifact).write(&client.join("model.client.json")).unwrap();
        Parties { network, report: compiled.report, artifact, client, server }
    }

    /// The samples in a file of inputs, at most `count`.
    pub fn samples(&self, file: &Path, count: usize) -> Vec<Vec<Tensor>> {
        let file = InputFile { name: None, path: file.to_owned() };
        Samples::read(&wanted_by_graph(&self.network), &[file]).unwrap().all(count)
    }

    /// The original network's outputs.
    pub fn float(&self, samples: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
        samples.iter().map(|x| self.network.run(x).unwrap()).collect()
    }

    /// The compiled program's outputs in clear, without noise.
    pub fn clear(&self, samples: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
        samples.iter().map(|x| simulate_clear(self.artifact.program(), x).unwrap()).collect()
    }

    /// The decrypted outputs: keys are made, and one request for each sample passes through the server's folder.
    pub fn encrypted(&self, samples: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
        self.asked(samples, &RAW)
    }

    /// The same, with what the client computes after decryption.
    #[allow(dead_code, reason = "not every test binary has a network that leaves something to the client")]
    pub fn answers(&self, samples: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
        self.asked(samples, &Decryption::default())
    }

    fn asked(&self, samples: &[Vec<Tensor>], how: &Decryption) -> Vec<Vec<Tensor>> {
        self.make_keys();
        let ask = |sample: &Vec<Tensor>| {
            self.encrypt(std::slice::from_ref(sample));
            self.evaluate();
            self.decrypt(1, how).remove(0)
        };
        samples.iter().map(ask).collect()
    }

    /// The decrypted outputs of samples that share one request.
    #[allow(dead_code, reason = "not every test binary has a program for several samples")]
    pub fn encrypted_at_once(&self, samples: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
        self.make_keys();
        self.encrypt(samples);
        self.evaluate();
        self.decrypt(samples.len(), &RAW)
    }

    fn client(&self) -> Client {
        Client::load(&self.client.join("model.client.json")).unwrap()
    }

    fn secret(&self, client: &Client) -> SecretKey {
        SecretKey::load(client.context(), client.program(), &self.client.join("secret.key")).unwrap()
    }

    fn make_keys(&self) {
        let client = self.client();
        let (secret, keys) = client.keygen().unwrap();
        secret.save(client.context(), client.program(), &self.client.join("secret.key")).unwrap();
        keys.save(client.context(), client.program(), &self.server.join("eval.keys")).unwrap();
    }

    fn encrypt(&self, samples: &[Vec<Tensor>]) {
        let client = self.client();
        let request = client.encrypt_batch(&self.secret(&client), samples).unwrap();
        request.save(client.context(), client.program(), &self.server.join("request.ct")).unwrap();
    }

    /// All that the server knows is in its folder.
    fn evaluate(&self) {
        let mut files: Vec<_> = fs::read_dir(&self.server).unwrap().map(|f| f.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["eval.keys", "model.hec", "request.ct"]);
        let server = Server::load(&self.server.join("model.hec"), None, &()).unwrap();
        let (context, program) = (server.context(), server.program());
        let keys = EvaluationKeys::load(context, program, &self.server.join("eval.keys")).unwrap();
        let request = Vec::<SeededCiphertext>::load(context, program, &self.server.join("request.ct")).unwrap();
        let evaluated = server.eval(&Arc::new(keys), request, &()).unwrap();
        evaluated.response.save(context, program, &self.client.join("response.ct")).unwrap();
    }

    fn decrypt(&self, count: usize, how: &Decryption) -> Vec<Vec<Tensor>> {
        let client = self.client();
        let (context, program) = (client.context(), client.program());
        let response = Vec::<Ciphertext>::load(context, program, &self.client.join("response.ct")).unwrap();
        client.decrypt_batch(&self.secret(&client), &response, count, how).unwrap()
    }
}
