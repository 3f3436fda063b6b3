"""The acts that require a recent sign-in.

One list has all pages that accept a form, and those that export data. `permission` enforces the list. A test visits
every page and reports those that are in no list.
"""

from collections.abc import Mapping

from django.http import HttpRequest

ALWAYS: Mapping[str, str] = {
    "agency_accounts": "weaker rules for passwords, locks and sessions would let others in",
    "agency_imports": "it says for how long missing users keep access",
    "agency_limits": "a higher limit lets an import deactivate everyone",
    "agency_limit_add": "a higher limit lets an import concern everyone",
    "agency_limit_remove": "without a limit an import can concern everyone",
    "agency_mails": "without emails nobody notices what is done in their name",
    "agency_second_factors": "without second factors a password is enough",
    "agency_sign_on_add": "a provider says who a person signs in as",
    "agency_sign_on_one": "a provider says who a person signs in as",
    "agency_sign_on_remove": "users of the provider could no longer sign in",
    "agency_values": "a default role gives new users its permissions",
    "api_token_add": "a token acts without anyone signing in",
    "audit_export": "the audit trail leaves with names and addresses",
    "bulk_plan": "it changes many users at once",
    "export_users": "the directory leaves as a file",
    "feed_add_kind": "a feed imports as the system, without anyone signing in",
    "feed_change": "a feed imports as the system, without anyone signing in",
    "feed_host_key": "another server could send users",
    "feed_remove": "its users would no longer be updated",
    "feed_secret": "it says with which account files are fetched",
    "feed_token": "a token sends users without anyone signing in",
    "import": "it changes many users at once",
    "import_missing": "it adds roles",
    "import_errors": "rows of users leave as a file",
    "import_match": "it can create roles, and says which role a word of a file means",
    "import_results": "rows of users leave as a file",
    "import_undo": "it changes many users at once",
    "role_add": "it says what users may do",
    "role_delete": "it says what users may do",
    "user_deactivate": "it ends somebody's access",
    "user_invitation": "the link lets somebody in",
    "user_invite": "the link lets somebody in",
    "user_reactivate": "it gives somebody access",
    "user_reset": "the link lets somebody in",
    "user_second_factors": "it leaves the password as the only factor",
    "user_sign_on": "the next person that a provider identifies as the user signs in as them",
    "user_unlock": "guessing can go on",
    "webhook_add": "messages about users leave without anyone signing in",
    "webhook_change": "messages about users leave without anyone signing in",
    "webhook_remove": "its receiver would no longer learn of changes",
    "webhook_rotate": "the receiver trusts who has the secret",
    "usersessions_list": "it ends the user's other sessions, including those in which they would notice an intruder",
}  # fmt: skip
"""Page names that always require a recent sign-in, each with the reason.

They require it whenever a form is sent. Those in DOWNLOADS require it whenever they are opened.
"""
DOWNLOADS = frozenset({"export_users", "import_errors", "import_results"})
SOMETIMES: Mapping[str, str] = {
    "add_user": "once the form has no mistakes",
    "import_users": "once the form has no mistakes; the file waits meanwhile",
    "groups_import": "once the form has no mistakes; the file waits meanwhile",
    "ranks_import": "once the form has no mistakes; the file waits meanwhile",
    "roles_import": "once the form has no mistakes; the file waits meanwhile",
    "import_waiting": "it goes on with a file that was uploaded",
    "role": "if the form has no mistakes",
    "user_edit": "if more changes than names, badge, supervisor, location, rank, group and phone",
}
"""Pages that enforce it themselves, each with the condition."""
NEVER: Mapping[str, str] = {
    "agency_forget": "it only has the next file ask again",
    "agency_forget_value": "it only has the next file ask again",
    "agency_settings": "a name and a country let nobody in",
    "api_token_revoke": "it takes access away, and has to be quick",
    "audit": "it shows what the permission allows",
    "audit_check": "it changes nothing",
    "bulk": "it only plans",
    "bulk_cancel": "it changes nothing",
    "feed_check": "it takes nothing",
    "feed_pause": "it only stops",
    "feed_resume": "it continues what was set up before",
    "feed_run": "it does at once what it does anyway",
    "group_add": "groups give no permission",
    "group_delete": "groups give no permission",
    "group_edit": "groups give no permission",
    "group_monitor": "groups give no permission",
    "import_cancel": "it changes nothing",
    "import_again": "it only plans again",
    "import_defaults": "it only plans again",
    "import_discard": "it changes nothing",
    "import_fixes": "it changes nothing",
    "import_read": "it only plans again",
    "import_recheck": "it only plans again",
    "import_undo_fix": "it changes nothing",
    "import_values": "it only plans again",
    "my_account": "a time zone lets nobody in",
    "notice_emails": "it says which emails about imports its user gets",
    "notices_read": "it changes only what its user sees as new",
    "rank_delete": "ranks give no permission",
    "rank_move": "ranks give no permission",
    "saved_filter_delete": "it changes only the user's own list",
    "saved_filters": "it changes only the user's own list",
    "user_sessions": "it takes access away, and has to be quick",
    "users_view": "it changes only the user's own list",
    "webhook_pause": "it only stops",
    "webhook_resume": "it continues what was set up before",
    "webhook_send_again": "it sends what was sent before, to the same address",
    "webhook_test": "it sends nothing about a user",
}
"""Pages with forms that do not require it, each with the reason."""


def is_needed(request: HttpRequest) -> bool:
    """Return whether the page requires a recent sign-in before it reads the form."""
    name = request.resolver_match.url_name if request.resolver_match else None
    return name in ALWAYS and (request.method == "POST" or name in DOWNLOADS)
