//! Sentences as inputs, by a tokenizer of a few words.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod common;

use common::{Folder, WIDTH, artifact, secure};
use hec_ir::Origin;
use hec_ir::artifact::{ClientFile, ClientPrograms};
use hec_ir::samples::Wanted;
use hec_ir::tensor::{Graph, LinearStep, Op, Output, Shape, Tensor};
use hec_run::TextInput;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// Splits at white space; [CLS] words [SEP].
fn tokenizer(special: &[(&str, u32)], padding: Value) -> Value {
    let words = ["a", "good", "bad", "film"].iter().zip(10u32..);
    let vocab: Vec<(&str, u32)> = special.iter().copied().chain(words.map(|(w, id)| (*w, id))).collect();
    let token = |(content, id): &(&str, u32)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let template = |id: &str, kind: &str, type_id: u32| json!({ kind: { "id": id, "type_id": type_id } });
    let (cls, sep) = (template("[CLS]", "SpecialToken", 0), template("[SEP]", "SpecialToken", 0));
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": padding,
        "added_tokens": special.iter().map(token).collect::<Vec<_>>(),
        "normalizer": { "type": "Lowercase" },
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, template("A", "Sequence", 0), sep],
            "pair": [cls, template("A", "Sequence", 0), sep, template("B", "Sequence", 1), sep],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] },
            },
        },
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocab.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
                   "unk_token": "[UNK]" },
    })
}

const SPECIAL: [(&str, u32); 4] = [("[PAD]", 0), ("[UNK]", 1), ("[CLS]", 2), ("[SEP]", 3)];

fn write(folder: &Folder, tokenizer: &Value) -> PathBuf {
    let path = folder.path("tokenizer.json");
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    path
}

fn wanted(inputs: &[&str], length: usize) -> Wanted {
    inputs.iter().map(|&name| (name.to_owned(), Shape::new([1, length]))).collect()
}

fn sentences(all: &[&str]) -> Vec<String> {
    all.iter().map(|&s| s.to_owned()).collect()
}

/// The tensors of one sentence, and what is said of it.
fn tokens(text: &TextInput, sentence: &str) -> (Vec<Vec<f64>>, Vec<String>) {
    let mut all = text.tokenize(&sentences(&[sentence])).unwrap();
    (all.samples.remove(0).into_iter().map(|t| t.data).collect(), all.notes)
}

