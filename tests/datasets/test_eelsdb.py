"""Fetching from the EELS Data Base, against a small server that answers as its API does."""

import csv
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from coreloss.cli import app as cli
from coreloss.datasets import eelsdb_client
from coreloss.datasets.eelsdb import citation_of, fetch_eelsdb, labels_of, quality_of
from coreloss.datasets.manifest import check_manifest, read_manifest
from coreloss.datasets.measured import experimental_set
from coreloss.datasets.split import sources_of
from coreloss.spectra.spectrum import Spectrum

FAST = {"interval_s": 0.0, "per_page": 2}


def msa(first_ev, last_ev, *, step=1.0, power=-3.0):
    energy = np.arange(first_ev, last_ev, step)
    counts = np.rint(1e6 * (energy / first_ev) ** power) + np.arange(len(energy)) % 3
    head = (
        "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n#TITLE       : test\n"
        f"#NPOINTS     : {len(energy)}.\n#NCOLUMNS    : 1.\n#XUNITS      : eV\n"
        f"#YUNITS      : counts\n#DATATYPE    : XY\n#XPERCHAN    : {step}\n"
        f"#OFFSET      : {first_ev}\n#SPECTRUM    : Spectral Data Starts Here\n"
    )
    rows = "".join(f"{e:.1f}, {c:.1f}\n" for e, c in zip(energy, counts, strict=True))
    return (head + rows + "#ENDOFDATA   : ").encode()


def record(number, **changes):
    """A record as the API gives it (fields and units of api.eelsdb.eu)."""
    return {
        "id": number,
        "title": "Rutile &#8211; powder",
        "permalink": f"https://eelsdb.eu/spectra/rutile-{number}/",
        "author": {"name": "Ada Lab", "profile_url": "https://eelsdb.eu/author/ada/"},
        "published": "2016-01-31 00:00:00",
        "description": " Analyst: B.\r\nTemperature: Room. ",
        "download_link": f"/files/{number}.msa",
        "type": "Core Loss",
        "formula": "TiO2",
        "elements": ["Ti", "O"],
        "microscope": "VG HB501UX",
        "min_energy": "380 eV",
        "max_energy": "700 eV",
        "edges": ["Ti_L2,3", "O_K"],
        "beamenergy": "100 kV",
        "stepSize": "1 eV/pixel",
        "convergence": "10 mrad",
        "collection": "6.5 mrad",
        "reference": {"authors": "A. Lab", "journal": "Micron", "year": "2015", "doi": "10.1/x"},
    } | changes


RECORDS = (
    record(1),
    record(2, type="Low Loss"),
    record(3, elements=["No"], formula="Li2FeO3", author={"name": "Bo Lab"}, reference=None),
    record(4, elements='["B","N"]', formula="", beamenergy="0.1 MV"),
    record(5),  # its file is broken
    record(6, type="X Ray Abs"),
    record(7, elements=[], formula="unknown"),
    record(8, download_link="/files/8.txt"),
    record(9),  # its file is not there
    record(10, download_link="https://example.org/10.msa"),
)
FILES = {
    "/files/1.msa": msa(380, 700),
    "/files/3.msa": msa(480, 580, step=0.5),
    "/files/4.msa": msa(120, 500),
    "/files/5.msa": b"#FORMAT : EMSA/MAS Spectral Data File\n#NPOINTS : 9\nnothing\n",
    "/files/8.txt": "\n".join(f"{e}\t{9e8 * e**-3.0:.2f}" for e in range(150, 1000)).encode(),
}


class Database:
    """Answers, what was asked and when; ``failures`` are served first: (path prefix, answer)."""

    def __init__(self):
        self.requests, self.failures, self.pages = [], [], True

    def serve(self, handler):
        url = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.requests.append((url.path, query, time.monotonic(), handler.headers["User-Agent"]))
        for failure in self.failures:
            if url.path.startswith(failure[0]):
                self.failures.remove(failure)
                return failure[1](handler)
        if url.path == "/spectra":
            body = json.dumps(self.listed(query, handler.server.url)).encode()
        elif url.path in FILES:
            body = FILES[url.path]
        else:
            return send(handler, 404, b"")
        return send(handler, 200, body)

    def listed(self, query, url):
        found = [dict(entry) for entry in RECORDS]
        if query.get("type") == "coreloss":
            found = [entry for entry in found if entry["type"] == "Core Loss"]
        if "element" in query:
            found = [entry for entry in found if query["element"] in entry["elements"]]
        size = int(query["per_page"])
        if size > 0:
            first = (int(query.get("page", 1)) - 1) * size if self.pages else 0
            found = found[first : first + size]
        for entry in found:
            if entry["download_link"].startswith("/"):
                entry["download_link"] = url + entry["download_link"]
        return found

    def files(self):
        return [path for path, *_ in self.requests if path.startswith("/files")]


