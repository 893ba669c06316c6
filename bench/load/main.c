// Reads commands, answers in JSON.
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

struct world world;
static char *words[64];
static int word_count;

static const char *text_of(const char *key, const char *otherwise) {
  size_t bytes = strlen(key);
  for (int i = 1; i < word_count; i++)
    if (!strncmp(words[i], key, bytes) && words[i][bytes] == '=')
      return words[i] + bytes + 1;
  return otherwise;
}

static double number_of(const char *key, double otherwise) {
  const char *text = text_of(key, NULL);
  return text ? atof(text) : otherwise;
}

static void answer_open(void) {
  char extra[512] = "";
  const char *protocol = text_of("protocol", NULL);
  if (protocol)
    snprintf(extra, sizeof extra, "Sec-WebSocket-Protocol: %s\r\n", protocol);
  if (number_of("deflate", 0) > 0)
    strcat(extra, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
  world.port = (int)number_of("port", world.port);
  world.many_in_frame = number_of("many", 0) > 0;
  const char *ping = text_of("ping", NULL);
  if (ping) {
    free(world.ping), free(world.pong);
    world.ping = strdup(ping), world.pong = strdup(text_of("pong", ""));
  }
  int64_t start = now_ns(), server = server_cpu_ns();
  bool good = open_subscribers((uint32_t)number_of("count", 1), text_of("path", "/"), extra, text_of("script", NULL),
                               number_of("patience", 60));
  uint32_t deflated = 0;
  for (uint32_t i = 0; i < world.count; i++)
    deflated += world.subscribers[i].deflated;
  printf("{\"ok\":%s,\"ready\":%u,\"closed\":%u,\"deflated\":%u,\"wall_s\":%.6f,\"server_cpu_s\":%.9f}\n",
         good ? "true" : "false", world.ready, world.closed, deflated, (double)(now_ns() - start) / 1e9,
         (double)(server_cpu_ns() - server) / 1e9);
}

static void answer_publish(void) {
  struct publication_plan plan = {
      .publications = (uint32_t)number_of("publications", 1),
      .window = (uint32_t)number_of("window", 1),
      .publishers = (uint32_t)number_of("publishers", 1),
      .batch = (uint32_t)number_of("batch", 1),
      .channels = (uint32_t)number_of("channels", 1),
      .hasty = number_of("hasty", 0) > 0,
      .fanout = number_of("fanout", world.ready),
      .rate = number_of("rate", 0),
      .patience_s = number_of("patience", 10),
      .path = text_of("path", "/api/broadcast"),
      .key = text_of("key", "k"),
      .template_file = text_of("template", ""),
      .slot = text_of("slot", ""),
  };
  world.port = (int)number_of("port", world.port);
  uint64_t wall, server, own, before = world.deliveries;
  bool good = publish(&plan, &wall, &server, &own);
  uint64_t least = UINT64_MAX, most = 0;
  uint16_t close_code = 0;
  for (uint32_t i = 0; i < world.count; i++) {
    uint64_t n = world.subscribers[i].deliveries;
    least = n < least ? n : least;
    most = n > most ? n : most;
    if (world.subscribers[i].close_code)
      close_code = world.subscribers[i].close_code;
  }
  for (char *c = world.first_refusal; *c; c++)
    if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
      *c = ' ';
  printf("{\"ok\":%s,\"answered\":%lu,\"refused\":%lu,\"refusal\":\"%s\",\"deliveries\":%lu,\"least\":%lu,\"most\":%lu,"
         "\"closed\":%u,\"close_code\":%u,\"strange\":%lu,\"wall_s\":%.9f,\"server_cpu_s\":%.9f,\"own_cpu_s\":%.9f,"
         "\"idle_s\":%.9f,\"reads\":%lu,\"bytes\":%lu,\"p50_us\":%lu,\"p90_us\":%lu,\"p99_us\":%lu,\"p999_us\":%lu,"
         "\"max_us\":%lu}\n",
         good ? "true" : "false", world.answered, world.refused, world.first_refusal, world.deliveries - before,
         world.count ? least : 0, most, world.closed, close_code, world.strange, (double)wall / 1e9,
         (double)server / 1e9, (double)own / 1e9, (double)world.idle_ns / 1e9, world.reads, world.bytes,
         percentile(&world.latency, 0.5), percentile(&world.latency, 0.9), percentile(&world.latency, 0.99),
         percentile(&world.latency, 0.999), world.latency.largest_us);
}

static void answer_say(void) {
  int64_t start = now_ns(), server = server_cpu_ns(), own = own_cpu_ns();
  uint64_t before = world.deliveries;
  world.idle_ns = 0;
  bool good = say(text_of("script", ""), (uint64_t)number_of("expect", 0), number_of("patience", 60));
  printf("{\"ok\":%s,\"deliveries\":%lu,\"closed\":%u,\"wall_s\":%.9f,\"server_cpu_s\":%.9f,\"own_cpu_s\":%.9f,"
         "\"idle_s\":%.9f}\n",
         good ? "true" : "false", world.deliveries - before, world.closed, (double)(now_ns() - start) / 1e9,
         (double)(server_cpu_ns() - server) / 1e9, (double)(own_cpu_ns() - own) / 1e9, (double)world.idle_ns / 1e9);
}

static void answer_watch(void) {
  world.servers = 0;
  for (int i = 1; i < word_count && world.servers < 64; i++)
    world.server[world.servers++] = atoi(words[i]);
  printf("{\"ok\":true,\"server_cpu_s\":%.9f}\n", (double)server_cpu_ns() / 1e9);
}

static void answer_rest(void) {
  int64_t end = now_ns() + (int64_t)(number_of("seconds", 1) * 1e9);
  int64_t server = server_cpu_ns();
  for (int64_t now; (now = now_ns()) < end;)
    turn(end - now);
  printf("{\"ok\":true,\"closed\":%u,\"server_cpu_s\":%.9f}\n", world.closed, (double)(server_cpu_ns() - server) / 1e9);
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  world.epoll = epoll_create1(EPOLL_CLOEXEC);
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    word_count = 0;
    for (char *word = strtok(line, " \n"); word && word_count < 64; word = strtok(NULL, " \n"))
      words[word_count++] = word;
    const char *command = word_count ? words[0] : "";
    if (!strcmp(command, "open"))
      answer_open();
    else if (!strcmp(command, "publish"))
      answer_publish();
    else if (!strcmp(command, "say"))
      answer_say();
    else if (!strcmp(command, "watch"))
      answer_watch();
    else if (!strcmp(command, "rest"))
      answer_rest();
    else
      fail("unknown command %s", command);
    fflush(stdout);
  }
  return 0;
}
