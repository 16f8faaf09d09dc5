/*
 * The load of the benchmark for Wayland: numbered messages as a client writes them, in one go up to 4 KiB, with descriptors in
 * between, and whoever gets them checks that each is there, in its place, with its descriptor not after it. Either end reads
 * as libwayland does, with room for 28 descriptors.
 *
 *   wayland-load provide SOCKET                      serve until standard input ends; prints "ready"
 *   wayland-load stream TARGET EVERY WARM_MS FOR_MS  messages one way, a descriptor with one in EVERY (0: none)
 *   wayland-load trip TARGET WARM_MS FOR_MS          a request and its answer, one at a time
 *   wayland-load pass TARGET COUNT EVERY SEED        so many there and back, cut at random; for a test, not for a figure
 *
 * On the wire: object 2 leads. Opcode 0 begins (a word: 1, send everything back), 1 ends and is answered with a verdict, 2 asks for
 * an answer of object 4. Object 3 has the numbered messages: opcode 1 if a descriptor belongs to it, else 0.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "load.h"

enum { LEADER = 2, NUMBERED = 3, ANSWER = 4, BEGIN = 0, END = 1, ASK = 2 };
enum { ROOM = 28, WRITE_BYTES = 4096, MARKS = 61, HEADER = 8, LONGEST = 48, QUEUE = 4096, CHUNK = 64 * 1024 };

static atomic_int stopped;

/* ---- messages ---- */

static uint32_t mixed(uint64_t number)
{
	uint64_t x = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(x >> 33);
}

static uint32_t size_of(uint64_t number)
{
	return 16 + mixed(number) % 9 * 4;
}

static int has_mark(uint64_t number, uint64_t every)
{
	return every > 0 && (mixed(number) >> 8) % every == 0;
}

static void put_header(unsigned char *at, uint32_t object, uint32_t opcode, uint32_t size)
{
	uint32_t words[2] = { object, size << 16 | opcode };
	memcpy(at, words, sizeof words);
}

static uint32_t put_message(unsigned char *at, uint64_t number, uint64_t every)
{
	uint32_t size = size_of(number);
	put_header(at, NUMBERED, (uint32_t)has_mark(number, every), size);
	memcpy(at + HEADER, &number, sizeof number);
	for (uint32_t i = 16; i < size; i += 4) {
		uint32_t word = (uint32_t)number * 31 + i;
		memcpy(at + i, &word, sizeof word);
	}
	return size;
}

/* ---- checking what comes ---- */

enum { ARRIVED, WRONG, LATE, DESCRIPTORS, VERDICTS };

struct reader {
	int fd;
	uint64_t every;
	uint64_t verdict[VERDICTS];
	int marks[QUEUE]; /* that wait for their message */
	unsigned first, count;
	unsigned rest_bytes;
	unsigned char bytes[CHUNK + LONGEST];
	/* Of the last read. */
	size_t fresh_at, fresh_bytes;
	int fresh[ROOM];
	unsigned fresh_count;
	int sends_on; /* what was read: its descriptors are checked as copies */
	int serves, has_begun, echoes, has_ended, asked;
	uint64_t theirs[VERDICTS];
	int has_verdict, answers;
};

static void check_mark(struct reader *r)
{
	uint64_t mark = UINT64_MAX, wanted = r->verdict[DESCRIPTORS] % MARKS;
	if (r->count == 0) {
		r->verdict[LATE]++;
		return;
	}
	int fd = r->marks[r->first];
	r->first = (r->first + 1) % QUEUE;
	r->count--;
	r->verdict[DESCRIPTORS]++;
	if (pread(fd, &mark, sizeof mark, 0) != sizeof mark || mark != wanted)
		r->verdict[WRONG]++;
	close(fd);
}

static void check_message(struct reader *r, const unsigned char *at, uint32_t size, uint32_t opcode)
{
	unsigned char wanted[LONGEST];
	uint64_t number = r->verdict[ARRIVED]++;
	if (size != put_message(wanted, number, r->every) || memcmp(at, wanted, size) != 0)
		r->verdict[WRONG]++;
	if (opcode == 1)
		check_mark(r);
}

