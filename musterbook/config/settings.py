"""Django's settings. Importing them does not access the disk.

The folder, the database and the secret key are created when they are first needed.
"""

from pathlib import Path

from django.utils.functional import SimpleLazyObject, lazy

from musterbook.config import assets, databases, environment, languages, logs, mail_server, secret_keys

# Paths and the database
MUSTER_HOME = environment.home()
DATABASES = {"default": databases.make_settings(environment.text("DATABASE_URL"), MUSTER_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Applications and middleware
INSTALLED_APPS = [
    "musterbook.directory",
    "musterbook.accounts",
    "musterbook.web",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
]
MIDDLEWARE = [
    "musterbook.web.request_log.numbers",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "musterbook.web.middleware.Compression",
    "musterbook.web.middleware.headers",
    "musterbook.web.hosts.check",
    "musterbook.web.static_files.StaticFiles",
    "musterbook.web.readers.by_browser",
    "musterbook.web.middleware.addresses",
    "musterbook.web.middleware.agencies",
    "musterbook.http.bearer.add_limit_headers",
    "musterbook.web.middleware.Sessions",
    "django.middleware.csrf.CsrfViewMiddleware",
    "musterbook.web.hosts.Public",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "musterbook.web.imports.uploads.from_known",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "musterbook.web.middleware.limits",
    "musterbook.web.readers.by_user",
    "musterbook.web.kept_forms.middleware",
    "musterbook.web.middleware.SignInAgain",
    "musterbook.web.middleware.password_age",
    "musterbook.web.middleware.second_factor",
    "musterbook.web.busy.Busy",
]
ROOT_URLCONF = "musterbook.urls"
AGENCY_URLCONFS = {"api": "musterbook.api.urls", "scim": "musterbook.scim.urls"}
"""The first part of a path below /<agency>/ → its URLconf. All other paths are pages."""
WSGI_APPLICATION = "musterbook.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "musterbook.web.menu.build_context",
            ]
        },
    }
]
FORM_RENDERER = "musterbook.web.forms.Renderer"

# Styles, scripts and fonts are served from their installed location, without collectstatic (config/assets.py).
STATIC_URL = SimpleLazyObject(assets.compute_address)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_MIMETYPES = {".svg": "image/svg+xml; charset=utf-8"}
WHITENOISE_IMMUTABLE_FILE_TEST = assets.is_immutable
CACHES = {"default": {"BACKEND": "musterbook.accounts.one_time_use.Cache"}}

