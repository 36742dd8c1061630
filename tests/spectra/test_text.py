"""Tables of text: which columns are energies, how numbers are written, what is missing."""

import numpy as np
import pytest

from coreloss.spectra.reading import read_spectrum

ENERGY = 400 + 0.5 * np.arange(200)
COUNTS = np.round(1e6 * (ENERGY / 400) ** -3, 1)
LOW = ENERGY - 420
ZERO_LOSS = np.round(1e6 * np.exp(-0.5 * (LOW / 2) ** 2), 1)
EV = "energy (eV)"


def comma(value, marks):
    """A number with these marks of thousands and decimals."""
    return f"{value:,.1f}".translate(str.maketrans(",.", marks))


def rows(form):
    """Lines by a function of channel, energy and count."""
    return "\n".join(form(i, e, c) for i, (e, c) in enumerate(zip(ENERGY, COUNTS, strict=True)))


def read(folder, header, body, **options):
    path = folder / "a.csv"
    path.write_text(f"{header}\n{body}\n" if header else body)
    return read_spectrum(path, **options)


@pytest.mark.parametrize(
    ("header", "form", "note"),
    [
        (f"channel\t{EV}\tcounts", lambda i, e, c: f"{i}\t{e}\t{c}", "column 'channel' left out"),
        ("Channel Energy (eV) Counts", lambda i, e, c: f"{i + 7} {e} {c}", "'Channel' left out"),
        ("nr,energy [keV],counts", lambda i, e, c: f"{i},{e / 1000:.4f},{c}", "'nr' left out"),
        (f"counts;{EV}", lambda i, e, c: f"{c};{e}", None),
        (f"{EV},counts,error", lambda i, e, c: f"{e},{c},{c**0.5}", "column 'error' left out"),
        ("", lambda i, e, c: f"{i} {e} {c}", "column 1 left out"),
        (f"{EV},counts,", lambda i, e, c: f"{e},{c},", None),
        ("energy_ev,counts per eV", lambda i, e, c: f"{e},{c}", None),
    ],
)
def test_the_header_tells_the_energies(header, form, note, tmp_path):
    found = read(tmp_path, header, rows(form))
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-9)
    np.testing.assert_array_equal(found.counts, [COUNTS])
    said = [text for text in found.warnings if "no unit" not in text]
    assert len(said) == (note is not None)
    assert note is None or note in said[0]


@pytest.mark.parametrize("header", ["E core (eV),core,E low (eV),low", ""])
def test_pairs_of_columns_are_spectra_of_their_own(header, tmp_path):
    table = zip(ENERGY, COUNTS, LOW, ZERO_LOSS, strict=True)
    body = "\n".join(f"{a},{b},{c},{d}" for a, b, c, d in table)
    core = read(tmp_path, header, body)
    np.testing.assert_array_equal(core.counts, [COUNTS])
    assert "(spectrum, -20..79.5 eV); read 0" in core.warnings[0]
    low = read(tmp_path, header, body, zero_loss=True)
    np.testing.assert_array_equal(low.counts, [ZERO_LOSS])
    np.testing.assert_allclose(low.energy_ev, LOW)
    if header:
        assert (core.title, low.title) == ("core", "low")
        assert read(tmp_path, header, body, signal="low").energy_ev[0] == -20


def test_pairs_on_the_same_energies_are_one_line_scan(tmp_path):
    form = rows(lambda i, e, c: f"{e},{c},{e},{2 * c}")
    found = read(tmp_path, "E (eV),a,E (eV),b", form)
    np.testing.assert_array_equal(found.counts, [COUNTS, 2 * COUNTS])


def test_pairs_of_different_lengths(tmp_path):
    form = rows(lambda i, e, c: f"{e},{c},{e - 420},{c}" if i < 120 else f"{e},{c},,")
    assert read(tmp_path, "E (eV),a,E2 (eV),b", form).counts.shape == (1, 200)
    assert read(tmp_path, "E (eV),a,E2 (eV),b", form, signal=1).counts.shape == (1, 120)
    with pytest.raises(ValueError, match="counts without an energy"):
        read(tmp_path, EV + ",a", rows(lambda i, e, c: f"{e if i != 7 else ''},{c}"))


