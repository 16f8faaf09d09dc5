/*
 * The clients of the HTTP load: they measure what gets through to the provider (http-provider.c has what it answers).
 * They know a socket's path and nothing of what is in between. test/bench/http-load.ts does the same in Node.
 *
 *   http-client ask TARGET IDENTITIES CLIENTS FIELDS FRESH WARM_MS FOR_MS
 *   http-client counted|chunked|upload|tunnel TARGET BYTES WARM_MS FOR_MS
 *
 * Prints one line of JSON; what was counted is the FOR_MS after the WARM_MS. Exits with 1 and says why if it cannot go
 * on: an answer that is not the one expected, or nothing that moves for 20 s.
 *
 * `ask`: so many clients, each with one request under way, of so many fields; FRESH: each request on a connection of
 * its own. Each answer says how many X-PV-Client and X-PV-Role fields the request had when it arrived, and must say
 * IDENTITIES of both: one request without its identity is noticed.
 *
 * The others move a body of BYTES, a multiple of 1 MiB, again and again, and it is checked: `counted` and `chunked` get
 * it, `upload` puts it, `tunnel` sends it after an upgrade, each on a connection of its own; in writes of 1 MiB.
 */
#define _GNU_SOURCE
#include "http.h"
#include <fcntl.h>

static unsigned char input[READ_BYTES];

/* What was answered instead of what should have been, up to its first line's end. */
static _Noreturn void die_of_answer(const char *bytes, size_t length)
{
	char line[128];
	size_t n = strcspn(bytes, "\r\n");
	snprintf(line, sizeof line, "it was answered: %.*s", (int)(n < length ? n : length), bytes);
	die_saying(line);
}

struct asker {
	int fd;
	uint64_t asked_at;
	size_t got;
	char heard[1024];
};

struct asking {
	const char *target;
	int epoll, fresh;
	char request[HEAD_BYTES];
	size_t request_bytes;
	char body[256];
	size_t body_bytes;
};

static void make_request(struct asking *all, long fields)
{
	/* The first six are those of a small client; more are what a browser or a service mesh adds. */
	int n = snprintf(all->request, sizeof all->request,
	                 "GET /small HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
	                 "Accept-Encoding: identity\r\nAccept-Language: en\r\nX-Request-Id: 4f1c2a9e7b30\r\n");
	for (long field = 6; field < fields; field++)
		n += snprintf(all->request + n, sizeof all->request - (size_t)n, "X-Field-%02ld: the value of a field\r\n", field);
	n += snprintf(all->request + n, sizeof all->request - (size_t)n, "\r\n");
	all->request_bytes = (size_t)n;
}

static void ask_from(struct asking *all, struct asker *a)
{
	a->asked_at = now_ns();
	if (a->fd < 0) {
		a->fd = connected(all->target);
		fcntl(a->fd, F_SETFL, O_NONBLOCK);
		watch(all->epoll, a->fd, EPOLLIN, a);
	}
	a->got = 0;
	send_whole(a->fd, all->request, all->request_bytes);
}

