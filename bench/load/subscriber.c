// Subscribers: the handshake, what a peer wants to hear before it delivers, and the counting of deliveries.
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTING_AT_ONCE 200
#define PER_SOURCE 3000
#define MARK "\"ts\":"
#define MARK_BYTES 5

static uint8_t scratch[4 << 20];
static char request[1024];
static size_t request_bytes;

static void lose(struct subscriber *s) {
  close(s->fd);
  if (s->phase < READY)
    world.connecting--;
  s->phase = CLOSED;
  world.closed++;
}

static bool transmit(struct subscriber *s, const void *data, size_t bytes) {
  if (send(s->fd, data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes)
    return true;
  lose(s);
  return false;
}

// Clients must mask (RFC 6455, 5.1); a mask of zeros is a mask.
static void send_frame(struct subscriber *s, uint8_t opcode, const char *text, size_t bytes) {
  static uint8_t out[70000];
  size_t head = 2;
  out[0] = 0x80 | opcode;
  if (bytes < 126) {
    out[1] = 0x80 | (uint8_t)bytes;
  } else {
    out[1] = 0x80 | 126;
    out[2] = (uint8_t)(bytes >> 8);
    out[3] = (uint8_t)bytes;
    head = 4;
  }
  memset(out + head, 0, 4);
  memcpy(out + head + 4, text, bytes);
  transmit(s, out, head + 4 + bytes);
}

// Steps are separated by tabs; "<" waits for a frame without sending anything.
static void next_step(struct subscriber *s) {
  if (s->script == NULL || *s->script == 0) {
    s->phase = READY;
    world.connecting--;
    world.ready++;
    return;
  }
  s->phase = SCRIPTED;
  size_t bytes = strcspn(s->script, "\t");
  const char *text = s->script;
  s->script += bytes + (s->script[bytes] == '\t');
  if (!(bytes == 1 && *text == '<'))
    send_frame(s, 1, text, bytes);
}

static uint64_t count_marks(const uint8_t *data, size_t bytes, uint64_t now) {
  uint64_t found = 0;
  const uint8_t *end = data + bytes, *at;
  while ((at = memmem(data, (size_t)(end - data), MARK, MARK_BYTES)) != NULL) {
    uint64_t stamp = strtoull((const char *)at + MARK_BYTES, NULL, 10);
    note(&world.latency, now > stamp ? now - stamp : 0);
    found++;
    if (!world.many_in_frame)
      break;
    data = at + MARK_BYTES;
  }
  return found;
}

static void on_frame(struct subscriber *s, uint8_t first, const uint8_t *data, size_t bytes, uint64_t now) {
  uint8_t opcode = first & 15;
  if (opcode == 9) {
    send_frame(s, 10, (const char *)data, bytes);
  } else if (opcode == 8) {
    s->close_code = bytes >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 1005;
    lose(s);
  } else if (opcode <= 2) {
    // A compressed frame is one publication; its content is checked elsewhere, once.
    uint64_t found = first & 0x40 ? 1 : count_marks(data, bytes, now);
    if (found) {
      world.deliveries += found;
      s->deliveries += (uint32_t)found;
    } else if (world.ping && bytes == strlen(world.ping) && !memcmp(data, world.ping, bytes)) {
      send_frame(s, 1, world.pong, strlen(world.pong));
    } else if (s->phase == SCRIPTED) {
      next_step(s);
    } else {
      world.strange++;
    }
  }
}

static size_t take_frames(struct subscriber *s, const uint8_t *data, size_t bytes) {
  size_t at = 0;
  uint64_t now = stamp_us(now_ns());
  while (bytes - at >= 2 && s->phase != CLOSED) {
    size_t head = 2;
    uint64_t length = data[at + 1] & 127;
    if (length == 126)
      head = 4;
    else if (length == 127)
      head = 10;
    if (bytes - at < head)
      break;
    if (head > 2) {
      length = 0;
      for (size_t i = 2; i < head; i++)
        length = length << 8 | data[at + i];
    }
    if (bytes - at - head < length)
      break;
    on_frame(s, data[at], data + at + head, length, now);
    at += head + length;
  }
  return at;
}

static void keep_rest(struct subscriber *s, const uint8_t *data, size_t bytes) {
  if (bytes > 0) {
    uint8_t *kept = malloc(bytes);
    memcpy(kept, data, bytes);
    free(s->rest);
    s->rest = kept;
  } else if (s->rest) {
    free(s->rest);
    s->rest = NULL;
  }
  s->rest_bytes = (uint32_t)bytes;
}

static size_t take_handshake(struct subscriber *s, uint8_t *data, size_t bytes) {
  uint8_t *end = memmem(data, bytes, "\r\n\r\n", 4);
  if (end == NULL)
    return 0;
  if (bytes < 12 || memcmp(data + 9, "101", 3))
    fail("handshake refused: %.*s", (int)(bytes < 300 ? bytes : 300), data);
  s->deflated = memmem(data, (size_t)(end - data), "permessage-deflate", 18) != NULL;
  next_step(s);
  return (size_t)(end + 4 - data);
}

void on_subscriber(struct subscriber *s, uint32_t events) {
  if (s->phase == CLOSED)
    return;
  if (s->phase == CONNECTING) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
      fail("connect: %s", strerror(error));
    s->phase = SHAKING;
    watch(s->fd, EPOLLIN, (uint64_t)(s - world.subscribers) << 1, false);
    if (!transmit(s, request, request_bytes))
      return;
    if (!(events & EPOLLIN))
      return;
  }
  memcpy(scratch, s->rest, s->rest_bytes);
  ssize_t got = recv(s->fd, scratch + s->rest_bytes, sizeof scratch - s->rest_bytes, 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN)
      lose(s);
    return;
  }
  world.reads++;
  world.bytes += (uint64_t)got;
  size_t bytes = s->rest_bytes + (size_t)got, at = 0;
  if (s->phase == SHAKING)
    at = take_handshake(s, scratch, bytes);
  if (s->phase != SHAKING)
    at += take_frames(s, scratch + at, bytes - at);
  if (s->phase != CLOSED)
    keep_rest(s, scratch + at, bytes - at);
}

