"""The addresses of an agency's pages, each below /<agency>/ (`middleware.agencies`)."""

from allauth.account import views as account
from django.urls import include, path

from musterbook.accounts import sign_on
from musterbook.web import entrance, home, imports, my_account, second_factors

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
    path("users/import", imports.choose, name="import_users"),
    path("users/import/waiting/<str:token>", imports.waiting, name="import_waiting"),
    path("imports/<str:number>", imports.one, name="import"),
    path("my-account/", my_account.me, name="my_account"),
    path("my-account/password", account.password_change, name="account_change_password"),
    path("my-account/second-factors/", include(second_factors)),
    path("my-account/sessions/", my_account.sessions_, name="usersessions_list"),
]
