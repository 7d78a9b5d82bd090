"""Damaged files: no reader may crash, hang, take a gigabyte or raise anything but an error that names the file."""

import os
import time

import fuzz
import pytest


@pytest.mark.parametrize("reader", fuzz.READERS)
def test_damaged_files_are_read_or_refused(reader):
    findings, _ = fuzz.fuzz(reader, count=500)
    assert findings == []


def unforeseen():
    raise KeyError("planted")


def spin():
    while True:
        pass


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (os.abort, "ended by SIGABRT"),
        (unforeseen, "KeyError: 'planted'"),
        (lambda: bytearray(2_000_000_000), "MemoryError"),
        (spin, "over 1 s"),
        (lambda: time.sleep(60), "waited over 2 s"),
    ],
)
def test_harm_is_found_and_named(harm, words, monkeypatch):
    calls, make_files = [], fuzz.make_files

    def read(path):
        calls.append(path)
        if len(calls) == 2:  # the first file is whole
            harm()

    monkeypatch.setattr(fuzz, "SECONDS", 1)
    monkeypatch.setattr(fuzz, "WAITED", 2 if "waited" in words else 300)  # a busy machine makes the others wait too
    monkeypatch.setattr(fuzz, "make_files", lambda folder: {"settings": (make_files(folder)["settings"][0], read)})
    findings, _ = fuzz.fuzz("settings", count=1)
    assert [number for number, _ in findings] == [0]
    assert words in findings[0][1]
