"""Signed addresses and tokens stay out of logs."""

from __future__ import annotations

import logging

from hub_calls import fetch, noise, plan
from hub_fixtures import READER_TOKEN
from hub_server import SIGNATURE


def test_no_signature_is_logged(hub, client, tmp_path, caplog):
    hub.add("dataset", "acme/signed", {"train.jsonl.gz": noise(1000)})
    with caplog.at_level(logging.DEBUG):
        fetch(client, plan(client, "acme/signed", hf_token=READER_TOKEN), tmp_path)
        found = [record for record in caplog.records if "/blobs/" in record.getMessage()]
    assert [record for record in found if record.levelno == logging.INFO]
    assert SIGNATURE not in caplog.text
    assert READER_TOKEN not in caplog.text
    assert "?..." in caplog.text


def test_other_logs_are_left_alone(client, caplog):
    said = "see https://a.example/?x=1"
    with caplog.at_level(logging.INFO):
        logging.getLogger("somebody.else").info(said)
        logging.getLogger("httpx").info("%s and %d", "https://a.example/?x=1", 7)
        logging.getLogger("httpx").info("%s and %d", "plain", 7)
    assert [record.getMessage() for record in caplog.records] == [
        said,
        "https://a.example/?... and 7",
        "plain and 7",
    ]
    assert caplog.records[2].args == ("plain", 7)
