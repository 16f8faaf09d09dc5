/*
 * A proxy as one usually writes it in C: libevent, a pair of bufferevents a connection, bytes moved from the input of one
 * to the output of the other. It is here to be held against; compiled where libevent's headers are. Knows no graph and
 * passes no descriptors.
 *
 *   libevent-proxy LISTEN CONNECT      two paths; runs until a signal ends it
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Above this, whoever sends is not read until half of it is gone. */
enum { MOST_QUEUED = 512 * 1024, BACKLOG = 4096 };

/* One end of a connection. */
struct end {
	struct bufferevent *bev;
	struct end *other;
	bool input_ended;
	bool output_ended;
};

static struct sockaddr_un provider;

static void end_both(struct end *end)
{
	struct end *other = end->other;
	bufferevent_free(end->bev);
	bufferevent_free(other->bev);
	free(end);
	free(other);
}

static size_t queued_for(struct end *end)
{
	return evbuffer_get_length(bufferevent_get_output(end->bev));
}

/* Pass the end of the other's input on, once all that came before it is written. */
static void pass_end(struct end *end)
{
	if (!end->other->input_ended || end->output_ended || queued_for(end) > 0)
		return;
	end->output_ended = true;
	shutdown(bufferevent_getfd(end->bev), SHUT_WR);
	if (end->other->output_ended)
		end_both(end);
}

static void readable(struct bufferevent *bev, void *argument)
{
	struct end *end = argument, *other = end->other;
	bufferevent_write_buffer(other->bev, bufferevent_get_input(bev));
	if (queued_for(other) > MOST_QUEUED) {
		bufferevent_setwatermark(other->bev, EV_WRITE, MOST_QUEUED / 2, 0);
		bufferevent_disable(bev, EV_READ);
	}
}

static void written(struct bufferevent *bev, void *argument)
{
	struct end *end = argument;
	bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
	if (!end->other->input_ended)
		bufferevent_enable(end->other->bev, EV_READ);
	pass_end(end);
}

static void happened(struct bufferevent *bev, short what, void *argument)
{
	struct end *end = argument;
	if (what & BEV_EVENT_ERROR) {
		end_both(end);
	} else if (what & BEV_EVENT_EOF) {
		readable(bev, end);
		end->input_ended = true;
		pass_end(end->other);
	}
}

static struct end *new_end(struct event_base *base, evutil_socket_t fd)
{
	struct end *end = calloc(1, sizeof *end);
	if (end)
		end->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!end || !end->bev)
		abort();
	return end;
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int length, void *argument)
{
	struct event_base *base = evconnlistener_get_base(listener);
	struct end *consumer = new_end(base, fd), *upstream = new_end(base, -1);
	(void)address, (void)length, (void)argument;
	consumer->other = upstream;
	upstream->other = consumer;
	bufferevent_setcb(consumer->bev, readable, written, happened, consumer);
	bufferevent_setcb(upstream->bev, readable, written, happened, upstream);
	bufferevent_enable(consumer->bev, EV_READ | EV_WRITE);
	bufferevent_enable(upstream->bev, EV_READ | EV_WRITE);
	bufferevent_socket_connect(upstream->bev, (struct sockaddr *)&provider, sizeof provider);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path) {
		fprintf(stderr, "the path of the socket is too long\n");
		exit(1);
	}
	strcpy(address.sun_path, path);
	return address;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: libevent-proxy LISTEN CONNECT\n");
		return 2;
	}
	struct sockaddr_un target = address_of(argv[1]);
	provider = address_of(argv[2]);
	struct event_base *base = event_base_new();
	if (!base || !evconnlistener_new_bind(base, accepted, NULL, LEV_OPT_CLOSE_ON_FREE, BACKLOG,
					      (struct sockaddr *)&target, sizeof target)) {
		perror(argv[1]);
		return 1;
	}
	return event_base_dispatch(base);
}
