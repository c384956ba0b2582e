// The two programs that the gateway is measured beside: one that sends, and one that receives and does nothing.

#ifndef INGEST_PEERS_H
#define INGEST_PEERS_H

#include <stdint.h>

/// What to send: Tasmota messages of about 300 bytes, the devices one after the other.
struct ingest_load {
    uint16_t port;
    /// Topics are `<prefix>/tele/plug-0000/SENSOR` and on.
    const char *prefix;
    long count;
    int devices;
    /// 0 or 1. At 1 no more than 1000 messages are on their way.
    int qos;
    /// Messages a second; 0 is as fast as the broker takes them.
    double rate;
};

/// Sends everything to 127.0.0.1 and returns once the broker has it; 0, or 1 with words on standard error.
int ingest_publish(const struct ingest_load *load);

/// libmosquitto's own loop on 127.0.0.1 with a callback that counts in `*messages`, and nothing else. Returns when the
/// connection ends.
int ingest_idle_subscriber(uint16_t port, const char *filter, int qos, volatile uint64_t *messages);

#endif
