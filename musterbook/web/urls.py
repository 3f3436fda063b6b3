"""The addresses of an agency's pages, each below /<agency>/ (`middleware.agencies`)."""

from allauth.account import views as account
from django.urls import include, path

from musterbook.http import rate_limits
from musterbook.web import help_pages, home, kept_forms, notices
from musterbook.web.accounts import my_account, registration_pages, second_factors, sign_on
from musterbook.web.agency import groups, ranks, roles
from musterbook.web.agency import settings as agency_settings
from musterbook.web.agency import sign_on as agency_sign_on
from musterbook.web.agency import values as agency_values
from musterbook.web.feeds import actions as feed_acts
from musterbook.web.feeds import edit as feed_edit
from musterbook.web.feeds import pages as feed_pages
from musterbook.web.feeds import secrets as feed_secrets
from musterbook.web.imports import actions as import_acts
from musterbook.web.imports import drafts as import_drafts
from musterbook.web.imports import files as import_files
from musterbook.web.imports import log as import_log
from musterbook.web.imports import matching as import_matching
from musterbook.web.imports import replanning as import_replanning
from musterbook.web.imports import submission as import_choice
from musterbook.web.imports import values as import_values
from musterbook.web.records import api_access, audit
from musterbook.web.users import actions as user_acts
from musterbook.web.users import all_users, bulk, list_settings
from musterbook.web.users import edit as user_edit
from musterbook.web.users import links as user_links
from musterbook.web.users import user_page as user
from musterbook.web.webhooks import actions as webhook_acts
from musterbook.web.webhooks import pages as webhook_pages

