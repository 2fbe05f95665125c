/* SPDX-License-Identifier: MIT */
/* Rows of gateway.*, account.* and rpc.*. */
#include "api_gateway.h"

#include "rpc_methods.h"

const struct rpc_method api_gateway_ping = {
    .name = "gateway.ping",
    .permission = RPC_ALLOW_ALL,
    .flags = RPC_AT_ONCE,
    .summary = "Answer at once",
    .doc = "Shows that the daemon is there and serving. Every peer may call it.",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
};

static const struct rpc_field api_version_fields[] = {
    {"major", RPC_INT, .flags = RPC_REQUIRED, .doc = "Rises when something goes or changes its meaning."},
    {"minor", RPC_INT, .flags = RPC_REQUIRED, .doc = "Rises when something is added."},
};
static const struct rpc_object api_version = {
    .name = "ApiVersion", .doc = "The version of the interface.", RPC_FIELDS(api_version_fields)};

static const struct rpc_field account_fields[] = {
    {"name", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The account's name."},
    {"email", RPC_STRING, .flags = RPC_NULLABLE, .doc = "The account's own address."},
    {"protocols", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Of smtp, imap and pop3, those that are configured."},
    {"permit", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Of send, read, write and raw, what this peer may do."},
    {"default", RPC_BOOL, .doc = "Whether this peer uses it where it names none (`default_for`)."},
    {"paused", RPC_BOOL, .doc = "Whether gateway.pause holds it."},
    {"problem", RPC_STRING, .flags = RPC_NULLABLE, .doc = "The last failure that still keeps connections from being made."},
};
static const struct rpc_object account_object = {
    .name = "Account", .doc = "An account, as far as the peer may know it.", RPC_FIELDS(account_fields)};

static const struct rpc_field status_result[] = {
    {"version", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The daemon's version."},
    {"api", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &api_version, .doc = "The interface's version."},
    {"features", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Names of what this daemon can do."},
    {"limits", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "The limits that the configuration sets, by their names there."},
    {"uptime", RPC_INT, .flags = RPC_REQUIRED, .doc = "Milliseconds since the daemon started."},
    {"clients", RPC_INT, .flags = RPC_REQUIRED, .doc = "Connections to the socket."},
    {"memory", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Bytes in use, by what for."},
    {"accounts", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &account_object, .doc = "The accounts that the peer may use."},
};
static const struct rpc_object status_object = {RPC_FIELDS(status_result)};

const struct rpc_method api_gateway_status = {
    .name = "gateway.status",
    .permission = RPC_ALLOW_PEER,
    .flags = RPC_AT_ONCE,
    .summary = "Tell the daemon's version, features, limits and state",
    .doc = "A peer without any right is refused.",
    .params = &rpc_nothing,
    .result = &status_object,
    .errors = RPC_ERROR(DENIED),
};

static const struct rpc_field pool_fields[] = {
    {"account", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The account; null for inline options."},
    {"protocol", RPC_STRING, .flags = RPC_REQUIRED, .doc = "smtp, imap or pop3."},
    {"host", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The server."},
    {"port", RPC_INT, .flags = RPC_REQUIRED, .doc = "Its port."},
    {"active", RPC_INT, .flags = RPC_REQUIRED, .doc = "Connections that work for a call or session."},
    {"idle", RPC_INT, .flags = RPC_REQUIRED, .doc = "Connections that wait for work."},
    {"waiting", RPC_INT, .flags = RPC_REQUIRED, .doc = "Calls that wait for a connection."},
    {"opened", RPC_INT, .flags = RPC_REQUIRED, .doc = "Connections made so far."},
    {"failed", RPC_INT, .flags = RPC_REQUIRED, .doc = "Attempts that failed so far."},
    {"reused", RPC_INT, .flags = RPC_REQUIRED, .doc = "Calls that found a connection ready."},
    {"bytes", RPC_MAP_OF, .doc = "Bytes in and out."},
    {"times", RPC_MAP_OF, .doc = "Milliseconds that connecting and waiting took."},
    {"last_byte_age", RPC_INT, .flags = RPC_NULLABLE, .doc = "Milliseconds since a byte last moved."},
    {"problem", RPC_STRING, .flags = RPC_NULLABLE, .doc = "The last failure, while it keeps connections from being made."},
};
static const struct rpc_object pool_object = {
    .name = "Pool", .doc = "The connections to one server with one identity.", RPC_FIELDS(pool_fields)};
static const struct rpc_field pools_result[] = {
    {"pools", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &pool_object, .doc = "The pools that the peer may see."}};
static const struct rpc_object pools_object = {RPC_FIELDS(pools_result)};

const struct rpc_method api_gateway_pools = {
    .name = "gateway.pools",
    .permission = RPC_ALLOW_PEER,
    .flags = RPC_AT_ONCE,
    .summary = "Show the pools of connections",
    .doc = "Administrators see all pools, other peers those of accounts that they may use.",
    .params = &rpc_nothing,
    .result = &pools_object,
    .errors = RPC_ERROR(DENIED),
};

static const struct rpc_field session_fields[] = {
    {"session", RPC_STRING, .flags = RPC_REQUIRED, .doc = "A name for gateway.close; not the id that its owner uses."},
    {"account", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The account; null for inline options."},
    {"protocol", RPC_STRING, .flags = RPC_REQUIRED, .doc = "smtp, imap or pop3."},
    {"state", RPC_STRING, .flags = RPC_REQUIRED, .doc = "What the connection is doing."},
    {"uid", RPC_INT, .flags = RPC_REQUIRED, .doc = "The user whose client opened it."},
    {"pid", RPC_INT, .doc = "The client's process."},
    {"age", RPC_INT, .flags = RPC_REQUIRED, .doc = "Milliseconds since it was opened."},
    {"idle", RPC_INT, .doc = "Milliseconds since its last call."},
};
static const struct rpc_object session_object = {
    .name = "SessionInfo", .doc = "A session.", RPC_FIELDS(session_fields)};
static const struct rpc_field sessions_result[] = {
    {"sessions", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &session_object, .doc = "The sessions that are open."}};
static const struct rpc_object sessions_object = {RPC_FIELDS(sessions_result)};

const struct rpc_method api_gateway_sessions = {
    .name = "gateway.sessions",
    .permission = RPC_ALLOW_ADMIN,
    .flags = RPC_AT_ONCE,
    .summary = "Show the sessions of all clients",
    .doc = "",
    .params = &rpc_nothing,
    .result = &sessions_object,
    .errors = RPC_ERROR(DENIED),
};

static const struct rpc_field close_params[] = {
    {"session", RPC_STRING, RPC_AT(api_gateway_close_params, session), .flags = RPC_REQUIRED | RPC_NUL_OK,
     .doc = "The session, by the name that gateway.sessions shows."}};
static const struct rpc_object close_object = {RPC_FIELDS(close_params), .size = sizeof(struct api_gateway_close_params)};

const struct rpc_method api_gateway_close = {
    .name = "gateway.close",
    .permission = RPC_ALLOW_ADMIN,
    .summary = "Close a session of any client",
    .doc = "Its calls end with `disconnected`, later ones with `no_such_session`.",
    .params = &close_object,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(DENIED) | RPC_ERROR(NO_SUCH_SESSION),
};

static const struct rpc_field reload_result[] = {
    {"accounts", RPC_INT, .flags = RPC_REQUIRED, .doc = "Accounts that the configuration has now."}};
static const struct rpc_object reload_object = {RPC_FIELDS(reload_result)};

const struct rpc_method api_gateway_reload = {
    .name = "gateway.reload",
    .permission = RPC_ALLOW_ADMIN,
    .summary = "Read the configuration again",
    .doc = "What is in flight goes on. A configuration with a mistake is refused whole, with the error `unavailable` that "
           "names file and line, and the old one stays.",
    .params = &rpc_nothing,
    .result = &reload_object,
    .errors = RPC_ERROR(DENIED) | RPC_ERROR(UNAVAILABLE),
};

static const struct rpc_field pause_params[] = {
    {"account", RPC_STRING, RPC_AT(api_gateway_pause_params, common.account), .flags = RPC_REQUIRED | RPC_NUL_OK,
     .doc = "The account."}};
static const struct rpc_object pause_object = {RPC_FIELDS(pause_params), .size = sizeof(struct api_gateway_pause_params)};

const struct rpc_method api_gateway_pause = {
    .name = "gateway.pause",
    .permission = RPC_ALLOW_ADMIN,
    .summary = "Let an account rest",
    .doc = "New calls end with `unavailable`; calls in flight are finished.",
    .params = &pause_object,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(DENIED) | RPC_ERROR(NO_SUCH_ACCOUNT),
};

const struct rpc_method api_gateway_resume = {
    .name = "gateway.resume",
    .permission = RPC_ALLOW_ADMIN,
    .summary = "Let an account work again",
    .doc = "Also clears the back-off after failures, for the pool and for host and port, and lets refused credentials be "
           "tried again.",
    .params = &pause_object,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(DENIED) | RPC_ERROR(NO_SUCH_ACCOUNT),
};

static const struct rpc_field metrics_result[] = {
    {"content_type", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The media type of the text."},
    {"metrics", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Counters, gauges and histograms as OpenMetrics text."}};
static const struct rpc_object metrics_object = {RPC_FIELDS(metrics_result)};

const struct rpc_method api_gateway_metrics = {
    .name = "gateway.metrics",
    .permission = RPC_ALLOW_ADMIN,
    .flags = RPC_AT_ONCE,
    .summary = "Count what the daemon has done",
    .doc = "Calls by method and outcome with their durations, pools, watched mailboxes, events, helpers and memory, for Prometheus and its like.",
    .params = &rpc_nothing,
    .result = &metrics_object,
    .errors = RPC_ERROR(DENIED),
};

static const struct rpc_field accounts_result[] = {
    {"accounts", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &account_object, .doc = "The accounts that the peer may use."}};
static const struct rpc_object accounts_object = {RPC_FIELDS(accounts_result)};

const struct rpc_method api_account_list = {
    .name = "account.list",
    .permission = RPC_ALLOW_ALL,
    .flags = RPC_AT_ONCE,
    .summary = "List the accounts that the peer may use",
    .doc = "For a peer without any right the list is empty.",
    .params = &rpc_nothing,
    .result = &accounts_object,
};

static const char *const protocol_names[] = {"smtp", "imap", "pop3", NULL};

static const struct rpc_field test_params[] = {
    {"account", RPC_STRING, RPC_AT(api_account_test_params, common.account), .flags = RPC_REQUIRED | RPC_NUL_OK,
     .doc = "The account."},
    {"protocol", RPC_ENUM, RPC_AT(api_account_test_params, protocol), .names = protocol_names,
     .doc = "Test this one only; by default, all that are configured."},
};
static const struct rpc_object test_object = {RPC_FIELDS(test_params), .size = sizeof(struct api_account_test_params)};

static const struct rpc_field test_certificate_fields[] = {
    {"names", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Whom it is for."},
    {"issuer", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Who issued it."},
    {"not_after", RPC_STRING, .flags = RPC_REQUIRED, .doc = "When it expires, in ISO 8601."},
    {"fingerprint", RPC_STRING, .flags = RPC_REQUIRED,
     .doc = "SHA-256 of it, as the configuration's `fingerprint` takes it."},
};
static const struct rpc_object test_certificate = {
    .name = "ServerCertificate", .doc = "The certificate that a server showed.", RPC_FIELDS(test_certificate_fields)};
static const struct rpc_field test_times_fields[] = {
    {"lookup", RPC_INT, .flags = RPC_REQUIRED, .doc = "Of `connect`, the look-up of the name."},
    {"greeting", RPC_INT, .flags = RPC_REQUIRED, .doc = "Of `login`, the wait for the greeting."},
    {"connect", RPC_INT, .flags = RPC_REQUIRED, .doc = "From the look-up of the name until the connection stood."},
    {"tls", RPC_INT, .flags = RPC_REQUIRED, .doc = "The handshake."},
    {"login", RPC_INT, .flags = RPC_REQUIRED, .doc = "From waiting for the greeting until logged in."},
};
static const struct rpc_object test_times = {
    .name = "ConnectionTimes", .doc = "Milliseconds that the steps took.", RPC_FIELDS(test_times_fields)};
static const struct rpc_field test_one_fields[] = {
    {"ok", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether a connection was made and the credentials were taken."},
    {"error", RPC_ANY, .doc = "The error object, when not."},
    {"host", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The server, as configured."},
    {"port", RPC_INT, .flags = RPC_REQUIRED, .doc = "Its port."},
    {"implicit_tls", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether TLS is to begin with the first byte."},
    {"address", RPC_STRING, .doc = "The address and port that the name led to."},
    {"tls", RPC_BOOL, .doc = "Whether the connection is encrypted."},
    {"tls_version", RPC_STRING, .doc = "With which version of TLS."},
    {"tls_cipher", RPC_STRING, .doc = "With which cipher suite."},
    {"certificate", RPC_OBJECT, .object = &test_certificate, .doc = "What the server showed of itself."},
    {"capabilities", RPC_STRINGS, .doc = "What the server says that it can do, after the login."},
    {"time", RPC_INT, .doc = "Milliseconds that it took in all."},
    {"times", RPC_OBJECT, .object = &test_times, .doc = "What of it went where."},
    {"quirks", RPC_STRINGS,
     .doc = "IMAP: what the server is known to do in its own way and is allowed for, by the names that `quirks` in the configuration takes."},
};
static const struct rpc_object test_one = {
    .name = "ConnectionTest", .doc = "How making a connection went.", RPC_FIELDS(test_one_fields)};
static const struct rpc_field test_result[] = {
    {"smtp", RPC_OBJECT, .object = &test_one, .doc = "If it is configured and was tested."},
    {"imap", RPC_OBJECT, .object = &test_one, .doc = "Likewise."},
    {"pop3", RPC_OBJECT, .object = &test_one, .doc = "Likewise."},
};
static const struct rpc_object test_result_object = {RPC_FIELDS(test_result)};

const struct rpc_method api_account_test = {
    .name = "account.test",
    .permission = RPC_ALLOW_USE,
    .summary = "Try to connect and to log in",
    .doc = "Makes a new connection for each protocol, logs in and leaves again.",
    .params = &test_object,
    .result = &test_result_object,
    .errors = RPC_ERROR(DENIED) | RPC_ERROR(NO_SUCH_ACCOUNT),
};

static const struct rpc_field discover_result[] = {
    {"openrpc", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The version of OpenRPC."},
    {"info", RPC_ANY, .flags = RPC_REQUIRED, .doc = "Title and version."},
    {"x-api", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &api_version, .doc = "The interface's version."},
    {"x-features", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Names of what this daemon can do."},
    {"methods", RPC_ANY, .flags = RPC_REQUIRED, .doc = "The methods."},
    {"components", RPC_ANY, .flags = RPC_REQUIRED, .doc = "The schemas that methods share."},
};
static const struct rpc_object discover_object = {RPC_FIELDS(discover_result)};

const struct rpc_method api_rpc_discover = {
    .name = "rpc.discover",
    .permission = RPC_ALLOW_ALL,
    .flags = RPC_AT_ONCE,
    .summary = "Describe all methods as an OpenRPC document",
    .doc = "Every peer may call it.",
    .params = &rpc_nothing,
    .result = &discover_object,
};

static const struct rpc_field cancel_params[] = {
    {"id", RPC_ID, RPC_AT(api_rpc_cancel_params, id), .flags = RPC_REQUIRED,
     .doc = "The id of a call in flight on this connection, exactly as it was sent: 5 and \"5\" differ."}};
static const struct rpc_object cancel_object = {RPC_FIELDS(cancel_params), .size = sizeof(struct api_rpc_cancel_params)};
static const struct rpc_field cancel_result[] = {
    {"found", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether such a call was in flight."}};
static const struct rpc_object cancel_result_object = {RPC_FIELDS(cancel_result)};

const struct rpc_method api_rpc_cancel = {
    .name = "rpc.cancel",
    .permission = RPC_ALLOW_ALL,
    .flags = RPC_AT_ONCE,
    .summary = "Cancel a call in flight",
    .doc = "The cancelled call ends with the error `cancelled`, which tells the outcome.",
    .params = &cancel_object,
    .result = &cancel_result_object,
};
