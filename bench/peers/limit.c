// The physical limit: one thread, one ready frame, one send() for each subscriber. No JSON, no channels, no log, no checks.
//
// limit PORT [uring]. With "uring" those sends are handed to io_uring, up to 1,024 in one system call (Linux 5.18).
// It answers any WebSocket handshake as if it had the key of RFC 6455, section 1.3, which the generator sends.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 70000, BODY_MOST = 4 << 20 };
static const char SWITCH[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char DONE[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
static int subscribers[MOST], places[MOST], count;
static unsigned char *partial[MOST];  // a request that has not arrived whole, by descriptor
static size_t partial_bytes[MOST];
static unsigned char frame[BODY_MOST + 16];

static void send_all(int fd, const unsigned char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
    if (sent > 0) {
      data += sent;
      bytes -= (size_t)sent;
    } else if (errno == EAGAIN) {
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
    } else {
      return;
    }
  }
}

static struct {
  int fd;
  unsigned *sq_tail, *cq_head, *cq_tail, requests, results;
  struct io_uring_sqe *request;
  struct io_uring_cqe *result;
} ring = {.fd = -1};

static void open_ring(void) {
  struct io_uring_params p = {.flags = 1U << 7};  // IORING_SETUP_SUBMIT_ALL
  ring.fd = (int)syscall(SYS_io_uring_setup, 1024, &p);
  size_t bytes = p.cq_off.cqes + p.cq_entries * sizeof *ring.result, order = p.sq_off.array + p.sq_entries * 4;
  char *queues = ring.fd < 0 ? MAP_FAILED
                             : mmap(NULL, bytes > order ? bytes : order, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
  if (queues == MAP_FAILED) {
    perror("io_uring");
    exit(1);
  }
  ring.request = mmap(NULL, p.sq_entries * sizeof *ring.request, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      ring.fd, IORING_OFF_SQES);
  if (ring.request == MAP_FAILED) {
    perror("io_uring");
    exit(1);
  }
  ring.requests = p.sq_entries;
  ring.results = p.cq_entries;
  ring.sq_tail = (unsigned *)(queues + p.sq_off.tail);
  ring.cq_head = (unsigned *)(queues + p.cq_off.head);
  ring.cq_tail = (unsigned *)(queues + p.cq_off.tail);
  ring.result = (struct io_uring_cqe *)(queues + p.cq_off.cqes);
  for (unsigned i = 0; i < p.sq_entries; i++)
    ((unsigned *)(queues + p.sq_off.array))[i] = i;
}

static void deliver_by_ring(const unsigned char *data, size_t bytes) {
  for (int done = 0; done < count;) {
    unsigned now = (unsigned)(count - done), tail = *ring.sq_tail;
    if (now > ring.requests)
      now = ring.requests;
    for (unsigned i = 0; i < now; i++)
      ring.request[(tail + i) % ring.requests] = (struct io_uring_sqe){
          .opcode = IORING_OP_SEND, .fd = subscribers[done + (int)i], .addr = (unsigned long)data,
          .len = (unsigned)bytes, .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL, .user_data = (unsigned)done + i};
    *ring.sq_tail = tail + now;
    if (syscall(SYS_io_uring_enter, ring.fd, now, now, IORING_ENTER_GETEVENTS, NULL, 0) != (long)now) {
      perror("io_uring_enter");
      exit(1);
    }
    for (unsigned head = *ring.cq_head; head != *ring.cq_tail; *ring.cq_head = ++head) {
      struct io_uring_cqe *is = &ring.result[head % ring.results];
      size_t sent = is->res > 0 ? (size_t)is->res : 0;
      if (is->res > 0 || is->res == -EAGAIN)
        send_all(subscribers[is->user_data], data + sent, bytes - sent);
    }
    done += (int)now;
  }
}

static void deliver(const unsigned char *body, size_t bytes) {
  size_t head = bytes < 126 ? 2 : bytes < 65536 ? 4 : 10;
  frame[0] = 0x81;
  frame[1] = (unsigned char)(head == 2 ? bytes : head == 4 ? 126 : 127);
  for (size_t i = 2; i < head; i++)
    frame[i] = (unsigned char)(bytes >> 8 * (head - 1 - i));
  memcpy(frame + head, body, bytes);
  if (ring.fd >= 0) {
    deliver_by_ring(frame, head + bytes);
    return;
  }
  for (int i = 0; i < count; i++)
    send_all(subscribers[i], frame, head + bytes);
}

static void leave(int fd) {
  if (places[fd]) {
    int place = places[fd] - 1;
    subscribers[place] = subscribers[--count];
    places[subscribers[place]] = place + 1;
    places[fd] = 0;
  }
  free(partial[fd]);
  partial[fd] = NULL;
  partial_bytes[fd] = 0;
  close(fd);
}

// Handle one request if it is here whole; return how many bytes it had.
static size_t take_request(int fd, unsigned char *data, size_t bytes) {
  unsigned char *end = memmem(data, bytes, "\r\n\r\n", 4);
  if (end == NULL)
    return 0;
  size_t head = (size_t)(end + 4 - data), body = 0;
  if (data[0] == 'G') {
    send_all(fd, (const unsigned char *)SWITCH, sizeof SWITCH - 1);
    subscribers[count++] = fd;
    places[fd] = count;
    return head;
  }
  *end = 0;
  const char *length = strcasestr((char *)data, "content-length:");
  *end = '\r';
  if (length)
    body = strtoul(length + 15, NULL, 10);
  if (bytes < head + body)
    return 0;
  deliver(data + head, body);
  send_all(fd, (const unsigned char *)DONE, sizeof DONE - 1);
  return head + body;
}

static void receive(int fd) {
  static unsigned char data[BODY_MOST + 4096];
  if (partial_bytes[fd])
    memcpy(data, partial[fd], partial_bytes[fd]);
  ssize_t got = recv(fd, data + partial_bytes[fd], sizeof data - partial_bytes[fd], 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN)
      leave(fd);
    return;
  }
  size_t bytes = partial_bytes[fd] + (size_t)got, at = 0, taken;
  free(partial[fd]);
  partial[fd] = NULL;
  partial_bytes[fd] = 0;
  if (places[fd])  // whatever a subscriber says
    return;
  while (at < bytes && (taken = take_request(fd, data + at, bytes - at)) > 0)
    at += taken;
  if (at < bytes) {
    partial[fd] = malloc(bytes - at);
    memcpy(partial[fd], data + at, bytes - at);
    partial_bytes[fd] = bytes - at;
  }
}

int main(int argc, char **argv) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max < MOST ? files.rlim_max : MOST;
  setrlimit(RLIMIT_NOFILE, &files);
  if (argc > 2 && strcmp(argv[2], "uring") == 0)
    open_ring();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0))};
  inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) {
    perror("listen");
    return 1;
  }
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd != listener) {
        receive(events[i].data.fd);
        continue;
      }
      int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (fd < 0)
        continue;
      if (fd >= MOST) {
        close(fd);
        continue;
      }
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
  }
}
