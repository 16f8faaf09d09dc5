/*
 * The load of the benchmark: a provider, and clients that measure what gets through to it. Both check what they move.
 * They know a socket's path and nothing of what is in between. test/bench/load.ts does the same in Node, but for the
 * descriptors, and speaks the same protocol: either end may be either program.
 *
 *   load provide SOCKET                                      until its standard input ends; prints "ready"
 *   load bulk TARGET CONNECTIONS WRITE_BYTES DESCRIPTOR_EVERY WARM_MS FOR_MS
 *   load trip TARGET CONNECTIONS BYTES WARM_MS FOR_MS
 *   load connect TARGET WARM_MS FOR_MS
 *
 * A client prints one line of JSON; what was counted is the FOR_MS after the WARM_MS. It exits with 1 and says why if
 * it cannot go on, as when nothing moves for 20 s. Writes of `bulk` are multiples of 256 bytes, checked as load.h says.
 *
 * A connection begins with 8 bytes, little-endian: 'E', what follows is sent back as it comes; or 'S' + 256 * EVERY,
 * what follows is checked, and its end is answered with three 8-byte numbers: bytes that arrived, blocks that were
 * garbled, descriptors that were intact. With EVERY > 0 a memfd holding the position comes at each multiple of EVERY.
 */
#define _GNU_SOURCE
#include "load.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

static uint64_t word_at(const void *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof word);
	return word;
}

/* ---- provider ---- */

struct connection {
	int fd;
	unsigned head_bytes;
	unsigned char head[8];
	int echoes;
	uint64_t every;
	uint64_t intact;
	struct checked checked;
};

static unsigned char input[READ_BYTES];

static void send_back(int fd, const unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			bytes += n;
			length -= (size_t)n;
			continue;
		}
		struct pollfd writable = { .fd = fd, .events = POLLOUT };
		if (errno != EAGAIN || poll(&writable, 1, PATIENCE_S * 1000) != 1)
			return;
	}
}

/* The descriptor of a message, -1 for none. */
static int descriptor_in(struct msghdr *message)
{
	int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/*
 * Read no further than the next place of a descriptor: then one comes with the read that begins at its place, and with
 * no other, however the bytes were cut on their way.
 */
static ssize_t receive_marked(struct connection *c)
{
	char control[CMSG_SPACE(sizeof(int) * 8)];
	uint64_t position = c->checked.position;
	uint64_t left = c->every - position % c->every;
	struct iovec part = { input, left < READ_BYTES ? left : READ_BYTES };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC);
	int fd = n > 0 ? descriptor_in(&message) : -1;
	if (fd >= 0) {
		uint64_t marked = 0;
		if (position % c->every == 0 && pread(fd, &marked, sizeof marked, 0) == sizeof marked && marked == position)
			c->intact++;
		close(fd);
	}
	return n;
}

static void answer(struct connection *c)
{
	uint64_t verdict[3] = { c->checked.position, garbled_in(&c->checked), c->intact };
	send_back(c->fd, (unsigned char *)verdict, sizeof verdict);
}

/*
 * A line ahead of the head tells who comes (docs/identity.md): read past it, and begin anew. False: the connection is over.
 */
