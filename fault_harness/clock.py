"""A clock of the processes that can be set: a small library, loaded before the C library, adds a number to the time.

Files keep the time of the machine, and so does the database. Clocks that only measure a duration are not changed.
"""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t none = 0;
static const volatile int64_t *offset = &none;
static int (*read_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset = page;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!read_clock) read_clock = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = read_clock(id, time);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) time->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void) zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """The clock of all processes of one installation, in a folder that they can read."""

    def __init__(self, folder: Path) -> None:
        self.base = 0
        """The seconds by which it is usually ahead of the machine's clock."""
        self._library, self._file = folder / "clock.so", folder / "clock"
        self._file.write_bytes(bytes(8))
        source = folder / "clock.c"
        source.write_text(_SOURCE)
        compiler = _find_compiler()
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        with self._file.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 8)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to have this clock."""
        return {"LD_PRELOAD": str(self._library), "FAULT_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Set it so many seconds ahead of its usual time, or behind it."""
        self._page[:] = struct.pack("q", self.base + seconds)

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""
        self.base += seconds
        self.set(0)


def is_possible() -> bool:
    """Return whether this machine can make such a clock: it needs a C compiler."""
    return bool(_find_compiler())


def _find_compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or ""
