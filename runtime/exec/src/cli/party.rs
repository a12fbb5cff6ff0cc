//! The three parties, by files.

use super::bar::{Bar, spin};
use super::output::{describe, stacked, warn_insecure, write_outputs};
use super::{Decrypt, Encrypt, Eval, Keygen, sample};
use hec_ckks::{Ciphertext, EvaluationKeys, FileInfo, SecretKey, SeededCiphertext, Stored};
use hec_ir::tensor::Tensor;
use hec_run::{Checkpoint, Client, RunError, Server, bytes};
use std::path::Path;
use std::sync::Arc;

fn client(path: &Path) -> Result<Client, RunError> {
    let client = Client::load(path)?;
    warn_insecure(client.scheme());
    Ok(client)
}

fn load<T: Stored>(context: &hec_ckks::Context, program: &hec_ckks::ProgramId, path: &Path) -> Result<T, RunError> {
    T::load(context, program, path).map_err(RunError::stored(path))
}

fn save<T: Stored>(
    value: &T,
    context: &hec_ckks::Context,
    program: &hec_ckks::ProgramId,
    path: &Path,
) -> Result<String, RunError> {
    value.save(context, program, path).map_err(RunError::stored(path))?;
    let length = std::fs::metadata(path).map_err(RunError::io(path))?.len();
    Ok(format!("{} ({})", path.display(), bytes(length as usize)))
}

pub fn keygen(args: &Keygen) -> Result<String, RunError> {
    let client = client(&args.client)?;
    let (secret_path, keys_path) = (args.out.join("secret.key"), args.out.join("eval.keys"));
    if secret_path.exists() && !args.force {
        return Err(RunError::Usage(format!(
            "{} is there already; what was encrypted with it could no longer be decrypted. Use another folder, or \
             --force to replace it",
            secret_path.display()
        )));
    }
    std::fs::create_dir_all(&args.out).map_err(RunError::io(&args.out))?;
    let (secret, keys) = spin("making keys", || client.keygen())?;
    let secret = save(&secret, client.context(), client.program(), &secret_path)?;
    let keys = save(&keys, client.context(), client.program(), &keys_path)?;
    Ok(format!("secret key, stays with you: {secret}\nevaluation keys, for the server: {keys}\n"))
}

pub fn encrypt(args: &Encrypt) -> Result<String, RunError> {
    let client = client(&args.client)?;
    let samples = args.source.samples(&client.file().wanted(), &args.client)?;
    let most = client.file().batch.0;
    let (first, count) = match (args.index, args.count, samples.len()) {
        (first, Some(count), _) => (first.unwrap_or(0), count),
        (Some(index), None, _) => (index, 1),
        (None, None, count) if count <= most => (0, count),
        (None, None, count) if most == 1 => {
            return Err(RunError::Input(format!("the input holds {count} samples; choose one with --index")));
        }
        (None, None, count) => {
            let advice = format!("a request {most}: choose the first with --index and how many with --count");
            return Err(RunError::Input(format!("the input holds {count} samples, {advice}")));
        }
    };
    let inputs = (first..first.saturating_add(count.min(most + 1))).map(|index| sample(&samples, index));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let secret: SecretKey = load(client.context(), client.program(), &args.secret)?;
    let request = client.encrypt_batch(&secret, &inputs)?;
    let saved = save(&request, client.context(), client.program(), &args.output)?;
    let held =
        if most == 1 { String::new() } else { format!(", {count} of {most} samples: decrypt with --count {count}") };
    Ok(format!("request: {saved}{held}\n"))
}

pub fn eval(args: &Eval) -> Result<String, RunError> {
    args.machine.threads.apply()?;
    let bar = |what| Bar::with_lines(what, args.progress);
    let server = Server::load(&args.model, args.machine.max_memory, &bar("preparing"))?;
    warn_insecure(server.prepared().scheme());
    let checkpoint = args.checkpoint.as_deref().map(|path| checkpoint(args, path)).transpose()?;
    let keys: EvaluationKeys = load(server.context(), server.program(), &args.keys)?;
    let request: Vec<SeededCiphertext> = load(server.context(), server.program(), &args.input)?;
    let evaluated = server.eval_from(&Arc::new(keys), request, checkpoint.as_ref(), &bar("evaluating"))?;
    let saved = save(&evaluated.response, server.context(), server.program(), &args.output)?;
    checkpoint.map_or(Ok(()), |checkpoint| checkpoint.remove())?;
    let (prepared, evaluation) = (server.prepared().duration().as_secs_f64(), evaluated.duration.as_secs_f64());
    let trace = if args.trace { format!("{}\n", evaluated.trace) } else { String::new() };
    let resumed = match evaluated.resumed {
        0 => String::new(),
        done => format!(", resumed after {done} of {} instructions", evaluated.trace.steps.len()),
    };
    Ok(format!("{trace}response: {saved}\nprepared in {prepared:.3} s, evaluated in {evaluation:.3} s{resumed}\n"))
}

/// A checkpoint in `path` for this evaluation: the checksums of keys and request, which are verified when they are loaded,
/// stand for their content.
fn checkpoint(args: &Eval, path: &Path) -> Result<Checkpoint, RunError> {
    let checksum = |path: &Path| FileInfo::read(path).map(|info| info.checksum).map_err(RunError::stored(path));
    Ok(Checkpoint::new(path, checksum(&args.keys)?, checksum(&args.input)?))
}

pub fn decrypt(args: &Decrypt) -> Result<String, RunError> {
    let client = client(&args.client)?;
    let how = args.how.decryption()?;
    let secret: SecretKey = load(client.context(), client.program(), &args.secret)?;
    let response: Vec<Ciphertext> = load(client.context(), client.program(), &args.input)?;
    let count = args.count.unwrap_or(client.file().batch.0);
    let samples = client.decrypt_batch(&secret, &response, count, &how)?;
    let names = client.file().result_names(how.raw);
    match &args.output {
        Some(path) => {
            let stacked: Vec<Tensor> = (0..names.len()).map(|i| stacked(samples.iter().map(|s| &s[i]))).collect();
            let outputs = names.into_iter().zip(&stacked);
            write_outputs(path, outputs).map(|()| format!("outputs: {}\n", path.display()))
        }
        None => {
            let of_sample = |sample: &Vec<Tensor>| -> String {
                names.iter().zip(sample).map(|(name, tensor)| describe(name, tensor) + "\n").collect()
            };
            Ok(samples.iter().map(of_sample).collect())
        }
    }
}