static int skip_greeting(struct connection *c)
{
	ssize_t n = recv(c->fd, input, READ_BYTES, MSG_PEEK);
	unsigned char *end = n > 0 ? memchr(input, '\n', (size_t)n) : NULL;
	if (n > 0)
		n = recv(c->fd, input, end ? (size_t)(end + 1 - input) : (size_t)n, 0);
	if (end)
		c->head_bytes = 0;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* One read. False: the connection is over. */
static int serve(struct connection *c)
{
	ssize_t n;
	if (c->head_bytes == sizeof c->head && c->head[0] == '{')
		return skip_greeting(c);
	if (c->head_bytes < sizeof c->head) {
		n = recv(c->fd, c->head + c->head_bytes, sizeof c->head - c->head_bytes, 0);
		if (n > 0 && (c->head_bytes += (unsigned)n) == sizeof c->head) {
			c->echoes = c->head[0] == 'E';
			c->every = c->echoes ? 0 : word_at(c->head) >> 8;
		}
		return n > 0 || (n < 0 && errno == EAGAIN);
	}
	n = c->every > 0 ? receive_marked(c) : recv(c->fd, input, READ_BYTES, 0);
	if (n < 0)
		return errno == EAGAIN;
	if (n == 0 && !c->echoes)
		answer(c);
	if (n > 0 && c->echoes)
		send_back(c->fd, input, (size_t)n);
	else if (n > 0)
		check(&c->checked, input, (size_t)n);
	return n > 0;
}

static void turn(int epoll, void *connection, uint32_t ready)
{
	struct connection *c = connection;
	(void)epoll;
	(void)ready;
	if (serve(c))
		return;
	close(c->fd);
	free(c);
}

/* ---- clients ---- */

struct worker {
	pthread_t thread;
	int fd;
	size_t bytes;   /* of one write, or of one message */
	uint64_t every; /* bytes from descriptor to descriptor, 0 for none */
	_Atomic uint64_t done; /* bytes sent, or trips made */
	uint64_t descriptors;
	uint64_t verdict[3];
	uint32_t *took_ns;
	size_t samples;
};

static atomic_bool stopped, counting;

static int reach(const char *path, uint64_t head)
{
	int fd = connected(path);
	if (head != 0 && send(fd, &head, sizeof head, MSG_NOSIGNAL) != sizeof head)
		die("send");
	return fd;
}

/* Send the bytes with a descriptor that says where. Gives how many were taken. */
static size_t send_marked(int fd, const unsigned char *bytes, size_t length, uint64_t position)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { (void *)bytes, length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int mark = memfd_create("mark", MFD_CLOEXEC);
	if (mark < 0 || pwrite(mark, &position, sizeof position, 0) != sizeof position)
		die("memfd_create");
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof mark);
	memcpy(CMSG_DATA(c), &mark, sizeof mark);
	ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		die("sendmsg");
	close(mark);
	return (size_t)n;
}

static void *run_bulk(void *argument)
{
	struct worker *w = argument;
	unsigned char *buffer = patterned(w->bytes);
	for (uint64_t sent = 0; !atomic_load_explicit(&stopped, memory_order_relaxed); sent += w->bytes) {
		size_t first = 0;
		mark_positions(buffer, w->bytes, sent);
		if (w->every > 0 && sent % w->every == 0) {
			first = send_marked(w->fd, buffer, w->bytes, sent);
			w->descriptors++;
		}
		send_whole(w->fd, buffer + first, w->bytes - first);
		atomic_fetch_add_explicit(&w->done, w->bytes, memory_order_relaxed);
	}
	shutdown(w->fd, SHUT_WR);
	receive_whole(w->fd, w->verdict, sizeof w->verdict);
	free(buffer);
	return NULL;
}

static void *run_trips(void *argument)
{
	struct worker *w = argument;
	unsigned char *asked = patterned(w->bytes);
	unsigned char *heard = room(w->bytes);
	for (uint64_t trip = 0; !atomic_load_explicit(&stopped, memory_order_relaxed); trip++) {
		uint64_t began = now_ns();
		memcpy(asked, &trip, sizeof trip);
		send_whole(w->fd, asked, w->bytes);
		receive_whole(w->fd, heard, w->bytes);
		uint64_t took = now_ns() - began;
		if (memcmp(asked, heard, w->bytes) != 0)
			die_saying("another message came back than was sent");
		if (atomic_load_explicit(&counting, memory_order_relaxed) && w->samples < SAMPLES)
			w->took_ns[w->samples++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
		atomic_fetch_add_explicit(&w->done, 1, memory_order_relaxed);
	}
	free(asked);
	free(heard);
	return NULL;
}

static uint64_t done_by(struct worker *workers, long count)
{
	uint64_t sum = 0;
	for (long i = 0; i < count; i++)
		sum += atomic_load_explicit(&workers[i].done, memory_order_relaxed);
	return sum;
}

struct window {
	uint64_t done;
	double seconds;
};

/* Let the workers run, and count what they do after the warm-up. */
static struct window measure(struct worker *workers, long count, void *(*run)(void *), long warm_ms, long for_ms)
{
	for (long i = 0; i < count; i++)
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0)
			die_saying("pthread_create failed");
	usleep((useconds_t)warm_ms * 1000);
	uint64_t began = now_ns(), before = done_by(workers, count), ended, after;
	atomic_store(&counting, 1);
	/* On a machine that is busy elsewhere, nothing may have been done yet: that is no rate. */
	do {
		usleep((useconds_t)for_ms * 1000);
		ended = now_ns();
		after = done_by(workers, count);
	} while (after == before);
	atomic_store(&counting, 0);
	atomic_store(&stopped, 1);
	for (long i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	return (struct window){ after - before, (double)(ended - began) / 1e9 };
}

static void bulk(const char *target, long count, long bytes, long every, long warm_ms, long for_ms)
{
	struct worker *workers = room(sizeof *workers * (size_t)count);
	uint64_t descriptors = 0, arrived = 0, garbled = 0, intact = 0;
	for (long i = 0; i < count; i++) {
		workers[i].fd = reach(target, 'S' | (uint64_t)every << 8);
		workers[i].bytes = (size_t)bytes;
		workers[i].every = (uint64_t)every;
	}
	struct window w = measure(workers, count, run_bulk, warm_ms, for_ms);
	for (long i = 0; i < count; i++) {
		descriptors += workers[i].descriptors;
		arrived += workers[i].verdict[0];
		garbled += workers[i].verdict[1];
		intact += workers[i].verdict[2];
	}
	printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"garbled\":%" PRIu64
	       ",\"descriptors\":%" PRIu64 ",\"intact\":%" PRIu64 "}\n",
	       w.done, w.seconds, done_by(workers, count), arrived, garbled, descriptors, intact);
}

