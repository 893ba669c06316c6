// Publishers: HTTP connections that POST, closed loop (a window of what has not arrived) or open loop (a rate).
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct publisher *publishers;
static uint32_t open_publishers;
static uint32_t idle_publishers;
static uint32_t lost_publishers;

static char *body;
static size_t body_bytes;
static size_t marks[4096], slots[4096];
static uint32_t mark_count, slot_count;
static uint32_t slot_digits;

// Read the body once and note where time stamps and channel numbers go, so that a publication costs two dozen stores.
static void read_template(const struct publication_plan *plan) {
  FILE *file = fopen(plan->template_file, "r");
  if (file == NULL)
    fail("%s: %s", plan->template_file, strerror(errno));
  fseek(file, 0, SEEK_END);
  body_bytes = (size_t)ftell(file);
  rewind(file);
  free(body);
  body = malloc(body_bytes + 1);
  if (fread(body, 1, body_bytes, file) != body_bytes)
    fail("%s cannot be read", plan->template_file);
  body[body_bytes] = 0;
  fclose(file);
  mark_count = slot_count = 0;
  slot_digits = (uint32_t)strspn(plan->slot, "@");
  for (char *at = body; (at = strstr(at, "\"ts\":")) && mark_count < 4096; at += 5)
    marks[mark_count++] = (size_t)(at + 5 - body);
  for (char *at = body; slot_digits && (at = strstr(at, plan->slot)) && slot_count < 4096; at += slot_digits)
    slots[slot_count++] = (size_t)(at - body);
  if (mark_count != plan->batch)
    fail("the body has %u time stamps, not %u", mark_count, plan->batch);
}

static void put_digits(char *at, uint64_t value, uint32_t digits) {
  while (digits-- > 0) {
    at[digits] = (char)('0' + value % 10);
    value /= 10;
  }
}

static uint64_t tag_of(struct publisher *p) {
  return (uint64_t)(uintptr_t)p | 1;
}

static void flush(struct publisher *p) {
  while (p->out_sent < p->out_bytes) {
    ssize_t sent = send(p->fd, p->out + p->out_sent, p->out_bytes - p->out_sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN)
        fail("the server closed a publisher's connection: %s", strerror(errno));
      watch(p->fd, EPOLLIN | EPOLLOUT, tag_of(p), false);
      return;
    }
    p->out_sent += (size_t)sent;
  }
  watch(p->fd, EPOLLIN, tag_of(p), false);
}

static void post(struct publisher *p, const struct publication_plan *plan, uint32_t number, int64_t at_ns) {
  uint64_t stamp = stamp_us(at_ns);
  for (uint32_t i = 0; i < mark_count; i++)
    put_digits(body + marks[i], stamp, STAMP_DIGITS);
  for (uint32_t i = 0; i < slot_count; i++)
    put_digits(body + slots[i], (uint64_t)(number * slot_count + i) % plan->channels, slot_digits);
  if (p->out_capacity < body_bytes + 1024) {
    p->out_capacity = body_bytes + 1024;
    p->out = realloc(p->out, p->out_capacity);
  }
  int head = snprintf(p->out, 1024,
                      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nX-API-Key: %s\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      plan->path, world.port, plan->key, body_bytes);
  memcpy(p->out + head, body, body_bytes);
  p->out_bytes = (size_t)head + body_bytes;
  p->out_sent = 0;
  p->busy = true;
  p->missing = UNKNOWN;
  idle_publishers--;
  flush(p);
}

// Find the end of an answer, by its length or by its last chunk, and forget what was read. False while it is incomplete.
static bool take_answer(struct publisher *p) {
  if (p->missing == UNKNOWN) {
    const char *end = memmem(p->in, p->in_bytes, "\r\n\r\n", 4);
    if (end == NULL)
      return false;
    size_t head = (size_t)(end + 4 - p->in);
    const char *length = strcasestr(p->in, "content-length:");
    p->missing = length != NULL && length < end ? (int64_t)strtoul(length + 15, NULL, 10) : CHUNKED;
    p->is_good = p->in[9] == '2';
    if (!p->is_good && world.refused == 0)
      snprintf(world.first_refusal, sizeof world.first_refusal, "%.150s", p->in);
    p->in_bytes -= head;
    memmove(p->in, p->in + head, p->in_bytes);
  }
  if (p->missing == CHUNKED) {
    size_t tail = p->in_bytes < 5 ? p->in_bytes : 5;
    memmove(p->in, p->in + p->in_bytes - tail, tail);
    p->in_bytes = tail;
    return tail == 5 && !memcmp(p->in, "0\r\n\r\n", 5);
  }
  p->missing -= (int64_t)p->in_bytes;
  p->in_bytes = 0;
  return p->missing <= 0;
}

