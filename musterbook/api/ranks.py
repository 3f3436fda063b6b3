"""The ranks of an agency: list, add, change, move and delete them."""

from typing import Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from musterbook.api import access, etags
from musterbook.api.access import needs
from musterbook.api.schemas import Id, Strict, answers
from musterbook.directory import models
from musterbook.directory.agency import agencies, ranks, vocabularies

router = Router()
PERMISSION = "ranks.manage"


class Rank(Schema):
    """A rank, with its place in the order (1 is the highest) and the number of its users."""

    id: int
    name: str
    abbreviation: str
    position: int
    users: int


class Ranks(Schema):
    """All ranks of the agency, the highest first."""

    items: list[Rank]


class NewRank(Strict):
    """A rank to add. It is added below all others."""

    name: str = Field(max_length=255, examples=["Sergeant"])
    abbreviation: str = Field("", max_length=255, description="Files can use it instead of the name.", examples=["SGT"])


class RankChange(Strict):
    """The members of a rank to change. A member that is left out stays as it is."""

    name: str = Field("", max_length=255)
    abbreviation: str = Field("", max_length=255, description="Files can use it instead of the name.")


class RankMove(Strict):
    """The direction in which to move a rank by one place."""

    direction: Literal["up", "down"]


def _show_all(agency: models.Agency) -> list[Rank]:
    return [
        Rank(id=rank.pk, name=rank.name, abbreviation=rank.abbreviation, position=position, users=users)
        for position, (rank, users) in enumerate(ranks.list_ranks(agency), 1)
    ]


def _show(rank: models.Rank) -> Rank:
    return next(one for one in _show_all(rank.agency) if one.id == rank.pk)


def _find(request: HttpRequest, number: int) -> models.Rank:
    return vocabularies.find_entry(models.Rank, access.get_agency(request), number)


def _answer(response: HttpResponse, rank: models.Rank) -> Rank:
    shown = _show(rank)
    etags.set_etag(response, etags.make_version(shown))
    return shown


@router.get("", auth=needs(PERMISSION), response=answers(Ranks), operation_id="listRanks", summary="List the ranks")
def list_ranks(request: HttpRequest) -> Ranks:
    """Return all ranks of the agency, the highest first, each with the number of its users."""
    return Ranks(items=_show_all(access.get_agency(request)))


@router.post("", auth=needs(PERMISSION), response=answers(Rank, 201), operation_id="addRank", summary="Add a rank")
def add_rank(request: HttpRequest, response: HttpResponse, body: NewRank) -> Status[Rank]:
    """Add a rank below all others. Two ranks cannot have the same name or abbreviation."""
    rank = ranks.add(access.get_agency(request), body.name, body.abbreviation, access.make_context(request))
    response.headers["Location"] = access.make_address(f"ranks/{rank.pk}")
    return Status(201, _answer(response, rank))


@router.get(
    "/{int:number}", auth=needs(PERMISSION), response=answers(Rank), operation_id="readRank", summary="Read a rank"
)  # fmt: skip
def read_rank(request: HttpRequest, response: HttpResponse, number: Id) -> Rank:
    """Return one rank, and its version in the header `ETag`."""
    return _answer(response, _find(request, number))


@router.patch(
    "/{int:number}", auth=needs(PERMISSION), response=answers(Rank), operation_id="changeRank", summary="Change a rank",
)  # fmt: skip
def change_rank(request: HttpRequest, response: HttpResponse, number: Id, body: RankChange) -> Rank:
    """Change the name or the abbreviation of a rank. `If-Match` makes sure that nobody has changed it since you read it."""
    with agencies.holding(access.get_agency(request)):
        rank = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show(rank)))
        values = {"name": rank.name, "abbreviation": rank.abbreviation} | body.model_dump(exclude_unset=True)
        ranks.change(rank, **values, context=access.make_context(request))
    return _answer(response, _find(request, number))


@router.post(
    "/{int:number}:move", auth=needs(PERMISSION), response=answers(Rank), operation_id="moveRank", summary="Move a rank"
)  # fmt: skip
def move_rank(request: HttpRequest, response: HttpResponse, number: Id, body: RankMove) -> Rank:
    """Move a rank up or down by one place. At an end of the list it stays where it is."""
    with agencies.holding(access.get_agency(request)):
        rank = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show(rank)))
        ranks.move(rank, body.direction, access.make_context(request))
    return _answer(response, rank)


@router.delete(
    "/{int:number}", auth=needs(PERMISSION), response=answers(None, 204), operation_id="deleteRank", summary="Delete a rank"
)  # fmt: skip
def delete_rank(request: HttpRequest, number: Id) -> Status[None]:
    """Delete a rank that no user has. Otherwise, the answer is 409."""
    with agencies.holding(access.get_agency(request)):
        rank = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show(rank)))
        ranks.delete(rank, access.make_context(request))
    return Status(204, None)
