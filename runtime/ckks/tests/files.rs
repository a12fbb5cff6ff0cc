//! Files: what is written is read, and anything else is refused.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Party, parameters, party, toy, toy_bootstrap};
use hec_ckks::{
    Bootstrapper, Ciphertext, CkksError, Content, Context, Encoder, EvaluationKeys, Evaluator, FileError, FileInfo,
    FileKind, KeyName, KeyRequest, PrecisionStats, SecretKey, SeededCiphertext, Stored, os_rng,
};
use hec_params::{BootstrapParameters, Level, Order, Rotation};
use rand_core::RngCore;
use sha2::{Digest, Sha256};
use std::sync::Arc;

const PROGRAM: [u8; 32] = [7; 32];

fn small() -> Party {
    party(&toy(10, 2, 40.0, 2), &[1], 30)
}

fn request(p: &mut Party, x: &[f64]) -> Vec<SeededCiphertext> {
    let plaintext = p.encoder.encode(x, p.top(), p.context.scale(p.top()).unwrap()).unwrap();
    (0..2).map(|_| p.secret.encrypt(&p.context, &plaintext, &mut p.rng).unwrap()).collect()
}

fn keys(p: &mut Party) -> EvaluationKeys {
    let mut request = KeyRequest { relinearize: Some(Level(1)), ..Default::default() };
    request.rotation(Rotation(1), p.top());
    EvaluationKeys::generate(&p.context, &p.secret, &request, &mut p.rng).unwrap()
}

