// Time and processor time: ours, and that of the server's processes.
#include "load.h"
#include <stdio.h>

int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t own_cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// The processor-time clock of another process (clock_getcpuclockid(3)): all its threads, ended ones too, user and system,
// in nanoseconds, where /proc/PID/stat counts in hundredths of a second.
int64_t server_cpu_ns(void) {
  int64_t sum = 0;
  for (int i = 0; i < world.servers; i++) {
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(world.server[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
      sum += t.tv_sec * 1000000000LL + t.tv_nsec;
  }
  return sum;
}

uint64_t stamp_us(int64_t at_ns) {
  return STAMP_BASE_US + (uint64_t)at_ns / 1000;
}
