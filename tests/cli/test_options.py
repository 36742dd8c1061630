"""Options that take several values: with commas, with blanks, or given again."""

import pytest

GIVEN = [["O,Ti"], ["O Ti"], ["O, Ti"], ["O", "Ti"]]


def repeated(option, values):
    return [part for value in values for part in (option, value)]


@pytest.fixture
def seen(monkeypatch):
    """The elements or rates that the work behind a command was asked for."""
    found = []

    def note(*arguments, **options):
        found.append(options.get("elements", arguments[1:2]))
        raise ValueError("enough")

    for place in (
        "coreloss.mapping.amount_maps.quantify_image",
        "coreloss.datasets.eelsdb.fetch_eelsdb",
        "coreloss.datasets.published_streams.SetPlan",
        "coreloss.training.search.search_learning_rate",
    ):
        monkeypatch.setattr(place, note)
    return found


@pytest.mark.parametrize("values", GIVEN)
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("quantify", "FILE"), "--elements"),
        (("dataset", "FOLDER"), "--elements"),
        (("data", "fetch-eelsdb", "FOLDER"), "--element"),
    ],
)
def test_elements(command, option, values, run, seen, tmp_path):
    table = "energy (eV),counts\n" + "\n".join(f"{e},{1000 - e}" for e in range(300, 500))
    (tmp_path / "a.csv").write_text(table)
    places = {"FILE": tmp_path / "a.csv", "FOLDER": tmp_path / "out"}
    words = [places.get(word, word) for word in command]
    assert run(*words, *repeated(option, values))[2].endswith("enough\n")
    assert seen == [("O", "Ti")]


@pytest.mark.parametrize("values", [["1e-3,3e-3"], ["0.001 0.003"], ["1e-3", "3e-3"]])
def test_rates(values, run, seen, tmp_path):
    run("train", tmp_path, *repeated("--search", values))
    assert seen == [((0.001, 0.003),)]


def test_what_is_no_number_is_one_line(run, tmp_path):
    code, _, err = run("train", tmp_path, "--search", "1e-3,fast")
    assert code == 2
    assert err == "coreloss: --search is '1e-3,fast'; allowed: numbers with commas between them\n"