#[test]
fn three_parties_by_files() {
    let folder = std::env::temp_dir().join(format!("hec-ckks-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let mut p = small();
    let x = p.random();
    p.secret.save(&p.context, &PROGRAM, &path("secret")).unwrap();
    keys(&mut p).save(&p.context, &PROGRAM, &path("keys")).unwrap();
    request(&mut p, &x).save(&p.context, &PROGRAM, &path("request")).unwrap();

    let keys = Arc::new(EvaluationKeys::load(&p.context, &PROGRAM, &path("keys")).unwrap());
    assert_eq!(keys.names().next(), Some((KeyName::Relinearize, Level(1))));
    let server = Evaluator::new(&p.context, &keys).unwrap();
    let inputs = Vec::<SeededCiphertext>::load(&p.context, &PROGRAM, &path("request")).unwrap();
    let outputs: Vec<Ciphertext> =
        inputs.into_iter().map(|c| server.rotate(&c.expand(&p.context).unwrap(), Rotation(1)).unwrap()).collect();
    outputs.save(&p.context, &PROGRAM, &path("response")).unwrap();

    p.secret = SecretKey::load(&p.context, &PROGRAM, &path("secret")).unwrap();
    let outputs = Vec::<Ciphertext>::load(&p.context, &PROGRAM, &path("response")).unwrap();
    outputs.iter().for_each(|c| p.assert_close(c, &common::rotated(&x, 1), -24.0));

    let info = FileInfo::read(&path("request")).unwrap();
    assert_eq!((info.kind, info.insecure, info.key), (FileKind::Request, true, p.secret.id()));
    // Six bytes hold a 40- or 49-bit residue: one part of two primes of 6 bytes and one of 7 at most.
    assert!(info.length < 2 * 1024 * 21 + 1024, "{}", info.length);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(path("secret")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 4, "no temporary file is left");
    assert!(matches!(
        SecretKey::load(&p.context, &PROGRAM, &path("missing")),
        Err(CkksError::File(FileError::Io { .. }))
    ));
    assert!(SecretKey::load(&p.context, &PROGRAM, &folder).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn other_kind_parameters_or_program_are_refused() {
    let mut p = small();
    let x = p.random();
    let bytes = request(&mut p, &x).to_bytes(&p.context, &PROGRAM).unwrap();
    let read = |context: &Context, program: &[u8; 32]| Vec::<SeededCiphertext>::from_bytes(context, program, &bytes);
    assert_eq!(read(&p.context, &PROGRAM).unwrap().len(), 2);
    let wrong = SecretKey::from_bytes(&p.context, &PROGRAM, &bytes);
    assert!(matches!(wrong, Err(CkksError::File(FileError::Kind { found: FileKind::Request, .. }))));
    assert!(matches!(read(&p.context, &[8; 32]), Err(CkksError::File(FileError::Program))));
    let other = Context::new(parameters(&toy(10, 2, 40.0, 1))).unwrap();
    assert!(matches!(read(&other, &PROGRAM), Err(CkksError::File(FileError::Parameters))));
    let mut newer = bytes.clone();
    newer[8] = 2;
    let newer = Vec::<SeededCiphertext>::from_bytes(&p.context, &PROGRAM, &newer);
    assert!(matches!(newer, Err(CkksError::File(FileError::Version { found: 2, supported: 1 }))));
    assert!(matches!(Vec::<Ciphertext>::new().to_bytes(&p.context, &PROGRAM), Err(CkksError::File(FileError::Empty))));
}

/// Positions all over: every byte of header and tables, then strides through the data.
fn positions(length: usize) -> impl Iterator<Item = usize> {
    (0..length.min(400)).chain((400..length).step_by(length / 60 + 1)).chain(length.saturating_sub(40)..length)
}

fn damage<T: Stored>(context: &Context, value: &T) {
    let bytes = value.to_bytes(context, &PROGRAM).unwrap();
    let read = |bytes: &[u8]| T::from_bytes(context, &PROGRAM, bytes).map(|_| ());
    read(&bytes).unwrap();
    for at in positions(bytes.len()) {
        let is_file_error = |result: Result<(), CkksError>| matches!(result, Err(CkksError::File(_)));
        assert!(is_file_error(read(&bytes[..at])), "cut at {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(is_file_error(read(&flipped)), "flipped in {at}");
        // With a checksum that holds, the content must still be checked; it may be another valid value.
        let end = flipped.len() - 32;
        let checksum = Sha256::digest(&flipped[..end]);
        flipped[end..].copy_from_slice(&checksum);
        let _ = read(&flipped);
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(read(&longer), Err(CkksError::File(FileError::Length { .. }))));
}

#[test]
fn damaged_files_are_refused() {
    let mut p = small();
    let x = p.random();
    damage(&p.context, &p.secret);
    let keys = keys(&mut p);
    damage(&p.context, &keys);
    let request = request(&mut p, &x);
    damage(&p.context, &request);
    let response: Vec<Ciphertext> = request.into_iter().map(|c| c.expand(&p.context).unwrap()).collect();
    damage(&p.context, &response);
}

/// The switch to the sparse secret lives in another ring than all other keys of the file.
#[test]
fn keys_of_a_bootstrap_are_one_file() {
    let parameters = BootstrapParameters::check(toy_bootstrap(6, 5, Order::CoeffsFirst)).unwrap();
    let context = Context::new(parameters.parameters().clone()).unwrap();
    let rng = &mut os_rng().unwrap();
    let secret = SecretKey::generate(&context, rng);
    let mut request = KeyRequest::default();
    request.bootstrap(&parameters);
    let keys = EvaluationKeys::generate(&context, &secret, &request, rng).unwrap();
    assert!(keys.names().eq(request.names().collect::<std::collections::BTreeMap<_, _>>()));
    let bytes = keys.to_bytes(&context, &PROGRAM).unwrap();
    let loaded = EvaluationKeys::from_bytes(&context, &PROGRAM, &bytes).unwrap();
    assert_eq!(loaded.to_bytes(&context, &PROGRAM).unwrap(), bytes);
    assert_eq!((loaded.bytes(&context), loaded.id()), (keys.bytes(&context), secret.id()));

    let (encoder, level) = (Encoder::new(&context), parameters.input_level());
    let x: Vec<f64> = (0..32).map(|i| f64::from(i) / 16.0 - 1.0).collect();
    let plaintext = encoder.encode(&x, level, context.scale(level).unwrap()).unwrap();
    let a = secret.encrypt(&context, &plaintext, rng).unwrap().expand(&context).unwrap();
    let server = Evaluator::new(&context, &Arc::new(loaded)).unwrap();
    let fresh = Bootstrapper::new(&context, &parameters).unwrap().bootstrap(&server, &a, Content::Real).unwrap();
    let slots = encoder.decode(&secret.decrypt(&context, &fresh).unwrap()).unwrap();
    assert!(PrecisionStats::of(&slots, &x).log2_max < -16.0);

    request.rotations.retain(|rotation, _| rotation.0 == 1);
    damage(&context, &EvaluationKeys::generate(&context, &secret, &request, rng).unwrap());
}

#[test]
fn random_bytes_are_refused() {
    let mut p = small();
    for length in [0usize, 1, 127, 128, 160, 161, 4096] {
        let mut bytes = vec![0; length];
        p.rng.fill_bytes(&mut bytes);
        if length > 24 {
            bytes[..8].copy_from_slice(b"HECCKKS\0");
            bytes[8..24].copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
        }
        if length > 32 {
            bytes[24..32].copy_from_slice(&(length as u64).to_le_bytes());
        }
        assert!(matches!(EvaluationKeys::from_bytes(&p.context, &PROGRAM, &bytes), Err(CkksError::File(_))));
    }
}
