/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small core in C on the ABI headers alone: it loads one module and runs one instance of one component.
 *
 *   host MODULE.so plugin|backend|enricher NAME [OPTION=VALUE...]       collectors[0].host=::1
 *
 * A plugin's events are printed. A backend is given three flows, an enricher one. The instance is stopped once standard
 * input ends. There are no extensions, no metrics and no YAML: options that are not written have their defaults.
 * It takes no part in the daemon; tests/abi runs the modules of this tree on it, built from a snapshot of the headers.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "flowd/abi/module.h"

enum { WATCHES = 256, TIMERS = 256, FLOWS = 1024, BATCH = 9 };
enum { STDIN_TOKEN = 1, WAKE_TOKEN, TICK_TOKEN, FIRST_HANDLE };

struct watch {
    flowd_watch handle; /* 0: free */
    int fd;
    flowd_io_callback callback;
    void* user;
};
struct timer {
    flowd_timer handle; /* 0: free */
    int64_t due_ns;     /* INT64_MAX: fired its only time */
    int64_t period_ns;
    flowd_callback callback;
    void* user;
};
struct posted {
    flowd_callback callback;
    void* user;
    struct posted* next;
};

struct core {
    flowd_host host;
    flowd_component component;
    flowd_instance* instance;
    int epoll, wake, tick;
    uint64_t handles;
    struct watch watches[WATCHES];
    struct timer timers[TIMERS];
    pthread_mutex_t mutex; /* what follows may be used by any thread */
    struct posted *first, **last;
    flowd_key flows[FLOWS];
    size_t flow_count;
    int started, stopped;
    int ready;                /* the backend can take more */
    flowd_event batch[BATCH]; /* only of the instance's thread */
    size_t offered;
    int faults;
};

static struct core* core_of(const flowd_host* host) {
    return host->context;
}

static int64_t now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Copies the smaller of the two sizes into zeros: how a reader takes any sized struct. */
static void copy_sized(void* to, size_t own, const void* from) {
    const uint32_t theirs = *(const uint32_t*)from;
    memset(to, 0, own);
    memcpy(to, from, theirs < own ? theirs : own);
}

static void fault(struct core* core, const char* what, long number) {
    printf("fault: %s (%ld)\n", what, number);
    ++core->faults;
}

/* ---- what the instance may call ---- */

static void host_log(const flowd_host* host, flowd_level level, flowd_string message) {
    (void)host;
    printf("log %u: %.*s\n", level, (int)message.length, message.data);
}

static void host_report(const flowd_host* host, const flowd_problem* raw) {
    flowd_problem problem;
    (void)host;
    copy_sized(&problem, sizeof problem, raw);
    printf("problem %d: %.*s\n", problem.result, (int)problem.message.length, problem.message.data);
}

static flowd_result host_refused(const flowd_host* host, const flowd_refusal* raw) {
    flowd_refusal refusal;
    (void)host;
    copy_sized(&refusal, sizeof refusal, raw);
    printf("refused: %.*s\n", (int)refusal.reason.length, refusal.reason.data);
    return refusal.reason.length == 0 ? FLOWD_INVALID : FLOWD_OK;
}

static void host_lost(const flowd_host* host, uint64_t count, flowd_string what) {
    (void)host;
    printf("lost: %" PRIu64 " %.*s\n", count, (int)what.length, what.data);
}

static uint64_t host_sender_id(const flowd_host* host, flowd_bytes identity) {
    uint64_t number = 14695981039346656037u; /* FNV-1a */
    size_t i;
    (void)host;
    for (i = 0; i < identity.length; ++i) number = (number ^ identity.data[i]) * 1099511628211u;
    return number == 0 ? 1 : number;
}

/* The id of a flow is its place in the table, from 1 on; the table only grows. */
static uint64_t flow_id_of(struct core* core, const flowd_event* event) {
    size_t i;
    if (event->kind >= FLOWD_EVENT_CATCH_ALL) return 0;
    for (i = 0; i < core->flow_count; ++i)
        if (memcmp(&core->flows[i], &event->key, sizeof event->key) == 0) return i + 1;
    if (event->kind != FLOWD_EVENT_START || core->flow_count == FLOWS) return 0;
    core->flows[core->flow_count] = event->key;
    return ++core->flow_count;
}