void on_publisher(struct publisher *p, uint32_t events) {
  if (events & EPOLLOUT)
    flush(p);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
    return;
  ssize_t got = recv(p->fd, p->in + p->in_bytes, sizeof p->in - 1 - p->in_bytes, 0);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0) {  // servers close connections that have been idle for some seconds; only an answer can be lost
    if (p->busy)
      lost_publishers++;
    else
      idle_publishers--;
    close(p->fd);
    p->fd = -1;
    return;
  }
  p->in_bytes += (size_t)got;
  p->in[p->in_bytes] = 0;
  if (!p->busy || !take_answer(p))
    return;
  if (p->is_good)
    world.answered++;
  else
    world.refused++;
  p->in_bytes = 0;
  p->busy = false;
  idle_publishers++;
}

// Open those that were not there before and those that the server has closed in the meantime.
static void open_all(uint32_t wanted) {
  if (publishers == NULL)
    publishers = calloc(1024, sizeof *publishers);
  if (wanted > 1024)
    fail("at most 1024 publishers");
  for (uint32_t i = 0; i < wanted; i++) {
    struct publisher *p = &publishers[i];
    if (i < open_publishers && p->fd >= 0)
      continue;
    p->in_bytes = 0;
    p->fd = open_socket("127.0.0.1", world.port);
    watch(p->fd, EPOLLIN, tag_of(p), true);
  }
  if (wanted > open_publishers)
    open_publishers = wanted;
}

static struct publisher *take_idle(uint32_t among) {
  static uint32_t next;
  for (uint32_t i = 0; i < among; i++) {
    struct publisher *p = &publishers[next++ % among];
    if (!p->busy && p->fd >= 0)
      return p;
  }
  return NULL;
}

static uint64_t under_way(const struct publication_plan *plan, uint32_t sent, uint64_t delivered) {
  uint64_t arrived = plan->fanout > 0 && !plan->hasty ? (uint64_t)((double)delivered / (plan->fanout * plan->batch)) : sent;
  uint64_t done = world.answered + world.refused < arrived ? world.answered + world.refused : arrived;
  return sent - done;
}

bool publish(const struct publication_plan *plan, uint64_t *wall_ns, uint64_t *server_ns, uint64_t *own_ns) {
  read_template(plan);
  turn(0);
  open_all(plan->publishers);
  idle_publishers = plan->publishers;
  for (int i = 0; i < 20; i++)
    turn(2000000);  // the publishers' handshakes, and whatever else was still under way
  memset(&world.latency, 0, sizeof world.latency);
  world.answered = world.refused = world.reads = world.bytes = world.strange = 0;
  world.idle_ns = 0;
  for (uint32_t i = 0; i < world.count; i++)
    world.subscribers[i].deliveries = 0;
  uint64_t before = world.deliveries;
  uint64_t wanted = (uint64_t)(plan->fanout * plan->batch * plan->publications + 0.5);
  uint32_t sent = 0, closed_before = world.closed;
  int64_t start = now_ns(), due = start, moved = start, patience = (int64_t)(plan->patience_s * 1e9);
  int64_t server_before = server_cpu_ns(), own_before = own_cpu_ns();
  bool good = true;
  while (world.deliveries - before < wanted || world.answered + world.refused < plan->publications) {
    int64_t now = now_ns();
    while (sent < plan->publications && idle_publishers > 0) {
      bool may = plan->rate > 0 ? now >= due : under_way(plan, sent, world.deliveries - before) < plan->window;
      struct publisher *p = may ? take_idle(plan->publishers) : NULL;
      if (p == NULL)
        break;
      // With a rate, latency counts from the moment that the publication was due, also where we could send it only later.
      post(p, plan, sent, plan->rate > 0 ? due : now_ns());
      if (plan->rate > 0)
        due = start + (int64_t)(++sent * 1e9 / plan->rate);
      else
        sent++;
    }
    int64_t limit = 100000000;
    if (plan->rate > 0 && sent < plan->publications && idle_publishers > 0)
      limit = due - now_ns() > 0 ? due - now_ns() : 0;
    if (turn(limit) > 0)
      moved = now_ns();
    else if (now_ns() - moved > patience && (plan->rate == 0 || sent == plan->publications))
      good = false;
    if (!good || lost_publishers || world.closed != closed_before)
      break;
  }
  *wall_ns = (uint64_t)(now_ns() - start);
  *server_ns = (uint64_t)(server_cpu_ns() - server_before);
  *own_ns = (uint64_t)(own_cpu_ns() - own_before);
  for (int i = 0; good && i < 5; i++)
    turn(2000000);  // anything that arrives twice
  return good && !lost_publishers && world.closed == closed_before && world.refused == 0 &&
         world.deliveries - before == wanted;
}
