/*
 * What the programs of the load share: how they give up, serve, connect and move bytes, and the blocks by which they know that
 * what arrives is what was sent. Knows no protocol.
 *
 * Checked bytes: each block of 256 begins with its position in the stream, so nothing can be lost, doubled or swapped
 * unseen; its other bytes never change, and are looked at for the first MiB of a stream only, because comparing all
 * of them would measure the comparison.
 */
#ifndef LOAD_H
#define LOAD_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 256, READ_BYTES = 256 * 1024, EVENTS = 64, PATIENCE_S = 20, SAMPLES = 1 << 20 };
#define WHOLE_BYTES (UINT64_C(1) << 20)

static unsigned char pattern[BLOCK];

static inline _Noreturn void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline _Noreturn void die_saying(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static inline void *room(size_t bytes)
{
	void *p = calloc(1, bytes);
	if (!p)
		die("calloc");
	return p;
}

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path)
		die_saying("the path of the socket is too long");
	strcpy(address.sun_path, path);
	return address;
}

/* As many descriptors as may be had: a provider has one for every connection of a run. */
static inline int listening(const char *path)
{
	struct sockaddr_un address = address_of(path);
	struct rlimit most;
	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		setrlimit(RLIMIT_NOFILE, &most);
	}
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
		die(path);
	return listener;
}

/* A socket that blocks, and gives up when nothing moves. */
static inline int connected(const char *path)
{
	struct sockaddr_un address = address_of(path);
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		die(path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	return fd;
}

static inline void watch(int epoll, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

/* Called when a connection is ready, with the memory that it was given; frees it when it closes the connection. */
typedef void turn_of(int epoll, void *connection, uint32_t ready);

static inline void accept_all(int epoll, int listener, size_t bytes)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		int *connection = room(bytes);
		*connection = fd;
		watch(epoll, fd, EPOLLIN, connection);
	}
}

/* Serve whoever connects, until standard input ends. Each connection gets `bytes` of memory that begin with its descriptor. */
static inline void serve_at(const char *path, size_t bytes, turn_of *turn)
{
	static int the_listener, the_parent;
	int listener = listening(path);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		die("epoll_create1");
	watch(epoll, listener, EPOLLIN, &the_listener);
	watch(epoll, STDIN_FILENO, EPOLLIN, &the_parent);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &the_parent) {
				unlink(path);
				return;
			}
			if (events[i].data.ptr == &the_listener)
				accept_all(epoll, listener, bytes);
			else
				turn(epoll, events[i].data.ptr, events[i].events);
		}
	}
}

static inline void send_whole(int fd, const void *bytes, size_t length)
{
	for (size_t sent = 0; sent < length;) {
		ssize_t n = send(fd, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL);
		if (n < 0)
			die("send");
		sent += (size_t)n;
	}
}

static inline void receive_whole(int fd, void *to, size_t length)
{
	for (size_t got = 0; got < length;) {
		ssize_t n = recv(fd, (char *)to + got, length - got, 0);
		if (n < 0)
			die("recv");
		if (n == 0)
			die_saying("the connection was closed early");
		got += (size_t)n;
	}
}

static inline int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* ---- checked bytes ---- */

struct checked {
	uint64_t position;
	uint64_t garbled;
	unsigned rest_bytes; /* of a block that has not come whole yet */
	unsigned char rest[BLOCK];
};

/* Once, before anything else. */
static inline void make_pattern(void)
{
	for (unsigned i = 0; i < BLOCK; i++)
		pattern[i] = (unsigned char)(i * 37 + 11);
}

static inline void fill_with_pattern(unsigned char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = pattern[i % BLOCK];
}

static inline unsigned char *patterned(size_t bytes)
{
	unsigned char *buffer = room(bytes);
	fill_with_pattern(buffer, bytes);
	return buffer;
}

static inline void mark_positions(unsigned char *blocks, size_t bytes, uint64_t position)
{
	for (size_t at = 0; at < bytes; at += BLOCK) {
		uint64_t here = position + at;
		memcpy(blocks + at, &here, sizeof here);
	}
}

static inline int is_block_of(const unsigned char *block, uint64_t position)
{
	uint64_t word;
	memcpy(&word, block, sizeof word);
	return word == position && (position >= WHOLE_BYTES || memcmp(block + 8, pattern + 8, BLOCK - 8) == 0);
}

/* Check `length` bytes that follow those before, however they were cut. */
static inline void check(struct checked *c, const unsigned char *bytes, size_t length)
{
	uint64_t at = c->position - c->rest_bytes;
	c->position += length;
	if (c->rest_bytes > 0) {
		size_t part = BLOCK - c->rest_bytes < length ? BLOCK - c->rest_bytes : length;
		memcpy(c->rest + c->rest_bytes, bytes, part);
		c->rest_bytes += (unsigned)part;
		bytes += part;
		if (c->rest_bytes < BLOCK)
			return;
		c->garbled += !is_block_of(c->rest, at);
		at += BLOCK;
	}
	for (; at + BLOCK <= c->position; at += BLOCK, bytes += BLOCK)
		c->garbled += !is_block_of(bytes, at);
	c->rest_bytes = (unsigned)(c->position - at);
	memcpy(c->rest, bytes, c->rest_bytes);
}

/* A block that never came whole counts as garbled. */
static inline uint64_t garbled_in(const struct checked *c)
{
	return c->garbled + (c->rest_bytes > 0);
}

#endif