def send(handler, status, body, *, length=None, **headers):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def database():
    answers = Database()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers.serve(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_port}"
    answers.url = server.url + "/spectra"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield answers
    server.shutdown()
    thread.join()
    server.server_close()


def rows_of(folder):
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def test_fetch_writes_files_and_a_manifest_that_can_be_scored(database, tmp_path):
    found = fetch_eelsdb(tmp_path, api_url=database.url, spectrum_type="all", **FAST)
    assert (found.n_files, found.n_downloaded) == (4, 5)
    assert found.skipped == {
        "type is Low Loss": 1,
        "unreadable file": 1,
        "type is X Ray Abs": 1,
        "no element of the 80 in its metadata": 1,
        "file not available (HTTP 404)": 1,
        "no file at eelsdb.eu": 1,
    }
    assert "left out 1: unreadable file" in found.summary()
    assert check_manifest(tmp_path) == ()
    records = {record.id: record for record in read_manifest(tmp_path)}
    assert sorted(records) == ["eelsdb_1", "eelsdb_3", "eelsdb_4", "eelsdb_8"]
    first = records["eelsdb_1"]
    assert set(first.elements_nominal) == {"Ti", "O"}
    assert (first.beam_energy_kev, first.convergence_mrad, first.collection_mrad) == (100, 10, 6.5)
    assert (first.usable_start_ev, first.usable_end_ev) == (380, 699)
    assert (first.material, first.quality) == ("Rutile – powder", "A")
    assert "ODbL 1.0" in first.license
    assert "https://eelsdb.eu/spectra/rutile-1/" in first.citation
    assert "A. Lab, Micron, 2015, 10.1/x" in first.citation
    assert "Ada Lab" in first.citation
    assert "Microsc. Microanal. 22 (2016) 717" in first.citation
    assert (records["eelsdb_3"].elements_nominal, records["eelsdb_3"].quality) == (("O", "Fe"), "B")
    assert records["eelsdb_3"].out_of_vocabulary == ("Li",)
    assert records["eelsdb_4"].elements_nominal == ("B", "N")
    assert records["eelsdb_4"].beam_energy_kev is None
    assert sources_of(list(records.values())).count("Ada Lab") == 3
    assert len(experimental_set(tmp_path, quality="AB").records) == 4
    row = rows_of(tmp_path)["eelsdb_8"]
    assert row["file"] == "files/8.txt"
    assert row["elements_present_in_range"] == "O Ti"
    assert row["edges_in_usable_range"] == "Ti_L2,3 O_K"


def test_only_core_loss_is_asked_for_and_every_page(database, tmp_path):
    found = fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    asked = [query for path, query, *_ in database.requests if path == "/spectra"]
    assert {query["type"] for query in asked} == {"coreloss"}
    assert [query["page"] for query in asked] == ["1", "2", "3", "4", "5"]
    assert not any("type is" in reason for reason in found.skipped)
    assert all(agent.startswith("coreloss/") for *_, agent in database.requests)


def test_a_server_without_pages_gives_everything(database, tmp_path):
    database.pages = False
    assert fetch_eelsdb(tmp_path, api_url=database.url, **FAST).n_files == 4


def test_elements_and_limit(database, tmp_path):
    found = fetch_eelsdb(tmp_path / "b", api_url=database.url, elements=["B", "N"], **FAST)
    assert found.n_files == 1
    assert list(rows_of(tmp_path / "b")) == ["eelsdb_4"]
    both = fetch_eelsdb(tmp_path / "both", api_url=database.url, elements=["Ti", "O"], **FAST)
    assert both.skipped["unreadable file"] == 1
    assert fetch_eelsdb(tmp_path / "l", api_url=database.url, limit=2, **FAST).n_files == 2
    assert fetch_eelsdb(tmp_path / "l", api_url=database.url, **FAST).n_downloaded == 3


def test_requests_keep_their_distance(database, tmp_path):
    fetch_eelsdb(tmp_path, api_url=database.url, limit=2, interval_s=0.15, per_page=2)
    times = [moment for *_, moment, _ in database.requests]
    assert len(times) >= 3
    assert min(np.diff(times)) > 0.12