#[test]
fn a_sentence_is_filled_up_or_cut_to_the_models_length_and_the_client_is_told() {
    let folder = Folder::new("text-length");
    // Padding of the file, to another length than the model's, counts for nothing but its token.
    let padding = json!({ "strategy": { "Fixed": 9 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                          "pad_type_id": 0, "pad_token": "[PAD]" });
    for padding in [Value::Null, padding] {
        let path = write(&folder, &tokenizer(&SPECIAL, padding));
        let text = TextInput::new(&path, &wanted(&["ids"], 5)).unwrap();
        assert_eq!(tokens(&text, "A good film"), (vec![vec![2.0, 10.0, 11.0, 13.0, 3.0]], vec![]));
        let (short, notes) = tokens(&text, "odd film");
        assert_eq!(short, [[2.0, 1.0, 13.0, 3.0, 0.0]]);
        assert!(notes[0].contains("has 4 tokens") && notes[0].contains("no mask"), "{notes:?}");
        let (long, notes) = tokens(&text, "a good bad good film");
        assert_eq!(long, [[2.0, 10.0, 11.0, 12.0, 3.0]]);
        assert!(notes[0].contains("cut off"), "{notes:?}");
    }
}

#[test]
fn masks_and_types_go_to_the_inputs_of_their_names() {
    let folder = Folder::new("text-mask");
    let path = write(&folder, &tokenizer(&SPECIAL, Value::Null));
    let text = TextInput::new(&path, &wanted(&["attention_mask", "input_ids", "token_type_ids"], 5)).unwrap();
    let (tensors, notes) = tokens(&text, "bad film");
    assert_eq!(tensors, [[1.0, 1.0, 1.0, 1.0, 0.0], [2.0, 12.0, 13.0, 3.0, 0.0], [0.0; 5]]);
    assert!(notes.is_empty(), "with a mask nothing need be said: {notes:?}");
}

#[test]
fn what_is_no_tokenizer_or_no_model_of_tokens_is_refused_with_the_reason() {
    let folder = Folder::new("text-refused");
    let path = write(&folder, &tokenizer(&SPECIAL, Value::Null));
    let refused = |path: &PathBuf, wanted: &Wanted| TextInput::new(path, wanted).err().unwrap().to_string();
    let embeddings = vec![("embeddings".to_owned(), Shape::new([1, 5, 8]))];
    assert!(refused(&path, &embeddings).contains("embeddings [1, 5, 8], no token ids"));
    assert!(refused(&path, &wanted(&["a", "b"], 5)).contains("no token ids"));
    assert!(refused(&path, &wanted(&["ids"], 1)).contains("cannot be used"), "no room for [CLS] and [SEP]");
    assert!(refused(&folder.path("none.json"), &wanted(&["ids"], 5)).contains("none.json"));
    for text in ["", "{}", "[1, 2", "{\"model\": {\"type\": \"WordLevel\"}}"] {
        std::fs::write(&path, text).unwrap();
        assert!(refused(&path, &wanted(&["ids"], 5)).contains("this tokenizer cannot be used"), "{text}");
    }
    let path = write(&folder, &tokenizer(&SPECIAL[1..], Value::Null));
    let text = TextInput::new(&path, &wanted(&["ids"], 5)).unwrap();
    let short = text.tokenize(&sentences(&["film"])).err().unwrap().to_string();
    assert!(short.contains("no token to fill up"), "{short}");
    assert!(text.tokenize(&sentences(&["a good film", " "])).is_err(), "an empty sentence");
}

/// Rows of a table in the place of four ids, as the input of one dense layer.
fn lookup() -> Graph {
    let mut graph = Graph::new("lookup");
    let ids = graph.input("ids", Shape::new([1, 4]));
    let data = (0..14 * 2).map(|i| f64::from(i) / 16.0 - 0.8).collect();
    let table = graph.constants.add("table", Tensor { shape: Shape::new([14, 2]), data });
    let rows = graph.push(Op::Lookup { table }, [ids], Origin::node("embedding")).unwrap();
    let flat = Op::Linear(vec![LinearStep::Reshape { shape: Shape::new([1, WIDTH]) }]);
    let value = graph.push(flat, [rows], Origin::node("embedding")).unwrap();
    graph.outputs.push(Output { name: "x".to_owned(), value, client: Vec::new() });
    graph
}

#[test]
fn encrypted_inference_of_sentences_is_that_of_their_token_ids() {
    let folder = Folder::new("text-infer");
    let artifact = artifact(secure());
    artifact.write(&folder.path("model.hec")).unwrap();
    let programs = ClientPrograms { prologue: Some(lookup()), epilogue: None };
    ClientFile::of(&artifact).with_programs(programs).write(&folder.path("model.client.json")).unwrap();
    std::fs::write(folder.path("sentences.txt"), "a good\n\nfilm\nbad bad film\n").unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hec-run")).current_dir(&folder.0).args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, err) = run(&["infer", "model.hec", "--text", "a good"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("HEC-R012") && err.contains("--tokenizer"), "{err}");

    write(&folder, &tokenizer(&SPECIAL, Value::Null));
    let (code, out, err) = run(&["infer", "model.hec", "--text-file", "sentences.txt", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("note: sentence 1 has 3 tokens") && err.contains("note: sentence 2 is longer"), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let ids = [[2, 10, 11, 3], [2, 13, 3, 0], [2, 12, 12, 3]];
    let samples = report["samples"].as_array().unwrap();
    assert_eq!(samples.len(), ids.len());
    let program = artifact.program();
    for (sample, ids) in samples.iter().zip(ids) {
        let ids = Tensor { shape: Shape::new([1, 4]), data: ids.map(f64::from).to_vec() };
        let expected = hec_ir::evaluate::clear::simulate_clear(program, &lookup().run(&[ids]).unwrap()).unwrap();
        let found: Vec<f64> = serde_json::from_value(sample["output"].clone()).unwrap();
        let error = found.iter().zip(&expected[0].data).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-4, "{error}");
    }
    let (code, _, err) = run(&["infer", "model.hec", "--text", "a", "--text-file", "sentences.txt"]);
    assert_eq!(code, Some(2), "one source of inputs: {err}");
}

/// MiniLM's own tokenizer gives the ids that the exporter's library gave for all sentences of at least 32 tokens.
/// `HEC_MINILM` names the folder that `examples/minilm/export.py OUT --lengths 32 --sentences FOLDER` has filled,
/// `HEC_SHARED` one with the sentences in `data`.
#[test]
fn sentences_get_the_ids_that_minilm_was_exported_with() {
    let (Some(exported), Some(shared)) = (std::env::var_os("HEC_MINILM"), std::env::var_os("HEC_SHARED")) else {
        println!("skipped: HEC_MINILM and HEC_SHARED do not name the exported files and the sentences");
        return;
    };
    let exported = PathBuf::from(exported);
    let text = TextInput::new(&exported.join("tokenizer.json"), &wanted(&["input_ids"], 32)).unwrap();
    let lines = std::fs::read_to_string(PathBuf::from(shared).join("data/sst2_dev_0_199.tsv")).unwrap();
    let all = lines.lines().skip(1).filter_map(|line| Some(line.rsplit_once('\t')?.0));
    let found = all.map(|sentence| tokens(&text, sentence));
    // A shorter sentence is filled up, which is told.
    let long = found.filter(|(_, notes)| notes.iter().all(|note| !note.contains("filled up")));
    let ids: Vec<f64> = long.flat_map(|(mut inputs, _)| inputs.remove(0)).collect();
    let arrays = hec_ir::array::load(&exported.join("sentences_t32.npz")).unwrap();
    let expected = &arrays.iter().find(|(name, _)| name == "sst2").unwrap().1;
    assert!(!expected.data.is_empty());
    assert_eq!(ids, expected.data);
}