static void lead(struct reader *r, const unsigned char *at, uint32_t size, uint32_t opcode)
{
	uint32_t words[2] = { 0 };
	if (size == HEADER + sizeof r->theirs) {
		memcpy(r->theirs, at + HEADER, sizeof r->theirs);
		r->has_verdict = 1;
	} else if (opcode == BEGIN && !r->has_begun) {
		memcpy(words, at + HEADER, sizeof words);
		r->has_begun = 1;
		r->echoes = (int)words[0];
		r->every = words[1];
	} else if (opcode == END) {
		r->has_ended = 1;
	} else if (opcode == ASK) {
		r->asked++;
	}
}

/* One read, as libwayland does it, and a look at all that is whole. Gives 0 at the end. */
static int read_some(struct reader *r)
{
	char control[CMSG_SPACE(sizeof(int) * ROOM)];
	struct iovec part = { r->bytes + r->rest_bytes, CHUNK };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(r->fd, &message, MSG_CMSG_CLOEXEC);
	r->fresh_count = 0;
	r->sends_on = r->serves && (!r->has_begun || r->echoes);
	if (n <= 0)
		return 0;
	if (message.msg_flags & MSG_CTRUNC)
		r->verdict[WRONG]++;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		unsigned fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(r->fresh, CMSG_DATA(c), fds * sizeof(int));
		r->fresh_count = fds;
		for (unsigned i = 0; i < fds; i++) {
			int fd = r->sends_on ? fcntl(r->fresh[i], F_DUPFD_CLOEXEC, 0) : r->fresh[i];
			if (r->count == QUEUE)
				die_saying("more descriptors wait than there is room for");
			r->marks[(r->first + r->count++) % QUEUE] = fd;
		}
	}
	size_t end = r->rest_bytes + (size_t)n, at = 0;
	r->fresh_at = r->rest_bytes;
	r->fresh_bytes = (size_t)n;
	while (at + HEADER <= end) {
		uint32_t words[2];
		memcpy(words, r->bytes + at, sizeof words);
		uint32_t size = words[1] >> 16, opcode = words[1] & 0xffff;
		if (size < HEADER || size > LONGEST)
			die_saying("what came is no message of ours");
		if (at + size > end)
			break;
		if (words[0] == NUMBERED)
			check_message(r, r->bytes + at, size, opcode);
		else if (words[0] == LEADER)
			lead(r, r->bytes + at, size, opcode);
		else
			r->answers++;
		at += size;
	}
	r->rest_bytes = (unsigned)(end - at);
	return 1;
}

/* The part that has not come whole yet goes to the front. Called when what was read has been used. */
static void keep_rest(struct reader *r)
{
	size_t end = r->fresh_at + r->fresh_bytes;
	memmove(r->bytes, r->bytes + end - r->rest_bytes, r->rest_bytes);
}

/* ---- writing ---- */

