// Sockets and the one loop that waits on them.
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void fail(const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  for (char *c = text; *c; c++)
    if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
      *c = '\'';
  printf("{\"ok\":false,\"error\":\"%s\"}\n", text);
  fflush(stdout);
  exit(1);
}

// Connect from `source`: one address has some 28,000 free ports, and servers limit connections by address.
int open_socket(const char *source, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  if (fd < 0)
    fail("socket: %s", strerror(errno));
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, source, &from.sin_addr);
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&from, sizeof from))
    fail("bind to %s: %s", source, strerror(errno));
  if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
    fail("connect: %s", strerror(errno));
  return fd;
}

void watch(int fd, uint32_t events, uint64_t tag, bool is_new) {
  struct epoll_event event = {.events = events, .data.u64 = tag};
  if (epoll_ctl(world.epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event))
    fail("epoll_ctl: %s", strerror(errno));
}

// Handle what is ready; wait at most `limit_ns` when nothing is. Returns how many sockets were handled.
//
// The lowest bit of a tag tells publishers from subscribers. Time spent waiting with nothing to do is what shows that the
// generator was not what the measurement waited for.
int turn(int64_t limit_ns) {
  static struct epoll_event events[1024];
  int ready = epoll_wait(world.epoll, events, 1024, 0);
  if (ready == 0 && limit_ns > 0) {
    struct timespec limit = {limit_ns / 1000000000LL, limit_ns % 1000000000LL};
    int64_t before = now_ns();
    ready = epoll_pwait2(world.epoll, events, 1024, &limit, NULL);
    world.idle_ns += now_ns() - before;
  }
  if (ready < 0 && errno != EINTR)
    fail("epoll_wait: %s", strerror(errno));
  for (int i = 0; i < ready; i++) {
    uint64_t tag = events[i].data.u64;
    if (tag & 1)
      on_publisher((struct publisher *)(uintptr_t)(tag & ~1ULL), events[i].events);
    else
      on_subscriber(&world.subscribers[tag >> 1], events[i].events);
  }
  return ready;
}