/* Whether the answer is complete. */
static int hear(struct asking *all, struct asker *a)
{
	ssize_t n = recv(a->fd, a->heard + a->got, sizeof a->heard - 1 - a->got, 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		die("recv");
	if (n == 0 && a->got > 0)
		die_of_answer(a->heard, a->got);
	if (n == 0)
		die_saying("the connection was closed without an answer");
	a->got += (size_t)n;
	a->heard[a->got] = 0;
	size_t head = head_in(a->heard, a->got);
	if (head == 0)
		return 0;
	if (strncmp(a->heard, "HTTP/1.1 200", 12) != 0)
		die_of_answer(a->heard, a->got);
	if (number_in(a->heard, head, "content-length:") != all->body_bytes)
		die_saying("another answer came than was expected: its length differs");
	if (a->got < head + all->body_bytes)
		return 0;
	if (a->got > head + all->body_bytes || memcmp(a->heard + head, all->body, all->body_bytes) != 0) {
		fprintf(stderr, "another answer came than was expected: %s\n", a->heard + head);
		exit(1);
	}
	return 1;
}

static void ask(const char *target, long identities, long clients, long fields, long fresh, long warm_ms, long for_ms)
{
	struct asking all = { .target = target, .epoll = epoll_create1(EPOLL_CLOEXEC), .fresh = fresh != 0 };
	struct asker *askers = room(sizeof *askers * (size_t)clients);
	uint32_t *took_ns = room(sizeof *took_ns * SAMPLES);
	uint64_t requests = 0, counted = 0, began = 0, ended = 0, samples = 0;
	long under_way = clients;
	make_request(&all, fields);
	all.body_bytes = (size_t)snprintf(all.body, sizeof all.body, SMALL_BODY, (unsigned)identities, (unsigned)identities);
	uint64_t warm_until = now_ns() + (uint64_t)warm_ms * 1000000;
	for (long i = 0; i < clients; i++) {
		askers[i].fd = -1;
		ask_from(&all, &askers[i]);
	}
	while (under_way > 0) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(all.epoll, events, EVENTS, PATIENCE_S * 1000);
		if (n <= 0)
			die_saying("nothing moved any more");
		for (int i = 0; i < n; i++) {
			struct asker *a = events[i].data.ptr;
			if (!hear(&all, a))
				continue;
			uint64_t now = now_ns();
			requests++;
			if (began > 0 && ended == 0) {
				counted++;
				if (samples < SAMPLES)
					took_ns[samples++] = now - a->asked_at < UINT32_MAX ? (uint32_t)(now - a->asked_at) : UINT32_MAX;
				if (now - began >= (uint64_t)for_ms * 1000000)
					ended = now;
			} else if (now >= warm_until && ended == 0) {
				began = now;
			}
			if (all.fresh) {
				close(a->fd);
				a->fd = -1;
			}
			/* Once it is over nothing more is asked, but what was asked is waited for: nobody is left in the middle. */
			if (ended > 0)
				under_way--;
			else
				ask_from(&all, a);
		}
	}
	qsort(took_ns, samples, sizeof *took_ns, ascending);
	printf("{\"requests\":%" PRIu64 ",\"counted\":%" PRIu64 ",\"seconds\":%.6f,\"medianUs\":%.3f,\"p99Us\":%.3f}\n", requests,
	       counted, (double)(ended - began) / 1e9, took_ns[samples / 2] / 1e3, took_ns[samples * 99 / 100] / 1e3);
}

/* A connection that is read through `input`. */
struct line {
	int fd;
	size_t at, end;
};

static void read_more(struct line *l)
{
	if (l->at == l->end)
		l->at = l->end = 0;
	ssize_t n = recv(l->fd, input + l->end, sizeof input - l->end, 0);
	if (n < 0)
		die("recv");
	if (n == 0)
		die_saying("the connection was closed early");
	l->end += (size_t)n;
}

/* Give the answer's length as it says it, 0 if it does not. Its head is gone from the line. */
static uint64_t read_head(struct line *l, const char *status)
{
	for (;;) {
		const char *head = (char *)input + l->at;
		size_t length = head_in(head, l->end - l->at);
		if (length > 0 && (strncmp(head, "HTTP/1.1 ", 9) != 0 || strncmp(head + 9, status, 3) != 0))
			die_of_answer(head, length);
		if (length > 0) {
			l->at += length;
			return number_in(head, length, "content-length:");
		}
		read_more(l);
	}
}

static void read_checked(struct line *l, struct checked *c, uint64_t bytes)
{
	while (bytes > 0) {
		if (l->at == l->end)
			read_more(l);
		size_t part = l->end - l->at < bytes ? l->end - l->at : bytes;
		check(c, input + l->at, part);
		l->at += part;
		bytes -= part;
	}
}

/* A line that was cut is moved to the front of `input`, so that what is missing of it finds room. */
static uint64_t read_chunk_head(struct line *l)
{
	for (;;) {
		unsigned char *start = input + l->at, *end = memchr(start, '\n', l->end - l->at);
		if (end) {
			l->at = (size_t)(end - input) + 1;
			return strtoull((char *)start, NULL, 16);
		}
		memmove(input, start, l->end - l->at);
		l->end -= l->at;
		l->at = 0;
		read_more(l);
	}
}

static void read_line_end(struct line *l)
{
	for (const char *wanted = "\r\n"; *wanted; wanted++) {
		if (l->at == l->end)
			read_more(l);
		if (input[l->at++] != (unsigned char)*wanted)
			die_saying("a chunk is longer than it says");
	}
}

