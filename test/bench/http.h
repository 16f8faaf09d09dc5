/*
 * What the two ends of the HTTP load agree on: how a head is found and read, and the two answers that are compared byte
 * for byte. http-client.c has the requests, http-provider.c what they are answered with.
 */
#ifndef HTTP_H
#define HTTP_H

#include "load.h"
#include <strings.h>

/* Bytes of a body that are written at once; of a head, the most. */
enum { WRITE_BYTES = 1024 * 1024, HEAD_BYTES = 16 * 1024 };

/* With the numbers of X-PV-Client and X-PV-Role fields that the request had. */
#define SMALL_BODY "{\"status\":\"ok\",\"uptime\":86400,\"client\":%u,\"role\":%u,\"interfaces\":[\"eth0\",\"wlan0\"]}"
/* Of a body that was sent: bytes that arrived, and blocks that were garbled. Always of the same length. */
#define VERDICT_BODY "{\"arrived\":%020" PRIu64 ",\"garbled\":%020" PRIu64 "}"

/* The length of the head, its empty line included; 0 if it is not complete. */
static inline size_t head_in(const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, "\r\n\r\n", 4);
	return end ? (size_t)(end - bytes) + 4 : 0;
}

/* The line behind this one, NULL at the head's end. */
static inline const char *next_line(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', (size_t)(end - line));
	return newline && newline + 3 < end ? newline + 1 : NULL;
}

/* What a field says, as a number; 0 where there is none of that name. `name` has its colon, and begins lower case. */
static inline uint64_t number_in(const char *head, size_t length, const char *name)
{
	size_t name_length = strlen(name);
	for (const char *line = head; (line = next_line(line, head + length));)
		if ((*line | 32) == *name && strncasecmp(line, name, name_length) == 0)
			return strtoull(line + name_length, NULL, 10);
	return 0;
}

#endif
