/* SPDX-License-Identifier: Apache-2.0 */
/* Servers on loopback for tests.
 *
 * Both listen on a socket that is bound here, to a port chosen by the kernel: no port must be
 * guessed, and a client can connect before the server is up. nginx takes the socket over as it does
 * when it is upgraded, named by the variable NGINX. */
#include "net/test_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_on_loopback(int *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* ---- nginx ----------------------------------------------------------------------------------- */

static const char configuration[] =
    "daemon off;\n"
    "worker_processes 1;\n"
    "pid nginx.pid;\n"
    "error_log error.log;\n"
    "events { worker_connections 64; }\n"
    "http {\n"
    "  access_log access.log;\n"
    "  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n"
    "  uwsgi_temp_path t4; scgi_temp_path t5;\n"
    "  server {\n"
    "    listen 127.0.0.1:%d;\n"
    "    root files;\n"
    "    location /noranges/ { alias files/; max_ranges 0; }\n"
    "    location /nohead/ { alias files/; if ($request_method = HEAD) { return 405; } }\n"
    "    location /dav/ { root files; dav_methods PUT DELETE; create_full_put_path on;\n"
    "      client_max_body_size 0; limit_except GET PUT DELETE { deny all; } }\n"
    "    location /nosize/ { alias files/; ssi on; ssi_types *; }\n"
    "    location /to/ { rewrite ^/to/(.*)$ /$1 redirect; }\n"
    "    location /loop { return 302 /loop; }\n"
    "    location /nowhere { add_header Location http://h:99999/ always; return 302; }\n"
    "    location /to-file { return 302 file:///etc/passwd; }\n"
    "    location ~ ^/status/(\\d+) { set $s $1;\n"
    "      if ($s = 401) { return 401; } if ($s = 403) { return 403; }\n"
    "      if ($s = 410) { return 410; } if ($s = 429) { return 429; }\n"
    "      if ($s = 500) { return 500; } if ($s = 503) { return 503; } return 404; }\n"
    "  }\n"
    "}\n";

static const char *nginx_program(void)
{
    static const char *const places[] = {"/usr/sbin/nginx", "/usr/local/sbin/nginx",
                                         "/usr/bin/nginx"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

bool nginx_start(struct nginx *nginx, const char *folder)
{
    const char *program = nginx_program();
    if (!program)
        return false;
    char file[128], variable[32];
    snprintf(nginx->folder, sizeof nginx->folder, "%s", folder);
    int fd = listen_on_loopback(&nginx->port);
    snprintf(file, sizeof file, "%s/nginx.conf", folder);
    FILE *out = fopen(file, "w");
    if (!out)
        abort();
    fprintf(out, configuration, nginx->port);
    fclose(out);
    snprintf(variable, sizeof variable, "NGINX=%d;", fd);
    char arguments[3][8] = {"nginx", "-p", "-c"};
    char config_name[] = "nginx.conf", error_option[] = "-e", error_name[] = "error.log";
    char *const argv[] = {arguments[0], arguments[1], nginx->folder, arguments[2],
                          config_name,  error_option, error_name,    NULL};
    char *const environment[] = {variable, NULL};
    pid_t parent = getpid();
    nginx->pid = fork();
    if (nginx->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        fcntl(fd, F_SETFD, 0);
        if (getppid() == parent && chdir(folder) == 0)
            execve(program, argv, environment);
        _exit(127);
    }
    close(fd);
    return nginx->pid > 0;
}

void nginx_stop(struct nginx *nginx)
{
    if (nginx->pid > 0) {
        kill(nginx->pid, SIGTERM);
        waitpid(nginx->pid, NULL, 0);
    }
    nginx->pid = 0;
}

static size_t count_lines_with(const char *path, const char *mark)
{
    size_t count = 0;
    char line[1024];
    FILE *log = fopen(path, "r");
    while (log && fgets(line, sizeof line, log))
        count += strstr(line, mark) != NULL;
    if (log)
        fclose(log);
    return count;
}

size_t nginx_count_requests(const struct nginx *nginx, const char *mark, size_t expected)
{
    char path[128];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/access.log", nginx->folder);
    /* nginx writes a line after it sent the answer: it may come a little later. */
    for (int i = 0; i < 5000 && (count = count_lines_with(path, mark)) < expected; i++)
        poll(NULL, 0, 1);
    return count;
}

/* ---- a script -------------------------------------------------------------------------------- */

struct script_state {
    pthread_t thread;
    int listener, stop[2];
    const char *const *answers;
    size_t count;
};

/* Length of the request, head and body, as far as it is known yet. */
static size_t request_length(const char *request, size_t len)
{
    const char *end = memmem(request, len, "\r\n\r\n", 4);
    if (!end)
        return len + 1;
    const char *length = strcasestr(request, "\r\nContent-Length:");
    return (size_t)(end + 4 - request) +
           (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

/* Read a request, with its body; false when the test is over. */
static bool read_request(const struct script_state *state, int fd, char *request, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && len < request_length(request, len)) {
        struct pollfd polled[2] = {{.fd = fd, .events = POLLIN},
                                   {.fd = state->stop[0], .events = POLLIN}};
        poll(polled, 2, -1);
        ssize_t got = polled[1].revents ? 0 : read(fd, request + len, size - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
        request[len] = '\0';
    }
    return true;
}

static void *serve(void *user)
{
    struct script *script = user;
    struct script_state *state = script->state;
    int held[16], held_count = 0;
    for (size_t i = 0; i < state->count; i++) {
        struct pollfd polled[2] = {{.fd = state->listener, .events = POLLIN},
                                   {.fd = state->stop[0], .events = POLLIN}};
        poll(polled, 2, -1);
        if (polled[1].revents)
            break;
        int fd = accept(state->listener, NULL, NULL);
        if (!read_request(state, fd, script->requests[i], sizeof *script->requests)) {
            close(fd);
            continue;
        }
        size_t len = strlen(state->answers[i]);
        bool hold = len && state->answers[i][len - 1] == 1;
        if (send(fd, state->answers[i], len - hold, MSG_NOSIGNAL) < 0)
            hold = false;
        script->count = i + 1;
        if (hold)
            held[held_count++] = fd;
        else
            close(fd);
    }
    char byte;
    if (read(state->stop[0], &byte, 1) < 0)
        abort();
    while (held_count)
        close(held[--held_count]);
    return NULL;
}

void script_start(struct script *script, const char *const *answers, size_t count)
{
    *script = (struct script){.state = calloc(1, sizeof *script->state)};
    if (!script->state || count > 16 || pipe2(script->state->stop, O_CLOEXEC) != 0)
        abort();
    script->state->listener = listen_on_loopback(&script->port);
    script->state->answers = answers;
    script->state->count = count;
    if (pthread_create(&script->state->thread, NULL, serve, script) != 0)
        abort();
}

void script_stop(struct script *script)
{
    close(script->state->stop[1]);
    pthread_join(script->state->thread, NULL);
    close(script->state->stop[0]);
    close(script->state->listener);
    free(script->state);
    script->state = NULL;
}
