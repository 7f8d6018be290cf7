/* The smallest relay there can be: accept, connect, copy both ways with one
 * buffer, level-triggered epoll, one thread. No parsing, no limits, no TLS, no
 * log. What it costs is what the kernel charges for a proxied byte.
 *
 *   relay LISTEN_PORT BACKEND_PORT
 *
 * Not a proxy: it exits on errors that a proxy would have to survive. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, BUFFER = 65536 };

static int peer[MAX_FD];         /* the other side, or -1 */
static char *pending[MAX_FD];    /* what the descriptor has not taken yet */
static size_t pending_at[MAX_FD], pending_len[MAX_FD];
static char shut[MAX_FD];        /* its end of file was passed on */
static char buffer[BUFFER];
static int ep;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void watch(int op, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(ep, op, fd, &e) < 0) die("epoll_ctl");
}

/* rewatch reads of fd only while its peer takes what comes, and waits for room in
 * fd only while something is left for it. */
static void rewatch(int fd) {
    uint32_t in = shut[fd] || pending[peer[fd]] ? 0 : EPOLLIN;
    watch(EPOLL_CTL_MOD, fd, in | (pending[fd] ? EPOLLOUT : 0));
}

static void drop(int fd) {
    int other = peer[fd];
    free(pending[fd]);
    pending[fd] = NULL;
    pending_len[fd] = pending_at[fd] = 0;
    peer[fd] = -1;
    shut[fd] = 0;
    close(fd);
    if (other >= 0) {
        peer[other] = -1;
        drop(other);
    }
}

static void join(int client, int backend_port) {
    int on = 1, backend = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = loopback(backend_port);
    if (backend < 0 || connect(backend, (struct sockaddr *)&a, sizeof a) < 0) {
        close(client);
        if (backend >= 0) close(backend);
        return;
    }
    int fds[2] = {client, backend};
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peer[fds[i]] = fds[1 - i];
        watch(EPOLL_CTL_ADD, fds[i], EPOLLIN);
    }
}

/* flush writes what fd has not taken; 0 when all is out. */
static int flush(int fd) {
    while (pending_len[fd] > 0) {
        ssize_t n = send(fd, pending[fd] + pending_at[fd], pending_len[fd], MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN ? 1 : -1;
        pending_at[fd] += n;
        pending_len[fd] -= n;
    }
    return 0;
}

static void copy(int fd) {
    int other = peer[fd];
    ssize_t n = recv(fd, buffer, BUFFER, MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN) drop(fd);
        return;
    }
    if (n == 0) {
        shutdown(other, SHUT_WR);
        shut[fd] = 1;
        if (shut[other]) drop(fd);
        else rewatch(fd);
        return;
    }
    ssize_t sent = send(other, buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        drop(fd);
        return;
    }
    if (sent < 0) sent = 0;
    if (sent < n) {
        if (!(pending[other] = malloc(BUFFER))) die("malloc"); /* it had none, or fd would not be read */
        memcpy(pending[other], buffer + sent, n - sent);
        pending_at[other] = 0;
        pending_len[other] = n - sent;
        rewatch(fd);
        rewatch(other);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: relay LISTEN_PORT BACKEND_PORT\n");
        return 2;
    }
    int on = 1, backend_port = atoi(argv[2]);
    struct sockaddr_in a = loopback(atoi(argv[1]));
    signal(SIGPIPE, SIG_IGN);
    memset(peer, -1, sizeof peer);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 4096) < 0) die("listen");
    if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(ep, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (client >= MAX_FD) close(client);
                else if (client >= 0) join(client, backend_port);
                continue;
            }
            if (peer[fd] < 0) continue; /* dropped earlier in this batch */
            if (events[i].events & (EPOLLERR | EPOLLHUP)) {
                drop(fd);
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                int left = flush(fd);
                if (left < 0) {
                    drop(fd);
                    continue;
                }
                if (left == 0) {
                    free(pending[fd]);
                    pending[fd] = NULL;
                    rewatch(fd);
                    rewatch(peer[fd]);
                }
            }
            /* What came in the same batch may have filled the peer. */
            if (events[i].events & EPOLLIN && !pending[peer[fd]]) copy(fd);
        }
    }
}
