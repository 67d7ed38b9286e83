"""What tests of models share."""

from __future__ import annotations

import pytest


@pytest.fixture
def one_thread():
    """Tiny towers are quickest on one thread of torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
