"""Supervisors on the final state: whom an address means, and circles (M9). A link that cannot be made stays, with a note."""

from dataclasses import dataclass

import polars as pl

from musterbook.core import problems
from musterbook.core.columns import SUPERVISOR_EMAIL


@dataclass(frozen=True, slots=True)
class People:
    """Everybody of the final state, by `node`: the snapshot's users first, then the users that the rows add.

    `nodes`: `node`, `id` (null for added), `row` (null for who has none), `external_id`, `key` (the e-mail's, in the
    final state), `old_key` (the one that a row replaces, else null), `email`, `active` (final), `boss` (the present
    supervisor's node, null for none).
    """

    nodes: pl.DataFrame


def people(users: pl.DataFrame, sound: pl.DataFrame, leaving: pl.DataFrame) -> People:
    """The people of the final state.

    `users`: the snapshot's, with keys; `sound`: the rows without problems, `row`, `id` (null: an added user),
    `external_id`, `email`, `email_key`, `active`; `leaving`: `id` of the users who are deactivated.
    """
    changes = sound.filter(pl.col("id").is_not_null()).select(
        "id", row="row", new_key="email_key", new_email="email", new_active="active"
    )
    index = users.select(supervisor_id="id").with_row_index("boss")
    known = (
        users.with_row_index("node")
        .join(changes, on="id", how="left", maintain_order="left")
        .join(index, on="supervisor_id", how="left", maintain_order="left")
        .join(leaving.select("id", leaves=pl.lit(True)), on="id", how="left", maintain_order="left")
        .select(
            "node",
            "id",
            "row",
            "external_id",
            key=pl.coalesce("new_key", "email_key"),
            old_key=pl.when(pl.col("new_key") != pl.col("email_key")).then("email_key"),
            email=pl.coalesce("new_email", "email"),
            active=pl.coalesce("new_active", "active") & pl.col("leaves").is_null(),
            boss="boss",
        )
    )
    added = sound.filter(pl.col("id").is_null()).with_row_index("node", offset=users.height)
    new = added.select(
        "node", "id", "row", "external_id", key="email_key", old_key=pl.lit(None, pl.String), email="email",
        active="active", boss=pl.lit(None, pl.UInt32),
    )  # fmt: skip
    return People(pl.concat([known, new]))


def moved(everybody: People) -> pl.DataFrame:
    """The users (`id`) whose address this file changes."""
    return everybody.nodes.filter(pl.col("old_key").is_not_null()).select("id")


@dataclass(frozen=True, slots=True)
class Links:
    """The supervisors of the final state.

    `chosen`: `row`, `boss` (the final supervisor's node, null for none), for every asking row; `notes`
    (problems.SCHEMA); `overstepping`: the barred rows that ask for another supervisor than the present one.
    """

    chosen: pl.DataFrame
    notes: pl.DataFrame
    overstepping: list[int]


def links(everybody: People, asking: pl.DataFrame, kept: pl.DataFrame, barred: list[int]) -> Links:
    """Whom each asking row ends up under.

    `asking`: `row`, `node`, `supervisor_email`, `supervisor_email_key` ("" to clear); `kept`: `row`, `id`: rows that
    repeat the link which is stored; `barred`: the rows of users whom the operator may not change.
    """
    read = _read(everybody, asking)
    other = ~pl.col("stays") & pl.col("target").ne_missing(pl.col("was"))
    overstepping = read.filter(other, pl.col("row").is_in(barred))["row"].to_list()
    read = read.filter(~pl.col("row").is_in(overstepping))
    wanted = read.with_columns(boss=pl.when("stays").then("was").otherwise("target"))
    circles, final = _without_circles(everybody, wanted)
    notes = [_notes(everybody, read), _circle_notes(everybody, circles, asking, kept), _inactive(everybody, final, asking, kept)]
    return Links(final.select("row", "boss"), pl.concat(notes), overstepping)


def _read(everybody: People, asking: pl.DataFrame) -> pl.DataFrame:
    """The asking rows with `target` (node), `was`, `stays`, `code` (of the note, null for none)."""
    nodes = everybody.nodes
    final = nodes.select(supervisor_email_key="key", by_final="node")
    replaced = nodes.filter(pl.col("old_key").is_not_null()).select(supervisor_email_key="old_key", by_old="node")
    was = nodes.select("node", was="boss")
    target = pl.coalesce("by_final", "by_old")
    blank = pl.col("supervisor_email_key") == ""
    return (
        asking.join(final, on="supervisor_email_key", how="left", maintain_order="left")
        .join(replaced, on="supervisor_email_key", how="left", maintain_order="left")
        .join(was, on="node", how="left", maintain_order="left")
        .with_columns(
            target=target,
            code=pl.when(blank).then(None)
            .when(target.is_null()).then(pl.lit("unknown-supervisor"))
            .when(target == pl.col("node")).then(pl.lit("own-supervisor"))
            .when(pl.col("by_final").is_null()).then(pl.lit("replaced-supervisor-address")),
        )
        .with_columns(stays=pl.col("code").is_in(["unknown-supervisor", "own-supervisor"]).fill_null(False))
    )  # fmt: skip


