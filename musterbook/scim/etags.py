"""Versions of resources (RFC 7644 §3.14) as `ETag`, `meta.version`, `If-Match` and `If-None-Match` have them."""

import re

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def format_tag(version: str) -> str:
    """Return the version as a weak tag: the attributes that a client asks for change the bytes, but not the version."""
    return f'W/"{version}"'


def is_named(version: str, header: str) -> bool:
    """Return whether a header names this version, or any (`*`)."""
    return header.strip() == "*" or version in _TAG.findall(header)