static void print_event(const flowd_event* event) {
    static const char* const kinds[] = {"?", "start", "ongoing", "end", "catch-all", "catch-all-clear"};
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, event->key.source, source, sizeof source);
    inet_ntop(AF_INET6, event->key.destination, destination, sizeof destination);
    printf("event %s %u/%u [%s]:%u [%s]:%u\n", kinds[event->kind], event->tag.experiment, event->tag.activity, source,
           event->key.source_port, destination, event->key.destination_port);
}

static flowd_result host_emit(const flowd_host* host, const flowd_event* events, size_t count, size_t stride,
                              size_t* accepted, uint64_t* flow_ids) {
    struct core* core = core_of(host);
    flowd_result result = FLOWD_OK;
    size_t done = 0;
    pthread_mutex_lock(&core->mutex);
    if (core->component.kind != FLOWD_PLUGIN)
        result = FLOWD_UNSUPPORTED;
    else if (core->stopped)
        result = FLOWD_STOPPED;
    else if (!core->started)
        result = FLOWD_ERROR;
    for (; result == FLOWD_OK && done < count; ++done) {
        flowd_event event;
        copy_sized(&event, sizeof event, (const char*)events + done * stride);
        if (event.kind < FLOWD_EVENT_START || event.kind > FLOWD_EVENT_CATCH_ALL_CLEAR) {
            result = FLOWD_INVALID;
            break;
        }
        print_event(&event);
        if (flow_ids != NULL) flow_ids[done] = flow_id_of(core, &event);
    }
    pthread_mutex_unlock(&core->mutex);
    if (accepted != NULL) *accepted = done;
    return result;
}

static void wake(struct core* core) {
    const uint64_t one = 1;
    if (write(core->wake, &one, sizeof one) < 0 && errno != EAGAIN) perror("eventfd");
}

static void host_ready(const flowd_host* host) {
    struct core* core = core_of(host);
    pthread_mutex_lock(&core->mutex);
    core->ready = 1;
    pthread_mutex_unlock(&core->mutex);
    wake(core);
}

static flowd_result host_post(const flowd_host* host, flowd_callback callback, void* user) {
    struct core* core = core_of(host);
    struct posted* posted = calloc(1, sizeof *posted);
    flowd_result result = posted == NULL ? FLOWD_NO_MEMORY : FLOWD_OK;
    if (posted == NULL) return result;
    posted->callback = callback;
    posted->user = user;
    pthread_mutex_lock(&core->mutex);
    if (core->stopped) {
        result = FLOWD_STOPPED;
        free(posted);
    } else {
        *core->last = posted;
        core->last = &posted->next;
    }
    pthread_mutex_unlock(&core->mutex);
    if (result == FLOWD_OK) wake(core);
    return result;
}

static int host_loop_fd(const flowd_host* host) {
    return core_of(host)->epoll;
}

static struct watch* watch_of(struct core* core, flowd_watch handle) {
    size_t i;
    for (i = 0; handle != 0 && i < WATCHES; ++i)
        if (core->watches[i].handle == handle) return &core->watches[i];
    return NULL;
}

static int control(struct core* core, int operation, int fd, uint32_t conditions, uint64_t token) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = ((conditions & FLOWD_IO_READ) != 0 ? EPOLLIN : 0) | ((conditions & FLOWD_IO_WRITE) != 0 ? EPOLLOUT : 0);
    event.data.u64 = token;
    return epoll_ctl(core->epoll, operation, fd, &event);
}

