#include "IngestPeers.h"
#include <mosquitto.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const host = "127.0.0.1";
/// At quality 1, messages that the broker has not acknowledged yet.
static const long window = 1000;

// MARK: the subscriber

struct subscriber {
    const char *filter;
    int qos;
    volatile uint64_t *messages;
};

static void subscribe(struct mosquitto *client, void *context, int code) {
    struct subscriber *self = context;
    if (code == 0) mosquitto_subscribe(client, NULL, self->filter, self->qos);
}

static void count_message(struct mosquitto *client, void *context, const struct mosquitto_message *message) {
    (void)client;
    (void)message;
    struct subscriber *self = context;
    (*self->messages)++;
}

int ingest_idle_subscriber(uint16_t port, const char *filter, int qos, volatile uint64_t *messages) {
    struct subscriber self = {filter, qos, messages};
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new("idle-subscriber", true, &self);
    if (client == NULL) return 1;
    mosquitto_connect_callback_set(client, subscribe);
    mosquitto_message_callback_set(client, count_message);
    int code = mosquitto_connect(client, host, port, 60);
    if (code == MOSQ_ERR_SUCCESS) code = mosquitto_loop_forever(client, -1, 1);
    mosquitto_destroy(client);
    return code != MOSQ_ERR_SUCCESS;
}

// MARK: the publisher

struct publisher {
    long acknowledged;
    bool is_connected;
    bool is_broken;
};

static void connected(struct mosquitto *client, void *context, int code) {
    (void)client;
    struct publisher *self = context;
    if (code == 0) self->is_connected = true;
    else self->is_broken = true;
}

static void disconnected(struct mosquitto *client, void *context, int code) {
    (void)client;
    struct publisher *self = context;
    if (code != 0) self->is_broken = true;
}

static void published(struct mosquitto *client, void *context, int number) {
    (void)client;
    (void)number;
    struct publisher *self = context;
    self->acknowledged++;
}

/// Reads and writes what is ready within so many milliseconds.
static void serve(struct mosquitto *client, struct publisher *self, int milliseconds) {
    struct pollfd wait = {mosquitto_socket(client), POLLIN, 0};
    if (wait.fd < 0) {
        self->is_broken = true;
        return;
    }
    if (mosquitto_want_write(client)) wait.events |= POLLOUT;
    if (poll(&wait, 1, milliseconds) <= 0) return;
    if (wait.revents & (POLLIN | POLLHUP | POLLERR) && mosquitto_loop_read(client, 1) != 0) self->is_broken = true;
    if (wait.revents & POLLOUT && mosquitto_loop_write(client, 1) != 0) self->is_broken = true;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/// A plug that draws something else each time and counts what it draws, as if its messages were ten seconds apart.
static int message(long number, int devices, char *text, size_t size) {
    long round = number / devices;
    int device = (int)(number % devices);
    unsigned tenths = (unsigned)((device * 37 + round * 113) % 24000);
    unsigned long milliwatt_hours = (unsigned long)(device + 1) * 100000 + (unsigned long)round * 3300;
    return snprintf(
        text, size,
        "{\"Time\":\"2026-11-23T18:00:00\",\"ENERGY\":{\"TotalStartTime\":\"2026-01-03T09:12:44\","
        "\"Total\":%lu.%03lu,\"Yesterday\":3.902,\"Today\":1.266,\"Period\":5,\"Power\":%u.%u,\"ApparentPower\":%u.%u,"
        "\"ReactivePower\":200,\"Factor\":0.%02u,\"Frequency\":60,\"Voltage\":%u.%u,\"Current\":%u.%03u},"
        "\"ESP32\":{\"Temperature\":43.6},\"TempUnit\":\"C\"}",
        milliwatt_hours / 1000000, milliwatt_hours / 1000 % 1000, tenths / 10, tenths % 10, tenths / 9, tenths % 10,
        50 + (unsigned)(number % 50), 214 + (unsigned)(number % 9), (unsigned)(number % 10), tenths / 2200,
        tenths * 10 % 1000);
}

int ingest_publish(const struct ingest_load *load) {
    struct publisher self = {0, false, false};
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, &self);
    if (client == NULL) return 1;
    mosquitto_connect_callback_set(client, connected);
    mosquitto_disconnect_callback_set(client, disconnected);
    mosquitto_publish_callback_set(client, published);
    mosquitto_max_inflight_messages_set(client, (unsigned)window);
    if (mosquitto_connect(client, host, load->port, 600) != MOSQ_ERR_SUCCESS) {
        fprintf(stderr, "cannot connect to the broker on port %u\n", load->port);
        return 1;
    }
    while (!self.is_connected && !self.is_broken) serve(client, &self, 100);

    char topic[128], text[1024];
    double start = seconds();
    long sent = 0;
    for (; sent < load->count && !self.is_broken; sent++) {
        double early;
        while (load->rate > 0 && (early = start + (double)sent / load->rate - seconds()) > 0) {
            struct timespec pause = {(time_t)early, (long)((early - (double)(time_t)early) * 1e9)};
            nanosleep(&pause, NULL);
        }
        snprintf(
            topic, sizeof topic, "%s/tele/plug-%04d/SENSOR", load->prefix, (int)(sent % load->devices));
        int length = message(sent, load->devices, text, sizeof text);
        if (mosquitto_publish(client, NULL, topic, length, text, load->qos, false) != MOSQ_ERR_SUCCESS) {
            self.is_broken = true;
            break;
        }
        while (!self.is_broken && mosquitto_want_write(client)) serve(client, &self, 100);
        if (load->rate > 0 || sent % 64 == 63) serve(client, &self, 0);
        if (load->qos == 0) continue;
        while (!self.is_broken && sent + 1 - self.acknowledged >= window) serve(client, &self, 100);
    }
    while (load->qos > 0 && !self.is_broken && self.acknowledged < sent) serve(client, &self, 100);
    mosquitto_disconnect(client);
    mosquitto_destroy(client);
    if (self.is_broken) fprintf(stderr, "the broker ended the connection after %ld messages\n", sent);
    return self.is_broken;
}
