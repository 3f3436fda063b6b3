"""The alerts worth having, as `deploy/prometheus-alerts.yml` has them for Prometheus, and the reference for people."""

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[1] / "deploy" / "prometheus-alerts.yml"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: its name, when it holds (PromQL), for how long it must hold, and what to do."""

    name: str
    when: str
    lasting: str
    remedy: str


ALERTS = (
    Alert(
        "MusterbookDown", 'up{job="musterbook"} == 0', "2m",
        "The server does not answer. Look at its log and at `systemctl status muster-web`.",
    ),
    Alert(
        "MusterbookDatabaseDown", "musterbook_database_up == 0", "2m",
        "The pages cannot use the database. Run `muster doctor`.",
    ),
    Alert(
        "MusterbookNoWorker", "musterbook_workers < 1", "3m",
        "No worker is running, so imports and emails wait. Start `muster worker`.",
    ),
    Alert(
        "MusterbookQueueStuck", "musterbook_import_oldest_waiting_seconds > 900", "5m",
        "An import has waited for 15 minutes. Start another worker, or look at the import that runs.",
    ),
    Alert(
        "MusterbookFeedLate", 'musterbook_feeds{state="late"} > 0', "15m",
        "A file is late. *Feeds* shows which one. Ask the system that sends it.",
    ),
    Alert(
        "MusterbookFeedBroken", 'sum(musterbook_feeds{state=~"unreachable|stopped"}) > 0', "15m",
        "A location cannot be reached, or a feed has stopped until a person acts. *Feeds* says why.",
    ),
    Alert(
        "MusterbookImportsFail", 'increase(musterbook_imports_total{state=~"failed|refused"}[1d]) > 0', "0m",
        "An import failed or was refused within a day. *Import history* says why.",
    ),
    Alert(
        "MusterbookImportsHeld", "musterbook_imports_held > 0", "4h",
        "An import waits for a person to confirm it.",
    ),
    Alert(
        "MusterbookEmailsWait", "musterbook_email_oldest_waiting_seconds > 3600", "10m",
        "Emails wait for an hour. The mail server may be away: the log says why.",
    ),
    Alert(
        "MusterbookWebhooksWait", "musterbook_webhook_oldest_waiting_seconds > 3600", "10m",
        "Messages of webhooks wait for an hour. A receiver may be away. *Webhooks* shows which one.",
    ),
    Alert(
        "MusterbookWebhookDisabled", 'musterbook_webhook_endpoints{state="disabled"} > 0', "15m",
        "An endpoint was disabled, because it did not take messages. *Webhooks* says why.",
    ),
    Alert(
        "MusterbookSignInsFail",
        'rate(musterbook_sign_ins_total{result=~"failed|too many failures"}[10m]) > 0.5', "10m",
        "Many sign-ins fail. A person or a program may be guessing passwords. Look at the audit trail.",
    ),
    Alert(
        "MusterbookErrors", 'rate(musterbook_request_duration_seconds_count{status="5xx",route!="/readyz"}[10m]) > 0', "10m",
        "Pages fail. The log has a trace for each failure.",
    ),
    Alert(
        "MusterbookSlow",
        "histogram_quantile(0.95, sum by (le) (rate(musterbook_request_duration_seconds_bucket[10m]))) > 2.5", "15m",
        "One in twenty pages takes longer than 2.5 seconds. Look at the load of the machine and of the database.",
    ),
    Alert(
        "MusterbookRefusesRequests", 'rate(musterbook_requests_refused_total{status="503"}[10m]) > 0', "5m",
        "More requests arrive than the server has room for. Add processes with `--workers`.",
    ),
)  # fmt: skip


def make_file() -> str:
    """Return the alerts as a file of rules of Prometheus."""
    lines = [
        "# Written by scripts/reference.py; change scripts/alert_rules.py.",
        "groups:",
        "  - name: musterbook",
        "    rules:",
    ]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}", f"        expr: {_quote(alert.when)}", f"        for: {alert.lasting}",
            "        annotations:", f"          summary: {_quote(alert.remedy.replace('*', '').replace('`', ''))}",
        ]  # fmt: skip
    return "\n".join([*lines, ""])


def _quote(text: str) -> str:
    """Return the text in single quotes, as YAML has them."""
    return "'" + text.replace("'", "''") + "'"