@pytest.mark.parametrize(
    "form",
    [
        lambda i, e, c: f'{e:.1f},"{c:,.1f}"',
        lambda i, e, c: f'{e:.1f}, "{c:,.1f}"',
        lambda i, e, c: f'"{e:.1f}","{c:,.1f}"',
        lambda i, e, c: f"{e:.1f}\t{c:,.1f}",
        lambda i, e, c: f"{e:.1f};{c:,.1f}",
        lambda i, e, c: f"{e:.1f} {c:,.1f}",
        lambda i, e, c: f'"{e:.1f}","{c:.1f}"'.replace(".", ","),
        lambda i, e, c: f"{e:.1f};{c:.1f}".replace(".", ","),
        lambda i, e, c: f"{e:.1f}".replace(".", ",") + ";" + comma(c, ".,"),
        lambda i, e, c: f"{e:.1f}\t" + comma(c, "'."),
        lambda i, e, c: f"{e:.1f};" + comma(c, "\u00a0."),
    ],
)
def test_marks_of_thousands_and_decimals(form, tmp_path):
    found = read(tmp_path, EV, rows(form))
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-9)
    np.testing.assert_array_equal(found.counts, [COUNTS])


def test_repeated_energies_are_averaged_and_said(tmp_path):
    twice = rows(lambda i, e, c: f"{e},{c}\n{e},{c + 2}")
    found = read(tmp_path, f"{EV},counts", twice)
    np.testing.assert_allclose(found.counts, [COUNTS + 1])
    assert found.warnings == ("200 energies repeat, such as 400 eV: their counts averaged",)
    once = rows(lambda i, e, c: f"{e},nan\n{e},{c}" if i == 8 else f"{e},{c}")
    found = read(tmp_path, f"{EV},counts", once)
    np.testing.assert_array_equal(found.counts, [COUNTS])
    assert found.warnings == ("1 energy repeats, such as 404 eV: their counts averaged",)


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        ("", "\n".join(map(str, COUNTS)), "holds one column: the energies are missing; write"),
        ("", "\t".join(map(str, COUNTS)), "one line of 200 numbers: the energies are missing"),
        (EV, "\n".join([",".join(map(str, ENERGY)), ",".join(map(str, COUNTS))]), "turn rows into"),
        ("channel,counts", rows(lambda i, e, c: f"{i},{c}"), "counts 0, 1, 2 ...: channel numbers"),
        ("energy,counts", rows(lambda i, e, c: f"{i + 1},{c}"), "write 'energy .eV.' above"),
        ("", rows(lambda i, e, c: f"{i}.0 {c}"), "channel numbers, not energies"),
        ("position (nm),counts", rows(lambda i, e, c: f"{e},{c}"), "is in"),
        ("k (1/nm),counts", rows(lambda i, e, c: f"{e},{c}"), "is in 1/nm"),
    ],
)
def test_tables_without_energies_say_what_to_write(header, body, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, header, body)


def test_losses_that_are_named_or_look_like_it_are_read(tmp_path):
    named = read(tmp_path, f"{EV},counts", rows(lambda i, e, c: f"{i},{c}"))
    assert (named.energy_ev[0], named.warnings) == (0, ())
    later = read(tmp_path, "", rows(lambda i, e, c: f"{i + 2},{c}"))
    assert later.warnings == ("the first column has no unit: eV assumed",)


def test_numbers_in_comments_are_said_to_be_left_out(tmp_path):
    body = rows(lambda i, e, c: f"{e} {c}")
    above = read(tmp_path, f"# beam 300 kV\n# made by hand\n# {EV} counts", body)
    assert above.warnings == ("numbers in line 1 are not read: '# beam 300 kV'",)
    after = read(tmp_path, f"# {EV} counts", body + "\n# 500.5 12")
    assert after.warnings == ("numbers in line 202 are not read: '# 500.5 12'",)
