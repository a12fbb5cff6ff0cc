"""Times OpenFHE's CKKS primitives and prints one JSON line a measurement.

usage: OMP_NUM_THREADS=1 python openfhe_peer.py SET...

Hybrid key switching, uniform ternary secret, explicit rescaling, 128-bit security enforced by the library. Times are
milliseconds of the calling thread's processor time, which a busy machine disturbs least.
"""

import json
import math
import os
import statistics
import sys
import tempfile
import time

import numpy
import openfhe

# name: (log2 N, depth, scale bits, first modulus bits, digits)
SETS = {
    "n13_d2": (13, 2, 40, 50, 3),
    "n14_d7": (14, 7, 40, 50, 8),
    "n15_d14_s45": (15, 14, 45, 60, 5),
    "n16_d28_s45": (16, 28, 45, 60, 4),
}
ROTATIONS = 16
PATIENCE = 1.5
# Pairs of messages that errors are the mean of.
MESSAGES = 8


def emit(set_name, op, **values):
    print(json.dumps({"peer": "openfhe", "set": set_name, "op": op, **values}), flush=True)


def measure(set_name, op, work, least=3, enough=41):
    result = work()
    times = []
    start = time.perf_counter()
    while len(times) < least or (len(times) < enough and time.perf_counter() - start < PATIENCE):
        before = time.thread_time_ns()
        result = work()
        times.append((time.thread_time_ns() - before) / 1e6)
    emit(set_name, op, main_thread_ms=statistics.median(times), main_thread_min_ms=min(times), n=len(times))
    return result


def once(set_name, op, work):
    """The first call alone: the library keeps the keys that it has made."""
    before = time.thread_time_ns()
    work()
    emit(set_name, op, main_thread_ms=(time.thread_time_ns() - before) / 1e6, n=1)


def context_of(set_name):
    log_n, depth, scale, first, digits = SETS[set_name]
    parameters = openfhe.CCParamsCKKSRNS()
    parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
    parameters.SetSecretKeyDist(openfhe.SecretKeyDist.UNIFORM_TERNARY)
    parameters.SetRingDim(1 << log_n)
    parameters.SetBatchSize(1 << (log_n - 1))
    parameters.SetMultiplicativeDepth(depth)
    parameters.SetScalingModSize(scale)
    parameters.SetFirstModSize(first)
    parameters.SetKeySwitchTechnique(openfhe.KeySwitchTechnique.HYBRID)
    parameters.SetNumLargeDigits(digits)
    parameters.SetScalingTechnique(openfhe.ScalingTechnique.FIXEDMANUAL)
    context = openfhe.GenCryptoContext(parameters)
    features = openfhe.PKESchemeFeature
    for feature in (features.PKE, features.KEYSWITCH, features.LEVELEDSHE, features.ADVANCEDSHE):
        context.Enable(feature)
    return context


def error_log2(context, keys, ciphertext, expected):
    plain = context.Decrypt(keys.secretKey, ciphertext)
    plain.SetLength(len(expected))
    return float(numpy.log2(numpy.max(numpy.abs(numpy.array(plain.GetRealPackedValue()) - expected))))


def errors(set_name, context, keys, rng):
    """Errors of fresh ciphertexts and of one operation on them; products are rescaled."""
    n = context.GetRingDimension()
    found = {}
    for _ in range(MESSAGES):
        x, y = rng.uniform(-1, 1, n // 2), rng.uniform(-1, 1, n // 2)
        px, py = context.MakeCKKSPackedPlaintext(x, 1, 0), context.MakeCKKSPackedPlaintext(y, 1, 0)
        cx, cy = context.Encrypt(keys.publicKey, px), context.Encrypt(keys.publicKey, py)
        for op, ciphertext, expected in [
            ("error_encrypt", cx, x),
            ("error_mul_ct_pt", context.Rescale(context.EvalMult(cx, py)), x * y),
            ("error_mul_ct_ct_relin", context.Rescale(context.EvalMult(cx, cy)), x * y),
            ("error_rotate", context.EvalRotate(cx, 1), numpy.roll(x, -1)),
        ]:
            found.setdefault(op, []).append(error_log2(context, keys, ciphertext, expected))
    for op, values in found.items():
        assert all(math.isfinite(value) for value in values)
        emit(set_name, op, log2=statistics.mean(values))


def run(set_name):
    n = 1 << SETS[set_name][0]
    context = context_of(set_name)
    keys = context.KeyGen()
    once(set_name, "keygen_relin", lambda: context.EvalMultKeyGen(keys.secretKey))
    rotations = list(range(1, ROTATIONS + 1))
    once(set_name, "keygen_16_rot", lambda: context.EvalRotateKeyGen(keys.secretKey, rotations))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "key")
        context.SerializeEvalMultKey(path, openfhe.BINARY)
        emit(set_name, "relin_key_size", mb=os.path.getsize(path) / 2**20)

    rng = numpy.random.default_rng(1)
    x, y = rng.uniform(-1, 1, n // 2), rng.uniform(-1, 1, n // 2)
    px = measure(set_name, "encode", lambda: context.MakeCKKSPackedPlaintext(x, 1, 0))
    py = context.MakeCKKSPackedPlaintext(y, 1, 0)
    cx = measure(set_name, "encrypt", lambda: context.Encrypt(keys.publicKey, px))
    cy = context.Encrypt(keys.publicKey, py)
    measure(set_name, "decrypt_decode", lambda: context.Decrypt(keys.secretKey, cx))
    measure(set_name, "add_ct_ct", lambda: context.EvalAdd(cx, cy))
    measure(set_name, "mul_ct_pt", lambda: context.EvalMult(cx, py))
    product = measure(set_name, "mul_ct_ct_relin", lambda: context.EvalMult(cx, cy))
    measure(set_name, "rescale", lambda: context.Rescale(product))
    measure(set_name, "rotate", lambda: context.EvalRotate(cx, 1))
    plains = [context.MakeCKKSPackedPlaintext(numpy.roll(y, i), 1, 0) for i in range(ROTATIONS)]

    def rotations_and_products():
        digits = context.EvalFastRotationPrecompute(cx)
        total = None
        for i in rotations:
            term = context.EvalMult(context.EvalFastRotation(cx, i, 2 * n, digits), plains[i - 1])
            total = term if total is None else context.EvalAdd(total, term)
        return context.Rescale(total)

    measure(set_name, "linear_16", rotations_and_products, enough=5)
    errors(set_name, context, keys, rng)


if __name__ == "__main__":
    for name in sys.argv[1:] or SETS:
        run(name)
        openfhe.ClearEvalMultKeys()
        openfhe.ReleaseAllContexts()
