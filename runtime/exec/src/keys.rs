//! Which evaluation keys a program needs.

use hec_ckks::KeyRequest;
use hec_ir::leveled::Scheme;
use hec_ir::program::KeySet;

/// Those of its instructions, united with those of its bootstrap.
pub(crate) fn key_request(keys: &KeySet, scheme: &Scheme) -> KeyRequest {
    let KeySet { relinearize, ref rotations, bootstrap } = *keys;
    let rotations = rotations.iter().map(|(&rotation, &level)| (scheme.batch().rotation(rotation), level)).collect();
    let mut request = KeyRequest { relinearize, rotations, ..KeyRequest::default() };
    if let Some(parameters) = scheme.bootstrap().filter(|_| bootstrap) {
        request.bootstrap(parameters);
    }
    request
}
