"""Random streams that branch off others."""

import torch

MAX_SEED = 2**32 - 1  # torch's CPU generator looks at 32 bits: larger seeds would repeat smaller ones


def branch(rng: torch.Generator) -> torch.Generator:
    """A generator of its own, seeded by one number of ``rng``: however much it draws, ``rng`` goes on alike."""
    return torch.Generator().manual_seed(int(torch.randint(0, MAX_SEED, (), generator=rng)))
