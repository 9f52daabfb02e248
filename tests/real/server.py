"""Writes a tiny random Llama model and serves it with llama.cpp's own HTTP server, in the `server` environment of prepare.py.

    TAP_REAL/server/bin/python tests/real/server.py MODEL.gguf     # prints its address, ends when its input closes

The model has no training: what it says are random words out of its list. It is small (about 400 kB) and loads in no time.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, INNER, HEADS, CONTEXT = 64, 128, 2, 2048
WORDS = ("the", "a", "one", "two", "of", "and", "to", "is", "sea", "sun", "wind", "rain", "stone", "tree", "river", "road")
WORD_COUNT = 160
UNKNOWN, CONTROL, BYTE, NORMAL = 2, 3, 6, 1  # llama.cpp's token types
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_model(path: Path) -> None:
    """One layer, 256 byte tokens that are never said, and words that are."""
    dice = random.Random(1)
    words = [f"\u2581{word}" for word in WORDS]
    while len(words) < WORD_COUNT:
        word = "\u2581" + "".join(dice.choice("bdfgklmnprst") + dice.choice("aeiou") for _ in range(2))
        if word not in words:
            words.append(word)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 3 + [-1000.0] * 256 + [-float(rank) for rank in range(len(words))])
    writer.add_token_types([UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(words))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    numbers = np.random.default_rng(1)

    def tensor(*shape: int) -> np.ndarray:
        return numbers.normal(0, 0.3, shape).astype(np.float32)

    said = tensor(len(tokens), WIDTH)
    said[: 3 + 256] = 0  # neither bytes nor an end: the text is words, and its length is what max_tokens says
    tensors = {
        "token_embd": tensor(len(tokens), WIDTH),
        "output_norm": np.ones(WIDTH, np.float32),
        "output": said,
        "blk.0.attn_norm": np.ones(WIDTH, np.float32),
        "blk.0.ffn_norm": np.ones(WIDTH, np.float32),
    }
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensors[f"blk.0.{name}"] = tensor(WIDTH, WIDTH)
    tensors["blk.0.ffn_gate"], tensors["blk.0.ffn_up"] = tensor(INNER, WIDTH), tensor(INNER, WIDTH)
    tensors["blk.0.ffn_down"] = tensor(WIDTH, INNER)
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Serve until the input closes: whoever started this has gone, or wants it to."""
    path = Path(sys.argv[1])
    write_model(path)
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx = 4 * CONTEXT
    settings.n_parallel = 4
    settings.warmup = False
    settings.cpuparams.n_threads = 1
    server = xllamacpp.Server(settings)
    print(f"address {server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
