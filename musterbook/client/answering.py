"""The forms of answers, and their reading from JSON."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache, partial
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What the API answers. Members that a newer server adds are left out."""

    etag: str = dataclasses.field(default="", compare=False, repr=False)
    """The version of what was read, for `if_match`; "" if it has none."""


@dataclasses.dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `next`: the cursor of the next page, or None on the last one."""

    items: list[T]
    next: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """An operation of the API: its name, method and path, and the form of its answer.

    `keyed`: whether it takes an idempotency key. `most`: the most items of its pages.
    """

    name: str
    method: str
    path: str
    answer: type[T]
    keyed: bool = False
    most: int = 0


def read_answer(kind: Any, content: Any, etag: str = "") -> Any:
    """Return JSON as a value of this type. Raise ValueError if it has another form."""
    try:
        found = _make_reader(kind)(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return dataclasses.replace(found, etag=etag) if etag and isinstance(found, Answer) else found


@cache
def _make_reader(kind: Any) -> Reader:
    """Return the function that reads a value of this type."""
    origin = get_origin(kind)
    if dataclasses.is_dataclass(origin or kind):
        return _make_dataclass_reader(kind)
    if origin in {Union, types.UnionType}:
        return _make_union_reader(get_args(kind))
    if origin in {list, dict}:
        return partial(_read_list if origin is list else _read_dict, _make_reader(get_args(kind)[-1]))
    if kind in {date, datetime}:
        return partial(_read_time, kind)
    if kind in {str, int, float, bool}:
        return partial(_read_plain, (int, float) if kind is float else kind)
    return _read_any


def _make_dataclass_reader(kind: Any) -> Reader:
    made = get_origin(kind) or kind
    hints = get_type_hints(made)
    given = dict(zip(getattr(made, "__parameters__", ()), get_args(kind), strict=False))
    readers = [
        (field.name, field.metadata.get("name", field.name), _make_reader(_fill(hints[field.name], given)), _is_optional(field))
        for field in dataclasses.fields(made)
        if field.name != "etag"
    ]  # fmt: skip
    return partial(_read_dataclass, made, readers)


def _fill(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Return the type of a field of a generic class."""
    if hint in given:
        return given[hint]
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given[one] for one in parameters)] if parameters else hint


def _is_optional(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _read_dataclass(made: type, readers: list[tuple[str, str, Reader, bool]], content: Any) -> Any:
    values = {
        name: read(content[named])
        for name, named, read, is_optional in readers
        if not (is_optional and named not in content)
    }
    if issubclass(made, Answer) and isinstance(content.get("version"), str):
        values["etag"] = f'"{content["version"]}"'
    return made(**values)


def _make_union_reader(kinds: tuple[Any, ...]) -> Reader:
    others = [_make_reader(kind) for kind in kinds if kind is not types.NoneType]
    return partial(_read_union, others, types.NoneType in kinds)


def _read_union(readers: list[Reader], is_optional: bool, content: Any) -> Any:
    if content is None and is_optional:
        return None
    for read in readers[:-1]:
        try:
            return read(content)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return readers[-1](content)


def _read_list(read: Reader, content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError("a list is missing")
    return [read(one) for one in content]


def _read_dict(read: Reader, content: Any) -> dict[str, Any]:
    return {name: read(one) for name, one in content.items()}


def _read_time(kind: type[date] | type[datetime], content: Any) -> Any:
    return kind.fromisoformat(content)


def _read_plain(kinds: Any, content: Any) -> Any:
    if not isinstance(content, kinds):
        raise TypeError(f"{content!r} is not expected")
    return content


def _read_any(content: Any) -> Any:
    return content
