/* A wall clock that is off: loaded before the C library, it adds CLOCK_OFF_S seconds to the time of day alone. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    const char *off = getenv("CLOCK_OFF_S");
    if (failed == 0 && clock == CLOCK_REALTIME && off)
        now->tv_sec += atol(off);
    return failed;
}
