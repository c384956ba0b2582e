// libc's types stay those of Swift's Glibc module; else each file that makes one has to import whichever C module
// happened to include its header first.
#pragma clang module import SwiftGlibc

#include <microhttpd.h>

// Swift cannot call variadic functions, so these wrap the ones that are needed.

typedef void *(*fabgate_mhd_target)(void *context, const char *target, struct MHD_Connection *connection);
typedef size_t (*fabgate_mhd_unescape)(void *context, struct MHD_Connection *connection, char *text);

// A daemon on a socket that listens already. Every callback gets the same context.
static inline struct MHD_Daemon *fabgate_mhd_start(
    unsigned flags, MHD_socket listening, void *context, fabgate_mhd_target target, fabgate_mhd_unescape unescape,
    MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed,
    MHD_NotifyConnectionCallback connection, struct MHD_OptionItem *options) {
    return MHD_start_daemon(
        flags, 0, 0, 0, handler, context, MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_URI_LOG_CALLBACK, target,
        context, MHD_OPTION_UNESCAPE_CALLBACK, unescape, context, MHD_OPTION_NOTIFY_COMPLETED, completed, context,
        MHD_OPTION_NOTIFY_CONNECTION, connection, context, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}
static inline const struct sockaddr *fabgate_mhd_client(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : 0;
}
static inline MHD_socket fabgate_mhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : MHD_INVALID_SOCKET;
}
static inline void *fabgate_mhd_socket_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : 0;
}
// Bytes of the request line and the header lines together, with everything that stood between them.
static inline size_t fabgate_mhd_head_bytes(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}
static inline unsigned fabgate_mhd_connections(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}
