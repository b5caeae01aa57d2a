/* Preloaded into samba: moves every fixed port (below 5000) that is bound up by
 * $PORT_OFFSET, and reports the old port from getsockname(), because Samba tells by the
 * local port whether a connection is LDAPS (636, 3269) or the global catalog (3268, 3269).
 * So several domain controllers run at once, without privileges to low ports. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int offset(void)
{
	const char *o = getenv("PORT_OFFSET");
	return o ? atoi(o) : 0;
}

static in_port_t *port_of(struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return &((struct sockaddr_in *)a)->sin_port;
	if (a->sa_family == AF_INET6)
		return &((struct sockaddr_in6 *)a)->sin6_port;
	return NULL;
}

int bind(int fd, const struct sockaddr *a, socklen_t len)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
	struct sockaddr_storage s;

	if (a && len <= sizeof s) {
		memcpy(&s, a, len);
		in_port_t *p = port_of((struct sockaddr *)&s);
		if (p) {
			int n = ntohs(*p);
			if (n && n < 5000)
				*p = htons(n + offset());
		}
		return real(fd, (struct sockaddr *)&s, len);
	}
	return real(fd, a, len);
}

int getsockname(int fd, struct sockaddr *a, socklen_t *len)
{
	int (*real)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "getsockname");
	int r = real(fd, a, len);

	if (r == 0 && a) {
		in_port_t *p = port_of(a);
		if (p) {
			int n = ntohs(*p) - offset();
			if (n > 0 && n < 5000)
				*p = htons(n);
		}
	}
	return r;
}
