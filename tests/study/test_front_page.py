"""What the first pages show is what the results hold."""

import pytest

from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.runtime.provenance import CHECKOUT
from coreloss.study import front_page
from coreloss.study.identification.tables import PUBLISHED_SCORES


@pytest.fixture(scope="module")
def parts():
    return front_page.parts()


@pytest.mark.parametrize("name", front_page.PAGES)
def test_generated_parts_are_up_to_date(name, parts):
    page = (CHECKOUT / name).read_text(encoding="utf-8")
    for part in front_page.PAGES[name]:
        assert page.count(f"<!-- {part} -->\n") == 1, f"{name} has no place for {part}"
    assert front_page.filled(page, parts) == page, "python -m coreloss.study.front_page"


def test_table_begins_with_files_that_chose_nothing_and_ends_with_the_published(parts):
    _, _, *rows = parts["scores"].splitlines()
    assert "chose nothing | 6 |" in rows[0]
    assert rows[0].count("–") == 4  # intervals
    assert [row.split(",")[1].strip() for row in rows[-3:]] == [n for n, *_ in PUBLISHED_SCORES]


def test_picture_shows_the_elements_of_the_file():
    folder = data_dir()
    if folder is None:
        pytest.skip(NO_DATA)
    spectrum = front_page.draw_picture(folder).axes[0]
    assert [text.get_text() for text in spectrum.texts] == ["O K", "Ta M"]
    assert front_page.PICTURE.is_file()
