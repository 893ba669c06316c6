// The load generator: opens WebSocket connections, publishes over HTTP and counts what arrives. One thread, one epoll.
//
// It is driven by lines on standard input (`command key=value …`) and answers each with one line of JSON, so that one set
// of connections can serve several measurements. bench/generator.py speaks to it and says what the commands mean.
#pragma once
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum phase { CONNECTING, SHAKING, SCRIPTED, READY, CLOSED };

// One subscriber. `rest` holds the beginning of a frame whose end has not arrived.
struct subscriber {
  int fd;
  uint8_t phase;
  uint8_t deflated;
  uint16_t close_code;
  uint32_t deliveries;
  char *script;
  uint8_t *rest;
  uint32_t rest_bytes;
};

// One HTTP connection that publishes. At most one request is under way on it.
struct publisher {
  int fd;
  bool busy, is_good;
  char *out;
  size_t out_bytes, out_sent, out_capacity;
  char in[8192];
  size_t in_bytes;
  int64_t missing;  // bytes of the answer's body still to come; UNKNOWN before its head, CHUNKED where it does not say
};
enum { UNKNOWN = -1, CHUNKED = -2 };

// Latencies in microseconds; 64 buckets for each power of two, so a percentile is exact to 1.6 %.
#define BUCKET_BITS 6
#define BUCKETS (40 << BUCKET_BITS)
struct histogram {
  uint64_t count[BUCKETS];
  uint64_t total;
  uint64_t largest_us;
};

struct world {
  int epoll;
  int port;
  struct subscriber *subscribers;
  uint32_t count, capacity;
  uint32_t connecting, ready, closed;
  char *ping, *pong;     // text frames by which a peer asks whether we are there, and the answer
  bool many_in_frame;    // several publications may share one frame
  uint64_t deliveries, reads, bytes, strange;
  struct histogram latency;
  uint64_t answered, refused;
  char first_refusal[160];
  int64_t idle_ns;
  int server[64];
  int servers;
};

extern struct world world;

// clock.c
int64_t now_ns(void);
int64_t own_cpu_ns(void);
int64_t server_cpu_ns(void);
uint64_t stamp_us(int64_t at_ns);
#define STAMP_BASE_US 100000000000000ULL  // 15 digits whatever the uptime, and exact in a double of any JSON parser
#define STAMP_DIGITS 15

// histogram.c
void note(struct histogram *h, uint64_t us);
uint64_t percentile(const struct histogram *h, double share);

// socket.c
int open_socket(const char *source, int port);
void watch(int fd, uint32_t events, uint64_t tag, bool is_new);
int turn(int64_t limit_ns);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

// subscriber.c
bool open_subscribers(uint32_t count, const char *path, const char *extra_headers, const char *script_file,
                      double patience_s);
void on_subscriber(struct subscriber *s, uint32_t events);
bool say(const char *script_file, uint64_t expected, double patience_s);

// publisher.c
struct publication_plan {
  uint32_t publications, window, publishers, batch, channels;
  bool hasty;  // a publication is under way until it is answered, not until it has arrived
  double fanout, rate, patience_s;
  const char *path, *key, *template_file, *slot;
};
bool publish(const struct publication_plan *plan, uint64_t *wall_ns, uint64_t *server_ns, uint64_t *own_ns);
void on_publisher(struct publisher *p, uint32_t events);
