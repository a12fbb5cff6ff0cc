//! `model.hec` and `model.client.json`: what is written is read back, and whatever is not what was written is refused.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod example;

use hec_ir::Origin;
use hec_ir::array::read_npy;
use hec_ir::artifact::{Artifact, ArtifactError, ClientFile, ClientPrograms, FORMAT, fingerprint};
use hec_ir::program::Program;
use hec_ir::tensor::{Graph, Op, Output, Shape, Tensor};
use hec_ir::{Level, Rotation};
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

fn artifact() -> Artifact {
    Artifact::new(example::program(), serde_json::json!({ "depth": 4, "note": "kernel degree 2" })).unwrap()
}

fn bytes(artifact: &Artifact) -> Vec<u8> {
    artifact.write_to(Cursor::new(Vec::new())).unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    Artifact::read_from(Cursor::new(bytes))
}

/// A folder of its own, removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hec-ir-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_model_is_read_back() {
    let folder = Folder::new("model");
    let (path, artifact) = (folder.0.join("model.hec"), artifact());
    artifact.write(&path).unwrap();
    // Writing over a model replaces it, and nothing is left beside it.
    artifact.write(&path).unwrap();
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
    let back = Artifact::read(&path).unwrap();
    assert_eq!(back, artifact);
    assert_eq!(back.program(), &example::program());
    assert_eq!(back.manifest().fingerprint, fingerprint(&example::parameters()).unwrap());
    assert_eq!(back.manifest().inputs[0].shape.dims(), [8]);
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    assert_eq!(bytes(&artifact()), bytes(&artifact()));
    let mut program = example::program();
    program.name = "other".to_owned();
    let other = Artifact::new(program, serde_json::Value::Null).unwrap();
    assert_ne!(other.manifest().program_id, artifact().manifest().program_id);
    // The report is not part of what the program is.
    let report = Artifact::new(example::program(), serde_json::Value::Null).unwrap();
    assert_eq!(report.manifest().program_id, artifact().manifest().program_id);
}

#[test]
fn constants_can_be_mapped_and_other_tools_open_the_archive() {
    let bytes = bytes(&artifact());
    let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    assert_eq!(names[..2], ["manifest.json", "program.hel"]);
    assert_eq!(names.last().unwrap(), "report.json");
    for name in &names {
        let mut entry = archive.by_name(name).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
        assert_eq!(entry.data_start() % 64, 0, "{name}");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name.ends_with(".npy") {
            assert_eq!(read_npy(&content).unwrap().tensor.shape.dims()[1], example::SLOTS.0);
        }
    }
    assert_eq!(names.iter().filter(|n| n.starts_with("constants/map/")).count(), 2);
}

#[test]
fn every_truncation_and_every_flipped_bit_is_noticed() {
    let bytes = bytes(&artifact());
    for length in (0..bytes.len()).step_by(97).chain([1, 3, 4, 63, 64, bytes.len() - 1]) {
        assert!(matches!(read(&bytes[..length]), Err(ArtifactError::Foreign | ArtifactError::Checksum)), "{length}");
    }
    for position in (0..bytes.len()).step_by(61) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        assert!(matches!(read(&flipped), Err(ArtifactError::Foreign | ArtifactError::Checksum)), "{position}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(read(&longer), Err(ArtifactError::Checksum)));
}

/// The archive rebuilt with other entries, and a checksum that is right.
fn rebuilt(method: zip::CompressionMethod, change: impl Fn(&str, Vec<u8>) -> Vec<(String, Vec<u8>)>) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes(&artifact()))).unwrap();
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        for (name, content) in change(entry.name(), content) {
            out.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
            out.write_all(&content).unwrap();
        }
    }
    out.set_comment("0".repeat(64));
    let mut bytes = out.finish().unwrap().into_inner();
    let end = bytes.len() - 64;
    let digest: String = Sha256::digest(&bytes[..end]).iter().map(|b| format!("{b:02x}")).collect();
    bytes[end..].copy_from_slice(digest.as_bytes());
    bytes
}