static void send_with(int fd, const unsigned char *bytes, size_t length, const int *fds, unsigned count)
{
	char control[CMSG_SPACE(sizeof(int) * ROOM)] = { 0 };
	struct iovec part = { (void *)bytes, length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (count > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		die("sendmsg");
	send_whole(fd, bytes + n, length - (size_t)n);
}

static void send_leader(int fd, uint32_t opcode, const void *body, uint32_t bytes)
{
	unsigned char message[LONGEST];
	put_header(message, LEADER, opcode, HEADER + bytes);
	memcpy(message + HEADER, body, bytes);
	send_whole(fd, message, HEADER + bytes);
}

static void send_begin(int fd, uint32_t echoes, uint64_t every)
{
	uint32_t words[2] = { echoes, (uint32_t)every };
	send_leader(fd, BEGIN, words, sizeof words);
}

/* ---- provider ---- */

static void *serve_one(void *argument)
{
	struct reader *r = argument;
	while (read_some(r)) {
		if (r->echoes)
			send_with(r->fd, r->bytes + r->fresh_at, r->fresh_bytes, r->fresh, r->fresh_count);
		for (unsigned i = 0; r->sends_on && i < r->fresh_count; i++)
			close(r->fresh[i]);
		keep_rest(r);
		for (; r->asked > 0; r->asked--) {
			unsigned char answer[12] = { 0 };
			put_header(answer, ANSWER, 0, sizeof answer);
			send_whole(r->fd, answer, sizeof answer);
		}
		if (r->has_ended) {
			send_leader(r->fd, END, r->verdict, sizeof r->verdict);
			r->has_ended = 0;
		}
	}
	for (; r->count > 0; r->count--, r->first = (r->first + 1) % QUEUE)
		close(r->marks[r->first]);
	close(r->fd);
	free(r);
	return NULL;
}

static void provide(const char *path)
{
	int listener = listening(path);
	struct pollfd ready[2] = { { .fd = listener, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(ready, 2, -1) < 0)
			die("poll");
		if (ready[1].revents) {
			unlink(path);
			exit(0);
		}
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		pthread_t thread;
		struct reader *r = room(sizeof *r);
		r->fd = fd;
		r->serves = 1;
		if (pthread_create(&thread, NULL, serve_one, r) != 0)
			die_saying("pthread_create failed");
		pthread_detach(thread);
	}
}

/* ---- client ---- */

static int marks[MARKS];

static void make_marks(void)
{
	for (uint64_t i = 0; i < MARKS; i++) {
		marks[i] = memfd_create("mark", MFD_CLOEXEC);
		if (marks[i] < 0 || pwrite(marks[i], &i, sizeof i, 0) != sizeof i)
			die("memfd_create");
	}
}

struct writer {
	pthread_t thread;
	int fd;
	uint64_t every, most, seed;
	_Atomic uint64_t sent;
	uint64_t descriptors;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Cut what was written so that each piece has the descriptors of all messages that begin in it. */
static void send_cut(struct writer *w, const unsigned char *bytes, size_t length, const uint32_t *at, const int *fds, unsigned count)
{
	unsigned next = 0;
	for (size_t sent = 0; sent < length;) {
		size_t piece = w->seed == 0 ? length : 1 + next_random(&w->seed) % (next_random(&w->seed) % 4 == 0 ? 12 : 3000);
		if (sent + piece > length)
			piece = length - sent;
		unsigned upto = next;
		while (upto < count && at[upto] < sent + piece)
			upto++;
		send_with(w->fd, bytes + sent, piece, fds + next, upto - next);
		next = upto;
		sent += piece;
	}
}

static void *write_messages(void *argument)
{
	struct writer *w = argument;
	unsigned char bytes[WRITE_BYTES];
	uint32_t at[ROOM];
	int fds[ROOM];
	uint64_t number = 0;
	while (number < w->most && !atomic_load_explicit(&stopped, memory_order_relaxed)) {
		size_t length = 0;
		unsigned count = 0;
		while (number < w->most && length + LONGEST <= WRITE_BYTES && count < ROOM) {
			if (has_mark(number, w->every)) {
				at[count] = (uint32_t)length;
				fds[count++] = marks[w->descriptors++ % MARKS];
			}
			length += put_message(bytes + length, number++, w->every);
		}
		send_cut(w, bytes, length, at, fds, count);
		atomic_store_explicit(&w->sent, number, memory_order_relaxed);
	}
	send_leader(w->fd, END, NULL, 0);
	return NULL;
}

static void expect_verdict(struct reader *r)
{
	while (!r->has_verdict) {
		if (!read_some(r))
			die_saying("the connection was closed early");
		keep_rest(r);
	}
}

static void start(struct writer *w)
{
	if (pthread_create(&w->thread, NULL, write_messages, w) != 0)
		die_saying("pthread_create failed");
}

static void stream(const char *target, uint64_t every, long warm_ms, long for_ms)
{
	struct reader *r = room(sizeof *r);
	struct writer w = { .fd = connected(target), .every = every, .most = UINT64_MAX };
	r->fd = w.fd;
	send_begin(w.fd, 0, every);
	start(&w);
	usleep((useconds_t)warm_ms * 1000);
	uint64_t began = now_ns(), before = w.sent, ended, after;
	do {
		usleep((useconds_t)for_ms * 1000);
		ended = now_ns();
		after = w.sent;
	} while (after == before);
	atomic_store(&stopped, 1);
	expect_verdict(r);
	pthread_join(w.thread, NULL);
	printf("{\"messages\":%" PRIu64 ",\"seconds\":%.6f,\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"garbled\":%" PRIu64
	       ",\"descriptors\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n",
	       after - before, (double)(ended - began) / 1e9, w.sent, r->theirs[ARRIVED], r->theirs[WRONG] + r->theirs[LATE],
	       w.descriptors, w.descriptors - r->theirs[DESCRIPTORS]);
}

static void pass(const char *target, uint64_t count, uint64_t every, uint64_t seed)
{
	struct reader *r = room(sizeof *r);
	struct writer w = { .fd = connected(target), .every = every, .most = count, .seed = seed | 1 };
	uint64_t began = now_ns();
	r->fd = w.fd;
	r->every = every;
	r->has_begun = 1;
	send_begin(w.fd, 1, every);
	start(&w);
	expect_verdict(r);
	pthread_join(w.thread, NULL);
	printf("{\"sent\":%" PRIu64 ",\"descriptors\":%" PRIu64 ",\"seconds\":%.3f", w.sent, w.descriptors, (double)(now_ns() - began) / 1e9);
	printf(",\"arrived\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"late\":%" PRIu64 ",\"arrivedDescriptors\":%" PRIu64, r->theirs[ARRIVED],
	       r->theirs[WRONG], r->theirs[LATE], r->theirs[DESCRIPTORS]);
	printf(",\"returned\":%" PRIu64 ",\"returnedWrong\":%" PRIu64 ",\"returnedLate\":%" PRIu64 ",\"returnedDescriptors\":%" PRIu64 "}\n",
	       r->verdict[ARRIVED], r->verdict[WRONG], r->verdict[LATE], r->verdict[DESCRIPTORS]);
}

static void trip(const char *target, long warm_ms, long for_ms)
{
	struct reader *r = room(sizeof *r);
	uint32_t *took = room(sizeof *took * SAMPLES);
	size_t samples = 0;
	uint64_t began = now_ns() + (uint64_t)warm_ms * 1000000, ended = 0, trips = 0;
	r->fd = connected(target);
	send_begin(r->fd, 0, 0);
	do {
		uint64_t asked = now_ns();
		int answers = r->answers;
		send_leader(r->fd, ASK, &(uint32_t){ 0 }, 4);
		while (r->answers == answers) {
			if (!read_some(r))
				die_saying("the connection was closed early");
			keep_rest(r);
		}
		ended = now_ns();
		if (ended < began)
			continue;
		if (trips++ == 0)
			began = asked;
		if (samples < SAMPLES)
			took[samples++] = (uint32_t)(ended - asked);
	} while (ended < began + (uint64_t)for_ms * 1000000);
	qsort(took, samples, sizeof *took, ascending);
	printf("{\"trips\":%" PRIu64 ",\"seconds\":%.6f,\"medianUs\":%.3f,\"p99Us\":%.3f}\n", trips, (double)(ended - began) / 1e9,
	       took[samples / 2] / 1e3, took[samples * 99 / 100] / 1e3);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	long number[3] = { 0 };
	for (int i = 3; i < argc && i < 6; i++)
		number[i - 3] = strtol(argv[i], NULL, 10);
	make_marks();
	if (strcmp(verb, "provide") == 0)
		provide(argv[2]);
	else if (strcmp(verb, "stream") == 0 && argc == 6)
		stream(argv[2], (uint64_t)number[0], number[1], number[2]);
	else if (strcmp(verb, "trip") == 0 && argc == 5)
		trip(argv[2], number[0], number[1]);
	else if (strcmp(verb, "pass") == 0 && argc == 6)
		pass(argv[2], (uint64_t)number[0], (uint64_t)number[1], (uint64_t)number[2]);
	else
		die_saying("usage: see the head of wayland-load.c");
	return 0;
}
