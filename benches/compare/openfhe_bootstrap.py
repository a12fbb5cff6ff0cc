"""OpenFHE's side of the comparison of bootstraps: one JSON line for what it takes and gives.

All slots of N = 2^16, sparse-secret encapsulation, 128-bit security; the scale and the levels are those of OpenFHE's own
examples, with as many levels left as its rule of security admits, ten at most.
"""

import json
import resource
import time

import numpy
import openfhe

LOG_N, LOG_SLOTS, BUDGET, RUNS = 16, 15, [3, 3], 2
SCALE_BITS, FIRST_BITS, LARGE_DIGITS = 50, 57, 3
SECRET = openfhe.SecretKeyDist.SPARSE_ENCAPSULATED


def context():
    of_bootstrap = openfhe.CryptoContext.GetBootstrapDepth(BUDGET, SECRET)
    for levels in range(10, 0, -1):
        parameters = openfhe.CCParamsCKKSRNS()
        parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
        parameters.SetSecretKeyDist(SECRET)
        parameters.SetRingDim(1 << LOG_N)
        parameters.SetNumLargeDigits(LARGE_DIGITS)
        parameters.SetKeySwitchTechnique(openfhe.KeySwitchTechnique.HYBRID)
        parameters.SetScalingTechnique(openfhe.ScalingTechnique.FLEXIBLEAUTO)
        parameters.SetScalingModSize(SCALE_BITS)
        parameters.SetFirstModSize(FIRST_BITS)
        parameters.SetBatchSize(1 << LOG_SLOTS)
        parameters.SetMultiplicativeDepth(of_bootstrap + levels)
        try:
            return openfhe.GenCryptoContext(parameters), of_bootstrap + levels
        except RuntimeError:
            continue
    raise SystemExit("OpenFHE admits no number of levels")


def main():
    cc, depth = context()
    features = openfhe.PKESchemeFeature
    for feature in (features.PKE, features.KEYSWITCH, features.LEVELEDSHE, features.ADVANCEDSHE, features.FHE):
        cc.Enable(feature)
    slots = 1 << LOG_SLOTS
    cc.EvalBootstrapSetup(BUDGET, [0, 0], slots)
    keys = cc.KeyGen()
    cc.EvalMultKeyGen(keys.secretKey)
    cc.EvalBootstrapKeyGen(keys.secretKey, slots)
    values = numpy.random.default_rng(2).uniform(-1, 1, slots)
    plaintext = cc.MakeCKKSPackedPlaintext(values.tolist(), 1, depth - 1, None, slots)
    ciphertext = cc.Encrypt(keys.publicKey, plaintext)
    seconds = []
    for _ in range(RUNS):
        start = time.thread_time()
        out = cc.EvalBootstrap(ciphertext)
        seconds.append(time.thread_time() - start)
    decrypted = cc.Decrypt(keys.secretKey, out)
    decrypted.SetLength(slots)
    error = numpy.abs(numpy.array(decrypted.GetRealPackedValue()) - values)
    record = {
        "seconds": min(seconds),
        "bits": float(-numpy.log2(error.mean())),
        "levels": depth - out.GetLevel() - (out.GetNoiseScaleDeg() - 1),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
