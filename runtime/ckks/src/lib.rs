//! RNS-CKKS: encode, encrypt, evaluate, with hybrid key switching.
