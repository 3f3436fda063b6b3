"""Measure the memory of `muster serve` while many sign in at once: `python -m scripts.measure_sign_ins [NUMBER]`."""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

from scripts import program

_PORT = 8791
_PAGE = "/springfield/sign-in"


def _measure_memory(parent: int) -> int:
    """Return the kilobytes that a process and its children use now and do not share."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout.split()[2:]
    pairs = [(int(pid), int(of)) for pid, of in zip(listed[::2], listed[1::2], strict=True)]
    family = {parent}
    for _ in range(4):
        family |= {pid for pid, of in pairs if of in family}
    return sum(_read_private(pid) for pid in family)


def _read_private(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(int(number) for number in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE))


def _sign_in(answers: Counter[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=120)
    connection.request("GET", _PAGE)
    page = connection.getresponse()
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    body = urlencode({"csrfmiddlewaretoken": token[1] if token else "", "login": "nobody", "password": "wrong"})
    headers = {
        "Cookie": cookie,
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"http://localhost:{_PORT}",
    }
    connection.request("POST", _PAGE, body, headers | {"Host": f"localhost:{_PORT}"})
    answers[connection.getresponse().status] += 1


def measure(number: int) -> str:
    """Start an installation, sign in that many times at once, and return a sentence about the memory."""
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"MUSTER_HOME": home, "MUSTER_URL": f"http://localhost:{_PORT}"}
        muster = str(Path(sys.executable).with_name("muster"))
        file = Path(home) / "agency.toml"
        file.write_text('slug = "springfield"\nname = "Springfield"\n', encoding="utf-8")
        subprocess.run([muster, "agency", "apply", str(file)], env=env, check=True, capture_output=True)
        serve = subprocess.Popen([muster, "serve", "--port", str(_PORT), "--no-worker"], env=env)
        try:
            return _sign_in_all(serve.pid, number)
        finally:
            serve.terminate()
            serve.wait(30)


def _sign_in_all(serve: int, number: int) -> str:
    answers = Counter[int]()
    for _ in range(600):
        try:
            _sign_in(answers)
            break
        except OSError:
            time.sleep(0.3)
    for _ in range(4):
        _sign_in(answers)
    answers.clear()
    before = most = _measure_memory(serve)
    threads = [threading.Thread(target=_sign_in, args=(answers,)) for _ in range(number)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, _measure_memory(serve))
    took = time.perf_counter() - start
    return f"{number} sign-ins at once: {dict(answers)}, {took:.1f} s, {before // 1024} MB before, {most // 1024} MB at most"


if __name__ == "__main__":
    with program.run(__doc__):
        print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
