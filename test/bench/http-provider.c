/*
 * The provider of the HTTP load: one thread, and as little work as can be for each request, so that what is measured is
 * what stands before it. test/bench/http-load.ts does the same in Node.
 *
 *   http-provider SOCKET      until its standard input ends; prints "ready"
 *
 * GET /small: a small answer with the numbers of X-PV-Client and X-PV-Role fields that came. GET /counted/N and
 * /chunked/N: a body of N bytes, a multiple of 1 MiB, with a Content-Length or in chunks of 64 KiB, in writes of 1 MiB
 * as far as the kernel takes them. PUT: the body is checked, and the answer says how it arrived. GET /tunnel/N: a 101,
 * then N bytes are checked, and followed by the same words. Bodies are blocks as load.h has them.
 */
#define _GNU_SOURCE
#include "http.h"

enum { CHUNK_BYTES = 64 * 1024 };
#define CHUNK_HEAD "10000\r\n"
#define LAST_CHUNK "0\r\n\r\n"
enum { CHUNK_HEAD_BYTES = sizeof CHUNK_HEAD - 1, CHUNK_WIRE_BYTES = CHUNK_HEAD_BYTES + CHUNK_BYTES + 2 };
enum { WIRE_BYTES = WRITE_BYTES / CHUNK_BYTES * CHUNK_WIRE_BYTES };

#define SMALL_ANSWER \
	"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n" \
	"Content-Length: %zu\r\n\r\n%s"
#define VERDICT_ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n"
#define BAD_REQUEST "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#define CLIENT_FIELD "X-PV-Client:"
#define ROLE_FIELD "X-PV-Role:"

static unsigned char input[READ_BYTES];

struct connection {
	int fd;
	size_t got;
	char head[HEAD_BYTES];
	/* What comes: a body of which so much is missing. */
	uint64_t missing;
	int tunnelled;
	struct checked checked;
	/* What goes: a body of which so much is not in `wire` yet, from its position on. */
	unsigned char *wire;
	size_t wire_bytes, wire_sent;
	uint64_t left, position;
	int chunked;
};