static void trip(const char *target, long count, long bytes, long warm_ms, long for_ms)
{
	struct worker *workers = room(sizeof *workers * (size_t)count);
	size_t samples = 0;
	for (long i = 0; i < count; i++) {
		workers[i].fd = reach(target, 'E');
		workers[i].bytes = (size_t)bytes;
		workers[i].took_ns = room(sizeof(uint32_t) * SAMPLES);
	}
	struct window w = measure(workers, count, run_trips, warm_ms, for_ms);
	for (long i = 0; i < count; i++)
		samples += workers[i].samples;
	uint32_t *all = room(sizeof *all * (samples + 1));
	for (long i = 0, at = 0; i < count; at += (long)workers[i].samples, i++)
		memcpy(all + at, workers[i].took_ns, sizeof *all * workers[i].samples);
	qsort(all, samples, sizeof *all, ascending);
	printf("{\"trips\":%" PRIu64 ",\"seconds\":%.6f,\"samples\":%zu,\"medianUs\":%.3f,\"p99Us\":%.3f}\n", w.done,
	       w.seconds, samples, all[samples / 2] / 1e3, all[samples * 99 / 100] / 1e3);
}

static void connect_again_and_again(const char *target, long warm_ms, long for_ms)
{
	uint64_t count = 0, began = now_ns() + (uint64_t)warm_ms * 1000000, ended;
	for (unsigned char letter = 0;; letter++) {
		unsigned char asked[9] = { 'E' }, heard;
		asked[8] = letter;
		int fd = reach(target, 0);
		send_whole(fd, asked, sizeof asked);
		receive_whole(fd, &heard, 1);
		close(fd);
		if (heard != letter)
			die_saying("another byte came back than was sent");
		ended = now_ns();
		if (ended < began)
			continue;
		if (count++ == 0)
			began = ended;
		else if (ended - began >= (uint64_t)for_ms * 1000000)
			break;
	}
	printf("{\"connections\":%" PRIu64 ",\"seconds\":%.6f}\n", count - 1, (double)(ended - began) / 1e9);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	long number[5] = { 0 };
	for (int i = 3; i < argc && i < 8; i++)
		number[i - 3] = strtol(argv[i], NULL, 10);
	make_pattern();
	if (strcmp(verb, "provide") == 0)
		serve_at(argv[2], sizeof(struct connection), turn);
	else if (strcmp(verb, "bulk") == 0 && argc == 8)
		bulk(argv[2], number[0], number[1], number[2], number[3], number[4]);
	else if (strcmp(verb, "trip") == 0 && argc == 7)
		trip(argv[2], number[0], number[1], number[2], number[3]);
	else if (strcmp(verb, "connect") == 0 && argc == 5)
		connect_again_and_again(argv[2], number[0], number[1]);
	else
		die_saying("usage: see the head of load.c");
	return 0;
}