static void download(struct line *l, const char *what, uint64_t bytes, struct checked *c)
{
	char request[256];
	int n = snprintf(request, sizeof request, "GET /%s/%" PRIu64 " HTTP/1.1\r\nHost: localhost\r\n\r\n", what, bytes);
	send_whole(l->fd, request, (size_t)n);
	uint64_t length = read_head(l, "200");
	if (length > 0) {
		read_checked(l, c, length);
		return;
	}
	do {
		length = read_chunk_head(l);
		read_checked(l, c, length);
		read_line_end(l);
	} while (length > 0);
}

/* Fill in what the provider says that it got. */
static void upload(struct line *l, int tunnelled, uint64_t bytes, unsigned char *buffer, struct checked *c)
{
	char request[256], verdict[128];
	int n = tunnelled ? snprintf(request, sizeof request,
	                             "GET /tunnel/%" PRIu64 " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n",
	                             bytes)
	                  : snprintf(request, sizeof request, "PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %" PRIu64 "\r\n\r\n",
	                             bytes);
	send_whole(l->fd, request, (size_t)n);
	if (tunnelled)
		read_head(l, "101");
	for (uint64_t sent = 0; sent < bytes; sent += WRITE_BYTES) {
		mark_positions(buffer, WRITE_BYTES, sent);
		send_whole(l->fd, buffer, WRITE_BYTES);
	}
	if (!tunnelled)
		read_head(l, "200");
	size_t wanted = (size_t)snprintf(verdict, sizeof verdict, VERDICT_BODY, UINT64_C(0), UINT64_C(0));
	while (l->end - l->at < wanted)
		read_more(l);
	memcpy(verdict, input + l->at, wanted);
	l->at += wanted;
	if (sscanf(verdict, "{\"arrived\":%" SCNu64 ",\"garbled\":%" SCNu64 "}", &c->position, &c->garbled) != 2)
		die_saying("the provider did not say what arrived");
}

static void move(const char *verb, const char *target, long bytes, long warm_ms, long for_ms)
{
	int tunnelled = strcmp(verb, "tunnel") == 0, uploads = tunnelled || strcmp(verb, "upload") == 0;
	unsigned char *buffer = patterned(WRITE_BYTES);
	uint64_t done = 0, sent = 0, arrived = 0, garbled = 0, began = now_ns(), ended;
	uint64_t warm_until = began + (uint64_t)warm_ms * 1000000;
	struct line l = { .fd = -1 };
	if (bytes <= 0 || bytes % WRITE_BYTES != 0)
		die_saying("a body is a multiple of 1 MiB");
	for (;;) {
		struct checked c = { 0 };
		if (l.fd < 0)
			l = (struct line){ .fd = connected(target) };
		if (uploads)
			upload(&l, tunnelled, (uint64_t)bytes, buffer, &c);
		else
			download(&l, verb, (uint64_t)bytes, &c);
		if (l.at != l.end)
			die_saying("more came than was asked for");
		if (tunnelled) {
			close(l.fd);
			l.fd = -1;
		}
		ended = now_ns();
		sent += (uint64_t)bytes;
		arrived += c.position;
		garbled += garbled_in(&c);
		/* The first is never counted: it has the connection's making in it. */
		if (ended < warm_until || sent == (uint64_t)bytes)
			began = ended;
		else
			done += (uint64_t)bytes;
		if (done > 0 && ended - began >= (uint64_t)for_ms * 1000000)
			break;
	}
	printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"sent\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"garbled\":%" PRIu64 "}\n", done,
	       (double)(ended - began) / 1e9, sent, arrived, garbled);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	long number[6] = { 0 };
	for (int i = 3; i < argc && i < 9; i++)
		number[i - 3] = strtol(argv[i], NULL, 10);
	make_pattern();
	if (strcmp(verb, "ask") == 0 && argc == 9 && number[1] > 0)
		ask(argv[2], number[0], number[1], number[2], number[3], number[4], number[5]);
	else if (argc == 6 && (strcmp(verb, "counted") == 0 || strcmp(verb, "chunked") == 0 || strcmp(verb, "upload") == 0 ||
	                       strcmp(verb, "tunnel") == 0))
		move(verb, argv[2], number[0], number[1], number[2]);
	else
		die_saying("usage: see the head of http-client.c");
	return 0;
}