/// The same entries but for one of them, whose content is replaced.
fn with(entry: &str, edit: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> Result<Artifact, ArtifactError> {
    read(&rebuilt(zip::CompressionMethod::Stored, |name, content| {
        let content = if name == entry { edit(content) } else { Some(content) };
        content.map(|c| (name.to_owned(), c)).into_iter().collect()
    }))
}

fn replaced(content: Vec<u8>, from: &str, to: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(content).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    Some(text.replacen(from, to, 1).into_bytes())
}

#[test]
fn a_forged_checksum_hides_nothing() {
    assert_eq!(with("", Some).unwrap(), artifact());
    for entry in ["manifest.json", "program.hel", "report.json"] {
        assert!(matches!(with(entry, |_| None), Err(ArtifactError::Missing(name)) if name == entry));
    }
    let version = format!("\"format\": {FORMAT}");
    let newer = with("manifest.json", |c| replaced(c, &version, "\"format\": 7, \"new\": 1"));
    assert!(matches!(newer, Err(ArtifactError::Format { found: 7, known: FORMAT })));
    assert!(matches!(with("manifest.json", |_| Some(b"{".to_vec())), Err(ArtifactError::Json(_))));
    let renamed = with("manifest.json", |c| replaced(c, "\"name\": \"example\"", "\"name\": \"other\""));
    assert!(matches!(renamed, Err(ArtifactError::Inconsistent)));
    assert!(matches!(with("program.hel", |_| Some(vec![0xff])), Err(ArtifactError::Encoding)));
    assert!(matches!(with("program.hel", |_| Some(b"program".to_vec())), Err(ArtifactError::Text(_))));
    let constant = "constants/map/map0.npy";
    assert!(matches!(with(constant, |_| None), Err(ArtifactError::Text(_))));
    assert!(matches!(with(constant, |c| Some(c[..c.len() - 1].to_vec())), Err(ArtifactError::Constant { .. })));
    let changed = with(constant, |mut c| {
        let last = c.len() - 2;
        c[last] ^= 1;
        Some(c)
    });
    assert!(matches!(changed, Err(ArtifactError::Inconsistent)));
}

#[test]
fn foreign_entries_and_compressed_ones_are_refused() {
    let extra = rebuilt(zip::CompressionMethod::Stored, |name, content| {
        let mut entries = vec![(name.to_owned(), content)];
        entries.extend((name == "report.json").then(|| ("../outside".to_owned(), vec![])));
        entries
    });
    assert!(matches!(read(&extra), Err(ArtifactError::Unexpected(name)) if name == "../outside"));
    let packed = rebuilt(zip::CompressionMethod::Deflated, |name, content| vec![(name.to_owned(), content)]);
    assert!(matches!(read(&packed), Err(ArtifactError::Entry(_))));
}

#[test]
fn a_program_that_does_not_verify_is_not_stored() {
    let broken = Program { keys: Default::default(), ..example::program() };
    assert!(matches!(Artifact::new(broken, serde_json::Value::Null), Err(ArtifactError::Program(_))));
}

/// A client's file without weights.
fn from_json(json: &[u8]) -> Result<ClientFile, ArtifactError> {
    ClientFile::from_json(json, || panic!("it has no weights"))
}

#[test]
fn the_clients_file_is_read_back_and_holds_no_weights() {
    let folder = Folder::new("client");
    let (path, client) = (folder.0.join("model.client.json"), ClientFile::of(&artifact()));
    client.write(&path).unwrap();
    assert_eq!(ClientFile::read(&path).unwrap(), client);
    assert_eq!(client.keys, example::program().keys);
    let text = client.to_json().unwrap();
    assert!(text.len() < 4000, "{text}");
    let missing = ClientFile::read(&folder.0.join("none.json")).unwrap_err().to_string();
    assert!(missing.contains("none.json"), "{missing}");
}

#[test]
fn a_damaged_clients_file_is_refused() {
    let text = ClientFile::of(&artifact()).to_json().unwrap();
    for length in 0..text.len() - 2 {
        assert!(from_json(&text.as_bytes()[..length]).is_err(), "cut at {length}");
    }
    for position in 0..text.len() {
        let mut flipped = text.clone().into_bytes();
        flipped[position] ^= 1 << (position % 7);
        assert!(from_json(&flipped).is_err(), "flipped at {position}");
    }
    let newer = text.replacen(&format!("\"format\": {FORMAT}"), "\"format\": 9", 1);
    assert!(matches!(from_json(newer.as_bytes()), Err(ArtifactError::Format { found: 9, .. })));
}

#[test]
fn a_clients_file_that_makes_no_sense_is_refused() {
    let refused = |change: fn(&mut ClientFile)| {
        let mut client = ClientFile::of(&artifact());
        change(&mut client);
        from_json(client.to_json().unwrap().as_bytes()).unwrap_err()
    };
    assert!(matches!(refused(|c| c.parameters.insecure_toy = false), ArtifactError::Parameters(_)));
    assert!(matches!(refused(|c| c.program_id.clear()), ArtifactError::Client(_)));
    assert!(matches!(refused(|c| c.inputs[0].layout.digits.clear()), ArtifactError::Layout { .. }));
    assert!(matches!(refused(|c| c.outputs[0].layout.slots.0 = 64), ArtifactError::Client(_)));
    assert!(matches!(refused(|c| c.keys.relinearize = Some(Level(5))), ArtifactError::Client(_)));
    let rotation = refused(|c| {
        c.keys.rotations.insert(Rotation(128), Level(0));
    });
    assert!(matches!(rotation, ArtifactError::Client(_)));
    let softmax = refused(|c| c.outputs[0].client.push(hec_ir::tensor::ClientOp::Softmax { axis: 1 }));
    assert!(matches!(softmax, ArtifactError::Client(_)));
}

/// A client that looks up a row of the example's eight numbers, and squares what comes back.
fn with_programs() -> ClientFile {
    let client = ClientFile::of(&artifact());
    let output = |name: &str, value| Output { name: name.into(), value, client: vec![] };
    let mut prologue = Graph::new("before");
    let ids = prologue.input("id", Shape::new([]));
    let data = (0..24).map(|i| f64::from(i) / 3.0).collect();
    let table = prologue.constants.add("table", Tensor { shape: Shape::new([3, 8]), data });
    let row = prologue.push(Op::Lookup { table }, [ids], Origin::node("embed")).unwrap();
    prologue.outputs.push(output(&client.inputs[0].name, row));
    let mut epilogue = Graph::new("after");
    let y = epilogue.input(client.outputs[0].name.as_str(), client.outputs[0].layout.shape.clone());
    let square = epilogue.push(Op::Square, [y], Origin::node("square")).unwrap();
    epilogue.outputs.push(output("answer", square));
    client.with_programs(ClientPrograms { prologue: Some(prologue), epilogue: Some(epilogue) })
}

#[test]
fn the_clients_own_programs_are_read_back_with_their_weights() {
    let folder = Folder::new("programs");
    let (path, client) = (folder.0.join("model.client.json"), with_programs());
    client.write(&path).unwrap();
    let back = ClientFile::read(&path).unwrap();
    assert_eq!(back, client);
    assert_eq!((back.programs.numbers(), back.result_names(false)), (24, vec!["answer"]));
    assert_eq!(back.wanted(), [("id".to_owned(), Shape::new([]))]);
    let row = back.prepare(&[Tensor::scalar(2.0)]).unwrap();
    assert_eq!(row[0].data[7], 23.0 / 3.0);
    assert!(back.prepare(&[Tensor::scalar(3.0)]).is_err());
    let shape = client.outputs[0].layout.shape.clone();
    let y = back.finish(vec![Tensor::filled(shape.clone(), 3.0)]).unwrap();
    assert_eq!(y, [Tensor::filled(shape, 9.0)]);
    // Weights that were altered, exchanged or lost are refused.
    let weights = folder.0.join("model.client.npz");
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    assert!(ClientFile::read(&path).unwrap_err().to_string().contains("altered"));
    std::fs::remove_file(&weights).unwrap();
    assert!(ClientFile::read(&path).unwrap_err().to_string().contains("model.client.npz"));
}

#[test]
fn programs_of_the_client_must_fit_what_is_encrypted() {
    let refused = |change: fn(&mut ClientPrograms)| {
        let mut client = with_programs();
        change(&mut client.programs);
        let weights = client.weights().unwrap().unwrap();
        ClientFile::from_json(client.to_json().unwrap().as_bytes(), || Ok(weights)).unwrap_err()
    };
    let name = refused(|p| p.prologue.as_mut().unwrap().outputs[0].name.push('x'));
    assert!(matches!(name, ArtifactError::Client(_)), "{name}");
    let count = refused(|p| {
        let other = p.epilogue.as_mut().unwrap();
        other.input("another", Shape::new([8]));
    });
    assert!(matches!(count, ArtifactError::Client(_)), "{count}");
}
