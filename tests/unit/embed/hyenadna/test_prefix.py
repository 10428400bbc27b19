import pytest
import torch

from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.prefix import Encoded


@pytest.mark.parametrize(
    ("length", "layers", "bin_size", "pooling"),
    [(300, 2, 8, "mean"), (301, 3, 1, "mean"), (257, 2, 16, "max"), (300, 1, 7, "unweighted_mean"), (40, 2, 64, "max")],
)
def test_what_begins_alike_is_embedded_as_a_whole_pass_does(length, layers, bin_size, pooling):
    model = random_hyenadna(16, layers, 302, seed=1).double()
    draw = torch.Generator().manual_seed(2)
    with torch.inference_mode():
        codes = torch.randint(0, 5, (length,), dtype=torch.uint8, generator=draw)
        encoded = Encoded(model, codes, bin_size, pooling)
        assert torch.equal(encoded.bins, model.embed_bins(codes[None], bin_size, pooling))
        for start in (0, 1, 2, 3, 17, length // 2, length - 2, length - 1):
            others = codes.repeat(5, 1)
            others[:, start:] = torch.randint(0, 5, (5, length - start), dtype=torch.uint8, generator=draw)
            found = encoded.likes(others[:, start // bin_size * bin_size :], start)
            torch.testing.assert_close(found, model.embed_bins(others, bin_size, pooling), rtol=0, atol=1e-6)


def test_a_longer_filter_look_back_and_many_sequences_at_a_time(monkeypatch):
    from raygenex.embed.hyenadna import blocks
    from raygenex.embed.hyenadna.model import HyenaDnaConfig, HyenaDnaModel

    # Two sequences a pass, blocks of a few positions, and a look back over several of them.
    monkeypatch.setattr(blocks, "CPU_SIZES", blocks.Sizes(stream=128, block=5 * 32, transform=600))
    torch.manual_seed(0)
    model = HyenaDnaModel(HyenaDnaConfig(d_model=8, n_layer=2, max_seq_len=100, short_filter_order=5)).eval()
    with torch.inference_mode():
        codes = torch.randint(0, 4, (90,), dtype=torch.uint8)
        others = codes.repeat(7, 1)
        others[:, 50:] = torch.randint(0, 4, (7, 40), dtype=torch.uint8)
        found = Encoded(model, codes, 4, "mean").likes(others[:, 48:], 50)
        torch.testing.assert_close(found, model.embed_bins(others, 4, "mean"), rtol=0, atol=1e-5)