// Give each subscriber from `first` on its line of the file.
static void read_scripts(const char *script_file, uint32_t first) {
  FILE *file = fopen(script_file, "r");
  if (file == NULL)
    fail("%s: %s", script_file, strerror(errno));
  for (uint32_t i = first; i < world.count; i++) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t bytes = getline(&line, &capacity, file);
    if (bytes < 0)
      fail("%s has too few lines", script_file);
    line[strcspn(line, "\n")] = 0;
    world.subscribers[i].script = line;
  }
  fclose(file);
}

bool open_subscribers(uint32_t count, const char *path, const char *extra_headers, const char *script_file,
                      double patience_s) {
  uint32_t first = world.count;
  world.capacity = first + count;
  world.subscribers = realloc(world.subscribers, world.capacity * sizeof *world.subscribers);
  memset(world.subscribers + first, 0, count * sizeof *world.subscribers);
  world.count = first + count;
  if (script_file)
    read_scripts(script_file, first);
  request_bytes = (size_t)snprintf(request, sizeof request,
                                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                   "Sec-WebSocket-Version: 13\r\n%s\r\n",
                                   path, world.port, extra_headers);
  uint32_t next = first;
  int64_t deadline = now_ns() + (int64_t)(patience_s * 1e9);
  while (world.ready + world.closed < world.count) {
    for (; next < world.count && world.connecting < CONNECTING_AT_ONCE; next++, world.connecting++) {
      char source[32];
      snprintf(source, sizeof source, "127.0.0.%u", 2 + next / PER_SOURCE);
      world.subscribers[next].fd = open_socket(source, world.port);
      watch(world.subscribers[next].fd, EPOLLOUT, (uint64_t)next << 1, true);
    }
    turn(100000000);
    if (now_ns() > deadline)
      return false;
  }
  return world.closed == 0;
}

bool say(const char *script_file, uint64_t expected, double patience_s) {
  read_scripts(script_file, 0);
  uint64_t wanted = world.deliveries + expected;
  int64_t deadline = now_ns() + (int64_t)(patience_s * 1e9);
  for (uint32_t i = 0; i < world.count; i++) {
    struct subscriber *s = &world.subscribers[i];
    if (s->phase != READY)
      continue;
    world.ready--;
    world.connecting++;
    next_step(s);
    turn(0);
  }
  while (world.deliveries < wanted || world.ready + world.closed < world.count) {
    turn(100000000);
    if (now_ns() > deadline)
      return false;
  }
  return world.deliveries == wanted;
}
