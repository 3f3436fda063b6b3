"""The removal of the tables of the library's own provider accounts, and of the record of its changes.

Identity replaces them. Only versions before Identity stored anything there. `muster doctor` took the record for one of
a newer Musterbook.
"""

from django.db import migrations

_TABLES = ("socialtoken", "socialapp_sites", "socialapp", "socialaccount")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_locks_by_place")]

    operations = [
        *(
            migrations.RunSQL(f"DROP TABLE IF EXISTS socialaccount_{name}", migrations.RunSQL.noop) for name in _TABLES
        ),
        migrations.RunSQL("DELETE FROM django_migrations WHERE app = 'socialaccount'", migrations.RunSQL.noop),
    ]