def _without_circles(everybody: People, wanted: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The links of circles (`node`, `boss`), and `wanted` with every asked link of a circle put back to what it was."""
    circles = pl.DataFrame(schema={"node": pl.UInt32, "boss": pl.UInt32})
    while True:
        changed = wanted.filter(pl.col("boss").ne_missing(pl.col("was")), pl.col("boss").is_not_null())
        if changed.is_empty():
            return circles, wanted
        graph = _graph(everybody, wanted)
        around = _on_circles(graph)
        if around.is_empty():
            return circles, wanted
        in_circle = pl.DataFrame({"node": around, "boss": graph.gather(around)})
        circles = pl.concat([circles, in_circle.join(circles, on="node", how="anti")])
        back = pl.col("node").is_in(around.implode())
        wanted = wanted.with_columns(boss=pl.when(back).then("was").otherwise("boss"))


def _graph(everybody: People, wanted: pl.DataFrame) -> pl.Series:
    """The supervisor's node of every node, in the order of nodes."""
    asked = wanted.select("node", asked="boss", asks=pl.lit(True))
    joined = everybody.nodes.select("node", "boss").join(asked, on="node", how="left", maintain_order="left")
    return joined.select(pl.when("asks").then("asked").otherwise("boss").cast(pl.UInt32).alias("boss")).to_series()


def _on_circles(graph: pl.Series) -> pl.Series:
    """The nodes on circles of a graph in which each node has at most one supervisor, by doubling: n log n.

    After 2^k ≥ n steps upwards whoever is not past the top is on a circle, and every node of a circle is reached.
    """
    jump, steps = graph, 1
    while steps < len(graph) and jump.null_count() < len(jump):
        jump, steps = jump.gather(jump), steps * 2
    return jump.drop_nulls().unique().sort()


def _notes(everybody: People, read: pl.DataFrame) -> pl.DataFrame:
    emails = everybody.nodes.select("node", "email")
    named = read.filter(pl.col("code").is_not_null()).join(
        emails.rename({"node": "was", "email": "was_email"}), on="was", how="left", maintain_order="left"
    ).join(emails.rename({"node": "target", "email": "target_email"}), on="target", how="left", maintain_order="left")  # fmt: skip
    followed = pl.col("code") == "replaced-supervisor-address"
    stays = pl.col("was_email").fill_null("blank")
    return _said(named, "code", pl.when(followed).then("target_email").otherwise(stays))


def _said(rows: pl.DataFrame, code: str | pl.Expr, detail: pl.Expr, hint: pl.Expr | None = None) -> pl.DataFrame:
    """Notes on SUPERVISOR_EMAIL for rows that bear `row` and `supervisor_email`."""
    return rows.select(
        "row",
        code=code,
        column=pl.lit(SUPERVISOR_EMAIL.heading),
        value="supervisor_email",
        detail=detail,
        hint=pl.lit("") if hint is None else hint,
    )


def _circle_notes(
    everybody: People, circles: pl.DataFrame, asking: pl.DataFrame, kept: pl.DataFrame
) -> pl.DataFrame:
    if circles.is_empty():
        return problems.frame()
    path = _paths(everybody, circles)
    nodes = everybody.nodes.select("node", "id", "boss", "external_id", "email")
    emails = nodes.select(boss="node", supervisor="email")
    repeated = kept.join(nodes.filter(pl.col("id").is_not_null()).select("id", "node", "boss"), on="id").join(emails, on="boss")
    rows = pl.concat([
        asking.filter(pl.col("supervisor_email_key") != "").select("row", "node", "supervisor_email"),
        repeated.select("row", "node", supervisor_email="supervisor"),
    ])  # fmt: skip
    told = rows.join(path, on="node").join(nodes.select("node", "boss"), on="node").join(emails, on="boss", how="left")
    return _said(told, pl.lit("supervisor-circle"), pl.col("supervisor").fill_null("blank"), pl.col("path"))


_PATH_NAMED = 6


def _paths(everybody: People, circles: pl.DataFrame) -> pl.DataFrame:
    """`node`, `path`: the circle as it is said to a person: "E-1 → E-2 → E-1", long ones cut."""
    names = dict(everybody.nodes.join(circles, on="node", how="semi").select("node", "external_id").iter_rows())
    bosses = dict(circles.iter_rows())
    return pl.DataFrame(
        [{"node": node, "path": _path(node, bosses, names)} for node in bosses],
        schema={"node": pl.UInt32, "path": pl.String},
    )


def _path(node: int, bosses: dict[int, int], names: dict[int, str]) -> str:
    walked, current = [names[node]], bosses[node]
    while current != node and current in bosses and len(walked) < _PATH_NAMED:
        walked.append(names[current])
        current = bosses[current]
    return " → ".join([*walked, names[node] if current == node else "…"])


def _inactive(everybody: People, final: pl.DataFrame, asking: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """A note for every row whose supervisor is Inactive in the end."""
    off = everybody.nodes.filter(~pl.col("active")).select(boss="node", supervisor_email="email")
    asked = final.filter(~pl.col("stays")).drop("supervisor_email").join(off, on="boss")
    repeated = kept.join(everybody.nodes.select("id", "boss"), on="id").join(off, on="boss")
    rows = pl.concat([asked.select("row", "supervisor_email"), repeated.select("row", "supervisor_email")])
    return _said(rows, pl.lit("inactive-supervisor"), pl.lit(""))