def test_a_busy_server_is_waited_for(database, tmp_path):
    database.failures += [
        ("/spectra", lambda handler: send(handler, 503, b"", Retry_After="1")),
        ("/files/1", lambda handler: send(handler, 429, b"")),
        ("/files/3", lambda handler: send(handler, 200, FILES["/files/3.msa"][:900], length=5000)),
    ]
    assert fetch_eelsdb(tmp_path, api_url=database.url, **FAST).n_files == 4
    times = [moment for path, *_, moment, _ in database.requests if path == "/spectra"]
    assert times[1] - times[0] > 0.95
    assert database.files().count("/files/1.msa") == database.files().count("/files/3.msa") == 2
    assert (tmp_path / "files" / "3.msa").read_bytes() == FILES["/files/3.msa"]


def test_what_is_there_is_not_fetched_again(database, tmp_path):
    fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    before = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "files" / "3.msa").write_bytes(b"damaged")
    database.requests.clear()
    found = fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    assert found.n_downloaded == 1
    assert sorted(set(database.files())) == ["/files/3.msa", "/files/9.msa"]
    assert (tmp_path / "manifest.csv").read_text() == before


def test_an_interruption_loses_nothing(database, tmp_path, monkeypatch):
    download = eelsdb_client.Client.download

    def interrupted(self, url, path):
        if url.endswith("4.msa"):
            path.write_bytes(b"half a file")
            raise KeyboardInterrupt
        return download(self, url, path)

    monkeypatch.setattr(eelsdb_client.Client, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    assert list(rows_of(tmp_path)) == ["eelsdb_1", "eelsdb_3"]
    assert check_manifest(tmp_path) == ()
    assert sorted(p.name for p in (tmp_path / "files").iterdir()) == ["1.msa", "3.msa"]
    monkeypatch.undo()
    database.requests.clear()
    assert fetch_eelsdb(tmp_path, api_url=database.url, **FAST).n_files == 4
    assert not {"/files/1.msa", "/files/3.msa"} & set(database.files())


def test_a_server_that_stays_away_is_one_line(database, tmp_path):
    closed = "http://127.0.0.1:9/spectra"
    with pytest.raises(ValueError, match="run the same command again later"):
        fetch_eelsdb(tmp_path, api_url=closed, **FAST)
    database.failures.append(("/spectra", lambda h: send(h, 503, b"", Retry_After="86400")))
    with pytest.raises(ValueError, match="HTTP 503"):
        fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    database.failures.append(("/spectra", lambda h: send(h, 400, b"{}")))
    with pytest.raises(ValueError, match="HTTP 400; check the query"):
        fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    database.failures.append(("/spectra", lambda h: send(h, 200, b'{"message": "no such type"}')))
    with pytest.raises(ValueError, match="no such type"):
        fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    database.failures.append(("/spectra", lambda h: send(h, 200, b"<html>")))
    with pytest.raises(ValueError, match="is not JSON"):
        fetch_eelsdb(tmp_path, api_url=database.url, **FAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elements": ["Xx"]}, "Xx are not among the 80"),
        ({"spectrum_type": "xray"}, "allowed: coreloss, all"),
        ({"limit": 0}, "at least 1"),
        ({"interval_s": -1.0}, "interval is -1.0 s"),
    ],
)
def test_bad_options_are_refused(database, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fetch_eelsdb(tmp_path, api_url=database.url, **options)
    assert not database.requests


def test_a_damaged_index_is_named(database, tmp_path):
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ValueError, match="damaged index"):
        fetch_eelsdb(tmp_path, api_url=database.url, **FAST)


def test_labels_quality_and_citation_of_one_record():
    assert labels_of(record(1, elements=["O", "Xx", "H"])) == (("O",), ("H",))
    energy = np.arange(100.0, 300.0)
    assert quality_of(Spectrum(energy, energy**-3.0)) == "A"
    assert quality_of(Spectrum(energy[:100], energy[:100] ** -3.0)) == "B"
    assert quality_of(Spectrum(energy, energy**-3.0 - 1e-7)) == "C"
    assert quality_of(Spectrum(energy, np.where(energy < 150, 1.0, 9.0))) == "C"
    assert "unknown contributor" in citation_of({"id": 1})


def test_the_command_hands_its_options_over(database, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("coreloss.datasets.eelsdb.fetch_eelsdb", lambda *a, **k: seen(*a, **k))
    given = {}

    def seen(out_dir, **options):
        given.update(options, out_dir=out_dir)
        return fetch_eelsdb(out_dir, **options, api_url=database.url, **FAST)

    arguments = ["data", "fetch-eelsdb", str(tmp_path), "--element", "Ti", "--limit", "1"]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "1 files, 1 of them fetched now" in capfd.readouterr().out
    expected = {"elements": ("Ti",), "spectrum_type": "coreloss", "limit": 1, "out_dir": tmp_path}
    assert given == expected
