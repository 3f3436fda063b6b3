"""Keep agencies apart by row-level security of PostgreSQL, also in the tables of the library."""

from django.db import migrations

from musterbook.directory.migrations._policies import KeepApart, by_column, through

_PARTS = {
    "accounts_account": ("user_id", "directory_user"),
    "accounts_lock": ("user_id", "directory_user"),
    "accounts_pastpassword": ("account_id", "accounts_account"),
    "mfa_authenticator": ("user_id", "accounts_account"),
    "accounts_usedcode": ("authenticator_id", "mfa_authenticator"),
    "usersessions_usersession": ("user_id", "accounts_account"),
    "account_emailaddress": ("user_id", "accounts_account"),
    "account_emailconfirmation": ("email_address_id", "account_emailaddress"),
}
_WITH_AGENCY = ("resetrequest", "repeated", "identity", "token")


class Migration(migrations.Migration):
    safe_for_previous = "The policies are not in force before `muster migrate` runs again (`_policies.KeepApart`)."
    dependencies = [
        ("accounts", "0011_addresses_of_tokens"),
        ("directory", "0039_row_level_security"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        KeepApart(
            {f"accounts_{table}": by_column("agency_id") for table in _WITH_AGENCY}
            | {table: through(f"{table}.{column}", parent) for table, (column, parent) in _PARTS.items()}
            | {
                # A failed sign-in without a user is of no agency: it has a time and a keyed hash of an address.
                "accounts_failure": "user_id IS NULL OR " + through("accounts_failure.user_id", "directory_user")
            }
        )
    ]