handler500 = "musterbook.web.errors.failed"
handler503 = "musterbook.web.errors.paused"

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", rate_limits.limit_by_address("sign-in", "POST")(account.login), name="account_login"),
    path("sign-in/again", account.reauthenticate, name="account_reauthenticate"),
    path("sign-in/not-possible", registration_pages.not_possible, name="account_inactive"),
    path("sign-in/failed", registration_pages.sign_on_failed, name="sign_on_failed"),
    path("sign-in/again/provider", sign_on.again, name="sign_on_again"),
    path("sign-in/with/oidc/<str:slug>/login/", sign_on.begin, name="oidc_login"),
    path("sign-in/with/oidc/<str:slug>/login/callback/", sign_on.finish, name="oidc_callback"),
    path("sign-in/with/saml/<str:slug>/login/", sign_on.begin_saml, name="saml_login"),
    path("sign-in/with/saml/<str:slug>/acs/", sign_on.acs, name="saml_acs"),
    path("sign-in/with/saml/<str:slug>/acs/finish/", sign_on.finish_saml, name="saml_finish_acs"),
    path("sign-in/with/saml/<str:slug>/metadata/", sign_on.metadata, name="saml_metadata"),
    path("sign-out", registration_pages.sign_out, name="account_logout"),
    path("register/", registration_pages.register, name="register_here"),
    path("register/<str:token>", registration_pages.register, name="register"),
    path("forgotten-password", registration_pages.forgotten, name="account_reset_password"),
    path("reset/", registration_pages.reset, name="reset_here"),
    path("reset/<str:token>", registration_pages.reset, name="reset"),
    path("users/", all_users.listed, name="all_users"),
    path("users/export.<str:form>", all_users.exported, name="export_users"),
    path("users/view", list_settings.view, name="users_view"),
    path("users/filters/", list_settings.saved_filters, name="saved_filters"),
    path("users/filters/<int:pk>/delete", list_settings.delete_filter, name="saved_filter_delete"),
    path("users/bulk", bulk.choose, name="bulk"),
    path("users/bulk/<str:number>", bulk.one, name="bulk_plan"),
    path("users/bulk/<str:number>/cancel", bulk.cancel, name="bulk_cancel"),
    path("users/import", import_choice.choose, name="import_users"),
    path("users/import/waiting/<str:token>", import_choice.waiting, name="import_waiting"),
    path("users/import/example.<str:form>", import_files.example, name="import_example"),
    path("groups/", groups.listed, name="groups"),
    path("groups/import", import_choice.choose, name="groups_import"),
    path("groups/add", groups.add, name="group_add"),
    path("groups/<int:pk>/", groups.one, name="group"),
    path("groups/<int:pk>/edit", groups.edit, name="group_edit"),
    path("groups/<int:pk>/delete", groups.delete, name="group_delete"),
    path("groups/<int:pk>/monitor", groups.monitor, name="group_monitor"),
    path("ranks/", ranks.listed, name="ranks"),
    path("ranks/import", import_choice.choose, name="ranks_import"),
    path("ranks/<int:pk>/", ranks.one, name="rank"),
    path("ranks/<int:pk>/move", ranks.move, name="rank_move"),
    path("ranks/<int:pk>/delete", ranks.delete, name="rank_delete"),
    path("roles/", roles.listed, name="roles"),
    path("roles/import", import_choice.choose, name="roles_import"),
    path("roles/add", roles.add, name="role_add"),
    path("roles/<int:pk>/", roles.one, name="role"),
    path("roles/<int:pk>/delete", roles.delete, name="role_delete"),
    path("settings/", agency_settings.details, name="agency_settings"),
    path("settings/imports", agency_settings.imports, name="agency_imports"),
    path("settings/limits", agency_settings.import_limits, name="agency_limits"),
    path("settings/imports/forget", agency_settings.forget, name="agency_forget"),
    path("settings/values", agency_values.values, name="agency_values"),
    path("settings/values/forget", agency_values.forget, name="agency_forget_value"),
    path("settings/imports/add-limit", agency_settings.add_limit, name="agency_limit_add"),
    path("settings/imports/remove-limit", agency_settings.remove_limit, name="agency_limit_remove"),
    path("settings/accounts", agency_settings.accounts, name="agency_accounts"),
    path("settings/second-factors", agency_settings.second_factors, name="agency_second_factors"),
    path("settings/mails", agency_settings.mails, name="agency_mails"),
    path("settings/sign-on/", agency_sign_on.listed, name="agency_sign_on"),
    path("settings/sign-on/add-<str:kind>", agency_sign_on.add, name="agency_sign_on_add"),
    path("settings/sign-on/<str:slug>/", agency_sign_on.one, name="agency_sign_on_one"),
    path("settings/sign-on/<str:slug>/remove", agency_sign_on.remove, name="agency_sign_on_remove"),
    path("users/add", user_edit.add, name="add_user"),
    path("users/supervisors", user_edit.supervisors, name="supervisors"),
    path("users/<int:pk>/", user.one, name="user"),
    path("users/<int:pk>/added", user_edit.added, name="user_added"),
    path("users/<int:pk>/link", user_links.one, name="user_link"),
    path("users/<int:pk>/edit", user_edit.edit, name="user_edit"),
    path("users/<int:pk>/deactivate", user_acts.deactivate, name="user_deactivate"),
    path("users/<int:pk>/reactivate", user_acts.reactivate, name="user_reactivate"),
    path("users/<int:pk>/invite", user_acts.invite, name="user_invite"),
    path("users/<int:pk>/invitation", user_acts.link, name="user_invitation"),
    path("users/<int:pk>/reset", user_acts.reset, name="user_reset"),
    path("users/<int:pk>/unlock", user_acts.unlock, name="user_unlock"),
    path("users/<int:pk>/second-factors", user_acts.remove_factors, name="user_second_factors"),
    path("users/<int:pk>/sign-on", user_acts.release_sign_on, name="user_sign_on"),
    path("users/<int:pk>/sessions", user_acts.end_sessions, name="user_sessions"),
    path("feeds/", feed_pages.listed, name="feeds"),
    path("feeds/add", feed_edit.choose_kind, name="feed_add"),
    path("feeds/add-<str:kind>", feed_edit.add, name="feed_add_kind"),
    path("feeds/<str:name>/", feed_pages.one, name="feed"),
    path("feeds/<str:name>/change-<str:section>", feed_edit.change, name="feed_change"),
    path("feeds/<str:name>/run", feed_acts.run, name="feed_run"),
    path("feeds/<str:name>/check", feed_acts.check, name="feed_check"),
    path("feeds/<str:name>/pause", feed_acts.pause, name="feed_pause"),
    path("feeds/<str:name>/resume", feed_acts.resume, name="feed_resume"),
    path("feeds/<str:name>/remove", feed_acts.remove, name="feed_remove"),
    path("feeds/<str:name>/secret", feed_secrets.secret, name="feed_secret"),
    path("feeds/<str:name>/token", feed_secrets.token, name="feed_token"),
    path("feeds/<str:name>/host-key", feed_secrets.host_key, name="feed_host_key"),
    path("imports/", import_log.listed, name="imports"),
    path("imports/<str:number>", import_acts.one, name="import"),
    path("imports/<str:number>/cancel", import_acts.cancel, name="import_cancel"),
    path("imports/<str:number>/discard", import_acts.discard, name="import_discard"),
    path("imports/<str:number>/undo", import_acts.take_back, name="import_undo"),
    path("imports/<str:number>/fixes", import_drafts.save, name="import_fixes"),
    path("imports/<str:number>/fixes/undo", import_drafts.undo, name="import_undo_fix"),
    path("imports/<str:number>/recheck", import_drafts.recheck, name="import_recheck"),
    path("imports/<str:number>/read", import_acts.read_again, name="import_read"),
    path("imports/<str:number>/match", import_matching.match, name="import_match"),
    path("imports/<str:number>/values", import_values.fix_group, name="import_values"),
    path("imports/<str:number>/again", import_replanning.plan_again, name="import_again"),
    path("imports/<str:number>/missing", import_replanning.create_missing, name="import_missing"),
    path("imports/<str:number>/defaults", import_values.set_defaults, name="import_defaults"),
    path("imports/<str:number>/results", import_files.results_file, name="import_results"),
    path("imports/<str:number>/errors", import_files.errors_file, name="import_errors"),
    path("api-access/", api_access.listed, name="api_access"),
    path("api-access/try", api_access.try_it, name="api_try"),
    path("api-access/add", api_access.add, name="api_token_add"),
    path("api-access/<int:pk>/revoke", api_access.revoke, name="api_token_revoke"),
    path("webhooks/", webhook_pages.listed, name="webhooks"),
    path("webhooks/add", webhook_acts.add, name="webhook_add"),
    path("webhooks/<str:name>/", webhook_pages.one, name="webhook"),
    path("webhooks/<str:name>/change", webhook_acts.change, name="webhook_change"),
    path("webhooks/<str:name>/rotate", webhook_acts.rotate, name="webhook_rotate"),
    path("webhooks/<str:name>/test", webhook_acts.test, name="webhook_test"),
    path("webhooks/<str:name>/send-again", webhook_acts.send_again, name="webhook_send_again"),
    path("webhooks/<str:name>/pause", webhook_acts.pause, name="webhook_pause"),
    path("webhooks/<str:name>/resume", webhook_acts.resume, name="webhook_resume"),
    path("webhooks/<str:name>/remove", webhook_acts.remove, name="webhook_remove"),
    path("notices/", notices.listed, name="notices"),
    path("notices/read", notices.read, name="notices_read"),
    path("audit/", audit.events, name="audit"),
    path("audit/export", audit.export, name="audit_export"),
    path("audit/check", audit.check, name="audit_check"),
    path("continue/<str:token>", kept_forms.continue_form, name="continue_form"),
    path("help/", help_pages.index, name="help"),
    path("help/pictures/<str:name>", help_pages.picture, name="help_picture"),
    path("help/<path:name>", help_pages.document, name="help_document"),
    path("my-account/", my_account.me, name="my_account"),
    path("my-account/password", account.password_change, name="account_change_password"),
    path("my-account/password/none", my_account.no_password, name="account_set_password"),
    path("my-account/second-factors/", include(second_factors)),
    path("my-account/notices", notices.emails, name="notice_emails"),
    path("my-account/sessions/", my_account.sessions_, name="usersessions_list"),
]
