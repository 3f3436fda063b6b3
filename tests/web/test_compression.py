"""Pages are sent compressed, and downloads as they are made."""

import gzip

from django.test import Client

from tests.accounts.conftest import Springfield, signed_in

ACCEPTS = {"Accept-Encoding": "gzip"}


def test_a_page_is_compressed_for_a_browser_that_accepts_it(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    signed_in(client, "user.1")
    plain, compressed = client.get("/springfield/users/"), client.get("/springfield/users/", headers=ACCEPTS)
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert b"user.2" in gzip.decompress(compressed.content)
    assert len(compressed.content) < len(plain.content) / 2


def test_the_length_of_a_page_differs_by_chance_so_that_it_reveals_no_secret(
    springfield: Springfield, client: Client
) -> None:
    lengths = {len(client.get("/springfield/sign-in", headers=ACCEPTS).content) for _ in range(20)}
    assert len(lengths) > 5


def test_a_download_is_not_compressed(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    signed_in(client, "user.1")
    assert "Content-Encoding" not in client.get("/springfield/users/export.csv", headers=ACCEPTS).headers
