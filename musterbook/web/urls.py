"""The addresses of an agency's pages, each below /<agency>/ (`middleware.agencies`)."""

from allauth.account import views as account
from django.urls import include, path

from musterbook.web import entrance, home, second_factors

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", account.login, name="account_login"),
    path("sign-in/again", account.reauthenticate, name="account_reauthenticate"),
    path("sign-in/not-possible", entrance.not_possible, name="account_inactive"),
    path("sign-out", account.logout, name="account_logout"),
    path("register/<str:token>", entrance.register, name="register"),
    path("forgotten-password", entrance.forgotten, name="account_reset_password"),
    path("reset/<str:token>", entrance.reset, name="reset"),
    path("my-account/password", account.password_change, name="account_change_password"),
    path("my-account/second-factors/", include(second_factors)),
    path("my-account/sessions/", include("allauth.usersessions.urls")),
]