static int send_small(int fd, const char *bytes, size_t length)
{
	return send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

static int answer_small(struct connection *c, size_t head_length)
{
	char body[256], whole[512];
	unsigned clients = 0, roles = 0;
	for (const char *line = c->head; (line = next_line(line, c->head + head_length));) {
		if ((*line | 32) != 'x')
			continue;
		clients += strncasecmp(line, CLIENT_FIELD, sizeof CLIENT_FIELD - 1) == 0;
		roles += strncasecmp(line, ROLE_FIELD, sizeof ROLE_FIELD - 1) == 0;
	}
	int n = snprintf(body, sizeof body, SMALL_BODY, clients, roles);
	n = snprintf(whole, sizeof whole, SMALL_ANSWER, (size_t)n, body);
	return send_small(c->fd, whole, (size_t)n);
}

static int answer_verdict(struct connection *c)
{
	char body[128], whole[256];
	int n = snprintf(body, sizeof body, VERDICT_BODY, c->checked.position, garbled_in(&c->checked));
	if (c->tunnelled)
		return send_small(c->fd, body, (size_t)n);
	n = snprintf(whole, sizeof whole, VERDICT_ANSWER, (size_t)n, body);
	return send_small(c->fd, whole, (size_t)n);
}

/* What is next of the body, as it is sent. */
static void fill_wire(struct connection *c)
{
	c->wire_sent = 0;
	if (!c->chunked) {
		mark_positions(c->wire, WRITE_BYTES, c->position);
		c->wire_bytes = WRITE_BYTES;
	} else {
		for (size_t at = 0; at < WRITE_BYTES; at += CHUNK_BYTES)
			mark_positions(c->wire + at / CHUNK_BYTES * CHUNK_WIRE_BYTES + CHUNK_HEAD_BYTES, CHUNK_BYTES, c->position + at);
		c->wire_bytes = WIRE_BYTES;
	}
	c->position += WRITE_BYTES;
	c->left -= WRITE_BYTES;
	if (c->chunked && c->left == 0) {
		memcpy(c->wire + c->wire_bytes, LAST_CHUNK, sizeof LAST_CHUNK);
		c->wire_bytes += sizeof LAST_CHUNK - 1;
	}
}

/* As much as is taken now. False: the connection is over. */
static int send_more(struct connection *c)
{
	for (;;) {
		if (c->wire_sent == c->wire_bytes) {
			if (c->left == 0)
				return 1;
			fill_wire(c);
		}
		ssize_t n = send(c->fd, c->wire + c->wire_sent, c->wire_bytes - c->wire_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN;
		c->wire_sent += (size_t)n;
	}
}

/* What does not change from one send to the next. */
static void lay_out(struct connection *c, int chunked)
{
	if (c->wire && c->chunked == chunked)
		return;
	if (!c->wire)
		c->wire = room(WIRE_BYTES + sizeof LAST_CHUNK);
	c->chunked = chunked;
	if (!chunked)
		fill_with_pattern(c->wire, WRITE_BYTES);
	for (size_t at = 0; chunked && at < WIRE_BYTES; at += CHUNK_WIRE_BYTES) {
		memcpy(c->wire + at, CHUNK_HEAD, CHUNK_HEAD_BYTES);
		fill_with_pattern(c->wire + at + CHUNK_HEAD_BYTES, CHUNK_BYTES);
		memcpy(c->wire + at + CHUNK_HEAD_BYTES + CHUNK_BYTES, "\r\n", 2);
	}
}

static int answer_body(struct connection *c, uint64_t bytes, int chunked)
{
	char head[256];
	int n = chunked ? snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	                : snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\n\r\n", bytes);
	lay_out(c, chunked);
	c->left = bytes;
	c->position = 0;
	c->wire_bytes = c->wire_sent = 0;
	return send_small(c->fd, head, (size_t)n) && send_more(c);
}

/* What came of a body, its end included. */
static int take_body(struct connection *c, const unsigned char *bytes, size_t length)
{
	check(&c->checked, bytes, length < c->missing ? length : c->missing);
	if (length > c->missing)
		return 0;
	c->missing -= length;
	return c->missing > 0 || answer_verdict(c);
}

static int answer(struct connection *c, size_t head_length)
{
	unsigned char *rest = (unsigned char *)c->head + head_length;
	size_t rest_bytes = c->got - head_length;
	const char *path = c->head + strcspn(c->head, " ");
	uint64_t bytes = number_in(c->head, head_length, "content-length:");
	c->got = 0;
	if (strncmp(path, " /small ", 8) == 0 && rest_bytes == 0)
		return answer_small(c, head_length);
	if (strncmp(path, " /counted/", 10) == 0 && rest_bytes == 0)
		return answer_body(c, strtoull(path + 10, NULL, 10), 0);
	if (strncmp(path, " /chunked/", 10) == 0 && rest_bytes == 0)
		return answer_body(c, strtoull(path + 10, NULL, 10), 1);
	c->tunnelled = strncmp(path, " /tunnel/", 9) == 0;
	c->missing = c->tunnelled ? strtoull(path + 9, NULL, 10) : bytes;
	c->checked = (struct checked){ 0 };
	if (c->missing == 0)
		send_small(c->fd, BAD_REQUEST, sizeof BAD_REQUEST - 1);
	if (c->missing == 0 || (c->tunnelled && !send_small(c->fd, SWITCH, sizeof SWITCH - 1)))
		return 0;
	return rest_bytes == 0 || take_body(c, rest, rest_bytes);
}

/* One read. False: the connection is over. */
static int serve(struct connection *c)
{
	ssize_t n;
	if (c->missing > 0) {
		n = recv(c->fd, input, sizeof input, 0);
		return n > 0 ? take_body(c, input, (size_t)n) : n < 0 && errno == EAGAIN;
	}
	n = recv(c->fd, c->head + c->got, sizeof c->head - 1 - c->got, 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	c->got += (size_t)n;
	c->head[c->got] = 0;
	size_t head_length = head_in(c->head, c->got);
	return head_length == 0 ? c->got < sizeof c->head - 1 : answer(c, head_length);
}

/* Whether there is room to write is asked only while something waits for it. */
static void turn(int epoll, void *connection, uint32_t ready)
{
	struct connection *c = connection;
	int waited = c->wire_sent < c->wire_bytes;
	int goes_on = (!(ready & EPOLLOUT) || send_more(c)) && (!(ready & ~EPOLLOUT) || serve(c));
	int waits = c->wire_sent < c->wire_bytes;
	if (!goes_on) {
		close(c->fd);
		free(c->wire);
		free(c);
	} else if (waits != waited) {
		struct epoll_event event = { .events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c };
		if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
			die("epoll_ctl");
	}
}

int main(int argc, char **argv)
{
	make_pattern();
	if (argc != 2)
		die_saying("usage: http-provider SOCKET");
	serve_at(argv[1], sizeof(struct connection), turn);
	return 0;
}
