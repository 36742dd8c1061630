"""Files of these tests are small and stand for large ones: they are read piece by piece."""

import pytest


@pytest.fixture(autouse=True)
def _piece_by_piece(monkeypatch):
    monkeypatch.setattr("coreloss.spectra.image.READ_WHOLE", 0)
