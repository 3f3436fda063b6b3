"""The addresses of an agency's pages, each below /<agency>/ (`middleware.agencies`)."""

from allauth.account import views as account
from django.urls import include, path

from musterbook.accounts import sign_on
from musterbook.web import (
    all_users,
    entrance,
    home,
    import_acts,
    import_choice,
    import_files,
    import_history,
    my_account,
    second_factors,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", account.login, name="account_login"),
    path("sign-in/again", account.reauthenticate, name="account_reauthenticate"),
    path("sign-in/not-possible", entrance.not_possible, name="account_inactive"),
    path("sign-in/failed", entrance.sign_on_failed, name="sign_on_failed"),
    # Before the library's own of the same addresses.
    path("sign-in/with/oidc/<str:slug>/login/", sign_on.begin),
    path("sign-in/with/oidc/<str:slug>/login/callback/", sign_on.finish),
    path("sign-in/with/saml/<str:slug>/acs/finish/", sign_on.finish_saml),
    path("sign-in/with/", include("allauth.socialaccount.providers.openid_connect.urls")),
    path("sign-in/with/", include("allauth.socialaccount.providers.saml.urls")),
    path("sign-in/cancelled", entrance.sign_on_failed, name="socialaccount_login_cancelled"),
    path("sign-in/error", entrance.sign_on_failed, name="socialaccount_login_error"),
    path("sign-out", account.logout, name="account_logout"),
    path("register/<str:token>", entrance.register, name="register"),
    path("forgotten-password", entrance.forgotten, name="account_reset_password"),
    path("reset/<str:token>", entrance.reset, name="reset"),
    path("users/", all_users.listed, name="all_users"),
    path("users/export.<str:form>", all_users.exported, name="export_users"),
    path("users/import", import_choice.choose, name="import_users"),
    path("users/import/waiting/<str:token>", import_choice.waiting, name="import_waiting"),
    path("users/import/example.<str:form>", import_files.example, name="import_example"),
    path("imports/", import_history.listed, name="imports"),
    path("imports/<str:number>", import_acts.one, name="import"),
    path("imports/<str:number>/cancel", import_acts.cancel, name="import_cancel"),
    path("imports/<str:number>/undo", import_acts.take_back, name="import_undo"),
    path("imports/<str:number>/mend", import_acts.mend, name="import_mend"),
    path("imports/<str:number>/read", import_acts.read_again, name="import_read"),
    path("imports/<str:number>/results", import_files.results_file, name="import_results"),
    path("imports/<str:number>/errors", import_files.errors_file, name="import_errors"),
    path("my-account/", my_account.me, name="my_account"),
    path("my-account/password", account.password_change, name="account_change_password"),
    path("my-account/second-factors/", include(second_factors)),
    path("my-account/sessions/", my_account.sessions_, name="usersessions_list"),
]
