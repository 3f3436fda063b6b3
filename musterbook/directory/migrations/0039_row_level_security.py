"""Keep agencies apart by row-level security of PostgreSQL."""

from django.db import migrations

from musterbook.directory.migrations._policies import KeepApart, by_column, through

_WITH_AGENCY = (
    "role", "rank", "group", "user", "releasedname", "formerid", "searchchunk", "feed", "import", "notice",
    "webhookendpoint", "event", "traillink", "passage", "trailend", "movedtrail", "mail",
)  # fmt: skip
_PARTS = {
    "provisioneduser": ("user_id", "user"),
    "listview": ("user_id", "user"),
    "savedfilter": ("user_id", "user"),
    "noticesettings": ("user_id", "user"),
    "monitor": ("group_id", "group"),
    "groupmonitor": ("group_id", "group"),
    "feedfile": ("feed_id", "feed"),
    "webhookmessage": ("endpoint_id", "webhookendpoint"),
    "importproblem": ("of_id", "import"),
    "importdraft": ("of_id", "import"),
}


class Migration(migrations.Migration):
    safe_for_previous = "The policies are not in force before `muster migrate` runs again (`_policies.KeepApart`)."
    dependencies = [("directory", "0038_moved_agencies")]

    operations = [
        KeepApart(
            {"directory_agency": by_column("id")}
            | {f"directory_{table}": by_column("agency_id") for table in _WITH_AGENCY}
            | {
                f"directory_{table}": through(f"directory_{table}.{column}", f"directory_{parent}")
                for table, (column, parent) in _PARTS.items()
            }
        )
    ]