# The URL of the installation. Every absolute URL begins with it, regardless of the host in a request (web/hosts.py).
MUSTER_URL = environment.address("MUSTER_URL")
ALLOWED_HOSTS = [environment.host(MUSTER_URL), "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [MUSTER_URL]
ALLAUTH_TRUSTED_PROXY_COUNT = environment.count("MUSTER_PROXIES")
_SECURE = MUSTER_URL.startswith("https:")
if ALLAUTH_TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The servers that our own requests may go to (config/outbound_requests.py)
MUSTER_OUTSIDE_HOSTS = environment.hosts("MUSTER_OUTSIDE_HOSTS")
MUSTER_OUTSIDE_NETWORKS = environment.networks("MUSTER_OUTSIDE_NETWORKS")
MUSTER_OUTSIDE_PROXY = environment.text("MUSTER_OUTSIDE_PROXY")

# The folders that have a folder with files for each agency (feeds/locations/folder.py)
MUSTER_FEED_FOLDERS = environment.folders("MUSTER_FEED_FOLDERS")

# Mails
MAIL_SERVER = mail_server.parse_url(environment.text("MUSTER_SMTP_URL"))
MUSTER_MAIL_FROM = environment.text("MUSTER_MAIL_FROM")
MUSTER_ANCHOR_MAIL = environment.text("MUSTER_ANCHOR_MAIL")
MUSTER_MAILS_PER_MINUTE = environment.number("MUSTER_MAILS_PER_MINUTE")

# The log, and the recipients of alerts about its errors
LOGGING = logs.make_configuration()
LOGGING_CONFIG = "musterbook.config.logs.begin"
MUSTER_ALERTS_TO = environment.mailboxes("MUSTER_ALERTS_TO")
MUSTER_SYSLOG = environment.text("MUSTER_SYSLOG")
MUSTER_LOG_FORMAT = environment.choice("MUSTER_LOG_FORMAT", logs.FORMATS)

# What operators read: metrics, readiness (web/probes.py)
MUSTER_METRICS_TOKEN = environment.token("MUSTER_METRICS_TOKEN")
MUSTER_METRICS_LISTEN = environment.listen_address("MUSTER_METRICS_LISTEN")
MUSTER_READY_WORKER = environment.choice("MUSTER_READY_WORKER", ("auto", "yes", "no"))
MUSTER_DRAIN_SECONDS = environment.count("MUSTER_DRAIN_SECONDS")
MUSTER_STOP_SECONDS = environment.number("MUSTER_STOP_SECONDS")

# Sessions use a cookie that no script can read, only for the pages of one agency (middleware.Sessions). The agency sets how
# long a session lasts without use.
# Browsers accept a cookie named __Secure- only over https. The name __Host- requires the path /, but almost
# each of our cookies has the path of one agency.
_PREFIX = "__Secure-" if _SECURE else ""
SESSION_COOKIE_NAME = f"{_PREFIX}muster_session"
CSRF_COOKIE_NAME = f"{_PREFIX}csrftoken"
SIGN_ON_COOKIE_NAME, SIGN_ON_ANSWER_COOKIE_NAME = f"{_PREFIX}muster_sign_on", f"{_PREFIX}muster_sign_on_answer"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _SECURE
CSRF_FAILURE_VIEW = "musterbook.web.errors.forged"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = SESSION_COOKIE_SAMESITE = "Lax"
BROWSER_COOKIE_NAME = f"{_PREFIX}muster_browser"
# The only cookie for the path /: it leads from the first page to the agency.
AGENCY_COOKIE_NAME = "__Host-muster_agency" if _SECURE else "muster_agency"
SECURE_HSTS_SECONDS = 31_536_000 if _SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _SECURE
# Messages for the next page are kept in the session: they contain names of people, and cookies are stored on disks.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"

# Accounts and sign-in
AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = ["musterbook.accounts.adapter.Backend"]
PASSWORD_HASHERS = ["musterbook.accounts.hashing.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "musterbook.accounts.passwords.MinimumLength"},
    {"NAME": "musterbook.accounts.passwords.NotGuessable"},
    {"NAME": "musterbook.accounts.passwords.NotRefused"},
    {"NAME": "musterbook.accounts.passwords.NotRecentlyUsed"},
]
MUSTER_REFUSED_PASSWORDS = environment.file("MUSTER_REFUSED_PASSWORDS")
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "musterbook.web.accounts.account_adapter.Adapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = "handle"
ACCOUNT_USER_MODEL_EMAIL_FIELD = None  # the directory has the email address (Account.email)
ACCOUNT_USER_DISPLAY = str
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_FORMS = {
    "login": "musterbook.web.accounts.forms.SignInForm",
    "reauthenticate": "musterbook.web.accounts.forms.ReauthenticateForm",
    "change_password": "musterbook.web.accounts.forms.ChangePasswordForm",
}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False  # ours are in accounts/limits.py
MFA_ADAPTER = "musterbook.web.accounts.mfa_adapter.Adapter"
MFA_FORMS = {
    "activate_totp": "musterbook.web.accounts.one_time_codes.SetUpForm",
    "authenticate": "musterbook.web.accounts.one_time_codes.CodeForm",
    "reauthenticate": "musterbook.web.accounts.one_time_codes.ReauthenticateCodeForm",
    "add_webauthn": "musterbook.web.accounts.passkeys.AddPasskeyForm",
    "edit_webauthn": "musterbook.web.accounts.passkeys.RenamePasskeyForm",
    "authenticate_webauthn": "musterbook.web.accounts.passkeys.SecondFactorForm",
    "reauthenticate_webauthn": "musterbook.web.accounts.passkeys.ReauthenticateForm",
    "login_webauthn": "musterbook.web.accounts.passkeys.PasswordlessForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _SECURE
MFA_RECOVERY_CODES_SHOW_ONCE = True
USERSESSIONS_TRACK_ACTIVITY = False

# Uploads go to the disk, and only from users who may upload.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000  # a page of 50 wrong rows has 28 fields for each
FILE_UPLOAD_HANDLERS = ["musterbook.web.imports.uploads.Handler"]

# Secrets are read at each use, so that a running process has a new key at once (keys.ring).
SECRET_KEY = lazy(secret_keys.get_current, str)()
SECRET_KEY_FALLBACKS = secret_keys.Fallbacks()
DEBUG = False

# Times are UTC internally, and the user interfaces show them in the reader's time zone (web/readers.py). Texts in the code
# are English. musterbook/locale has the other languages.
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = languages.ENGLISH
LANGUAGES = list(languages.NAMES.items())
LOCALE_PATHS = [Path(__file__).parent.parent / "locale"]
FORMAT_MODULE_PATH = ["musterbook.config.formats"]
ZONE_COOKIE_NAME = "muster_zone"

# Limits of an import's file (rule F9), and retention times (rule A4). config/environment.py describes each.
MUSTER_MAX_FILE_MB = environment.number("MUSTER_MAX_FILE_MB")
MUSTER_MAX_ROWS = environment.number("MUSTER_MAX_ROWS")
MUSTER_MAX_CELL_CHARACTERS = environment.number("MUSTER_MAX_CELL_CHARACTERS")
MUSTER_KEEP_MAILS_DAYS = environment.number("MUSTER_KEEP_MAILS_DAYS")
MUSTER_KEEP_FILES_DAYS = environment.number("MUSTER_KEEP_FILES_DAYS")
MUSTER_USER_FILES = environment.number("MUSTER_USER_FILES")
MUSTER_USER_FILES_MB = environment.number("MUSTER_USER_FILES_MB")
MUSTER_AGENCY_FILES = environment.number("MUSTER_AGENCY_FILES")
MUSTER_AGENCY_FILES_MB = environment.number("MUSTER_AGENCY_FILES_MB")
MUSTER_USER_WAITING_MB = environment.number("MUSTER_USER_WAITING_MB")
MUSTER_AGENCY_WAITING_MB = environment.number("MUSTER_AGENCY_WAITING_MB")
MUSTER_CLIENT_SECONDS = environment.number("MUSTER_CLIENT_SECONDS")
MUSTER_SCAN_COMMAND = environment.text("MUSTER_SCAN_COMMAND")
