"""The Triton kernels against plain torch; on a machine without a GPU in Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

pytest.importorskip("triton", reason="Triton is not installed")

from profcore.engines.kernels import decode, prefill
from tests.support import ROOT

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EPS = 1e-5


def draw(*shape, scale=1.0):
    return torch.randn(shape, device=DEVICE) * scale


def norm(x, gain):
    return functional.rms_norm(x, x.shape[-1:], gain, EPS)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(("rows", "width"), [(64, 64), (40, 48), (1030, 96)])
def test_norm_project(rows, width):
    x, gain, weight, out = draw(width), draw(width), draw(rows, width), draw(rows)
    decode.norm_project(x, gain, weight, out, EPS)
    torch.testing.assert_close(out, weight @ norm(x, gain), atol=1e-4, rtol=1e-4)


def test_project_add_may_write_over_its_residual():
    x, weight, residual = draw(48), draw(40, 48), draw(40)
    expected = weight @ x + residual
    decode.project_add(x, weight, residual, residual)
    torch.testing.assert_close(residual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("position", "length"),
    [(0, 64), (31, 64), (32, 64), (63, 64), (70, 200), pytest.param(150, 2048, marks=pytest.mark.long)],
)
def test_attend(position, length):
    heads, size = 3, 16
    width = heads * size
    scratch = decode.DecodeScratch(width, heads, 8, 8, 64, draw(1))
    scratch.qkv.copy_(draw(3 * width))
    gains = draw(width), draw(width)
    angles = torch.arange(length, device=DEVICE)[:, None] * torch.rand(size // 2, device=DEVICE)
    keys, values = draw(heads, length + 8, size)[:, :length], draw(heads, length + 8, size)[:, :length]

    query, key, value = scratch.qkv.view(3, width)
    cosine, sine = angles[position].cos().repeat(2), angles[position].sin().repeat(2)

    def rotated(x, gain):
        x = norm(x, gain).view(heads, size)
        return x * cosine + torch.cat([-x[:, size // 2 :], x[:, : size // 2]], 1) * sine

    wanted_keys, wanted_values = keys.clone(), values.clone()
    wanted_keys[:, position], wanted_values[:, position] = rotated(key, gains[1]), value.view(heads, size)
    seen = slice(0, position + 1)
    expected = functional.scaled_dot_product_attention(
        rotated(query, gains[0])[:, None], wanted_keys[:, seen], wanted_values[:, seen]
    )
    for _ in range(2):  # twice, since the kernel must leave its counters as it found them
        at = torch.tensor([position], device=DEVICE)
        decode.attend(scratch, gains, (angles.cos(), angles.sin()), (keys, values), at, heads, EPS)
        torch.testing.assert_close(scratch.mixed, expected.flatten(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(keys, wanted_keys, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(values, wanted_values, atol=1e-5, rtol=1e-5)


def routed(x, normed, logits, gate_up, down, top_k):
    """The experts one by one, in float64."""
    shares, chosen = logits.double().softmax(-1).topk(top_k)
    out = x.double().clone()
    for token in range(len(x)):
        for share, expert in zip(shares[token], chosen[token], strict=True):
            gate, up = (gate_up[expert].double() @ normed[token].double()).chunk(2)
            out[token] += share * (down[expert].double() @ (functional.silu(gate) * up))
    return out.to(x.dtype)


@pytest.mark.parametrize("top_k", [1, 3, 8])
def test_decode_experts(top_k):
    width, units, count = 48, 24, 8
    scratch = decode.DecodeScratch(width, 3, units, count, 64, draw(1))
    x, gain, out = draw(width), draw(width), draw(width)
    gate_up, down = draw(count, 2 * units, width, scale=0.1), draw(count, width, units, scale=0.1)
    scratch.router_logits.copy_(draw(count))
    decode.experts(scratch, x, gain, gate_up, down, out, top_k, EPS)
    expected = routed(x[None], norm(x, gain)[None], scratch.router_logits[None], gate_up, down, top_k)
    torch.testing.assert_close(out, expected[0], atol=1e-4, rtol=1e-4)


def test_equal_router_logits_choose_the_first_experts():
    scratch = decode.DecodeScratch(16, 1, 8, 6, 64, draw(1))
    scratch.router_logits.copy_(torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, 1.0]))
    decode.experts(scratch, draw(16), draw(16), draw(6, 16, 16), draw(6, 16, 8), draw(16), 3, EPS)
    assert scratch.chosen[:3].tolist() == [1, 2, 3]


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(("tokens", "top_k"), [(1, 1), (5, 3), (40, 8), (150, 2)])
def test_prefill_experts(tokens, top_k, blocks):
    width, units, count = 48, 24, 8
    x, normed, logits = draw(tokens, width), draw(tokens, width), draw(tokens, count)
    # All tokens prefer one expert, so that one has many tiles and others none.
    logits[:, 2] += 3
    gate_up, down = draw(count, 2 * units, width, scale=0.1), draw(count, width, units, scale=0.1)
    out = prefill.experts(x, normed, logits, gate_up, down, top_k, blocks=blocks)
    torch.testing.assert_close(out, routed(x, normed, logits, gate_up, down, top_k), atol=1e-4, rtol=1e-4)


def test_head_and_advance_take_the_first_of_the_largest():
    width, vocabulary = 48, 100
    scratch = decode.DecodeScratch(width, 3, 8, 8, vocabulary, draw(1))
    x, gain, weight, logits = draw(width), draw(width), draw(vocabulary, width), draw(vocabulary)
    weight[70] = weight[41] = 5 * norm(x, gain)
    decode.head(scratch, x, gain, weight, logits, EPS)
    torch.testing.assert_close(logits, weight @ norm(x, gain), atol=1e-3, rtol=1e-4)
    token, position = torch.zeros(1, dtype=torch.int64, device=DEVICE), torch.tensor([6], device=DEVICE)
    tokens, embeddings = torch.zeros(20, dtype=torch.int64, device=DEVICE), draw(vocabulary, width)
    decode.advance(scratch, token, position, tokens, embeddings, x)
    assert (token.item(), position.item(), tokens[7].item()) == (41, 7, 41)
    assert torch.equal(x, embeddings[41])


@pytest.mark.long
def test_kernels_compile_for_hopper():
    """What the interpreter takes, a compiler may not."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.engines.hopper"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 14
