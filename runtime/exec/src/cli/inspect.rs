//! What a file is.

use super::Inspect;
use super::bootstraps::Bootstraps;
use super::measure::json;
use super::output::{security_line, short};
use hec_ckks::{Ciphertext, EvaluationKeys, FileInfo, FileKind, SecretKey, SeededCiphertext, Snapshot, Stored};
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::program::KeySet;
use hec_ir::tensor::Graph;
use hec_ir::{Layout, ParametersLiteral};
use hec_run::{Client, RunError, bytes};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Facts in order: a name and a value.
type Facts = Vec<(String, String)>;

pub fn run(args: &Inspect) -> Result<String, RunError> {
    let mut start = Vec::new();
    let file = File::open(&args.file).map_err(RunError::io(&args.file))?;
    let length = file.metadata().map_err(RunError::io(&args.file))?.len();
    file.take(16).read_to_end(&mut start).map_err(RunError::io(&args.file))?;
    let mut facts = match &start[..] {
        [b'P', b'K', ..] => model(&args.file)?,
        [b'{', ..] => client_file(&args.file)?,
        _ => stored(&args.file, args.client.as_deref())?,
    };
    facts.push(("size".to_owned(), bytes(length as usize)));
    if args.json {
        let map: serde_json::Map<String, serde_json::Value> =
            facts.into_iter().map(|(name, value)| (name, value.into())).collect();
        return json(&map);
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    Ok(facts.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect())
}

fn fact(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn model(path: &Path) -> Result<Facts, RunError> {
    let artifact = Artifact::read(path)?;
    let (manifest, program) = (artifact.manifest(), artifact.program());
    let mut facts = vec![
        fact("file", "compiled model, for the server"),
        fact("model", &program.name),
        fact("program", &manifest.program_id),
        fact("compiled by", format!("hec {}", manifest.hec)),
    ];
    facts.extend(parameters(&program.parameters)?);
    facts.extend(program.inputs.iter().map(|i| layout("input", &i.name, &i.layout)));
    facts.extend(program.outputs.iter().map(|o| layout("output", &o.name, &o.layout)));
    let scheme = program.scheme().map_err(|e| RunError::Program(e.to_string()))?;
    facts.extend(Bootstraps::of(program, &scheme).iter().flat_map(bootstraps));
    let diagonals: usize = program.maps.values().map(|m| m.diagonals.len()).sum();
    facts.push(fact("instructions", program.instructions.len()));
    facts.push(fact("linear maps", format!("{} with {diagonals} diagonals", program.maps.len())));
    facts.push(keys(&program.keys));
    Ok(facts)
}

fn client_file(path: &Path) -> Result<Facts, RunError> {
    let client = ClientFile::read(path)?;
    let mut facts = vec![
        fact("file", "client's part of a compiled model"),
        fact("model", &client.name),
        fact("program", &client.program_id),
    ];
    facts.extend(parameters(&client.parameters)?);
    let scheme = client.scheme().map_err(|e| RunError::Program(e.to_string()))?;
    let each = scheme.bootstrap().filter(|_| client.keys.bootstrap).map(Bootstraps::each);
    facts.extend(each.iter().flat_map(bootstraps));
    facts.extend(client.inputs.iter().map(|i| layout("input", &i.name, &i.layout)));
    for output in &client.outputs {
        facts.push(layout("output", &output.name, &output.layout));
        facts.extend(output.client.iter().map(|op| fact("after decryption", format!("{op:?}"))));
    }
    let program = |what: &'static str, graph: &Option<Graph>| {
        let operations = |g: &Graph| g.nodes.values().skip(g.inputs().count()).map(|n| n.op.name()).collect::<Vec<_>>();
        graph.as_ref().map(|g| fact(what, operations(g).join(", ")))
    };
    facts.extend(program("before encryption", &client.programs.prologue));
    facts.extend(program("after decryption", &client.programs.epilogue));
    if !client.programs.is_empty() {
        facts.push(fact("weights", format!("{} numbers", client.programs.numbers())));
    }
    facts.push(keys(&client.keys));
    Ok(facts)
}

fn parameters(literal: &ParametersLiteral) -> Result<Facts, RunError> {
    let primes: usize = literal.levels.iter().map(Vec::len).sum();
    let chain = format!(
        "{} levels, {primes} primes, {} special, {} a digit, scale 2^{:.1}",
        literal.levels.len(),
        literal.special.len(),
        literal.digit_size,
        literal.top_scale.log2()
    );
    Ok(vec![fact("parameters", chain), fact("security", security_line(literal)?)])
}

fn layout(kind: &str, name: &str, layout: &Layout) -> (String, String) {
    fact(kind, format!("{name} {:?} in {} ciphertexts", layout.shape.dims(), layout.ciphertexts()))
}

fn bootstraps(all: &Bootstraps) -> Facts {
    vec![fact("bootstraps", all.describe()), fact("encapsulation", all.encapsulation())]
}

fn keys(keys: &KeySet) -> (String, String) {
    let relinearize = if keys.relinearize.is_some() { "relinearization and " } else { "" };
    let bootstrap = if keys.bootstrap { ", and those of bootstraps" } else { "" };
    fact("evaluation keys", format!("{relinearize}{} rotations{bootstrap}", keys.rotations.len()))
}

/// Keys and ciphertexts: what the header says, and with the client's file all of it, checked.
fn stored(path: &Path, client: Option<&Path>) -> Result<Facts, RunError> {
    let info = FileInfo::read(path).map_err(RunError::stored(path))?;
    let key: String = info.key.0.iter().map(|b| format!("{b:02x}")).collect();
    let security = if info.insecure { "INSECURE (toy parameters)" } else { "128-bit classical security" };
    let secret = if info.kind == FileKind::SecretKey { ", never give it away" } else { "" };
    let mut facts = vec![
        fact("file", format!("{}{secret}", info.kind)),
        fact("program", info.program.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        fact("secret key", key),
        fact("parameters", format!("fingerprint {}", short(&info.fingerprint))),
        fact("security", security),
    ];
    if let Some(client) = client {
        let client = Client::load(client)?;
        facts.extend(content(path, info.kind, &client).map_err(RunError::stored(path))?);
    }
    Ok(facts)
}

fn content(path: &Path, kind: FileKind, client: &Client) -> Result<Facts, hec_ckks::CkksError> {
    let (context, program) = (client.context(), client.program());
    let mut facts = Vec::new();
    match kind {
        FileKind::SecretKey => {
            SecretKey::load(context, program, path)?;
        }
        FileKind::EvaluationKeys => {
            let keys = EvaluationKeys::load(context, program, path)?;
            facts.extend(keys.names().map(|(name, level)| fact("key", format!("{name}, up to level {level}"))));
        }
        FileKind::Request => {
            let all = Vec::<SeededCiphertext>::load(context, program, path)?;
            facts.extend(all.iter().map(|c| fact("ciphertext", format!("level {}", c.level()))));
        }
        FileKind::Response => {
            let all = Vec::<Ciphertext>::load(context, program, path)?;
            facts.extend(all.iter().map(|c| fact("ciphertext", format!("level {}", c.level()))));
        }
        FileKind::Checkpoint => {
            let all = Snapshot::load(context, program, path)?.ciphertexts;
            facts.extend(all.iter().map(|c| fact("ciphertext", format!("level {}", c.level()))));
        }
    }
    facts.push(fact("checked", "the whole file, against the client's file"));
    facts.push(fact("chain", context.parameters().security()));
    Ok(facts)
}
