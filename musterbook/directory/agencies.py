"""Agencies: found by their slug."""

from musterbook.directory import models


class UnknownAgency(Exception):
    """No agency bears that slug."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"There is no agency {slug}. `muster agency list` tells which there are.")


def find(slug: str) -> models.Agency:
    """The agency with that slug. Raises UnknownAgency."""
    try:
        return models.Agency.objects.get(slug=slug)
    except models.Agency.DoesNotExist:
        raise UnknownAgency(slug) from None