static flowd_result host_watch(const flowd_host* host, int fd, uint32_t conditions, flowd_io_callback callback, void* user,
                               flowd_watch* watch) {
    struct core* core = core_of(host);
    size_t i;
    for (i = 0; i < WATCHES && core->watches[i].handle != 0; ++i) {
    }
    if (i == WATCHES) return FLOWD_LIMIT;
    if (control(core, EPOLL_CTL_ADD, fd, conditions, core->handles) != 0)
        return errno == EEXIST ? FLOWD_BUSY : FLOWD_INVALID;
    core->watches[i].handle = core->handles++;
    core->watches[i].fd = fd;
    core->watches[i].callback = callback;
    core->watches[i].user = user;
    *watch = core->watches[i].handle;
    return FLOWD_OK;
}

static flowd_result host_rewatch(const flowd_host* host, flowd_watch handle, uint32_t conditions) {
    struct core* core = core_of(host);
    const struct watch* watch = watch_of(core, handle);
    if (watch == NULL) return FLOWD_INVALID;
    return control(core, EPOLL_CTL_MOD, watch->fd, conditions, handle) == 0 ? FLOWD_OK : FLOWD_ERROR;
}

static void host_unwatch(const flowd_host* host, flowd_watch handle) {
    struct core* core = core_of(host);
    struct watch* watch = watch_of(core, handle);
    if (watch == NULL) return;
    epoll_ctl(core->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->handle = 0;
}

static void arm(struct core* core) {
    struct itimerspec when;
    int64_t first = INT64_MAX;
    size_t i;
    for (i = 0; i < TIMERS; ++i)
        if (core->timers[i].handle != 0 && core->timers[i].due_ns < first) first = core->timers[i].due_ns;
    memset(&when, 0, sizeof when);
    if (first != INT64_MAX) {
        if (first < 1) first = 1;
        when.it_value.tv_sec = first / 1000000000;
        when.it_value.tv_nsec = first % 1000000000;
    }
    timerfd_settime(core->tick, TFD_TIMER_ABSTIME, &when, NULL);
}

static flowd_result host_timer(const flowd_host* host, int64_t delay_ns, int64_t period_ns, flowd_callback callback,
                               void* user, flowd_timer* timer) {
    struct core* core = core_of(host);
    size_t i;
    for (i = 0; i < TIMERS && core->timers[i].handle != 0; ++i) {
    }
    if (i == TIMERS) return FLOWD_LIMIT;
    core->timers[i].handle = core->handles++;
    core->timers[i].due_ns = now_ns(CLOCK_MONOTONIC) + delay_ns;
    core->timers[i].period_ns = period_ns;
    core->timers[i].callback = callback;
    core->timers[i].user = user;
    *timer = core->timers[i].handle;
    arm(core);
    return FLOWD_OK;
}

static void host_cancel(const flowd_host* host, flowd_timer handle) {
    struct core* core = core_of(host);
    size_t i;
    for (i = 0; handle != 0 && i < TIMERS; ++i)
        if (core->timers[i].handle == handle) core->timers[i].handle = 0;
    arm(core);
}

static flowd_result host_metric_open(const flowd_host* host, const flowd_metric_info* info, flowd_metric* metric) {
    static flowd_metric handles = 1;
    (void)host;
    if (info->type < FLOWD_METRIC_COUNTER || info->type > FLOWD_METRIC_HISTOGRAM) return FLOWD_UNSUPPORTED;
    *metric = __atomic_fetch_add(&handles, 1, __ATOMIC_RELAXED);
    return FLOWD_OK;
}
static void host_metric_number(const flowd_host* host, flowd_metric metric, double value) {
    (void)host;
    (void)metric;
    (void)value;
}
static void host_metric_remove(const flowd_host* host, flowd_metric metric) {
    (void)host;
    (void)metric;
}
static const void* host_extension(const flowd_host* host, const char* id) {
    (void)host;
    (void)id;
    return NULL;
}

/* ---- the loop ---- */

static void stop(struct core* core) {
    const int64_t deadline_ns = now_ns(CLOCK_MONOTONIC) + 5000000000;
    const flowd_result result = core->component.stop(core->instance, deadline_ns, FLOWD_STOP_DAEMON_ENDS);
    pthread_mutex_lock(&core->mutex);
    core->stopped = 1;
    pthread_mutex_unlock(&core->mutex);
    printf("stop %d\n", result);
    if (result > 0) fault(core, "stop answered a positive result", result);
}

/* Offers the rest of the batch, as far as the backend takes it. */
static void deliver(struct core* core) {
    while (core->offered < BATCH) {
        const size_t count = BATCH - core->offered;
        size_t taken = 0;
        const flowd_result result =
            core->component.on_events(core->instance, core->batch + core->offered, count, sizeof(flowd_event), &taken);
        if (result == FLOWD_OK) taken = count;
        if (taken > count || result > 0) {
            fault(core, "on_events answered what the ABI does not know", result);
            return;
        }
        printf("on_events %d, %zu of %zu\n", result, taken, count);
        core->offered += taken;
        if (result == FLOWD_FULL) return;
        if (result == FLOWD_INVALID && taken < count) {
            ++core->offered;
        } else if (result != FLOWD_OK) {
            fault(core, "on_events failed", result);
            return;
        }
    }
}

static void run_posted(struct core* core) {
    struct posted* posted;
    int ready;
    pthread_mutex_lock(&core->mutex);
    posted = core->first;
    core->first = NULL;
    core->last = &core->first;
    ready = core->ready;
    core->ready = 0;
    pthread_mutex_unlock(&core->mutex);
    while (posted != NULL) {
        struct posted* next = posted->next;
        posted->callback(posted->user);
        free(posted);
        posted = next;
    }
    if (ready && core->component.kind == FLOWD_BACKEND) deliver(core);
}

static void run_timers(struct core* core) {
    const int64_t now = now_ns(CLOCK_MONOTONIC);
    size_t i;
    for (i = 0; i < TIMERS; ++i) {
        struct timer* timer = &core->timers[i];
        if (timer->handle == 0 || timer->due_ns > now) continue;
        timer->due_ns = timer->period_ns > 0 ? now + timer->period_ns : INT64_MAX;
        timer->callback(timer->user);
    }
    arm(core);
}

/* Makes the calls that are due. FLOWD_STOPPED once stop has been called. */
static flowd_result turn(struct core* core, int timeout_ms) {
    struct epoll_event ready[16];
    int ends = 0, i;
    const int count = epoll_wait(core->epoll, ready, 16, timeout_ms);
    for (i = 0; i < count; ++i) {
        const struct watch* watch = watch_of(core, ready[i].data.u64);
        uint32_t conditions = 0;
        uint64_t ignored;
        if (ready[i].data.u64 == STDIN_TOKEN) ends = read(STDIN_FILENO, &ignored, sizeof ignored) == 0;
        if (ready[i].data.u64 == WAKE_TOKEN && read(core->wake, &ignored, sizeof ignored) < 0) continue;
        if (ready[i].data.u64 == TICK_TOKEN && read(core->tick, &ignored, sizeof ignored) < 0) continue;
        if (watch == NULL) continue; /* one of ours, or an earlier callback ended it */
        if ((ready[i].events & (EPOLLIN | EPOLLRDHUP)) != 0) conditions |= FLOWD_IO_READ;
        if ((ready[i].events & EPOLLOUT) != 0) conditions |= FLOWD_IO_WRITE;
        if ((ready[i].events & (EPOLLERR | EPOLLHUP)) != 0) conditions |= FLOWD_IO_ERROR;
        watch->callback(watch->user, watch->fd, conditions);
    }
    run_posted(core);
    run_timers(core);
    if (!ends) return FLOWD_OK;
    stop(core);
    return FLOWD_STOPPED;
}

static flowd_result host_dispatch(const flowd_host* host) {
    return turn(core_of(host), 0);
}

/* ---- options: a tree of values from the table of options, the command line and the defaults ---- */

static char** written; /* OPTION=VALUE */
static int written_count;

static const char* written_value(const char* path) {
    const size_t length = strlen(path);
    int i;
    for (i = 0; i < written_count; ++i)
        if (strncmp(written[i], path, length) == 0 && written[i][length] == '=') return written[i] + length + 1;
    return NULL;
}

static int is_written_below(const char* path) {
    int i;
    for (i = 0; i < written_count; ++i)
        if (strncmp(written[i], path, strlen(path)) == 0) return 1;
    return 0;
}

static const flowd_option* row(const flowd_option* table, size_t index, size_t stride) {
    return (const flowd_option*)((const char*)table + index * stride);
}

static double factor_of(const char* unit) {
    static const struct {
        const char* unit;
        double factor;
    } factors[] = {{"ns", 1},      {"us", 1e3}, {"ms", 1e6},   {"s", 1e9},       {"min", 6e10},      {"h", 3.6e12},
                   {"d", 8.64e13}, {"B", 1},    {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};
    size_t i;
    for (i = 0; unit != NULL && i < sizeof factors / sizeof factors[0]; ++i)
        if (strcmp(unit, factors[i].unit) == 0) return factors[i].factor;
    return 1;
}

static void read_address(const char* text, flowd_value* value, uint32_t type) {
    char address[64];
    const char* slash = strchr(text, '/');
    struct in_addr v4;
    snprintf(address, sizeof address, "%.*s", slash == NULL ? (int)strlen(text) : (int)(slash - text), text);
    if (inet_pton(AF_INET, address, &v4) == 1) {
        value->address[10] = value->address[11] = 0xff;
        memcpy(value->address + 12, &v4, 4);
        if (type == FLOWD_OPTION_NETWORK) value->integer = 96 + (slash == NULL ? 32 : atoi(slash + 1));
    } else {
        inet_pton(AF_INET6, address, value->address);
        if (type == FLOWD_OPTION_NETWORK) value->integer = slash == NULL ? 128 : atoi(slash + 1);
    }
}

static void read_scalar(const flowd_option* option, const char* text, flowd_value* value) {
    char* end = NULL;
    double number;
    value->flags |= FLOWD_VALUE_PRESENT;
    value->text.data = text;
    value->text.length = strlen(text);
    switch (option->type) {
        case FLOWD_OPTION_BOOLEAN:
            value->integer = strcmp(text, "true") == 0;
            break;
        case FLOWD_OPTION_INTEGER:
        case FLOWD_OPTION_EXPERIMENT:
        case FLOWD_OPTION_ACTIVITY:
            value->integer = strtoll(text, NULL, 0);
            break;
        case FLOWD_OPTION_NUMBER:
            value->number = strtod(text, NULL);
            break;
        case FLOWD_OPTION_DURATION:
        case FLOWD_OPTION_SIZE:
            number = strtod(text, &end);
            while (*end == ' ') ++end;
            value->integer = (int64_t)(number * factor_of(*end == '\0' ? option->unit : end));
            break;
        case FLOWD_OPTION_ADDRESS:
        case FLOWD_OPTION_NETWORK:
            read_address(text, value, option->type);
            break;
        default:
            break; /* text */
    }
}

static void read_option(const flowd_option* raw, const char* path, flowd_value* value);

static flowd_value* new_items(flowd_value* value, size_t count) {
    flowd_value* items = calloc(count + 1, sizeof *items);
    value->items = items;
    value->item_count = count;
    value->item_stride = sizeof *items;
    return items;
}

static void read_group(const flowd_option* fields, size_t count, size_t stride, const char* path, flowd_value* value) {
    flowd_value* items = new_items(value, count);
    size_t i;
    value->flags |= FLOWD_VALUE_PRESENT;
    for (i = 0; i < count; ++i) {
        char below[256];
        snprintf(below, sizeof below, "%s%s%s", path, *path == '\0' ? "" : ".", row(fields, i, stride)->name);
        read_option(row(fields, i, stride), below, &items[i]);
    }
}

static void read_list(const flowd_option* option, const char* path, flowd_value* value) {
    flowd_value* items;
    size_t count = 0, i;
    char below[256];
    for (;; ++count) {
        snprintf(below, sizeof below, "%s[%zu]", path, count);
        if (!is_written_below(below)) break;
    }
    if (count > 0) {
        value->flags |= FLOWD_VALUE_PRESENT | FLOWD_VALUE_WRITTEN;
        items = new_items(value, count);
        for (i = 0; i < count; ++i) {
            snprintf(below, sizeof below, "%s[%zu]", path, i);
            read_option(option->fields, below, &items[i]);
        }
    } else if (option->default_text != NULL) { /* "[a, b]" */
        char* texts = strdup(option->default_text);
        char *rest = texts, *text;
        value->flags |= FLOWD_VALUE_PRESENT;
        items = new_items(value, strlen(texts));
        while ((text = strtok_r(rest, "[], ", &rest)) != NULL) {
            items[count].size = sizeof *items;
            items[count].type = option->fields->type;
            read_scalar(option->fields, text, &items[count++]);
        }
        value->item_count = count;
    }
}

static void read_option(const flowd_option* raw, const char* path, flowd_value* value) {
    const char* text = written_value(path);
    flowd_option option;
    copy_sized(&option, sizeof option, raw);
    value->size = sizeof *value;
    value->type = option.type;
    if (option.type == FLOWD_OPTION_GROUP) {
        /* A group that is not written is made of its defaults, unless a field of it has to be written. */
        size_t i;
        if (!is_written_below(path))
            for (i = 0; i < option.field_count; ++i)
                if ((row(option.fields, i, option.field_stride)->flags & FLOWD_OPTION_REQUIRED) != 0) return;
        read_group(option.fields, option.field_count, option.field_stride, path, value);
    } else if (option.type == FLOWD_OPTION_LIST) {
        read_list(&option, path, value);
    } else if (option.type != FLOWD_OPTION_MAP) {
        if (text != NULL) value->flags |= FLOWD_VALUE_WRITTEN;
        if (text != NULL || option.default_text != NULL)
            read_scalar(&option, text != NULL ? text : option.default_text, value);
    }
}

/* ---- one life ---- */

static void fill_host(struct core* core, const char* name) {
    flowd_host* host = &core->host;
    host->size = sizeof *host;
    host->abi_major = FLOWD_ABI_MAJOR;
    host->abi_minor = FLOWD_ABI_MINOR;
    host->context = core;
    host->instance = name;
    host->core_version = "host.c";
    host->log = host_log;
    host->report = host_report;
    host->refused = host_refused;
    host->lost = host_lost;
    host->sender_id = host_sender_id;
    host->emit = host_emit;
    host->ready = host_ready;
    host->post = host_post;
    host->loop_fd = host_loop_fd;
    host->dispatch = host_dispatch;
    host->watch = host_watch;
    host->rewatch = host_rewatch;
    host->unwatch = host_unwatch;
    host->timer = host_timer;
    host->cancel = host_cancel;
    host->metric_open = host_metric_open;
    host->metric_add = host->metric_set = host->metric_observe = host_metric_number;
    host->metric_remove = host_metric_remove;
    host->extension = host_extension;
}

static void fill_batch(struct core* core) {
    size_t i;
    for (i = 0; i < BATCH; ++i) {
        flowd_event* event = &core->batch[i];
        event->size = sizeof *event;
        event->kind = (uint32_t)(FLOWD_EVENT_START + i % 3);
        event->local = FLOWD_LOCAL_SOURCE;
        event->flow_id = 1 + i / 3;
        inet_pton(AF_INET6, "2001:db8::1", event->key.source);
        inet_pton(AF_INET6, "2001:db8::2", event->key.destination);
        event->key.source_port = (uint16_t)(40000 + i / 3);
        event->key.destination_port = 443;
        event->key.protocol = 6;
        event->tag.experiment = 2;
        event->tag.activity = 7;
        event->time_ns = event->start_time_ns = now_ns(CLOCK_REALTIME);
        event->precedence = FLOWD_PRECEDENCE_EXPLICIT;
        event->announcer.data = "test";
        event->announcer.length = 4;
        if (event->kind == FLOWD_EVENT_END) {
            event->end_time_ns = event->time_ns;
            event->end_reason = FLOWD_END_ANNOUNCED;
        }
    }
}

static flowd_result add_sample(const flowd_samples* samples, const flowd_sample* sample) {
    (void)samples;
    printf("sample of flow %" PRIu64 "\n", sample->flow_id);
    return FLOWD_OK;
}

static void sample(struct core* core) {
    flowd_samples samples = {.size = sizeof samples, .add = add_sample};
    flowd_flow flow;
    memset(&flow, 0, sizeof flow);
    flow.size = sizeof flow;
    flow.flow_id = 1;
    flow.key = core->batch[0].key;
    flow.tag = core->batch[0].tag;
    flow.start_time_ns = flow.seen_time_ns = core->batch[0].time_ns;
    printf("sample %d\n", core->component.sample(core->instance, &flow, 1, sizeof flow, 1, &samples));
}

static int is_up(struct core* core, const flowd_value* config) {
    flowd_result result = core->component.create(&core->host, config, &core->instance);
    printf("create %d\n", result);
    if (result != FLOWD_OK) {
        core->instance = NULL;
        return 0;
    }
    if (core->component.prepare != NULL) {
        result = core->component.prepare(core->instance);
        printf("prepare %d\n", result);
        if (result != FLOWD_OK) return 0;
    }
    core->started = 1;
    result = core->component.start(core->instance);
    printf("start %d\n", result);
    return result == FLOWD_OK;
}

static int find_component(struct core* core, void* file, const char* kind, const char* name) {
    static const char* const kinds[] = {"", "plugin", "backend", "enricher"};
    flowd_module_function describe;
    flowd_module module;
    size_t i;
    *(void**)&describe = dlsym(file, FLOWD_MODULE_SYMBOL);
    if (describe == NULL) return 0;
    copy_sized(&module, sizeof module, describe(FLOWD_ABI_MINOR));
    if (module.abi_major != FLOWD_ABI_MAJOR) return 0;
    for (i = 0; i < module.component_count; ++i) {
        copy_sized(&core->component, sizeof core->component, (const char*)module.components + i * module.component_stride);
        if (core->component.kind > FLOWD_ENRICHER) continue;
        if (strcmp(kinds[core->component.kind], kind) == 0 && strcmp(core->component.name, name) == 0) return 1;
    }
    return 0;
}

int main(int argc, char** argv) {
    static struct core core = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    flowd_value config;
    void* file;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 4) {
        fprintf(stderr, "usage: host MODULE.so plugin|backend|enricher NAME [OPTION=VALUE...]\n");
        return 2;
    }
    written = argv + 4;
    written_count = argc - 4;
    file = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (file == NULL || !find_component(&core, file, argv[2], argv[3])) {
        fprintf(stderr, "%s: no such component\n", file == NULL ? dlerror() : argv[1]);
        return 2;
    }
    core.last = &core.first;
    core.handles = FIRST_HANDLE;
    core.epoll = epoll_create1(EPOLL_CLOEXEC);
    core.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    core.tick = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    control(&core, EPOLL_CTL_ADD, STDIN_FILENO, FLOWD_IO_READ, STDIN_TOKEN);
    control(&core, EPOLL_CTL_ADD, core.wake, FLOWD_IO_READ, WAKE_TOKEN);
    control(&core, EPOLL_CTL_ADD, core.tick, FLOWD_IO_READ, TICK_TOKEN);
    fill_host(&core, argv[3]);
    fill_batch(&core);
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.type = FLOWD_OPTION_GROUP;
    read_group(core.component.options, core.component.option_count, core.component.option_stride, "", &config);

    if (!is_up(&core, &config)) {
        if (core.instance != NULL) stop(&core);
    } else {
        if (core.component.kind == FLOWD_BACKEND) deliver(&core);
        if (core.component.kind == FLOWD_ENRICHER) sample(&core);
        printf("live\n");
        if (core.component.loop == FLOWD_LOOP_OWN) {
            printf("run %d\n", core.component.run(core.instance));
            if (!core.stopped) fault(&core, "run returned before stop", 0);
        } else {
            while (turn(&core, -1) != FLOWD_STOPPED) {
            }
        }
    }
    if (core.instance != NULL) core.component.destroy(core.instance);
    printf("destroyed, %d faults\n", core.faults);
    return core.faults > 0;
}
